package import Bus
import Event
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
  /// Firings without an ending.
  var lanes: [TriggerID: Lane] = [:]
  /// The last decision that is in `lanes`; what follows on the bus is still to be told.
  private(set) var decidedThrough: Position?

  package init() {}

  /// Takes one record into account.
  /// - Throws: `NoteError` for a record a newer version wrote.
  package mutating func fold(_ record: Record) throws(NoteError) {
    switch record.content {
    case .event(let event):
      if let ended = OutcomeEvent.endedFiring(event), let trigger = OutcomeEvent.trigger(event) {
        end(ended, of: trigger)
      }
    case .note(let note) where note.kind == NoteKind.decision:
      let decision = try DecisionNote(note)
      cursor = decision.consumed
      for change in decision.changes { slots.apply(change) }
      intend(decision.firings, at: record.position)
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
  }

  /// Takes up the firings of the decision at `place`.
  mutating func intend(_ intents: [Intent], at place: Position) {
    for (number, intent) in intents.enumerated() {
      lanes[intent.trigger, default: Lane()].add(
        intent,
        at: Lane.Place(record: place, number: number)
      )
    }
    decidedThrough = place
  }

  mutating func end(_ firing: FiringID, of trigger: TriggerID) {
    lanes[trigger]?.end(firing)
    if lanes[trigger]?.isIdle == true { lanes[trigger] = nil }
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
