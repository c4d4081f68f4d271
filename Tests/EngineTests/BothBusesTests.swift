import Bus
import Engine
import Event
import EventLog
import JSON
import MatchingWorkload
import Plugin
import Sensor
import TestKit
import Testing

/// A sensor of a load, and what is expected of the two buses.
private struct Watched {
  let sensor: SensorPlan
  /// Of a trigger where the latest wins: when it fires, by the subjects in its slots. nil: what
  /// fires must not depend on how the events of one key stand to those of another.
  var holds: (@Sendable (Set<String>) -> Bool)?
}

/// What came of a load on one bus.
private struct Played {
  /// The events under their ids, in the order of the bus, without those of the engine.
  var order: [(id: String, subject: String)] = []
  /// By sensor: the firings' ids, each with the ids of its events.
  var fired: [String: [FiringID: [String]]] = [:]
}

/// One load for both buses: events under a few keys, where a bus keeps the order of each.
private struct Load {
  static let subjects = ["x", "y", "z"]
  let tests = EngineTests()
  let watched: [Watched]
  /// By key.
  private let events: [[Draft]]

  init(seed: UInt64) throws {
    var random = Seeded(seed)
    let pushes = PushWorkload(sensors: 50)
    watched =
      try Self.independent(tests) + Self.latestWins(tests)
      + pushes.sensors.map { Watched(sensor: $0) }
    var events: [[Draft]] = []
    for key in 0..<8 {
      var drafts: [Draft] = []
      for number in 0..<Int.random(in: 15...30, using: &random) {
        let subject = Self.subjects.randomElement(using: &random) ?? "x"
        drafts.append(tests.event("\(subject)\(key).\(number)", subject, key: "\(key)"))
        // A sender that had no answer sends again, some time or other.
        if number % 5 == 0, let again = drafts.randomElement(using: &random) {
          drafts.append(again)
        }
      }
      events.append(drafts)
    }
    self.events = events + [(0..<40).map { .event(pushes.push($0)) }]
  }

  /// Triggers whose firings follow from the order within each key.
  private static func independent(_ tests: EngineTests) throws -> [Watched] {
    let (two, one) = (try tests.keyed(2), try tests.keyed(1))
    let correlations = try Correlation.Mode.allCases.map { mode in
      try tests.timed("correlate-\(mode)", ["x", "y"], "d0 && d1") {
        $0.gathering = .correlate(
          Correlation(key: two, within: .seconds(3600), mode: mode, atLeast: nil)
        )
      }
    }
    return try [
      tests.sensor("single", "suite", ["x"], "d0"),
      tests.sensor("either", "suite", ["x", "y"], "d0 || d1"),
      tests.timed("batch", ["x", "y"], "d0 || d1") {
        $0.gathering = .batch(Batch(count: 3, within: .seconds(3600), key: two))
      },
      tests.timed("absent", ["x", "y"], "d0 && d1") {
        $0.gathering = .absent(Absence(after: "d0", within: .seconds(60), key: two))
      },
      tests.timed("debounce", ["z"], "d0") {
        $0.spacing = .debounce(Debounce(wait: .seconds(60), max: nil, key: one))
      },
      tests.timed("throttle", ["z"], "d0") {
        $0.spacing = .throttle(Throttle(limit: 2, per: .seconds(60), key: one))
      },
    ].map { Watched(sensor: $0) } + correlations.map { Watched(sensor: $0) }
  }

  private static func latestWins(_ tests: EngineTests) throws -> [Watched] {
    [
      Watched(sensor: try tests.sensor("pair", "suite", ["x", "y"], "d0 && d1")) {
        $0.isSuperset(of: ["x", "y"])
      },
      Watched(sensor: try tests.sensor("all", "suite", subjects, "d0 && d1 && d2")) {
        $0.isSuperset(of: subjects)
      },
      Watched(sensor: try tests.sensor("mixed", "suite", subjects, "(d0 && d1) || d2")) {
        $0.isSuperset(of: ["x", "y"]) || $0.contains("z")
      },
    ]
  }

  /// The events of all keys, mixed as `random` likes; those of one key keep their order.
  private func mixed(_ random: inout Seeded) -> [Draft] {
    var rest = events.map { $0[...] }
    var mixed: [Draft] = []
    while let key = rest.indices.filter({ !rest[$0].isEmpty }).randomElement(using: &random) {
      mixed.append(rest[key].removeFirst())
    }
    return mixed
  }

