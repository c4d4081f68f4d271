import Bus
import Engine
import Event
import EventLog
import JSON
import Manifest
import Plugin
import Posix
import Sensor
import Synchronization
import TestKit
import Testing

/// Starts something at once and follows it: each call is answered with the next of `answers`, and
/// waits for an answer where there is none.
final class Voyage: Trigger {
  struct Spec: ManifestBlock {
    init(from block: Block) {}
  }

  static let kind = "script"
  static let concurrency = 1
  static let runsPrograms = false
  static let isFollowed = true
  static func refusal(ofParameter destination: String) -> String? { nil }

  private struct State {
    var answers: [Outcome]
    var waiting: [CheckedContinuation<Outcome?, Never>] = []
    /// What the ones that come later are answered.
    var last: Outcome??
    var fired: [FiringID] = []
    var followed: [(id: FiringID, started: JSON, events: Int)] = []
    var forgotten: [FiringID] = []
  }

  private let state: Mutex<State>
  private let steps: [String]
  var fired: [FiringID] { state.withLock { $0.fired } }
  var followed: [(id: FiringID, started: JSON, events: Int)] { state.withLock { $0.followed } }

  /// How many were followed so far; asked in loops, so nothing is copied for it.
  var count: Int { state.withLock { $0.followed.count } }
  /// How many of them ended.
  var endings: Int { state.withLock { $0.forgotten.count } }
  /// Those whose ending is on the log, in its order.
  var forgotten: [FiringID] { state.withLock { $0.forgotten } }

  init(_ answers: [Outcome] = [], reporting steps: [String] = []) {
    state = Mutex(State(answers: answers))
    self.steps = steps
  }

  init(_ spec: Spec, original: Spec?, host: any TriggerHost, _ block: Block) {
    state = Mutex(State(answers: []))
    steps = []
  }

  func fire(_ firing: Firing) async -> Outcome {
    state.withLock { $0.fired.append(firing.id) }
    return .started(result: ["name": .string("ship-" + firing.id.text)])
  }

  func follow(_ firing: Firing, started: JSON, report: @escaping ProgressReport) async -> Outcome {
    state.withLock { $0.followed.append((firing.id, started, firing.events.count)) }
    for step in steps { await report(step, ["step": .string(step)]) }
    let answer = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let answer: Outcome?? = state.withLock { state in
          if let last = state.last { return last }
          if !state.answers.isEmpty { return state.answers.removeFirst() }
          state.waiting.append(continuation)
          return nil
        }
        if let answer { continuation.resume(returning: answer) }
      }
    } onCancel: {
      finish(nil)
    }
    return answer ?? .unknown(why: "cancelled", result: .null)
  }

  func forget(_ id: FiringID) { state.withLock { $0.forgotten.append(id) } }

  /// Answers all, those that are to come as well.
  func arrive() { finish(.done(result: ["arrived": true])) }

  private func finish(_ outcome: Outcome?) {
    let waiting = state.withLock { state in
      state.last = .some(outcome)
      defer { state.waiting = [] }
      return state.waiting
    }
    for continuation in waiting { continuation.resume(returning: outcome) }
  }
}

extension EngineTests {
  private func trigger(_ sensor: SensorPlan, following voyage: Voyage) -> TriggerPlan {
    TriggerPlan(
      id: sensor.triggers[0].id,
      bus: "default",
      kind: "script",
      concurrency: 1,
      generation: "g",
      retry: .once,
      statusAllow: nil,
      trigger: voyage,
      fields: .object([]),
      templateParameters: [],
      parameters: [],
      payload: [],
      remake: { (_) throws(ParameterError) in voyage }
    )
  }

  private func endings(_ log: EventLog) throws -> [FiringID: Int] {
    var endings: [FiringID: Int] = [:]
    for record in try log.read(after: nil, limit: .max, bytes: .max) {
      guard case .event(let event) = record.content, let firing = OutcomeEvent.endedFiring(event)
      else { continue }
      endings[firing, default: 0] += 1
    }
    return endings
  }

  @Test("what was started makes room for the next and ends when its follower says so")
  func started() async throws {
    let plan = try sensor("a", "suite", ["push"], "d0")
    let next = try sensor("b", "outcomes", ["a/t/started"], "d0")
    let (voyage, script) = (Voyage(), Script([.done(result: .null)]))
    try await run([plan, next], [trigger(plan, following: voyage), trigger(next, script)]) { log in
      _ = try await log.append((0..<3).map { event("e\($0)", "push") })
      while voyage.count < 3 || script.firings.count < 3 { await turn() }
      #expect(voyage.fired.count == 3)
      #expect(try endings(log).keys.allSatisfy { !voyage.fired.contains($0) })
      #expect(voyage.followed.allSatisfy { $0.started["name"] == .string("ship-" + $0.id.text) })
      #expect(voyage.followed.allSatisfy { $0.events == 0 })
      voyage.arrive()
      let seen = try await events(log, until: "a/t/succeeded")
      let begun = try #require(seen.first { $0.subject == "a/t/started" })
      let name = try JSON(parsing: begun.data)["result"]?["name"]
      #expect(name == begun.cause.map { .string("ship-" + $0.firing.text) })
      let ended = try JSON(parsing: seen.last?.data ?? [])
      #expect(ended["result"]?["arrived"] == true)
      while try endings(log).count < 6 { await turn() }
      #expect(try endings(log).values.allSatisfy { $0 == 1 })
    }
    #expect(script.firings.count == 3)
  }

