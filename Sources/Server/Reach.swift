import Engine
import Event
import Sensor

/// Which triggers an event can set off, directly or through the outcomes of other triggers.
/// Filters and conditions are taken to pass: they narrow what happens, they prove nothing.
struct Reach {
  private var waiting: [EventKey: [TriggerID]] = [:]
  private let buses: [SensorID: String]
  /// What fires when a trigger fails.
  private let failing: [TriggerID: TriggerID]

  init(_ sensors: [SensorPlan], _ triggers: [TriggerPlan]) {
    failing = Dictionary(
      triggers.compactMap { trigger in trigger.deadLetterTrigger.map { (trigger.id, $0) } }
    ) { first, _ in first }
    buses = Dictionary(sensors.map { ($0.id, $0.bus) }) { first, _ in first }
    for sensor in sensors {
      for dependency in sensor.dependencies {
        waiting[dependency.key, default: []] += sensor.triggers.map(\.id)
      }
    }
  }

  /// In the order in which they are reached.
  func triggers(from key: EventKey) -> [TriggerID] {
    var found: [TriggerID] = []
    var seen: Set<TriggerID> = []
    var next = waiting[key] ?? []
    while !next.isEmpty {
      let new = next.filter { seen.insert($0).inserted }
      found += new
      next = new.flatMap { trigger in
        outcomes(of: trigger).flatMap { waiting[$0] ?? [] }
          + [failing[trigger]].compactMap(\.self)
      }
    }
    return found
  }

  private func outcomes(of trigger: TriggerID) -> [EventKey] {
    Phase.allCases.map { phase in
      EventKey(
        namespace: trigger.sensor.namespace,
        bus: buses[trigger.sensor] ?? "",
        source: OutcomeEvent.source,
        subject: OutcomeEvent.subject(trigger, phase)
      )
    }
  }
}
