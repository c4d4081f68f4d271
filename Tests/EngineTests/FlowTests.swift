import Bus
import Engine
import Event
import EventLog
import Expression
import JSON
import Manifest
import Plugin
import Posix
import Sensor
import Synchronization
import TestKit
import Testing

/// A clock that tests move, for the engine and the log alike.
final class HandClock: Sendable {
  private let nanoseconds = Mutex<Int64>(1_800_000_000_000_000_000)

  var now: Timestamp { nanoseconds.withLock { Timestamp(nanoseconds: $0) } }

  func advance(by duration: Duration) {
    nanoseconds.withLock { $0 += duration.wholeNanoseconds }
  }

  var log: EventLog.Configuration {
    var settings = EventLog.Configuration()
    settings.clock = LogClock(
      wall: { [self] in now.nanoseconds },
      monotonic: { [self] in now.nanoseconds }
    )
    return settings
  }
}

extension EngineTests {
  func timed(
    _ name: String,
    _ subjects: [String],
    _ condition: String,
    _ change: (inout Timing) throws -> Void
  ) throws -> SensorPlan {
    let plan = try sensor(name, "suite", subjects, condition)
    var timing = Timing()
    try change(&timing)
    return SensorPlan(
      id: plan.id,
      bus: plan.bus,
      dependencies: plan.dependencies,
      triggers: plan.triggers.map {
        TriggerRule(id: $0.id, condition: $0.condition, timing: timing)
      }
    )
  }

  func keyed(_ subjects: Int) throws -> KeyRule {
    let selector = try #require(Parameter.Selector(key: try JSONPath("k")))
    return KeyRule(
      Dictionary(uniqueKeysWithValues: (0..<subjects).map { ("d\($0)", selector) })
    )
  }

