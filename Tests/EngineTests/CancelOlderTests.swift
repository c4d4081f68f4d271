import Bus
import Engine
import Event
import EventLog
import JSON
import Manifest
import Plugin
import Sensor
import Synchronization
import TestKit
import Testing

/// Starts something that goes on until it is stopped or let go.
private final class Vessel: Trigger {
  struct Spec: ManifestBlock {
    init(from block: Block) {}
  }

  static let kind = "script"
  static let concurrency = 4
  static let runsPrograms = false
  static let isFollowed = true
  static func refusal(ofParameter destination: String) -> String? { nil }

  private struct State {
    var started: [String] = []
    var asked: [String] = []
    var waiting: [String: CheckedContinuation<Outcome, Never>] = [:]
    var ended: [String: Outcome] = [:]
  }

  private let state = Mutex(State())
  /// How often it is busy before it hears.
  private let deaf: Mutex<Int>

  init(deaf: Int = 0) { self.deaf = Mutex(deaf) }

  init(_ spec: Spec, original: Spec?, host: any TriggerHost, _ block: Block) { deaf = Mutex(0) }

  /// The events of those that began, in order.
  var started: [String] { state.withLock { $0.started } }
  /// Of those that were asked to stop, as often as they were.
  var asked: [String] { state.withLock { $0.asked } }

  func fire(_ firing: Firing) async -> Outcome {
    let id = firing.events[0].event.id
    state.withLock { $0.started.append(id) }
    return .started(result: ["event": .string(id)])
  }

  private func id(_ started: JSON) -> String {
    if case .string(let id)? = started["event"] { id } else { "" }
  }

  func follow(_ firing: Firing, started: JSON, report: @escaping ProgressReport) async -> Outcome {
    let id = id(started)
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let outcome = state.withLock { state in
          if state.ended[id] == nil { state.waiting[id] = continuation }
          return state.ended[id]
        }
        if let outcome { continuation.resume(returning: outcome) }
      }
    } onCancel: {
      end(id, .unknown(why: "shutdown", result: .null), isFinal: false)
    }
  }

  func cancel(_ firing: Firing, started: JSON, why: String) async -> CancelOutcome {
    let isDeaf = deaf.withLock { deaf in
      deaf -= 1
      return deaf >= 0
    }
    state.withLock { $0.asked.append(id(started)) }
    if isDeaf { return .retry(after: .milliseconds(10), why: "busy") }
    end(id(started), .cancelled(why: why, result: .null))
    return .asked
  }

  func end(_ id: String, _ outcome: Outcome, isFinal: Bool = true) {
    state.withLock { state in
      if isFinal { state.ended[id] = outcome }
      return state.waiting.removeValue(forKey: id)
    }?.resume(returning: outcome)
  }
}

extension EngineTests {
  private func limited(_ plan: SensorPlan, _ vessel: Vessel) -> TriggerPlan {
    var limited = trigger(plan, vessel, concurrency: 4)
    limited.flow.concurrency = ConcurrencyLimit(count: 1, mode: .cancelOlder)
    return limited
  }

  private func endings(_ log: EventLog) throws -> [String] {
    try log.read(after: nil, limit: .max, bytes: .max).compactMap { record in
      guard case .event(let event) = record.content, OutcomeEvent.endedFiring(event) != nil else {
        return nil
      }
      let phase = event.subject.split(separator: "/").last ?? ""
      return "\(event.cause?.events.first ?? "") \(phase)"
    }
  }

  @Test("cancelOlder: the one that goes on is stopped, those between are left out, the newest runs")
  func cancelOlder() async throws {
    let plan = try sensor("a", "suite", ["push"], "d0")
    let vessel = Vessel(deaf: 2)
    try await run([plan], [limited(plan, vessel)]) { log in
      _ = try await log.append([event("e1", "push")])
      while vessel.started.isEmpty { await turn() }
      _ = try await log.append([event("e2", "push"), event("e3", "push"), event("e4", "push")])
      while vessel.started.count < 2 { await turn() }
      #expect(vessel.started == ["e1", "e4"])
      #expect(vessel.asked == ["e1", "e1", "e1"])
      vessel.end("e4", .done(result: .null))
      while try endings(log).count < 4 { await turn() }
      let wanted = ["e1 cancelled", "e2 cancelled", "e3 cancelled", "e4 succeeded"]
      #expect(try endings(log).sorted() == wanted)
    }
  }

  @Test("cancelOlder: what was not heard before a restart is asked for again behind it")
  func cancelOlderAcrossRestarts() async throws {
    let plan = try sensor("a", "suite", ["push"], "d0")
    let deaf = Vessel(deaf: .max)
    try await run([plan], [limited(plan, deaf)]) { log in
      _ = try await log.append([event("e1", "push")])
      while deaf.started.isEmpty { await turn() }
      _ = try await log.append([event("e2", "push")])
      while deaf.asked.isEmpty { await turn() }
    }
    #expect(deaf.started == ["e1"])
    let vessel = Vessel()
    try await run([plan], [limited(plan, vessel)]) { log in
      while vessel.started.isEmpty { await turn() }
      vessel.end("e2", .done(result: .null))
      while try endings(log).count < 2 { await turn() }
      #expect(try endings(log) == ["e1 cancelled", "e2 succeeded"])
    }
    #expect(vessel.started == ["e2"] && vessel.asked == ["e1"])
  }
}
