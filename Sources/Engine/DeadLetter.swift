package import Bus
package import Event
package import JSON
package import Sensor

/// What could not be done and waits for a person: a firing that failed, or an event that a filter
/// or transform could not judge.
package struct DeadLetter: Equatable, Sendable {
  package enum Kind: String, Sendable { case firing, event }

  /// The id of the firing, or one made of the sensor, the dependency and the event.
  package let id: String
  package let kind: Kind
  package let sensor: SensorID
  /// The name of the trigger, or of the dependency.
  package let part: String
  /// The start of the reason.
  package let why: String
  package let attempts: Int
  /// When it came to be.
  package let time: Timestamp
  /// The record that says all of it: the failed outcome, or the decision.
  package let place: Position
  /// Where its events are; they stay as long as it does.
  package let events: [Position]
  /// Whether it is tried again as soon as the engine runs.
  package internal(set) var isWanted = false

  static let whyBytes = 200
}

/// The dead letters of an installation, as a fold over the bus.
package struct DeadLetters: Equatable, Sendable {
  package private(set) var letters: [String: DeadLetter] = [:]

  package init() {}

  package init(_ letters: [DeadLetter]) { for letter in letters { add(letter) } }

  package var count: Int { letters.count }

  /// Oldest first.
  package var sorted: [DeadLetter] {
    letters.values.sorted { ($0.time, $0.place, $0.id) < ($1.time, $1.place, $1.id) }
  }

  package subscript(id: String) -> DeadLetter? { letters[id] }

  mutating func add(_ letter: DeadLetter) { letters[letter.id] = letter }

  mutating func remove(_ ids: [String]) { for id in ids { letters[id] = nil } }

  mutating func want(_ ids: [String]) { for id in ids { letters[id]?.isWanted = true } }

  /// Takes what a decision at `place` says of letters.
  mutating func apply(_ decision: DecisionNote, at place: Position) {
    remove(decision.retried)
    for unjudged in decision.unjudged { add(unjudged.letter(at: place)) }
  }

  mutating func apply(_ note: LettersNote) {
    remove(note.drop)
    want(note.retry)
  }

  /// Takes one record into account; records of other kinds change nothing.
  /// - Throws: `NoteError` for a record a newer version wrote.
  package mutating func fold(_ record: Record) throws(NoteError) {
    switch record.content {
    case .event(let event):
      if let letter = OutcomeEvent.deadLetter(event, at: record.position) { add(letter) }
    case .note(let note) where note.kind == NoteKind.decision:
      apply(try DecisionNote(note), at: record.position)
    case .note(let note) where note.kind == NoteKind.letters: apply(try LettersNote(note))
    case .note: break
    }
  }
}

/// An event that a filter or transform of a dependency could not judge.
package struct Unjudged: Equatable, Sendable {
  let sensor: SensorID
  /// The event, and the dependency that it is for.
  let event: EventReference
  let why: String
  /// The only trigger that could do nothing with it; nil: it did not pass the dependency.
  let trigger: String?

  /// One letter for each event, dependency and replay, however often it is decided on.
  var id: String {
    Event.stableID(
      "dead letter",
      sensor.description,
      event.dependency,
      event.source,
      event.eventID,
      String(event.replay),
      trigger ?? ""
    )
  }

  func letter(at place: Position) -> DeadLetter {
    DeadLetter(
      id: id,
      kind: .event,
      sensor: sensor,
      part: event.dependency,
      why: why,
      attempts: 1,
      time: event.time ?? Timestamp(nanoseconds: 0),
      place: place,
      events: [Position(event.place)].compactMap(\.self)
    )
  }

  var json: JSON {
    var members: [JSON.Member] = [
      .init(key: "sensor", value: .string(sensor.description)),
      .init(key: "event", value: event.json), .init(key: "why", value: .string(why)),
    ]
    if let trigger { members.append(.init(key: "trigger", value: .string(trigger))) }
    return .object(members)
  }

  init(sensor: SensorID, event: EventReference, why: String, trigger: String? = nil) {
    self.trigger = trigger
    self.sensor = sensor
    self.event = event
    // An error may quote what it was given.
    self.why = why.cut(to: DeadLetter.whyBytes)
  }

  init?(_ json: JSON) {
    guard let sensor = json["sensor"]?.asText.flatMap({ SensorID(text: $0) }),
      let event = json["event"].flatMap({ EventReference($0) }), let why = json["why"]?.asText
    else { return nil }
    self.init(sensor: sensor, event: event, why: why, trigger: json["trigger"]?.asText)
  }
}

