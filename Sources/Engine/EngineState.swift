package import Bus
package import Event
package import Sensor

/// Everything the engine knows, as a fold over the records of the bus: folding the same records
/// again gives the same state, so nothing of it needs a file of its own.
package struct EngineState: Equatable, Sendable {
  /// The last event record that was matched.
  package private(set) var cursor: Position?
  package var slots = Slots()
  /// Where each sensor of the current plan began to read.
  package private(set) var starts: [SensorID: Position] = [:]
  /// Fingerprints of the dependencies of the current plan.
  package private(set) var sensors: [SensorID: [String: String]] = [:]
  /// Firings without an ending, by id.
  package private(set) var pending: [FiringID: Intent] = [:]
  /// The order of `pending`; may name some that have ended.
  private var order: [FiringID] = []

  package init() {}

  /// The firings without an ending, in the order they were decided.
  package var pendingInOrder: [Intent] { order.compactMap { pending[$0] } }

  /// Takes one record into account.
  /// - Throws: `NoteError` for a record a newer version wrote.
  package mutating func fold(_ record: Record) throws(NoteError) {
    switch record.content {
    case .event(let event):
      if let ended = OutcomeEvent.endedFiring(event) { pending[ended] = nil }
    case .note(let note) where note.kind == NoteKind.decision:
      decided(try DecisionNote(note))
    case .note(let note) where note.kind == NoteKind.plan:
      let plan = try PlanNote(note)
      for change in plan.changes { slots.apply(change) }
      for sensor in plan.sensors.keys where sensors[sensor] == nil {
        starts[sensor] = record.position
      }
      for sensor in sensors.keys where plan.sensors[sensor] == nil { starts[sensor] = nil }
      sensors = plan.sensors
    case .note(let note):
      throw NoteError(description: "a record of kind \(note.kind) was written by a newer version")
    }
    if order.count > 2 * pending.count + 1024 { order.removeAll { pending[$0] == nil } }
  }

  private mutating func decided(_ decision: DecisionNote) {
    cursor = decision.consumed
    for change in decision.changes { slots.apply(change) }
    for intent in decision.firings {
      pending[intent.id] = intent
      order.append(intent.id)
    }
  }

  /// The record that makes `interlocking` the plan from here on: nil when it is already. Slots
  /// of dependencies that were edited or are gone are emptied (DESIGN.md, "Manifests and names").
  package func adopting(_ interlocking: Interlocking) -> PlanNote? {
    var fingerprints: [SensorID: [String: String]] = [:]
    var kept: Set<TriggerID> = []
    for sensor in interlocking.sensors {
      fingerprints[sensor.id] = Dictionary(
        sensor.dependencies.map { ($0.name, $0.fingerprint) }
      ) { _, last in last }
      for trigger in sensor.triggers { kept.insert(trigger.id) }
    }
    var changes: [SlotChange] = []
    for (trigger, events) in slots.held {
      for dependency in events.keys.sorted() {
        let fingerprint = fingerprints[trigger.sensor]?[dependency]
        if kept.contains(trigger), fingerprint != nil,
          fingerprint == sensors[trigger.sensor]?[dependency]
        {
          continue
        }
        changes.append(.drop(trigger, dependency: dependency))
      }
    }
    if fingerprints == sensors && changes.isEmpty { return nil }
    return PlanNote(sensors: fingerprints, changes: changes)
  }

  /// Notes that everything up to `position` was matched without a record saying so.
  package mutating func advance(to position: Position) { cursor = position }
}
