import Bus
import Engine
import Event
import EventLog
import Expression
import Glibc
import JSON
import Logging
import Manifest
import Plugin
import Posix
import Sensor
import Synchronization
import TestKit
import Testing

/// Answers each attempt with the next of its outcomes, the last for ever, and keeps the firings.
final class Script: Trigger {
  struct Spec: ManifestBlock {
    init(from block: Block) {}
  }

  static let kind = "script"
  static let concurrency = 1
  static let runsPrograms = false
  static func refusal(ofParameter destination: String) -> String? { nil }

  private let outcomes: Mutex<[Outcome]>
  private let seen = Mutex<[Firing]>([])
  var firings: [Firing] { seen.withLock { $0 } }

  init(_ outcomes: [Outcome]) { self.outcomes = Mutex(outcomes) }

  init(_ spec: Spec, original: Spec?, host: any TriggerHost, _ block: Block) {
    outcomes = Mutex([])
  }

  func fire(_ firing: Firing) async -> Outcome {
    seen.withLock { $0.append(firing) }
    return outcomes.withLock { $0.count > 1 ? $0.removeFirst() : $0[0] }
  }
}

@Suite(.onBothBuses, .namingTheBus) struct EngineTests {
  var storage = Storage()

  /// A sensor with one trigger over dependencies that are named like the subjects they wait for.
  func sensor(
    _ name: String,
    _ source: String,
    _ subjects: [String],
    _ condition: String
  ) throws -> SensorPlan {
    let id = SensorID(namespace: "default", name: name)
    let names = (0..<subjects.count).map { "d\($0)" }
    return SensorPlan(
      id: id,
      bus: "default",
      dependencies: zip(names, subjects).map { name, subject in
        Dependency(
          name: name,
          key: EventKey(
            namespace: "default",
            bus: "default",
            source: source,
            subject: subject
          ),
          filters: nil,
          fingerprint: name + subject
        )
      },
      triggers: [
        TriggerRule(
          id: TriggerID(sensor: id, name: "t"),
          condition: try Condition(condition, names: names)
        )
      ]
    )
  }

  func trigger(
    _ sensor: SensorPlan,
    _ script: any Trigger,
    attempts: Int = 1,
    id: TriggerID? = nil,
    concurrency: Int = 1
  ) -> TriggerPlan {
    TriggerPlan(
      id: id ?? sensor.triggers[0].id,
      bus: "default",
      kind: "script",
      concurrency: concurrency,
      generation: "g",
      retry: RetrySchedule(attempts: attempts, wait: .zero, factor: 1, jitter: 0),
      statusAllow: nil,
      trigger: script,
      fields: .object([]),
      templateParameters: [],
      parameters: [],
      payload: [],
      remake: { (_) throws(ParameterError) in script }
    )
  }

  /// Runs the engine on the bus until `body` is done; the firings it found waiting.
  @discardableResult
  func run(
    _ sensors: [SensorPlan],
    _ triggers: [TriggerPlan],
    log: EventLog.Configuration = EventLog.Configuration(),
    engine: Engine.Configuration = Engine.Configuration(),
    places: SourcePlaces = SourcePlaces(),
    clock: @escaping @Sendable () -> Timestamp = { Timestamp(nanoseconds: 0) },
    _ body: (EventLog) async throws -> Void
  ) async throws -> Set<FiringID> {
    try await run(sensors, triggers, log: log, engine: engine, places: places, clock: clock) {
      (log, _) in
      try await body(log)
    }
  }

