package import Bus
import Event
import JSON
package import Sensor

/// The engine's own records on the bus. Kinds below 16 are the engine's.
///
///     1 decision  {"consumed": position, "firings": [intent], "slots": [change]}, for a replay its
///                 number as "replay", and where there are any "unjudged": [event that a filter
///                 could not judge] and "retried": [id of a dead letter that is no more]
///     2 plan      {"sensors": {"ns/name": {"dependency": fingerprint}}, "slots": [change]}, and
///                 "from": {"ns/name": position} for new sensors that begin elsewhere than here
///     3 snapshot  see Snapshot.swift: all that was decided before, so that reading begins there
///     4 release   {"sensor": "ns/name"}: its place is not kept any longer
///     5 places    {"source": "ns/bus/source/event", "places": {key: value, null removes}}:
///                 how far an event source has come
///     6 letters   {"drop": [id], "retry": [id]}: dead letters that are no more, and those to be
///                 tried again when the engine runs
///     7 tick      {}: log time has come this far although nothing else happened
///
/// A decision is one record, so that the events consumed, the slots changed and the firings
/// intended are on the log together or not at all.
package enum NoteKind {
  package static let decision: UInt8 = 1
  package static let plan: UInt8 = 2
  package static let snapshot = Note.snapshotKind
  package static let release: UInt8 = 4
  package static let places: UInt8 = 5
  package static let letters: UInt8 = 6
  package static let tick: UInt8 = 7
}

package struct NoteError: Error, Equatable, CustomStringConvertible {
  package let description: String
}

/// What the engine made of the events up to `consumed`.
package struct DecisionNote: Equatable, Sendable {
  package var consumed: Position
  package var firings: [Intent]
  package var changes: [SlotChange]
  /// The number of the replay that was decided on; 0: events came by themselves.
  package var replay: Int
  /// Events that a filter or transform could not judge: they become dead letters.
  package var unjudged: [Unjudged]
  /// Dead letters that are tried again by this decision.
  package var retried: [String]

  package init(
    consumed: Position,
    firings: [Intent] = [],
    changes: [SlotChange] = [],
    replay: Int = 0,
    unjudged: [Unjudged] = [],
    retried: [String] = []
  ) {
    self.unjudged = unjudged
    self.retried = retried
    self.consumed = consumed
    self.firings = firings
    self.changes = changes
    self.replay = replay
  }

  package var note: Note {
    var members: [JSON.Member] = [
      .init(key: "consumed", value: .string(consumed.description)),
      .init(key: "firings", value: .array(firings.map(\.json))),
      .init(key: "slots", value: .array(changes.map(\.json))),
    ]
    if replay > 0 { members.append(.init(key: "replay", value: JSON(replay))) }
    if !unjudged.isEmpty {
      members.append(.init(key: "unjudged", value: .array(unjudged.map(\.json))))
    }
    if !retried.isEmpty {
      members.append(.init(key: "retried", value: .array(retried.map { .string($0) })))
    }
    return Note(kind: NoteKind.decision, bytes: JSON.object(members).encoded())
  }

  package init(_ note: Note) throws(NoteError) {
    let json = try parse(note)
    guard let consumed = json["consumed"]?.asText.flatMap({ Position($0) }),
      let firings = json["firings"]?.items?.map({ Intent($0) }), !firings.contains(nil),
      let changes = json["slots"]?.items?.map({ SlotChange($0) }), !changes.contains(nil),
      case let unjudged = (json["unjudged"]?.items ?? []).map({ Unjudged($0) }),
      !unjudged.contains(nil)
    else { throw NoteError(description: "a decision record is not in a form this version knows") }
    self.init(
      consumed: consumed,
      firings: firings.compactMap(\.self),
      changes: changes.compactMap(\.self),
      replay: json["replay"]?.integer ?? 0,
      unjudged: unjudged.compactMap(\.self),
      retried: json["retried"]?.texts ?? []
    )
  }
}

