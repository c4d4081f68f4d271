import Event
import Expression
import Foundation
import JSON
import Sensor
import TestKit
import Testing

/// Windows as functions of events and log time, without an engine.
@Suite struct WindowTests {
  let id = SensorID(namespace: "default", name: "s")
  var trigger: TriggerID { TriggerID(sensor: id, name: "t") }

  /// A sensor with dependencies `a`, `b`, ..., that take events of subjects of these names, and one
  /// trigger.
  func interlocking(
    _ names: [String],
    _ condition: String,
    _ change: (inout Timing) throws -> Void
  ) throws -> Interlocking {
    var timing = Timing()
    try change(&timing)
    let rule = TriggerRule(
      id: trigger,
      condition: try Condition(condition, names: names),
      timing: timing
    )
    let dependencies = names.map { name in
      Dependency(
        name: name,
        key: EventKey(namespace: "default", bus: "default", source: "suite", subject: name),
        filters: nil,
        fingerprint: name
      )
    }
    return Interlocking([
      SensorPlan(id: id, bus: "default", dependencies: dependencies, triggers: [rule])
    ])
  }

  func keyed(_ names: [String], by path: String = "k") throws -> KeyRule {
    let selector = try #require(Parameter.Selector(key: try JSONPath(path)))
    return KeyRule(Dictionary(uniqueKeysWithValues: names.map { ($0, selector) }))
  }

