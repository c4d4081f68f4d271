import Bus
import Engine
import Event
import JSON
import Sensor

/// What became of an event at the sensors of several partitions, each by the log of its own.
struct SharedExplanation {
  private let question: EventQuestion
  private let plan: EnginePlan
  private let map: PartitionMap

  /// - Parameter plan: of the whole bus.
  init(_ question: EventQuestion, _ plan: EnginePlan, _ map: PartitionMap) {
    (self.question, self.plan, self.map) = (question, plan, map)
  }

  /// The partitions to look at; or why none is.
  func asked() -> (partitions: [Int], error: String?) {
    guard let sensor = question.sensor else { return (map.here, nil) }
    guard plan.interlocking.sensors.contains(where: { $0.id == sensor }) else {
      return ([], "\(Explainer.Problem.noSensor(sensor))")
    }
    if let absence = map.absence(of: sensor) { return ([], "sensor \(sensor) \(absence)") }
    return ([map.home(sensor)].compactMap(\.self), nil)
  }

  /// - Parameter findings: of those partitions at least, in order.
  func answer(_ findings: [(partition: Int, Findings)]) -> (isDone: Bool, JSON) {
    // What is known of the others is told all the same.
    var unreadable: [Int: String] = [:]
    let home = question.sensor.flatMap(map.home)
    for (partition, findings) in findings where home == nil || home == partition {
      unreadable[partition] = findings.failure.map { "\($0)" }
    }
    return SharedExplanation(question, plan, map.without(unreadable)).answer(read: findings)
  }

  private func answer(read findings: [(partition: Int, Findings)]) -> (isDone: Bool, JSON) {
    func refused(_ why: String) -> (isDone: Bool, JSON) { (false, ["error": .string(why)]) }
    let (asked, error) = asked()
    if let error { return refused(error) }
    var found: [(partition: Int, explanation: Explanation)] = []
    var sources: Set<String> = []
    for (partition, findings) in findings where asked.contains(partition) {
      switch findings.result {
      case .success(let explanation):
        found.append((partition, explanation))
        sources.insert(explanation.event.source)
      case .failure(Explainer.Problem.several(let names)): sources.formUnion(names)
      // There is none, or why is among those that cannot be read.
      case .failure: continue
      }
    }
    if sources.count > 1 { return refused("\(Explainer.Problem.several(sources.sorted()))") }
    guard let first = found.first else {
      let place = question.sensor.map { "partition \(PartitionMap.list(asked)), where \($0) runs" }
      return refused(
        "no event \(question.event) is in "
          + (place ?? "the partitions that are here: \(map.list)\(map.others)")
      )
    }
    return (true, json(first.explanation, found))
  }

  private func json(
    _ first: Explanation,
    _ found: [(partition: Int, explanation: Explanation)]
  ) -> JSON {
    let event = first.event
    let places = found.map {
      DataFolder.Part.name($0.explanation.position.description, in: $0.partition)
    }
    let unread = found.filter { !$0.explanation.isRead }.map(\.partition)
    let waiting = plan.interlocking.sensors.filter { sensor in
      question.sensor.map { $0 == sensor.id }
        ?? sensor.dependencies.contains { $0.key == EventKey(event) }
    }
    return [
      "event": .string(event.id), "source": .string(event.source),
      "subject": .string(event.subject), "namespace": .string(event.namespace),
      "positions": .array(places.map { .string($0) }), "read": .bool(unread.isEmpty),
      "unread": .array(unread.map { JSON($0) }),
      "unreadable": .array(
        map.unreadable.sorted { $0.key < $1.key }.map { partition, why in
          ["partition": JSON(partition), "why": .string(why)]
        }
      ),
      "sensors": .array(waiting.map { part($0.id, found) }),
    ]
  }

  private func part(
    _ sensor: SensorID,
    _ found: [(partition: Int, explanation: Explanation)]
  ) -> JSON {
    let home = map.home(sensor)
    let place = JSON.Member(key: "partition", value: home.map { JSON($0) } ?? .null)
    let part = found.first { $0.partition == home }?.explanation.sensors.first {
      $0.sensor == sensor
    }
    if case .object(let members)? = part?.json { return .object([place] + members) }
    let why = map.absence(of: sensor, from: Set(found.map(\.partition))) ?? "is not loaded there"
    return .object([
      place, .init(key: "sensor", value: .string("\(sensor)")),
      .init(key: "absent", value: .string(why)),
    ])
  }
}
