package import Bus
package import Event
package import Expression
package import Sensor

/// What became of one event at every sensor that could take it: a fold over the records of the
/// log, beside the filters as they are now.
package struct Explanation: Sendable {
  package let event: Event
  package let position: Position
  /// Whether the engine has come to the event.
  package let isRead: Bool
  package let sensors: [Part]

  /// At one sensor.
  package struct Part: Sendable {
    package let sensor: SensorID
    /// Whether the sensor read already when the event came.
    package let isReading: Bool
    package let dependencies: [DependencyPart]
    package let triggers: [TriggerPart]
  }

  package struct DependencyPart: Sendable {
    package let name: String
    /// Whether it waits for events of this source and name.
    package let takes: Bool
    /// Why the event did not pass: the clause that decided, or all of several that would have
    /// done. Empty: it passes, or is not taken.
    package let faults: [FilterFault]
  }

  package struct TriggerPart: Sendable {
    package let name: String
    package let state: TriggerState
  }

  package enum TriggerState: Sendable {
    /// With the ids of its firings; the event may have fired it more than once, by replays.
    case fired([FiringID])
    /// It holds the event, and waits for these dependencies.
    case waits(for: [String])
    /// A later event took the place of this one before the others came.
    case replaced(by: String)
    /// The event passed, but nothing holds it any longer: a reset, or an edit of the sensor.
    case letGo
    /// It fired, and something keeps these firings from being carried out.
    case held(Hold, [FiringID])
    /// The event waits in a window of this kind, for others or for its time.
    case gathered(WindowID.Kind, until: Timestamp?)
    /// The event passed at no dependency that the trigger names.
    case notReached
    /// The engine has not come to the event, or the sensor began to read behind it.
    case notRead
  }
}

/// Goes through the records of a log, from its first to its last, and finds out what became of
/// one event.
package struct Explainer {
  private let interlocking: Interlocking
  private let holds: [TriggerID: Hold]
  private let id: String
  private let source: String?
  private let sensor: SensorID?
  private var fold = StateFold()
  private var state: EngineState { fold.state }
  private var found: [(event: Event, position: Position)] = []
  private var firings: [TriggerID: [FiringID]] = [:]
  private var ended: Set<FiringID> = []

  /// - Parameters:
  ///   - source: the event source; nil: whichever it is.
  ///   - sensor: the only one that is explained; nil: all that wait for such events.
  ///   - holds: what holds firings now; that a trigger is suspended is known from the plan.
  package init(
    _ plan: EnginePlan,
    event id: String,
    source: String?,
    sensor: SensorID?,
    holds: [TriggerID: Hold] = [:]
  ) {
    interlocking = plan.interlocking
    self.holds = holds.merging(plan.suspended) { known, _ in known }
    self.id = id
    self.source = source
    self.sensor = sensor
  }

  /// - Throws: `NoteError` for a record that a newer version wrote.
  package mutating func take(_ record: Record) throws(NoteError) {
    if case .event(let event) = record.content, event.id == id,
      source.map({ $0 == event.source }) ?? true
    {
      found.append((event, record.position))
    }
    try fold.take(record)
    if case .event(let event) = record.content, let id = OutcomeEvent.endedFiring(event) {
      ended.insert(id)
    }
    guard let target = found.first, case .note(let note) = record.content,
      note.kind == NoteKind.decision
    else { return }
    for intent in try DecisionNote(note).firings
    where intent.events.contains(where: { $0.place == target.position.description }) {
      firings[intent.trigger, default: []].append(intent.id)
    }
  }

  /// The sensors that read the log, by its end.
  package var reading: Set<SensorID> { Set(state.starts.keys) }

  package enum Problem: Error, Equatable, CustomStringConvertible {
    case noEvent(String)
    /// Events of these sources have the id.
    case several([String])
    case noSensor(SensorID)

    package var description: String {
      switch self {
      case .noEvent(let id): "no event \(id) is on the log"
      case .several(let sources):
        "events of several sources have this id: \(sources.joined(separator: ", ")); say which"
      case .noSensor(let sensor): "there is no sensor \(sensor)"
      }
    }
  }

  /// What came of it by the end of the log.
  package func explanation() throws(Problem) -> Explanation {
    guard let target = found.first else { throw .noEvent(id) }
    let sources = Set(found.map(\.event.source))
    if sources.count > 1 { throw .several(sources.sorted()) }
    let key = EventKey(target.event)
    var sensors = interlocking.sensors
    if let sensor {
      sensors = sensors.filter { $0.id == sensor }
      if sensors.isEmpty { throw .noSensor(sensor) }
    } else {
      sensors = sensors.filter { $0.dependencies.contains { $0.key == key } }
    }
    return Explanation(
      event: target.event,
      position: target.position,
      isRead: state.cursor.map { $0 >= target.position } ?? false,
      sensors: sensors.map { part($0, target.event, target.position, key) }
    )
  }

  private func part(
    _ sensor: SensorPlan,
    _ event: Event,
    _ position: Position,
    _ key: EventKey
  ) -> Explanation.Part {
    let dependencies = sensor.dependencies.map { dependency in
      Explanation.DependencyPart(
        name: dependency.name,
        takes: dependency.key == key,
        faults: dependency.key == key ? dependency.faults(event) : []
      )
    }
    let isReading = state.starts[sensor.id].map { position > $0 } ?? false
    let isRead = isReading && state.cursor.map { $0 >= position } ?? false
    let passed = Set(dependencies.filter { $0.takes && $0.faults.isEmpty }.map(\.name))
    return Explanation.Part(
      sensor: sensor.id,
      isReading: isReading,
      dependencies: dependencies,
      triggers: sensor.triggers.map { rule in
        Explanation.TriggerPart(
          name: rule.id.name,
          state: isRead
            ? state(rule, sensor.dependencies.map(\.name), passed, position) : .notRead
        )
      }
    )
  }

  private func state(
    _ rule: TriggerRule,
    _ names: [String],
    _ passed: Set<String>,
    _ position: Position
  ) -> Explanation.TriggerState {
    if let firings = firings[rule.id] {
      let open = firings.filter { !ended.contains($0) }
      if let hold = holds[rule.id], !open.isEmpty { return .held(hold, open) }
      return .fired(firings)
    }
    for (id, window) in (state.slots.windows.open[rule.id] ?? [:]).sorted(by: { $0.key < $1.key })
    where window.events.contains(where: { $0.place == position.description }) {
      return .gathered(id.kind, until: window.due)
    }
    let held = state.slots[rule.id]
    let named = rule.condition.indices.sorted().map { names[$0] }
    if held.values.contains(where: { $0.place == position.description }) {
      return .waits(for: named.filter { held[$0] == nil })
    }
    guard let name = named.first(where: passed.contains) else { return .notReached }
    if let later = held[name], Position(later.place).map({ $0 > position }) ?? false {
      return .replaced(by: later.eventID)
    }
    return .letGo
  }
}