  /// Plays events at their seconds, and the time up to `end`; what fired, as event ids.
  func play(
    _ interlocking: Interlocking,
    _ events: [(second: Int, subject: String, id: String, key: String)],
    until end: Int = 0
  ) -> (fired: [[String]], remarks: [String], slots: Slots) {
    var slots = Slots()
    var fired: [[String]] = []
    var remarks: [String] = []
    func note(_ step: Step) {
      fired += step.decisions.map { $0.events.map(\.eventID) }
      for remark in step.remarks {
        switch remark {
        case .throttled(_, let events): remarks += events.map { "throttled \($0.eventID)" }
        case .superseded(_, let events): remarks += events.map { "superseded \($0.eventID)" }
        case .expired(_, let events): remarks += events.map { "expired \($0.eventID)" }
        case .evicted(_, let events): remarks += events.map { "evicted \($0.eventID)" }
        case .unkeyed(_, let event, _): remarks.append("unkeyed \(event.eventID)")
        }
      }
    }
    for (second, subject, id, key) in events {
      let now = Timestamp(nanoseconds: Int64(second) * 1_000_000_000)
      note(interlocking.elapse(to: now, &slots, isActive: { _ in true }))
      var event = sampleEvent(id)
      event.subject = subject
      event.data = Array(#"{"k": "\#(key)"}"#.utf8)
      note(interlocking.step(event, at: id, time: now, &slots, isActive: { _ in true }))
    }
    let now = Timestamp(nanoseconds: Int64(end) * 1_000_000_000)
    note(interlocking.elapse(to: now, &slots, isActive: { _ in true }))
    return (fired, remarks, slots)
  }

  // MARK: correlate

  @Test("latest: the newest of each dependency under one key, within the time")
  func latest() throws {
    let plan = try interlocking(["a", "b"], "a && b") { timing in
      timing.gathering = .correlate(
        Correlation(key: try keyed(["a", "b"]), within: .seconds(10), mode: .latest, atLeast: nil)
      )
    }
    let played = play(
      plan,
      [
        (0, "a", "a1", "x"), (1, "a", "a2", "x"), (2, "a", "a3", "y"), (3, "b", "b1", "x"),
        (12, "b", "b2", "y"), (13, "a", "a4", "y"),
      ],
      until: 100
    )
    #expect(played.fired == [["a2", "b1"], ["a4", "b2"]])
    #expect(played.remarks == ["superseded a1", "expired a3"])
    #expect(played.slots.windows.count == 0)
  }

  @Test("all: everything under the key, in the order of dependencies; atLeast: some of them")
  func all() throws {
    let every = try interlocking(["a", "b", "c"], "a && b && c") { timing in
      timing.gathering = .correlate(
        Correlation(key: nil, within: nil, mode: .all, atLeast: nil)
      )
    }
    let events = [
      (0, "b", "b1", ""), (1, "a", "a1", ""), (2, "b", "b2", ""), (3, "c", "c1", ""),
    ]
    #expect(play(every, events).fired == [["a1", "b1", "b2", "c1"]])
    let some = try interlocking(["a", "b", "c"], "a && b && c") { timing in
      timing.gathering = .correlate(Correlation(key: nil, within: nil, mode: .latest, atLeast: 2))
    }
    #expect(play(some, events).fired == [["a1", "b1"], ["b2", "c1"]])
  }

  @Test("an event without a key is told, and changes nothing")
  func unkeyed() throws {
    let plan = try interlocking(["a", "b"], "a && b") { timing in
      timing.gathering = .correlate(
        Correlation(
          key: try keyed(["a", "b"], by: "other"),
          within: nil,
          mode: .latest,
          atLeast: nil
        )
      )
    }
    let played = play(plan, [(0, "a", "a1", "x")])
    #expect(played.remarks == ["unkeyed a1"] && played.slots == Slots())
  }

  /// What `exact` promises, as short as can be: per key, the n-th event of one dependency goes with
  /// the n-th of the other.
  private func reference(_ events: [(subject: String, id: String, key: String)]) -> Set<[String]> {
    var queues: [String: [String: [String]]] = [:]
    var pairs: Set<[String]> = []
    for (subject, id, key) in events {
      queues[key, default: [:]][subject, default: []].append(id)
      guard let a = queues[key]?["a"]?.first, let b = queues[key]?["b"]?.first else { continue }
      queues[key]?["a"]?.removeFirst()
      queues[key]?["b"]?.removeFirst()
      pairs.insert([a, b])
    }
    return pairs
  }

  @Test("exact: 1,500 of 1,500 pairs, whatever the order in which they arrive")
  func exactPairs() throws {
    // The long run is `SIGNALBOX_INTERLEAVINGS=10000 swift test --filter WindowTests`.
    let count = Int(ProcessInfo.processInfo.environment["SIGNALBOX_INTERLEAVINGS"] ?? "") ?? 4
    for seed in 0..<count {
      var random = Seeded(UInt64(seed))
      // No key, a few keys, a key for each pair.
      let keys = [1, 7, 1500][seed % 3]
      var events = (0..<1500).flatMap { number in
        ["a", "b"].map { (subject: $0, id: "\($0)\(number)", key: "\(number % keys)") }
      }
      events.shuffle(using: &random)
      let plan = try interlocking(["a", "b"], "a && b") { timing in
        timing.gathering = .correlate(
          Correlation(
            key: keys == 1 ? nil : try keyed(["a", "b"]),
            within: .seconds(3600),
            mode: .exact,
            atLeast: nil
          )
        )
      }
      let played = play(plan, events.map { (0, $0.subject, $0.id, $0.key) })
      #expect(played.fired.count == 1500)
      #expect(Set(played.fired) == reference(events), "seed \(seed)")
      #expect(played.slots.windows.count == 0)
    }
  }

  @Test("a window of too many events, and too many windows, give up the oldest and say so")
  func bounds() throws {
    let plan = try interlocking(["a", "b"], "a && b") { timing in
      timing.gathering = .correlate(
        Correlation(key: try keyed(["a", "b"]), within: nil, mode: .exact, atLeast: nil)
      )
    }
    let many = play(plan, (0..<10_001).map { ($0, "a", "a\($0)", "x") })
    #expect(many.remarks == ["evicted a0"])
    let wide = play(plan, (0..<10_001).map { ($0, "a", "a\($0)", "\($0)") })
    #expect(wide.remarks == (0..<100).map { "evicted a\($0)" })
    #expect(wide.slots.windows.count == 9901)
  }

  // MARK: The others

  @Test("absent: fires once for each event that nothing followed in time")
  func absent() throws {
    let plan = try interlocking(["a", "b"], "a && b") { timing in
      timing.gathering = .absent(
        Absence(after: "a", within: .seconds(10), key: try keyed(["a", "b"]))
      )
    }
    let played = play(
      plan,
      [
        (0, "a", "a1", "x"), (1, "a", "a2", "y"), (5, "a", "a3", "x"), (6, "b", "b1", "y"),
        (7, "b", "b2", "z"), (12, "b", "b3", "x"), (13, "a", "a4", "x"),
      ],
      until: 23
    )
    #expect(played.fired == [["a1"], ["a4"]])
  }

  @Test("absent: of events that came at one time each fires")
  func absentAtOnce() throws {
    let plan = try interlocking(["a", "b"], "a && b") { timing in
      timing.gathering = .absent(Absence(after: "a", within: .seconds(10), key: nil))
    }
    let events = [(0, "a", "a1", ""), (0, "a", "a2", ""), (0, "a", "a3", ""), (5, "a", "a4", "")]
    let played = play(plan, events, until: 10)
    #expect(played.fired == [["a1"], ["a2"], ["a3"]])
    #expect(play(plan, events, until: 15).fired == [["a1"], ["a2"], ["a3"], ["a4"]])
  }

  @Test("batch: so many events, or so much time since the first")
  func batch() throws {
    let plan = try interlocking(["a", "b"], "a || b") { timing in
      timing.gathering = .batch(Batch(count: 3, within: .seconds(10), key: nil))
    }
    let played = play(
      plan,
      [
        (0, "a", "a1", ""), (1, "b", "b1", ""), (2, "a", "a2", ""), (3, "a", "a3", ""),
        (20, "b", "b2", ""),
      ],
      until: 30
    )
    #expect(played.fired == [["a1", "b1", "a2"], ["a3"], ["b2"]])
  }

  @Test("debounce: the latest once it is quiet, at last after max")
  func debounce() throws {
    let plan = try interlocking(["a"], "a") { timing in
      timing.spacing = .debounce(
        Debounce(wait: .seconds(5), max: .seconds(12), key: try keyed(["a"]))
      )
    }
    let played = play(
      plan,
      [
        (0, "a", "a1", "x"), (4, "a", "a2", "x"), (8, "a", "a3", "x"), (11, "a", "a4", "x"),
        (11, "a", "a5", "y"), (12, "a", "a6", "x"),
      ],
      until: 100
    )
    #expect(played.fired == [["a4"], ["a5"], ["a6"]])
    #expect(played.remarks == ["superseded a1", "superseded a2", "superseded a3"])
  }

  @Test("throttle: so many in the time after the first, the others are told")
  func throttle() throws {
    let plan = try interlocking(["a"], "a") { timing in
      timing.spacing = .throttle(Throttle(limit: 2, per: .seconds(10), key: nil))
    }
    let played = play(
      plan,
      [
        (0, "a", "a1", ""), (1, "a", "a2", ""), (9, "a", "a3", ""), (10, "a", "a4", ""),
      ],
      until: 11
    )
    #expect(played.fired == [["a1"], ["a2"], ["a4"]])
    #expect(played.remarks == ["throttled a3"])
  }
}