  func event(_ id: String, _ subject: String, key: String) -> Draft {
    var event = sampleEvent(id)
    event.subject = subject
    event.data = Array(#"{"k": "\#(key)"}"#.utf8)
    return .event(event)
  }

  // MARK: Holds

  @Test("a rate limit lets its burst through, shows what it holds, and survives a restart")
  func rateLimit() async throws {
    let plan = try sensor("a", "suite", ["push"], "d0")
    let clock = HandClock()
    let now: @Sendable () -> Timestamp = { clock.now }
    let script = Script([.done(result: .null)])
    var limited = trigger(plan, script)
    limited.flow.rate = RateLimit(spacing: .seconds(3600), burst: 2)
    try await run([plan], [limited], log: clock.log, clock: now) { (log, engine) in
      _ = try await log.append((0..<4).map { event("e\($0)", "push") })
      while await engine.holds.isEmpty { await turn() }
      let hold = try #require(await engine.holds.first?.hold)
      #expect(hold.kind == .rateLimit && hold.waiting == 2)
      #expect(hold.until == clock.now.adding(.seconds(3600)))
      while try await outcomes(log) < 2 { await turn() }
    }
    // Half an hour is not enough, whatever the program did in between.
    clock.advance(by: .seconds(1800))
    try await run([plan], [limited], log: clock.log, clock: now) { (log, engine) in
      while await engine.holds.isEmpty { await turn() }
      #expect(script.firings.count == 2)
      clock.advance(by: .seconds(1800))
      // Anything that happens has the trigger looked at again.
      _ = try await log.append([event("e4", "push")])
      while script.firings.count < 3 { await turn() }
      while await engine.holds.first?.hold.waiting != 2 { await turn() }
    }
    #expect(script.firings.map { $0.events[0].event.id } == ["e0", "e1", "e2"])
  }

  private func outcomes(_ log: EventLog) async throws -> Int {
    try log.read(after: nil, limit: .max, bytes: .max).count { record in
      if case .event(let event) = record.content { event.source == "outcomes" } else { false }
    }
  }

  @Test("a suspended trigger keeps its firings, and fires them when it is resumed")
  func suspend() async throws {
    let plan = try sensor("a", "suite", ["push"], "d0")
    let script = Script([.done(result: .null)])
    var suspended = trigger(plan, script)
    suspended.flow.isSuspended = true
    try await run([plan], [suspended]) { (log, engine) in
      _ = try await log.append([event("e1", "push"), event("e2", "push")])
      while await engine.holds.first?.hold.waiting != 2 { await turn() }
    }
    try await run([plan], [suspended]) { (log, engine) in
      while await engine.holds.first?.hold.kind != .suspend { await turn() }
      try await engine.adopt(EnginePlan(sensors: [plan], triggers: [trigger(plan, script)]))
      while script.firings.count < 2 { await turn() }
      #expect(await engine.holds.isEmpty)
    }
  }

  @Test("a delayed firing waits over a restart, and starts when its time has come")
  func delay() async throws {
    let plan = try timed("a", ["push"], "d0") { $0.delay = .seconds(600) }
    let clock = HandClock()
    let now: @Sendable () -> Timestamp = { clock.now }
    let script = Script([.done(result: .null)])
    try await run([plan], [trigger(plan, script)], log: clock.log, clock: now) { (log, engine) in
      _ = try await log.append([event("e", "push")])
      while await engine.holds.first?.hold.kind != .delay { await turn() }
      #expect(script.firings.isEmpty)
    }
    clock.advance(by: .seconds(600))
    try await run([plan], [trigger(plan, script)], log: clock.log, clock: now) { log in
      _ = try await events(log, until: "a/t/succeeded")
    }
    #expect(script.firings.count == 1)
  }

  @Test("concurrency by key: one that is busy is overtaken, or what comes is skipped")
  func concurrency() async throws {
    for mode in [ConcurrencyLimit.Mode.queue, .skip] {
      var suite = self
      suite.storage = Storage()
      let plan = try timed("a", ["push"], "d0") { $0.laneKey = try keyed(1) }
      let gate = Gate()
      var limited = suite.trigger(plan, gate, concurrency: 8)
      limited.flow.concurrency = ConcurrencyLimit(count: 1, mode: mode)
      try await suite.run([plan], [limited]) { (log, engine) in
        _ = try await log.append([
          event("x1", "push", key: "x"), event("x2", "push", key: "x"),
          event("y1", "push", key: "y"),
        ])
        while gate.entered.count < 2 { await turn() }
        #expect(gate.entered == ["x1", "y1"])
        if mode == .queue {
          while await engine.holds.first?.hold.kind != .concurrency { await turn() }
          gate.open("x1")
          while gate.entered.count < 3 { await turn() }
          #expect(gate.entered == ["x1", "y1", "x2"])
        } else {
          let seen = try await events(log, until: "a/t/skipped")
          #expect(seen.last?.cause?.events == ["x2"])
        }
        for id in ["x1", "x2", "y1"] { gate.open(id) }
        while try await outcomes(log) < 3 { await turn() }
      }
    }
  }

  // MARK: Windows over restarts

  @Test("absence fires once, whether the deadline passes in a run, between two or at a crash")
  func absence() async throws {
    // Of a bus on Kafka the disk is a copy; its programs are killed by KafkaTests.
    let crashes = storage.isTopic ? 0..<0 : 0..<8
    for calls in [nil] + crashes.map({ Optional($0) }) {
      var suite = self
      suite.storage = Storage()
      let plan = try timed("a", ["x", "y"], "d0 && d1") {
        $0.gathering = .absent(Absence(after: "d0", within: .seconds(600), key: nil))
      }
      let clock = HandClock()
      let now: @Sendable () -> Timestamp = { clock.now }
      let script = Script([.done(result: .null)])
      let plans = [suite.trigger(plan, script)]
      try await suite.run([plan], plans, log: clock.log, clock: now) { (log, engine) in
        _ = try await log.append([event("x1", "x")])
        while engine.openWindows == 0 { await turn() }
      }
      clock.advance(by: .seconds(601))
      // Up to eight calls of the disk after the restart, then none: a crash at any of them.
      try await suite.run([plan], plans, log: clock.log, clock: now) { (log, engine) in
        guard let calls else { return }
        suite.storage.disk.crash(after: calls)
        while log.failure == nil, (try? await outcomes(log)) == 0 { await turn() }
      }
      suite.storage.disk.clearFaults()
      try await suite.run([plan], plans, log: clock.log, clock: now) { (log, engine) in
        let seen = try await events(log, until: "a/t/succeeded")
        #expect(seen.last?.cause?.events == ["x1"])
        #expect(engine.openWindows == 0)
        // A second one would come before this.
        _ = try await log.append([event("x2", "x")])
        while engine.openWindows == 0 { await turn() }
        #expect(try await outcomes(log) == 1)
      }
      #expect(Set(script.firings.map(\.id)).count == 1)
    }
  }

  @Test("a deadline that comes while nothing else happens gets a tick")
  func tick() async throws {
    let plan = try timed("a", ["x"], "d0") {
      $0.spacing = .debounce(Debounce(wait: .milliseconds(50), max: nil, key: nil))
    }
    let script = Script([.done(result: .null)])
    let wall: @Sendable () -> Timestamp = { Timestamp(nanoseconds: wallClockNanoseconds()) }
    try await run([plan], [trigger(plan, script)], clock: wall) { log in
      _ = try await log.append([event("x1", "x"), event("x2", "x"), event("x3", "x")])
      _ = try await events(log, until: "a/t/succeeded")
    }
    #expect(script.firings.map { $0.events[0].event.id } == ["x3"])
  }

  @Test("an edit closes the windows it concerns, and no others")
  func edits() async throws {
    func plan(_ name: String, _ wait: Int?) throws -> SensorPlan {
      try timed(name, ["x"], "d0") { timing in
        guard let wait else { return }
        timing.spacing = .debounce(Debounce(wait: .seconds(wait), max: nil, key: nil))
      }
    }
    let script = Script([.done(result: .null)])
    let sensors = [try plan("a", 3600), try plan("b", 3600)]
    let triggers = sensors.map { trigger($0, script) }
    try await run(sensors, triggers) { (log, engine) in
      _ = try await log.append([event("x1", "x")])
      while engine.openWindows < 2 { await turn() }
      let edited = [try plan("a", nil), try plan("b", 60)]
      try await engine.adopt(
        EnginePlan(sensors: edited, triggers: edited.map { trigger($0, script) })
      )
      #expect(engine.openWindows == 1)
    }
  }

  // MARK: A fold

  @Test("without the local snapshot a start comes to the same state", arguments: 0..<6)
  func sameState(seed: Int) async throws {
    var random = Seeded(UInt64(seed))
    let settings: [@Sendable (inout Timing) throws -> Void] = [
      {
        $0.gathering = .correlate(
          Correlation(key: try self.keyed(2), within: .seconds(60), mode: .exact, atLeast: nil)
        )
      },
      { $0.gathering = .absent(Absence(after: "d0", within: .seconds(30), key: nil)) },
      { _ in },
    ]
    let plans =
      try settings.enumerated().map { number, setting in
        try timed("s\(number)", ["x", "y"], "d0 && d1", setting)
      } + [
        try timed("s3", ["x"], "d0") {
          $0.spacing = .debounce(Debounce(wait: .seconds(9), max: nil, key: try keyed(1)))
        },
        try timed("s4", ["y"], "d0") {
          $0.gathering = .batch(Batch(count: 7, within: .seconds(20), key: nil))
        },
      ]
    let script = Script([.done(result: .null), .reject(why: "no", result: .null)])
    let triggers = plans.map { trigger($0, script) }
    let clock = HandClock()
    let now: @Sendable () -> Timestamp = { clock.now }
    var configuration = Engine.Configuration()
    configuration.snapshotRecords = 25
    var number = 0
    for _ in 0..<3 {
      try await run(plans, triggers, log: clock.log, engine: configuration, clock: now) {
        (log, engine) in
        for _ in 0..<40 {
          number += 1
          let subject = ["x", "y"].randomElement(using: &random) ?? "x"
          let key = "\(Int.random(in: 0..<4, using: &random))"
          // Now and then one without a key.
          let draft =
            number % 9 == 0 ? event("e\(number)", subject) : event("e\(number)", subject, key: key)
          _ = try await log.append([draft])
          clock.advance(by: .seconds(Int.random(in: 0..<6, using: &random)))
        }
        _ = try await log.append([event("end\(number)", "nothing")])
        while engine.lag(at: .now()) > .zero { await turn() }
      }
    }
    let log = try await storage.open(clock.log)
    #expect(log.snapshot != nil)
    let states = try await [true, false].asyncMap { usesSnapshot in
      let loop = try EventLoop(name: "engine")
      let engine = Engine(
        bus: OtherStart(bus: log, usesSnapshot: usesSnapshot),
        plan: EnginePlan(sensors: plans, triggers: triggers),
        loop: loop,
        configuration: configuration,
        observer: EngineObserver(),
        logger: quiet(),
        clock: now,
        random: { 0 }
      )
      _ = try await engine.recover()
      let text = await engine.stateText
      loop.stop()
      return text
    }
    // How far was read is in a decision, or in a snapshot: notes may lie between the two.
    let places = states.compactMap { text in
      text.firstMatch(of: /"cursor":"(\d+)"/).flatMap { Position(String($0.1)) }
    }
    let between = try log.read(after: places.min(), limit: .max, bytes: .max)
      .filter { $0.position <= places.max() ?? $0.position }
    #expect(places.count == 2)
    #expect(!between.contains { if case .event = $0.content { true } else { false } })
    let known = states.map { $0.replacing(/"(asOf|cursor)":"\d+"/, with: "") }
    #expect(known[0] == known[1])
    #expect(states[0].contains("\"letters\":[{"))
    await log.close()
  }
}

/// A log that may hide its snapshot.
private struct OtherStart: Bus {
  let bus: EventLog
  let usesSnapshot: Bool