/// What was done to dead letters besides trying them again.
package struct LettersNote: Equatable, Sendable {
  package var drop: [String] = []
  /// To be tried again when the engine runs.
  package var retry: [String] = []

  package init(drop: [String] = [], retry: [String] = []) {
    self.drop = drop
    self.retry = retry
  }

  package var note: Note {
    let json: JSON = [
      "drop": .array(drop.map { .string($0) }), "retry": .array(retry.map { .string($0) }),
    ]
    return Note(kind: NoteKind.letters, bytes: json.encoded())
  }

  package init(_ note: Note) throws(NoteError) {
    let json = try parse(note)
    guard let drop = json["drop"]?.texts, let retry = json["retry"]?.texts else {
      throw NoteError(
        description: "a record of dead letters is not in a form this version knows"
      )
    }
    self.init(drop: drop, retry: retry)
  }
}

extension DeadLetter {
  /// As snapshots and programs see it.
  package var json: JSON {
    [
      "id": .string(id), "kind": .string(kind.rawValue), "sensor": .string(sensor.description),
      (kind == .firing ? "trigger" : "dependency"): .string(part), "why": .string(why),
      "attempts": JSON(attempts), "time": .string(time.description),
      "position": .string(place.description),
      "events": .array(events.map { .string($0.description) }),
      "isWanted": .bool(isWanted),
    ]
  }

  init?(saved json: JSON) {
    guard let id = json["id"]?.asText,
      let kind = json["kind"]?.asText.flatMap({ Kind(rawValue: $0) }),
      let sensor = json["sensor"]?.asText.flatMap({ SensorID(text: $0) }),
      let part = json[kind == .firing ? "trigger" : "dependency"]?.asText,
      let why = json["why"]?.asText, let attempts = json["attempts"]?.integer,
      let time = json["time"]?.asText.flatMap({ Timestamp(rfc3339: $0) }),
      let place = json["position"]?.asText.flatMap({ Position($0) }),
      let events = json["events"]?.texts?.map({ Position($0) }), !events.contains(nil)
    else { return nil }
    self.init(
      id: id,
      kind: kind,
      sensor: sensor,
      part: part,
      why: why,
      attempts: attempts,
      time: time,
      place: place,
      events: events.compactMap(\.self),
      isWanted: json["isWanted"] == .bool(true)
    )
  }
}

extension String {
  /// At most `bytes` of it, whole characters.
  func cut(to bytes: Int) -> String {
    guard utf8.count > bytes else { return self }
    var end = utf8.index(startIndex, offsetBy: bytes - 1)
    while end.samePosition(in: self) == nil { end = utf8.index(before: end) }
    return self[..<end] + "…"
  }
}

/// Folds the dead letters alone, from the first record that is left of a bus on.
package struct LetterFold {
  private var all = DeadLetters()
  /// Those that a plan or a snapshot told of.
  package private(set) var sensors: Set<SensorID> = []
  private var hasBegun = false
  /// What was folded before the first snapshot, which stands for all that is gone.
  private var early: [Record] = []

  package init() {}

  /// Those of its own sensors: the log of a partition has copies of outcomes of others too.
  package var letters: DeadLetters {
    sensors.isEmpty ? all : DeadLetters(all.letters.values.filter { sensors.contains($0.sensor) })
  }

  /// Takes the next record into account.
  /// - Throws: `NoteError` for a record a newer version wrote.
  package mutating func take(_ record: Record) throws(NoteError) {
    if case .note(let note) = record.content, note.kind == NoteKind.plan {
      sensors.formUnion(try PlanNote(note).sensors.keys)
    }
    if !hasBegun, case .note(let note) = record.content, note.kind == NoteKind.snapshot {
      let snapshot = try Snapshot(note)
      all = DeadLetters(snapshot.letters)
      sensors.formUnion(snapshot.sensors.keys)
      sensors.formUnion(snapshot.letters.map(\.sensor))
      sensors.formUnion(snapshot.parked.keys)
      for record in early where record.position > snapshot.asOf { try all.fold(record) }
      (hasBegun, early) = (true, [])
      return
    }
    if !hasBegun, LetterFold.concerns(record) { early.append(record) }
    try all.fold(record)
  }

  private static func concerns(_ record: Record) -> Bool {
    switch record.content {
    case .event(let event): return OutcomeEvent.deadLetter(event, at: record.position) != nil
    case .note(let note):
      if note.kind == NoteKind.letters { return true }
      guard note.kind == NoteKind.decision, let decision = try? DecisionNote(note) else {
        return false
      }
      return !decision.unjudged.isEmpty || !decision.retried.isEmpty
    }
  }
}