  @discardableResult
  func run(
    _ sensors: [SensorPlan],
    _ triggers: [TriggerPlan],
    log settings: EventLog.Configuration = EventLog.Configuration(),
    engine configuration: Engine.Configuration = Engine.Configuration(),
    places: SourcePlaces = SourcePlaces(),
    clock: @escaping @Sendable () -> Timestamp = { Timestamp(nanoseconds: 0) },
    _ body: (EventLog, Engine) async throws -> Void
  ) async throws -> Set<FiringID> {
    let log = try await storage.open(settings)
    let loop = try EventLoop(name: "engine")
    let engine = Engine(
      bus: log,
      places: places,
      plan: EnginePlan(sensors: sensors, triggers: triggers),
      loop: loop,
      configuration: configuration,
      observer: EngineObserver(),
      logger: quiet(),
      clock: clock,
      random: { 0 }
    )
    let waiting = try await engine.recover()
    await engine.start()
    try await body(log, engine)
    await engine.stop()
    await log.close()
    loop.stop()
    return waiting
  }

  func quiet() -> Logger {
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    return logger
  }

  func event(_ id: String, _ subject: String) -> Draft {
    var event = sampleEvent(id)
    event.subject = subject
    return .event(event)
  }

  /// Waits for the first event of `subject` and gives all events up to it.
  func events(_ log: EventLog, until subject: String) async throws -> [Event] {
    var events: [Event] = []
    var after: Position?
    while await log.waitForRecords(after: after) {
      for record in try log.read(after: after, limit: 100, bytes: 1 << 20) {
        after = record.position
        guard case .event(let event) = record.content else { continue }
        events.append(event)
        if event.subject == subject { return events }
      }
    }
    return events
  }

  @Test("a firing's outcome sets off the next, each with its cause")
  func chain() async throws {
    let first = try sensor("a", "suite", ["push"], "d0")
    let second = try sensor("b", "outcomes", ["a/t/succeeded"], "d0")
    let script = Script([.done(result: ["x": 1])])
    let plans = [trigger(first, script), trigger(second, script)]
    try await run([first, second], plans) { log in
      _ = try await log.append([event("e", "push")])
      let seen = try await events(log, until: "b/t/succeeded")
      #expect(seen.map(\.subject) == ["push", "a/t/succeeded", "b/t/succeeded"])
      #expect(seen[1].cause?.events == ["e"])
      #expect(seen[2].cause?.events == [seen[1].id])
      #expect(seen.map(\.hops) == [0, 1, 2])
      #expect(seen[2].cause?.path == ["default/a/t", "default/b/t"])
      #expect(try JSON(parsing: seen[1].data)["result"]?["x"]?.text == "1")
    }
  }

  @Test("what may be mended is tried again, as often as the schedule says")
  func retries() async throws {
    let plan = try sensor("a", "suite", ["push"], "d0")
    let failure = Outcome.retry(after: nil, why: "busy", result: .null)
    let script = Script([failure, failure, .done(result: .null)])
    try await run([plan], [trigger(plan, script, attempts: 3)]) { log in
      _ = try await log.append([event("e", "push")])
      _ = try await events(log, until: "a/t/succeeded")
      #expect(script.firings.map(\.attempt) == [1, 2, 3])
      #expect(Set(script.firings.map(\.id)).count == 1)
    }
  }

  @Test("without a schedule one attempt is all, and the failure is an event with its reason")
  func failure() async throws {
    let plan = try sensor("a", "suite", ["push"], "d0")
    let script = Script([.retry(after: nil, why: "busy", result: .null)])
    try await run([plan], [trigger(plan, script)]) { log in
      _ = try await log.append([event("e", "push")])
      let seen = try await events(log, until: "a/t/failed")
      #expect(try JSON(parsing: seen[1].data)["why"] == .string("busy"))
      #expect(script.firings.count == 1)
    }
  }

  @Test("with && the latest event of each dependency fires, also across a restart")
  func latestWins() async throws {
    let plan = try sensor("a", "suite", ["x", "y"], "d0 && d1")
    let script = Script([.done(result: .null)])
    try await run([plan], [trigger(plan, script)]) { log in
      _ = try await log.append([event("x1", "x"), event("x2", "x")])
    }
    try await run([plan], [trigger(plan, script)]) { log in
      _ = try await log.append([event("y1", "y"), event("y2", "y")])
      _ = try await events(log, until: "a/t/succeeded")
    }
    #expect(script.firings.map { $0.events.map(\.event.id) } == [["x2", "y1"]])
  }