/// Which sensors read from here on, and what their dependencies were.
package struct PlanNote: Equatable, Sendable {
  /// Fingerprints of the dependencies by sensor and dependency name.
  package var sensors: [SensorID: [String: String]]
  package var changes: [SlotChange]
  /// The last record that a new sensor does not read, where that is not this one.
  package var from: [SensorID: Position] = [:]

  package init(sensors: [SensorID: [String: String]], changes: [SlotChange]) {
    self.sensors = sensors
    self.changes = changes
  }

  package var note: Note {
    var members: [JSON.Member] = [
      .init(key: "sensors", value: .object(encode(sensors))),
      .init(key: "slots", value: .array(changes.map(\.json))),
    ]
    if !from.isEmpty {
      let places = from.sorted { $0.key.description < $1.key.description }.map {
        JSON.Member(key: $0.key.description, value: .string($0.value.description))
      }
      members.append(.init(key: "from", value: .object(places)))
    }
    return Note(kind: NoteKind.plan, bytes: JSON.object(members).encoded())
  }

  package init(_ note: Note) throws(NoteError) {
    let json = try parse(note)
    guard let sensors = decodeSensors(json["sensors"]),
      let changes = json["slots"]?.items?.map({ SlotChange($0) }), !changes.contains(nil)
    else { throw NoteError(description: "a plan record is not in a form this version knows") }
    self.init(sensors: sensors, changes: changes.compactMap(\.self))
    for (sensor, place) in decodeTexts(json["from"]) {
      guard let id = SensorID(text: sensor), let position = Position(place) else {
        throw NoteError(description: "a plan record is not in a form this version knows")
      }
      from[id] = position
    }
  }
}

/// A sensor's place is not kept any longer.
struct ReleaseNote: Equatable {
  let sensor: SensorID

  init(sensor: SensorID) { self.sensor = sensor }

  var note: Note {
    let json: JSON = ["sensor": .string(sensor.description)]
    return Note(kind: NoteKind.release, bytes: json.encoded())
  }

  init(_ note: Note) throws(NoteError) {
    guard let sensor = try parse(note)["sensor"]?.asText.flatMap({ SensorID(text: $0) }) else {
      throw NoteError(description: "a release record names no sensor")
    }
    self.sensor = sensor
  }
}

/// `{"ns/name": {"dependency": fingerprint}}`.
func encode(_ sensors: [SensorID: [String: String]]) -> [JSON.Member] {
  sensors.sorted { $0.key.description < $1.key.description }.map { sensor in
    JSON.Member(key: sensor.key.description, value: encode(sensor.value))
  }
}

func encode(_ fingerprints: [String: String]) -> JSON {
  .object(
    fingerprints.sorted { $0.key < $1.key }.map {
      JSON.Member(key: $0.key, value: .string($0.value))
    }
  )
}

func decodeSensors(_ json: JSON?) -> [SensorID: [String: String]]? {
  guard case .object(let members)? = json else { return nil }
  var sensors: [SensorID: [String: String]] = [:]
  for member in members {
    guard let id = SensorID(text: member.key) else { return nil }
    sensors[id] = decodeTexts(member.value)
  }
  return sensors
}

func decodeTexts(_ json: JSON?) -> [String: String] {
  guard case .object(let members)? = json else { return [:] }
  return Dictionary(members.map { ($0.key, $0.value.asText ?? "") }) { _, last in last }
}

extension SensorID {
  /// Reads what `description` prints.
  init?(text: String) {
    guard let slash = text.firstIndex(of: "/") else { return nil }
    self.init(
      namespace: String(text[..<slash]),
      name: String(text[text.index(after: slash)...])
    )
  }
}

func parse(_ note: Note) throws(NoteError) -> JSON {
  do throws(JSONError) { return try JSON(parsing: note.bytes) } catch {
    throw NoteError(description: "a record of kind \(note.kind) is not JSON: \(error)")
  }
}

extension SlotChange {
  var json: JSON {
    switch self {
    case .hold(let trigger, let event): ["hold": trigger.json, "event": event.json]
    case .clear(let trigger): ["clear": trigger.json]
    case .drop(let trigger, let dependency):
      ["drop": trigger.json, "dependency": .string(dependency)]
    case .window(let id, let change): ["window": id.json, "change": change.json]
    }
  }

  init?(_ json: JSON) {
    if let trigger = json["hold"].flatMap({ TriggerID($0) }),
      let event = json["event"].flatMap({ EventReference($0) })
    {
      self = .hold(trigger, event)
    } else if let trigger = json["clear"].flatMap({ TriggerID($0) }) {
      self = .clear(trigger)
    } else if let trigger = json["drop"].flatMap({ TriggerID($0) }),
      let dependency = json["dependency"]?.asText
    {
      self = .drop(trigger, dependency: dependency)
    } else if let id = json["window"].flatMap({ WindowID($0) }),
      let change = json["change"].flatMap({ WindowChange($0) })
    {
      self = .window(id, change)
    } else {
      return nil
    }
  }
}
