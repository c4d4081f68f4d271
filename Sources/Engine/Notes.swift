package import Bus
import Event
import JSON
package import Sensor

/// The engine's own records on the bus. Kinds below 16 are the engine's.
///
///     1 decision  {"consumed": position, "firings": [intent], "slots": [change]}
///     2 plan      {"sensors": {"ns/name": {"dependency": fingerprint}}, "slots": [change]}
///
/// A decision is one record, so that the events consumed, the slots changed and the firings
/// intended are on the log together or not at all.
package enum NoteKind {
  package static let decision: UInt8 = 1
  package static let plan: UInt8 = 2
}

package struct NoteError: Error, Equatable, CustomStringConvertible {
  package let description: String
}

/// What the engine made of the events up to `consumed`.
package struct DecisionNote: Equatable, Sendable {
  package var consumed: Position
  package var firings: [Intent]
  package var changes: [SlotChange]

  package init(consumed: Position, firings: [Intent] = [], changes: [SlotChange] = []) {
    self.consumed = consumed
    self.firings = firings
    self.changes = changes
  }

  package var note: Note {
    let json: JSON = [
      "consumed": .string(consumed.description), "firings": .array(firings.map(\.json)),
      "slots": .array(changes.map(\.json)),
    ]
    return Note(kind: NoteKind.decision, bytes: json.encoded())
  }

  package init(_ note: Note) throws(NoteError) {
    let json = try parse(note)
    guard let consumed = json["consumed"]?.asText.flatMap({ Position($0) }),
      let firings = json["firings"]?.items?.map({ Intent($0) }), !firings.contains(nil),
      let changes = json["slots"]?.items?.map({ SlotChange($0) }), !changes.contains(nil)
    else { throw NoteError(description: "a decision record is not in a form this version knows") }
    self.init(
      consumed: consumed,
      firings: firings.compactMap(\.self),
      changes: changes.compactMap(\.self)
    )
  }
}

/// Which sensors read from here on, and what their dependencies were.
package struct PlanNote: Equatable, Sendable {
  /// Fingerprints of the dependencies by sensor and dependency name.
  package var sensors: [SensorID: [String: String]]
  package var changes: [SlotChange]

  package init(sensors: [SensorID: [String: String]], changes: [SlotChange]) {
    self.sensors = sensors
    self.changes = changes
  }

  package var note: Note {
    let sensors = sensors.sorted { $0.key.description < $1.key.description }.map { sensor in
      JSON.Member(
        key: sensor.key.description,
        value: .object(
          sensor.value.sorted { $0.key < $1.key }.map {
            JSON.Member(key: $0.key, value: .string($0.value))
          }
        )
      )
    }
    let json: JSON = ["sensors": .object(sensors), "slots": .array(changes.map(\.json))]
    return Note(kind: NoteKind.plan, bytes: json.encoded())
  }

  package init(_ note: Note) throws(NoteError) {
    let json = try parse(note)
    guard case .object(let members)? = json["sensors"],
      let changes = json["slots"]?.items?.map({ SlotChange($0) }), !changes.contains(nil)
    else { throw NoteError(description: "a plan record is not in a form this version knows") }
    var sensors: [SensorID: [String: String]] = [:]
    for member in members {
      guard let slash = member.key.firstIndex(of: "/"), case .object(let parts) = member.value
      else { throw NoteError(description: "a plan record names no sensor: \(member.key)") }
      let id = SensorID(
        namespace: String(member.key[..<slash]),
        name: String(member.key[member.key.index(after: slash)...])
      )
      sensors[id] = Dictionary(parts.map { ($0.key, $0.value.asText ?? "") }) { _, last in last }
    }
    self.init(sensors: sensors, changes: changes.compactMap(\.self))
  }
}

private func parse(_ note: Note) throws(NoteError) -> JSON {
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
    } else {
      return nil
    }
  }
}
