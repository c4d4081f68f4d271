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
    while let reloading { _ = await reloading.value }
    let task = Task {
      let reload = await self.reloadNow()
      self.reloading = nil
      return reload
    }
    reloading = task
    return await task.value
  }

  private func reloadNow() async -> Reload {
    accessLog?.reopen()
    if let kubernetes = startup.kubernetes { return await reload(kubernetes) }
    let diagnostics = Diagnostics()
    // Before they are read: what changes meanwhile is noticed.
    fingerprint = SensorCompiler.reader(Diagnostics()).fingerprint(of: configuration.manifests)
    let next = parts.builder(diagnostics).build(configuration.manifests)?.part(of: startup.share)
    var messages = diagnostics.sorted.filter { $0.severity != .info }.map(\.description)
    guard let next else { return refused(messages) }
    guard isOnSameBus(next) else { return refused(messages + [Self.otherBus]) }
    do { try await putInForce(next) } catch {
      messages.append("\(error)")
      return refused(messages)
    }
    return Reload(isDone: true, messages: messages)
  }

  /// Reads them anew if they hold something else than they did.
  func reloadIfChanged() async {
    if startup.kubernetes != nil {
      _ = await reload()
      return
    }
    let now = SensorCompiler.reader(Diagnostics()).fingerprint(of: configuration.manifests)
    if now != fingerprint { _ = await reload() }
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

  /// A process cannot leave the bus it runs on.
  func isOnSameBus(_ next: PlanBuilder.Plan) -> Bool {
    next.kafkaBus?.fingerprint == plan.kafkaBus?.fingerprint
  }

  static let otherBus = "the EventBus with kafka was changed; that takes a restart"

  func refused(_ messages: [String]) -> Reload {
    logger.error(
      "the manifests were not reloaded; the old ones stay in force",
      metadata: ["errors": "\(messages.joined(separator: " | "))"]
    )
    return Reload(isDone: false, messages: messages)
  }

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

/// What came of reading the manifests anew.
struct Reload: Sendable {
  let isDone: Bool
  /// Errors and warnings, each with its place.
  let messages: [String]

  var json: JSON {
    ["reloaded": .bool(isDone), "messages": .array(messages.map { .string($0) })]
  }
}