  @Test("a loop of automations is cut at the hop limit, and the notice names the chain")
  func hopLimit() async throws {
    let plan = try sensor("a", "outcomes", ["a/t/succeeded", "start"], "d0 || d1")
    let script = Script([.done(result: .null)])
    try await run([plan], [trigger(plan, script)]) { log in
      var first = sampleEvent("e")
      first.source = "outcomes"
      first.subject = "start"
      _ = try await log.append([.event(first)])
      let seen = try await events(log, until: "loop.stopped")
      #expect(script.firings.map(\.hops) == Array(1...16))
      #expect(seen.last?.cause?.path.count == 17)
    }
  }

  @Test("a firing that was under way when the program ended is taken up under the same id")
  func takenUp() async throws {
    let plan = try sensor("a", "suite", ["push"], "d0")
    let stuck = Script([.retry(after: .seconds(3600), why: "later", result: .null)])
    try await run([plan], [trigger(plan, stuck, attempts: 9)]) { log in
      _ = try await log.append([event("e", "push")])
      while stuck.firings.isEmpty { await turn() }
    }
    let script = Script([.done(result: .null)])
    try await run([plan], [trigger(plan, script)]) { log in
      let seen = try await events(log, until: "a/t/succeeded")
      #expect(seen.count == 2)
    }
    #expect(script.firings.map(\.id) == stuck.firings.map(\.id))
    #expect(script.firings.count == 1)
  }

  @Test("a new sensor begins where it was added, not with what was before")
  func newSensor() async throws {
    let old = try sensor("a", "suite", ["push"], "d0")
    let added = try sensor("b", "suite", ["push"], "d0")
    let script = Script([.done(result: .null)])
    try await run([old], [trigger(old, script)]) { log in
      _ = try await log.append([event("e1", "push")])
      _ = try await events(log, until: "a/t/succeeded")
    }
    let second = Script([.done(result: .null)])
    try await run([old, added], [trigger(old, script), trigger(added, second)]) { log in
      _ = try await log.append([event("e2", "push")])
      _ = try await events(log, until: "b/t/succeeded")
    }
    #expect(second.firings.map { $0.events[0].event.id } == ["e2"])
  }

  @Test("plans swapped under load: no event is skipped, none fires twice")
  func swapped() async throws {
    let ids = (0..<storage.count(500, onKafka: 100)).map { "e\($0)" }
    let kept = try sensor("a", "suite", ["push"], "d0")
    let other = try sensor("b", "suite", ["push"], "d0")
    let script = Script([.done(result: .null)])
    let second = Script([.done(result: .null)])
    let plans = [
      EnginePlan(sensors: [kept], triggers: [trigger(kept, script)]),
      EnginePlan(
        sensors: [other, kept],
        triggers: [trigger(kept, script), trigger(other, second)]
      ),
    ]
    try await run([kept], [trigger(kept, script)]) { (log, engine) in
      let events = ids.map { event($0, "push") }
      let sender = Task {
        for event in events { _ = try await log.append([event]) }
      }
      for turn in 1...50 { try await engine.adopt(plans[turn % 2]) }
      try await sender.value
      while script.firings.count < events.count { await turn() }
      _ = try await log.append([event("last", "push")])
      while script.firings.last?.events[0].event.id != "last" { await turn() }
    }
    let fired = script.firings.map { $0.events[0].event.id }
    #expect(fired == ids + ["last"])
    #expect(Set(second.firings.map(\.id)).count == second.firings.count)
  }

  @Test("thousands of waiting firings are carried out in order, none lost, none twice")
  func overflow() async throws {
    let plan = try sensor("a", "suite", ["push"], "d0")
    let script = Script([.done(result: .null)])
    let ids = (0..<storage.count(3000, onKafka: 1200)).map { "e\($0)" }
    try await run([plan], [trigger(plan, script)]) { log in
      // Appended at once, so that all are decided while the first ones run.
      _ = try await log.append(ids.map { event($0, "push") })
      while script.firings.count < ids.count { await turn() }
      _ = try await log.append([event("last", "push")])
      while script.firings.last?.events[0].event.id != "last" { await turn() }
    }
    #expect(script.firings.map { $0.events[0].event.id } == ids + ["last"])
  }

