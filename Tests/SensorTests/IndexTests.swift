import Event
import Expression
import JSON
import MatchingWorkload
import Sensor
import Testing

@Suite struct IndexTests {
  @Test("the index and asking every sensor agree", arguments: 1...4)
  func agreement(seed: Int) {
    var pairs = RandomPairs(seed: UInt64(seed))
    for _ in 0..<20 {
      if let difference = pairs.compare(events: 25, sensors: 12) {
        Issue.record("\(difference)")
        return
      }
    }
    // The generator must reach what it is for.
    #expect(pairs.passed > 50 && pairs.failed > 50 && pairs.ruledOut > 50)
  }

  @Test("what an explanation says of a clause holds when that clause alone is changed")
  func faults() throws {
    var faults = RandomFaults(seed: 7)
    while faults.tried < 5000 {
      if let problem = try faults.next() {
        Issue.record("\(problem)")
        return
      }
    }
  }

  @Test("few of many sensors are asked, and none that would have passed is left out")
  func workload() {
    let workload = PushWorkload(sensors: 2000)
    let interlocking = Interlocking(workload.sensors)
    for number in 0..<40 {
      var slots = Slots()
      let event = workload.push(number)
      let step = interlocking.step(event, at: "1", &slots, isActive: { _ in true })
      let all = interlocking.step(event, at: "1", &slots, isExhaustive: true) { _ in true }
      #expect(step.decisions == all.decisions)
      #expect((1...10).contains(step.decisions.count))
      #expect(all.verdicts.count == 2000)
      #expect(step.verdicts.count <= 20)
    }
  }

  @Test("a filter that fails is a verdict, however many others the index rules out")
  func failures() throws {
    let plans = try (0..<10).map { number in
      try plan(number, path: number == 3 ? "missing" : "ref", "^refs/heads/\(number)$")
    }
    let interlocking = Interlocking(plans)
    var slots = Slots()
    let step = interlocking.step(push("refs/heads/7"), at: "1", &slots) { _ in true }
    #expect(
      step.verdicts.map { "\($0.sensor.name): \($0.filter)" } == [
        "s3: error(\"data: path \\'missing\\' does not exist\")", "s7: pass",
      ]
    )
    // Where the value is not there, everybody's filter fails.
    let other = Event(
      id: "e",
      source: "s",
      type: "webhook",
      subject: "x",
      time: Timestamp(nanoseconds: 0),
      data: Array("{}".utf8)
    )
    #expect(interlocking.step(other, at: "2", &slots) { _ in true }.verdicts.count == 10)
  }

  @Test("a sensor that leaves is asked no more; one of the same name takes its place")
  func changes() throws {
    var interlocking = Interlocking([
      try plan(1, path: "ref", "^a$"), try plan(2, path: "ref", "a"),
    ])
    var slots = Slots()
    func asked(_ ref: String) -> [String] {
      interlocking.step(push(ref), at: "1", &slots) { _ in true }.verdicts.map(\.sensor.name)
    }
    #expect(asked("a") == ["s1", "s2"])
    interlocking.insert(try plan(1, path: "ref", "^b$"))
    #expect(asked("a") == ["s2"])
    #expect(asked("b") == ["s1"])
    interlocking.remove(SensorID(namespace: "default", name: "s1"))
    #expect(asked("b") == [])
    interlocking.remove(SensorID(namespace: "default", name: "s2"))
    #expect(interlocking.sensors.isEmpty)
    #expect(!interlocking.isAwaited(key))
  }

  private let key = EventKey(namespace: "default", bus: "default", source: "s", subject: "x")

  private func plan(_ number: Int, path: String, _ pattern: String) throws -> SensorPlan {
    var filter = EventFilter()
    filter.data = DataFilters(
      [try DataFilter(path: path, type: "string", values: [pattern], comparator: nil)],
      join: .all
    )
    let id = SensorID(namespace: "default", name: "s\(number)")
    return SensorPlan(
      id: id,
      bus: "default",
      dependencies: [Dependency(name: "d", key: key, filters: filter, fingerprint: "")],
      triggers: [TriggerRule(id: TriggerID(sensor: id, name: "t"), condition: .all(count: 1))]
    )
  }

  private func push(_ ref: String) -> Event {
    Event(
      id: "e",
      source: "s",
      type: "webhook",
      subject: "x",
      time: Timestamp(nanoseconds: 0),
      data: Array("{\"ref\": \"\(ref)\"}".utf8)
    )
  }
}