  /// Plays it on the bus of the scope, half before a restart and half behind it.
  func play(mixing seed: UInt64) async throws -> Played {
    var random = Seeded(seed)
    var drafts = mixed(&random)[...]
    let tests = EngineTests()
    let clock = HandClock()
    let now: @Sendable () -> Timestamp = { clock.now }
    let end = try tests.sensor("end", "suite", ["end"], "d0")
    let sensors = watched.map(\.sensor) + [end]
    let scripts = sensors.map { _ in Script([.done(result: .null)]) }
    let triggers = zip(sensors, scripts).map { tests.trigger($0, $1, concurrency: 4) }
    var played = Played()
    for life in 1...2 {
      try await tests.run(sensors, triggers, log: clock.log, clock: now) { log in
        let left = life == 1 ? drafts.count / 2 : 0
        while drafts.count > left {
          let count = min(drafts.count - left, Int.random(in: 1...12, using: &random))
          _ = try await log.append(Array(drafts.prefix(count)))
          drafts.removeFirst(count)
        }
        // What waits for time alone fires behind the last event.
        if life == 2 { clock.advance(by: .seconds(3601)) }
        _ = try await log.append([tests.event("end\(life)", "end")])
        try await settle(log, endings: life)
        played.order = try order(log)
      }
    }
    for (sensor, script) in zip(watched.map(\.sensor.id.name), scripts) {
      let firings = script.firings.map { ($0.id, $0.events.map(\.event.id)) }
      #expect(Set(firings.map(\.0)).count == firings.count, "\(sensor) fired twice")
      played.fired[sensor] = Dictionary(firings) { first, _ in first }
    }
    return played
  }

  /// Waits until the engine has decided about the last event and every firing has ended.
  private func settle(_ log: EventLog, endings wanted: Int) async throws {
    var after: Position?
    var (ends, decided, ended) = (0, 0, 0)
    while ends < wanted || ended < decided, await log.waitForRecords(after: after) {
      for record in try log.read(after: after, limit: 500, bytes: 1 << 20) {
        after = record.position
        switch record.content {
        case .event(let event):
          ended += OutcomeEvent.endedFiring(event) == nil ? 0 : 1
          ends += event.subject == "end/t/succeeded" ? 1 : 0
        case .note(let note) where note.kind == NoteKind.decision:
          decided += try DecisionNote(note).firings.count
        default: break
        }
      }
    }
  }

  private func order(_ log: EventLog) throws -> [(id: String, subject: String)] {
    try log.read(after: nil, limit: .max, bytes: .max).compactMap { record in
      guard case .event(let event) = record.content, event.source == "suite" else { return nil }
      return (event.id, event.subject)
    }
  }
}

/// What "the latest wins" promises, as short as can be: an event pushes the one before it out of its
/// slot, and when the condition holds all that is held fires and is gone.
private func reference(
  _ sensor: SensorPlan,
  _ holds: (Set<String>) -> Bool,
  _ order: [(id: String, subject: String)]
) -> [[String]] {
  let subjects = sensor.dependencies.map(\.key.subject)
  var slots: [String: String] = [:]
  var fired: [[String]] = []
  for (id, subject) in order where subjects.contains(subject) {
    slots[subject] = id
    guard holds(Set(slots.keys)) else { continue }
    fired.append(subjects.compactMap { slots[$0] })
    slots = [:]
  }
  return fired
}

@Suite struct BothBusesTests {
  // More: `SIGNALBOX_SEED=1 SIGNALBOX_BUS_SEEDS=100 swift test --filter BothBusesTests`.
  private static let first = setting("SIGNALBOX_SEED", 1)
  private static let seeds = first..<first + setting("SIGNALBOX_BUS_SEEDS", 3)

  @Test(
    "one load fires the same under the same ids; where the latest wins, what the order asks for",
    arguments: seeds
  )
  func agreement(seed: Int) async throws {
    let load = try Load(seed: UInt64(seed))
    let alone = try await load.play(mixing: UInt64(seed) * 2)
    var onKafka = Played()
    try await KafkaRig.with { onKafka = try await load.play(mixing: UInt64(seed) * 2 + 1) }
    // Two orders of the same events, or the rest would say nothing.
    #expect(alone.order.map(\.id).sorted() == onKafka.order.map(\.id).sorted())
    #expect(alone.order.map(\.id) != onKafka.order.map(\.id))
    for watched in load.watched {
      let name = watched.sensor.id.name
      let (one, other) = (alone.fired[name] ?? [:], onKafka.fired[name] ?? [:])
      guard let holds = watched.holds else {
        #expect(one == other, "\(name), seed \(seed)")
        continue
      }
      for (played, fired, bus) in [(alone, one, "log"), (onKafka, other, "Kafka")] {
        let wanted = reference(watched.sensor, holds, played.order)
        #expect(wanted.count > 10)
        #expect(Set(fired.values) == Set(wanted), "\(name) on \(bus), seed \(seed)")
        #expect(fired.count == wanted.count, "\(name) on \(bus), seed \(seed)")
      }
    }
    let fired = load.watched.filter { alone.fired[$0.sensor.id.name]?.isEmpty == false }
    // The pushes are of few repositories; everything else has to fire.
    #expect(fired.count > 12, "\(fired.map(\.sensor.id.name))")
  }
}
