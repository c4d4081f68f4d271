import Engine
import JSON

/// What the triggers of several partitions hold and wait for.
struct SharedPending {
  private let question: PendingQuestion
  private let plan: EnginePlan
  private let map: PartitionMap

  /// - Parameter plan: of the whole bus.
  init(_ question: PendingQuestion, _ plan: EnginePlan, _ map: PartitionMap) {
    (self.question, self.plan, self.map) = (question, plan, map)
  }

  /// Why nothing can be said; nil: something can.
  var refusal: (isDone: Bool, JSON)? {
    if let refusal = question.refusal(plan) { return refusal }
    guard let sensor = question.sensor, let absence = map.absence(of: sensor) else { return nil }
    return (false, ["error": .string("sensor \(sensor) \(absence)")])
  }

  func answer(
    isRunning: Bool = false,
    _ found: [(partition: Int, pending: [Pending])]
  ) -> (isDone: Bool, JSON) {
    if let refusal { return refusal }
    let lines = found.flatMap { partition, pending in
      pending.map { one -> JSON in
        guard case .object(let members) = one.json else { return one.json }
        return .object([.init(key: "partition", value: JSON(partition))] + members)
      }
    }
    return (
      true,
      [
        "running": .bool(isRunning), "pending": .array(lines),
        "elsewhere": .array(map.elsewhere.map { JSON($0) }),
      ]
    )
  }
}