  @Test("a restart goes on following and starts nothing again", arguments: [false, true])
  func followedAcrossRestarts(withSnapshots: Bool) async throws {
    let plan = try sensor("a", "suite", ["push"], "d0")
    var (settings, keeps) = (Engine.Configuration(), EventLog.Configuration())
    if withSnapshots {
      settings.snapshotRecords = 10
      (keeps.segmentBytes, keeps.maxAge) = (2000, .zero)
    }
    let first = Voyage()
    // More than a lane holds in memory: when the log is read again, most are not among these.
    let count = withSnapshots ? 40 : 1200
    let plans = [trigger(plan, following: first)]
    try await run([plan], plans, log: keeps, engine: settings) { log in
      _ = try await log.append((0..<count).map { event("e\($0)", "push") })
      while first.count < count { await turn() }
    }
    #expect(first.fired.count == count)
    let second = Voyage()
    let again = [trigger(plan, following: second)]
    let waiting = try await run([plan], again, log: keeps, engine: settings) { log in
      while second.count < count { await turn() }
      if withSnapshots { for _ in 0..<20 { _ = await log.keepUp() } }
    }
    #expect(waiting == Set(first.fired))
    #expect(second.fired.isEmpty)
    #expect(Set(second.followed.map(\.id)) == Set(first.fired))
    #expect(second.followed.allSatisfy { $0.started["name"] == .string("ship-" + $0.id.text) })
    let last = Voyage()
    let final = [trigger(plan, following: last)]
    try await run([plan], final, log: keeps, engine: settings) { log in
      while last.count < count { await turn() }
      last.arrive()
      while last.endings < count { await turn() }
      #expect(Set(last.forgotten) == Set(first.fired))
      let ended = try endings(log)
      #expect(ended.values.allSatisfy { $0 == 1 })
    }
    #expect(try await run([plan], final, log: keeps, engine: settings) { _ in }.isEmpty)
  }

  @Test("a follower that could not look looks again; what it reports twice is one event")
  func followAgain() async throws {
    let plan = try sensor("a", "suite", ["push"], "d0")
    let voyage = Voyage(
      [
        .retry(after: .zero, why: "no answer", result: .null),
        .retry(after: .zero, why: "no answer", result: .null), .done(result: .null),
      ],
      reporting: ["sail", "anchor"]
    )
    try await run([plan], [trigger(plan, following: voyage)]) { log in
      _ = try await log.append([event("e", "push")])
      let seen = try await events(log, until: "a/t/succeeded")
      let progress = seen.filter { $0.type == "signalbox.outcome.progress" }
      let steps = try progress.map { try JSON(parsing: $0.data)["result"]?["step"] }
      #expect(steps == [.string("sail"), .string("anchor")])
    }
    #expect(voyage.fired.count == 1 && voyage.followed.count == 3)
  }

  @Test("a trigger and a follower can be cancelled or skipped")
  func otherPhases() async throws {
    let plan = try sensor("a", "suite", ["push"], "d0")
    let script = Script([
      .cancelled(why: "stopped by hand", result: .null), .skipped(why: "no change", result: .null),
    ])
    try await run([plan], [trigger(plan, script)]) { log in
      _ = try await log.append([event("e1", "push"), event("e2", "push")])
      let seen = try await events(log, until: "a/t/skipped")
      #expect(seen.contains { $0.subject == "a/t/cancelled" })
      #expect(try JSON(parsing: seen.last?.data ?? [])["why"] == "no change")
    }
    let voyage = Voyage([.cancelled(why: "terminated", result: .null)])
    try await run([plan], [trigger(plan, following: voyage)]) { log in
      _ = try await log.append([event("e3", "push")])
      while try endings(log).count < 3 { await turn() }
    }
  }

  @Test("what was started is unknown once nothing can follow it")
  func nobodyFollows() async throws {
    let plan = try sensor("a", "suite", ["push"], "d0")
    let voyage = Voyage()
    try await run([plan], [trigger(plan, following: voyage)]) { log in
      _ = try await log.append([event("e", "push")])
      while voyage.followed.isEmpty { await turn() }
    }
    try await run([plan], []) { log in
      let seen = try await events(log, until: "a/t/unknown")
      #expect(try JSON(parsing: seen.last?.data ?? [])["why"]?.text.contains("manifests") == true)
    }
  }
}