  @Test("what waits only on the log survives a restart, what ended is not repeated")
  func overflowAcrossRestarts() async throws {
    let plan = try sensor("a", "suite", ["push"], "d0")
    let stuck = Script([.retry(after: .seconds(3600), why: "later", result: .null)])
    let ids = (0..<storage.count(2500, onKafka: 1300)).map { "e\($0)" }
    let ended = storage.count(1500, onKafka: 200)
    try await run([plan], [trigger(plan, stuck, attempts: 9)]) { log in
      _ = try await log.append(ids.map { event($0, "push") })
      while stuck.firings.isEmpty { await turn() }
      // All decided: the cursor is behind the last one.
      while try decided(log) < ids.count { await turn() }
    }
    let halting = Script(
      Array(repeating: .done(result: .null), count: ended)
        + [.retry(after: .seconds(3600), why: "later", result: .null)]
    )
    let waiting = try await run([plan], [trigger(plan, halting, attempts: 9)]) { _ in
      while halting.firings.count <= ended { await turn() }
    }
    #expect(waiting.count == ids.count)
    let rest = Script([.done(result: .null)])
    let left = try await run([plan], [trigger(plan, rest)]) { _ in
      while rest.firings.count < ids.count - ended { await turn() }
    }
    #expect(left.count == ids.count - ended)
    let done = halting.firings.dropLast() + rest.firings
    #expect(done.map { $0.events[0].event.id } == ids)
  }

  func decided(_ log: EventLog) throws -> Int {
    try log.read(after: nil, limit: .max, bytes: .max).reduce(0) { count, record in
      guard case .note(let note) = record.content, note.kind == NoteKind.decision else {
        return count
      }
      return count + (try DecisionNote(note).firings.count)
    }
  }

  @Test(
    "what could not be recorded when the program stops was not decided",
    .embeddedLogOnly("the disk takes nothing for a moment")
  )
  func undecided() async throws {
    let plan = try sensor("a", "suite", ["x", "y"], "d0 && d1")
    let script = Script([.done(result: .null)])
    let disk = storage.disk
    try await run([plan], [trigger(plan, script)]) { log in
      _ = try await log.append([event("x1", "x")])
      while try log.read(after: nil, limit: 9, bytes: .max).count < 3 { await turn() }
      for _ in 0..<50 { disk.inject(.batchWrite, ENOSPC, skipping: 1) }
      _ = try await log.append([event("y1", "y")])
      while disk.failed[.batchWrite, default: 0] == 0 { await turn() }
    }
    disk.clearFaults()
    try await run([plan], [trigger(plan, script)]) { log in
      _ = try await events(log, until: "a/t/succeeded")
    }
    #expect(script.firings.map { $0.events.map(\.event.id) } == [["x1", "y1"]])
  }

  @Test("a batch of many firings becomes several decisions, each a record that fits")
  func largeBatch() async throws {
    let sensors = try (0..<40).map { try sensor("s\($0)", "suite", ["push"], "d0") }
    let events = storage.count(100, onKafka: 40)
    let script = Script([.done(result: .null)])
    let plans = sensors.map { trigger($0, script) }
    try await run(sensors, plans) { log in
      _ = try await log.append((0..<events).map { event("e\($0)", "push") })
      while script.firings.count < 40 * events { await turn() }
      let notes = try log.read(after: nil, limit: .max, bytes: .max).compactMap { record in
        if case .note(let note) = record.content { note } else { nil }
      }
      let sizes = try notes.filter { $0.kind == NoteKind.decision }
        .map { try DecisionNote($0).firings.count }
      #expect(sizes.allSatisfy { $0 <= 1040 } && sizes.reduce(0, +) == 40 * events)
    }
    #expect(Set(script.firings.map(\.id)).count == 40 * events)
  }
}
