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
  /// Firings without an ending.
  var lanes: [TriggerID: Lane] = [:]
  /// The last decision that is in `lanes`; what follows on the bus is still to be told.
  private(set) var decidedThrough: Position?
  /// Sensors that are in the manifests no more, and where they would go on.
  package private(set) var parked: [SensorID: Parked] = [:]
  /// Where the plan was changed last.
  private(set) var planned: Position?
  /// The number of the last replay.
  private(set) var replays = 0
  /// What waits for a person.
  package var letters = DeadLetters()
  /// Firings of a `dlqTrigger` that an ending on the bus asks for and no decision has taken up.
  private(set) var owed: [FiringID: Intent] = [:]
  /// What the last firing left of each trigger with a rate limit (`RateLimit.mark`).
  var rates: [TriggerID: Timestamp] = [:]

  package struct Parked: Equatable, Sendable {
    /// The last record it has read.
    package let position: Position
    package let since: Timestamp
    /// Fingerprints of its dependencies.
    let dependencies: [String: String]
  }

  package init() {}

  /// Takes up what a snapshot says.
  init(_ snapshot: Snapshot, _ lanes: [TriggerID: Lane]) {
    cursor = snapshot.cursor
    for (trigger, events) in snapshot.slots {
      for event in events { slots.apply(.hold(trigger, event)) }
    }
    starts = snapshot.starts
    sensors = snapshot.sensors
    parked = snapshot.parked
    planned = snapshot.planned
    replays = snapshot.replays
    letters = DeadLetters(snapshot.letters)
    for intent in snapshot.owed { owed[intent.id] = intent }
    rates = snapshot.rates
    for (id, window) in snapshot.windows { slots.windows.restore(id, window) }
    decidedThrough = snapshot.asOf
    self.lanes = lanes
  }

  /// Takes one record into account.
  /// - Throws: `NoteError` for a record a newer version wrote.
  package mutating func fold(_ record: Record) throws(NoteError) {
    switch record.content {
    case .event(let event):
      if let ended = OutcomeEvent.endedFiring(event), let trigger = OutcomeEvent.trigger(event) {
        let isOwn = knows(trigger)
        end(ended, of: trigger)
        guard isOwn else { return }
        keep(OutcomeEvent.deadLetter(event, at: record.position))
        owe(OutcomeEvent.owed(event))
        if let mark = OutcomeEvent.rate(event) {
          rates[trigger] = rates[trigger].map { max($0, mark) } ?? mark
        }
      } else if let (firing, trigger) = OutcomeEvent.startedFiring(event) {
        follow(firing, of: trigger, started: record.position)
      }
    case .note(let note) where note.kind == NoteKind.decision:
      let decision = try DecisionNote(note)
      cursor = decision.consumed
      replayed(decision.replay)
      for change in decision.changes { slots.apply(change) }
      letters.apply(decision, at: record.position)
      intend(decision.firings, at: record.position)
    case .note(let note) where note.kind == NoteKind.plan:
      put(try PlanNote(note), at: record)
    case .note(let note) where note.kind == NoteKind.release:
      let sensor = try ReleaseNote(note).sensor
      parked[sensor] = nil
      for trigger in slots.held.keys where trigger.sensor == sensor { slots.apply(.clear(trigger)) }
      for (id, _) in slots.windows.all where id.trigger.sensor == sensor {
        slots.apply(.window(id, .close))
      }
    case .note(let note) where note.kind == NoteKind.letters: letters.apply(try LettersNote(note))
    case .note(let note)
    where note.kind == NoteKind.snapshot || note.kind == NoteKind.places
      || note.kind == NoteKind.tick:
      // A snapshot says what was folded already, `SourcePlaces` folds places, and what came of a
      // tick is a decision.
      break
    case .note(let note):
      throw NoteError(description: "a record of kind \(note.kind) was written by a newer version")
    }
  }

  /// A sensor that leaves keeps its place for a while; one that comes back in time goes on there,
  /// and the others wait until it has caught up. A new one begins here.
  private mutating func put(_ plan: PlanNote, at record: Record) {
    for change in plan.changes { slots.apply(change) }
    for (sensor, dependencies) in sensors where plan.sensors[sensor] == nil {
      let read = [cursor, starts[sensor]].compactMap(\.self).max()
      parked[sensor] = read.map {
        Parked(position: $0, since: record.time, dependencies: dependencies)
      }
      starts[sensor] = nil
    }
    let added = plan.sensors.keys.filter { sensors[$0] == nil }
    sensors = plan.sensors
    let returning = added.compactMap { parked[$0]?.position ?? plan.from[$0] }
    if let first = returning.min(), let reached = cursor, first < reached {
      for (sensor, start) in starts { starts[sensor] = max(start, reached) }
      cursor = first
    }
    for sensor in added {
      let place = parked.removeValue(forKey: sensor)?.position ?? plan.from[sensor]
      starts[sensor] = place ?? record.position
    }
    planned = record.position
  }

  /// Whether its firings are carried out here: the log of a partition has copies of outcomes of
  /// others too.
  private func knows(_ trigger: TriggerID) -> Bool {
    lanes[trigger] != nil || sensors[trigger.sensor] != nil || parked[trigger.sensor] != nil
  }

  /// Takes note of a replay's number, so that the next one is larger.
  mutating func replayed(_ number: Int) { replays = max(replays, number) }

  /// Takes up the firings of the decision at `place`.
  mutating func intend(_ intents: [Intent], at place: Position) {
    for (number, intent) in intents.enumerated() {
      owed[intent.id] = nil
      lanes[intent.trigger, default: Lane()].add(
        intent,
        at: Lane.Place(record: place, number: number)
      )
    }
    decidedThrough = place
  }

  mutating func keep(_ letter: DeadLetter?) {
    if let letter { letters.add(letter) }
  }

  /// Takes note that a `dlqTrigger` has to fire.
  mutating func owe(_ intent: Intent?) {
    if let intent { owed[intent.id] = intent }
  }

  /// Takes note that what `firing` started is on the bus and has to be followed.
  mutating func follow(_ firing: FiringID, of trigger: TriggerID, started: Position) {
    lanes[trigger]?.follow(firing, started: started)
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
        // One that is gone may come back: its slots wait with its place.
        guard let defined = fingerprints[trigger.sensor] else { continue }
        let known = sensors[trigger.sensor] ?? parked[trigger.sensor]?.dependencies
        let fingerprint = defined[dependency]
        if kept.contains(trigger), fingerprint != nil,
          fingerprint == known?[dependency]
        {
          continue
        }
        changes.append(.drop(trigger, dependency: dependency))
      }
    }
    changes += closing(interlocking, fingerprints)
    if fingerprints == sensors && changes.isEmpty { return nil }
    return PlanNote(sensors: fingerprints, changes: changes)
  }

  /// Whether a sensor has no place on the bus yet.
  func isNew(_ sensor: SensorID) -> Bool { sensors[sensor] == nil && parked[sensor] == nil }

  /// Closes windows whose trigger opens no such windows any longer, or holds events of a dependency
  /// that was edited.
  private func closing(
    _ interlocking: Interlocking,
    _ fingerprints: [SensorID: [String: String]]
  ) -> [SlotChange] {
    var kinds: [TriggerID: Set<WindowID.Kind>] = [:]
    for trigger in interlocking.sensors.flatMap(\.triggers) {
      kinds[trigger.id] = trigger.timing.kinds
    }
    return slots.windows.all.compactMap { id, window in
      // The windows of a sensor that is gone wait with its place.
      guard let defined = fingerprints[id.trigger.sensor] else { return nil }
      let known = sensors[id.trigger.sensor] ?? parked[id.trigger.sensor]?.dependencies
      let isKept =
        kinds[id.trigger]?.contains(id.kind) == true
        && window.events.allSatisfy {
          defined[$0.dependency] != nil && defined[$0.dependency] == known?[$0.dependency]
        }
      return isKept ? nil : .window(id, .close)
    }
  }

  /// Notes that everything up to `position` was matched without a record saying so.
  package mutating func advance(to position: Position) { cursor = position }
}
