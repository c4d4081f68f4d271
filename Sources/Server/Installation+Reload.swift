import Bus
import Engine
import Event
import EventLog
import HTTP
import JSON
import Logging
import Manifest
import Posix
import Sensor

/// A port that event sources want and cannot have.
struct PortFailure: Error, CustomStringConvertible {
  let port: Int
  let error: SystemError

  var description: String { "\(error)" }
}

extension Installation {
  /// Reads the manifests anew and, unless something is wrong with them, puts them in force
  /// between two batches. Otherwise nothing changes. One after the other.
  func reload() async -> Reload {
    await turnstile.enter()
    defer { turnstile.leave() }
    // Its next owner reads them.
    if hasLeft { return Reload(isDone: true, messages: []) }
    // Whoever asks for it may give up; it does not stop half way.
    return await Task { await self.reloadNow() }.value
  }

  private func reloadNow() async -> Reload {
    accessLog?.reopen()
    if let kubernetes = startup.kubernetes { return await reload(kubernetes) }
    let read = parts.read(configuration.manifests, after: plan)
    fingerprint = read.fingerprint
    guard let next = read.plan else { return refused(read.messages) }
    do { try await putInForce(next.part(of: startup.share)) } catch {
      fingerprint = nil
      return refused(read.messages + ["\(error)"])
    }
    return Reload(isDone: true, messages: read.messages)
  }

  /// Reads them anew if they hold something else than they did.
  @discardableResult
  func reloadIfChanged() async -> Reload {
    if startup.kubernetes == nil, parts.fingerprint(of: configuration.manifests) == fingerprint {
      return Reload(isDone: true, messages: [])
    }
    return await reload()
  }

  /// Swaps the plan between two batches, at a position that the log tells.
  /// - Throws: `PortFailure`, or what keeps the log from saying so; then nothing has changed.
  func putInForce(_ next: PlanBuilder.Plan) async throws {
    let opened = try await ports.open(next.routesByPort)
    do {
      _ = try await log.append([.event(changed(next))])
      try await engine.adopt(next.engine)
    } catch {
      await ports.close(opened)
      throw error
    }
    await ports.replace(with: next.routesByPort, opened)
    pushRoutes.replace(with: next.pushRoutes)
    await works.replace(with: next.made, leavingBy: parts.sourceHost)
    plan = next
    logger.info(
      "the manifests were reloaded",
      metadata: [
        "eventSources": "\(next.sources.count)",
        "sensors": "\(next.engine.interlocking.sensors.count)",
      ]
    )
  }

  func refused(_ messages: [String]) -> Reload { .refused(messages, logger) }

  private func changed(_ plan: PlanBuilder.Plan) -> Event {
    let data: JSON = [
      "eventSources": .array(plan.sources.map { .string($0) }),
      "sensors": .array(plan.engine.interlocking.sensors.map { .string("\($0.id)") }),
    ]
    return Event(
      id: Event.randomID(),
      namespace: "default",
      bus: "default",
      source: OutcomeEvent.noticeSource,
      type: "signalbox.plan.changed",
      subject: "plan.changed",
      time: Timestamp(nanoseconds: wallClockNanoseconds()),
      data: data.encoded()
    )
  }
}

extension PlanBuilder.Plan {
  /// A process cannot leave the bus it runs on.
  func isOnSameBus(as other: PlanBuilder.Plan) -> Bool {
    kafkaBus?.fingerprint == other.kafkaBus?.fingerprint
  }

  static let otherBus = "the EventBus with kafka was changed; that takes a restart"
}

extension Parts {
  /// Manifests as they are now.
  struct Read {
    /// nil: they have errors, or name another bus.
    let plan: PlanBuilder.Plan?
    /// Errors and warnings.
    let messages: [String]
    let fingerprint: Int
  }

  /// Reads manifests that are to follow those of `current`.
  func read(_ paths: [String], after current: PlanBuilder.Plan) -> Read {
    // Before they are read: what changes meanwhile is noticed.
    let fingerprint = fingerprint(of: paths)
    let diagnostics = Diagnostics()
    let plan = builder(diagnostics).build(paths)
    let messages = diagnostics.sorted.filter { $0.severity != .info }.map(\.description)
    if let plan, !plan.isOnSameBus(as: current) {
      let all = messages + [PlanBuilder.Plan.otherBus]
      return Read(plan: nil, messages: all, fingerprint: fingerprint)
    }
    return Read(plan: plan, messages: messages, fingerprint: fingerprint)
  }

  func fingerprint(of paths: [String]) -> Int {
    SensorCompiler.reader(Diagnostics()).fingerprint(of: paths)
  }
}

/// What came of reading the manifests anew.
struct Reload: Sendable {
  let isDone: Bool
  /// Errors and warnings, each with its place.
  let messages: [String]

  static func refused(_ messages: [String], _ logger: Logger) -> Reload {
    logger.error(
      "the manifests were not reloaded; the old ones stay in force",
      metadata: ["errors": "\(messages.joined(separator: " | "))"]
    )
    return Reload(isDone: false, messages: messages)
  }

  var json: JSON {
    ["reloaded": .bool(isDone), "messages": .array(messages.map { .string($0) })]
  }
}
