import Event
import Expression
import JSON
import Sensor
import TestKit

/// Random sets of sensors and random events, made so that they often meet: few keys, few values,
/// and all that makes texts, numbers and kinds differ in small ways. What the interlocking makes
/// of an event is held against asking every sensor by itself.
package struct RandomPairs {
  private var random: Seeded
  /// The pairs that were compared, and of these the events that somebody wanted.
  package private(set) var compared = 0
  package private(set) var passed = 0
  package private(set) var failed = 0
  /// Sensors that the index ruled out.
  package private(set) var ruledOut = 0

  package init(seed: UInt64) { random = Seeded(seed) }

  /// Compares `events` events with one set of sensors.
  /// - Returns: what differed, in words; nil: nothing.
  package mutating func compare(events: Int, sensors: Int) -> String? {
    var generator = FilterGenerator(random: random)
    let plans = (0..<sensors).map { generator.sensor($0) }
    random = generator.random
    var interlocking = Interlocking(plans)
    // Some leave, and some of these come back.
    for plan in plans where random.chance(4) { interlocking.remove(plan.id) }
    for plan in plans where random.chance(2) { interlocking.insert(plan) }
    for plan in plans where random.chance(8) { interlocking.remove(plan.id) }
    for number in 0..<events {
      var events = EventGenerator(random: random)
      let event = events.event(number)
      random = events.random
      if let difference = compare(interlocking, event) {
        return difference + "\nevent: \(String(decoding: event.data, as: UTF8.self))"
      }
    }
    return nil
  }

  private mutating func compare(_ interlocking: Interlocking, _ event: Event) -> String? {
    compared += 1
    var slots = Slots()
    let step = interlocking.step(event, at: "1", &slots, isActive: { _ in true })
    var found: [String: FilterVerdict] = [:]
    for verdict in step.verdicts {
      found["\(verdict.sensor) \(verdict.dependency)"] = verdict.filter
    }
    var passes: [String] = []
    for sensor in interlocking.sensors {
      for dependency in sensor.dependencies
      where dependency.key.source == event.source && dependency.key.subject == event.subject {
        let expected = naive(dependency, event)
        let name = "\(sensor.id) \(dependency.name)"
        if expected == .pass { passes.append("\(sensor.id)/run") }
        if case .error = expected { failed += 1 }
        switch (found.removeValue(forKey: name), expected) {
        case (nil, .refused): ruledOut += 1
        case (let verdict, _) where verdict == expected: break
        case (let verdict, _):
          let words = verdict.map { "\($0)" } ?? "ruled out"
          return "\(name): found \(words), expected \(expected)"
        }
      }
    }
    if let other = found.first { return "\(other.key): judged, but does not wait for the event" }
    let fired = step.decisions.map { "\($0.trigger)" }.sorted()
    passed += passes.isEmpty ? 0 : 1
    return fired == passes.sorted() ? nil : "fired \(fired), expected \(passes.sorted())"
  }

  /// The filters of one dependency, with nobody else in mind.
  private func naive(_ dependency: Dependency, _ event: Event) -> FilterVerdict {
    guard let filters = dependency.filters else { return .pass }
    return filters.evaluate(
      FilterSubject(event, event.data.isEmpty ? .absent : FilterData(event.data))
    )
  }
}

extension Seeded {
  mutating func chance(_ oneIn: Int) -> Bool { Int.random(in: 0..<oneIn, using: &self) == 0 }

  mutating func pick<Item>(_ items: [Item]) -> Item {
    items[Int.random(in: 0..<items.count, using: &self)]
  }
}

/// Events over a handful of keys and values.
struct EventGenerator {
  var random: Seeded

  mutating func event(_ number: Int) -> Event {
    Event(
      id: "e\(number)",
      source: random.pick(["s", "s", "s", "other"]),
      type: random.pick(["webhook", "github"]),
      subject: random.pick(["x", "x", "y"]),
      time: Timestamp(nanoseconds: Int64.random(in: 0..<172_800, using: &random) * 1_000_000_000),
      data: data()
    )
  }

  private mutating func data() -> [UInt8] {
    switch Int.random(in: 0..<40, using: &random) {
    case 0: return []
    case 1: return Array(#"{"a": tru"#.utf8)
    case 2: return Array(text(depth: 9).utf8)
    default: return Array(object(depth: 0).utf8)
    }
  }

  private mutating func object(depth: Int) -> String {
    let count = depth == 0 ? 5 : Int.random(in: 1..<5, using: &random)
    let members = (0..<count).map { _ in
      let key = random.pick(["a", "a", "b", "b", "c", "push", "0", #"\u0061"#, "é"])
      return "\"\(key)\"\(random.pick([":", ": "]))\(text(depth: depth + 1))"
    }
    return "{" + members.joined(separator: ",") + "}"
  }

  private mutating func text(depth: Int) -> String {
    if depth < 3, random.chance(3) { return object(depth: depth) }
    if depth < 3, random.chance(5) {
      let items = (0..<Int.random(in: 0..<4, using: &random)).map { _ in text(depth: depth + 1) }
      return "[" + items.joined(separator: ", ") + "]"
    }
    return random.pick([
      "true", "false", "null", "1", "1.0", "2", "-3", "1e0", "0", "1e999", "\"1\"", "\"2.5\"",
      "\"true\"", "\"T\"", "\"\"", "\"main\"", "\"refs/heads/main\"", "\"refs/heads/x\"",
      "\"refs/tags/v1.2\"", #""ma\u0069n""#, #""refs\/heads\/main""#, #""\ud800x""#, "\"a|b\"",
      "\"xmainx\"", "\"é\"", "\"MAIN\"", "\"a\\nb\"",
    ])
  }
}
