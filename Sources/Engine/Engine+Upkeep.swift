import Bus
import Event
import JSON
import Logging
import Posix
import Sensor

/// Snapshots, what is held on the bus because of the engine, and the places of sensors that left.
extension Engine {
  /// A larger snapshot is not written; the last one then goes on holding what it needs.
  private static var snapshotBytes: Int { 32 << 20 }

  /// What is due from time to time.
  func keepUp() async {
    await turnstile.enter()
    defer { turnstile.leave() }
    await releasePlaces()
    await dropOldLetters()
    if unsaved > 0 { await save() }
  }

  /// Writes a snapshot and tells the bus what is still needed. Only between two batches.
  func save() async {
    guard let cursor = state.cursor, let committed = bus.committed else { return }
    // An ending may be on the bus and not in the state yet: what is under way is read again.
    var asOf = committed
    let places = places.saved()
    for before in Array(underWay.values) + places.before {
      guard let before else { return }
      asOf = min(asOf, before)
    }
    if let planned = state.planned, asOf < planned { return }
    var snapshot = Snapshot(state, asOf: asOf, cursor: cursor)
    snapshot.places = places.values
    let note = snapshot.note
    guard note.bytes.count <= Self.snapshotBytes else {
      logger.warning("too much waits for a snapshot", metadata: ["bytes": "\(note.bytes.count)"])
      return
    }
    let entries = state.lanes.values.flatMap {
      Array($0.running.values) + Array($0.waiting) + $0.followed.values.map(\.entry)
    }
    let events = Set(entries.flatMap(\.intent.events).compactMap { Position($0.place) })
    let read = unsaved
    // Nothing waits for it: a bus that refuses it gets the next one.
    do throws(BusError) {
      let appended = try await bus.append([.note(note)])
      guard let place = appended.first?.position else { return }
      unsaved -= read
      bus.hold(snapshot.holds(events, at: place))
    } catch {
      logger.warning("the bus did not take a snapshot", metadata: ["error": "\(error)"])
    }
  }

  /// All that is known, as text in which equal states are equal; for tests.
  package var stateText: String {
    guard let cursor = state.cursor else { return "" }
    var snapshot = Snapshot(state, asOf: cursor, cursor: cursor)
    snapshot.places = places.saved().values
    return String(decoding: snapshot.note.bytes, as: UTF8.self)
  }

  /// Begins with the last snapshot, if there is one.
  func restore() throws {
    guard let place = bus.snapshot, let record = try bus.record(at: place),
      case .note(let note) = record.content
    else { return }
    let snapshot = try Snapshot(note)
    var lanes: [TriggerID: Lane] = [:]
    var decision: (place: Position, note: DecisionNote)?
    func entry(at place: Lane.Place, of trigger: TriggerID) throws -> Lane.Entry? {
      if decision?.place != place.record {
        decision = try self.decision(at: place.record).map { (place.record, $0) }
      }
      guard decision?.place == place.record, let firings = decision?.note.firings,
        firings.indices.contains(place.number)
      else {
        logger.error(
          "an unfinished firing cannot be read back from the bus; it is lost",
          metadata: ["trigger": "\(trigger)", "position": "\(place.record)"]
        )
        return nil
      }
      return Lane.Entry(intent: firings[place.number], place: place)
    }
    for (trigger, saved) in snapshot.lanes {
      let entries = try saved.firings.compactMap { try entry(at: $0, of: trigger) }
      let followed = try saved.followed.compactMap { one in
        try entry(at: one.place, of: trigger).map { Lane.Followed(entry: $0, started: one.started) }
      }
      lanes[trigger, default: Lane()].restore(entries, followed, saved.spill)
    }
    state = EngineState(snapshot, lanes)
    places.restore(snapshot.places)
    readThrough = snapshot.asOf
  }

  private func decision(at place: Position) throws -> DecisionNote? {
    guard case .note(let note)? = try bus.record(at: place)?.content,
      note.kind == NoteKind.decision
    else { return nil }
    return try DecisionNote(note)
  }

  /// Gives up the places of sensors that left long ago, with an event that says what goes unread.
  private func releasePlaces() async {
    let now = clock()
    for (sensor, parked) in state.parked.sorted(by: { $0.key.description < $1.key.description })
    where now.nanoseconds - parked.since.nanoseconds > configuration.holdFor.wholeNanoseconds {
      let notice = OutcomeEvent.placeReleased(sensor, parked, reached: state.cursor, at: now)
      let note = ReleaseNote(sensor: sensor).note
      guard
        let appended = await appendPatiently(
          [.event(notice), .note(note)],
          "release",
          attempts: 1
        ), let place = appended.last?.position
      else { return }
      do throws(NoteError) {
        try state.fold(Record(position: place, time: now, content: .note(note)))
        unsaved += 1
        logger.warning(
          "the place of a sensor that left the manifests is not kept any longer",
          metadata: ["sensor": "\(sensor)", "from": "\(parked.position)"]
        )
      } catch { logger.error("\(error)") }
    }
  }
}