  func append(_ drafts: [Draft]) async throws(BusError) -> [Appended] {
    try await bus.append(drafts)
  }
  func read(after position: Position?, limit: Int, bytes: Int) throws(BusError) -> [Record] {
    try bus.read(after: position, limit: limit, bytes: bytes)
  }
  func record(at position: Position) throws(BusError) -> Record? { try bus.record(at: position) }
  func position(of identity: Event.Identity) -> Position? { bus.position(of: identity) }
  var committed: Position? { bus.committed }
  func waitForRecords(after position: Position?) async -> Bool {
    await bus.waitForRecords(after: position)
  }
  var snapshot: Position? { usesSnapshot ? bus.snapshot : nil }
  func close() async {}
}

extension Array {
  fileprivate func asyncMap<T>(_ change: (Element) async throws -> T) async rethrows -> [T] {
    var changed: [T] = []
    for element in self { changed.append(try await change(element)) }
    return changed
  }
}

/// A trigger whose firings end when the test says so.
final class Gate: Trigger {
  struct Spec: ManifestBlock {
    init(from block: Block) {}
  }

  static let kind = "gate"
  static let concurrency = 8
  static let runsPrograms = false
  static func refusal(ofParameter destination: String) -> String? { nil }

  private struct State {
    var entered: [String] = []
    var opened: Set<String> = []
    var waiting: [String: CheckedContinuation<Void, Never>] = [:]
  }

  private let state = Mutex(State())

  init() {}

  init(_ spec: Spec, original: Spec?, host: any TriggerHost, _ block: Block) {}

  var entered: [String] { state.withLock { $0.entered } }

  func open(_ id: String) {
    state.withLock { state in
      state.opened.insert(id)
      return state.waiting.removeValue(forKey: id)
    }?.resume()
  }

  func fire(_ firing: Firing) async -> Outcome {
    let id = firing.events[0].event.id
    await withCheckedContinuation { continuation in
      let isOpen = state.withLock { state in
        state.entered.append(id)
        if !state.opened.contains(id) { state.waiting[id] = continuation }
        return state.opened.contains(id)
      }
      if isOpen { continuation.resume() }
    }
    return .done(result: .null)
  }
}
