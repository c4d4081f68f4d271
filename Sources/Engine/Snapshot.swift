import Bus
import Event
import JSON
import Sensor

/// The state at one moment, as a note, so that a start reads the bus from there on only.
///
///     {"version": 2, "asOf": position, "cursor": position, "planned": position,
///      "replays": number,
///      "sensors": {"ns/name": {"dependency": fingerprint}}, "starts": {"ns/name": position},
///      "slots": [{"trigger": trigger, "events": [event]}],
///      "parked": [{"sensor": "ns/name", "at": position, "since": nanoseconds,
///                  "dependencies": {"dependency": fingerprint}}],
///      "lanes": [{"trigger": trigger, "firings": [[position, number], ...],
///                 "followed": [[position, number, position of the started event], ...],
///                 "spill": [position, number, oldest position]}],
///      "places": {"ns/bus/source/event": {key: value}},
///      "letters": [dead letter], "owed": [intent of a dlqTrigger that no decision has yet],
///      "windows": [{"window": window's name, "content": window}],
///      "rates": [{"trigger": trigger, "mark": nanoseconds}]}
///
/// Snapshots without a version are of the first; what they do not have is empty.
///
/// Everything up to `asOf` is in it. Of what follows some may be in it too; taking it into account
/// again changes nothing. Firings are named by the place of their decision, which is held.
struct Snapshot: Equatable {
  var asOf: Position
  var cursor: Position
  var planned: Position?
  var replays = 0
  var sensors: [SensorID: [String: String]] = [:]
  var starts: [SensorID: Position] = [:]
  var slots: [TriggerID: [EventReference]] = [:]
  var parked: [SensorID: EngineState.Parked] = [:]
  var lanes: [TriggerID: SavedLane] = [:]
  /// How far event sources have come.
  var places: [String: [String: JSON]] = [:]
  var letters: [DeadLetter] = []
  var owed: [Intent] = []
  var windows: [WindowID: Window] = [:]
  var rates: [TriggerID: Timestamp] = [:]

  /// A snapshot of a later version is refused.
  private static let version = 2

  struct SavedLane: Equatable {
    struct Followed: Equatable {
      let place: Lane.Place
      let started: Position
    }

    var firings: [Lane.Place]
    var followed: [Followed] = []
    var spill: Lane.Spill?
  }

  init(_ state: EngineState, asOf: Position, cursor: Position) {
    self.asOf = asOf
    self.cursor = cursor
    planned = state.planned
    replays = state.replays
    sensors = state.sensors
    starts = state.starts
    slots = state.slots.held.mapValues { events in
      events.values.sorted { $0.dependency < $1.dependency }
    }
    parked = state.parked
    letters = state.letters.sorted
    windows = Dictionary(uniqueKeysWithValues: state.slots.windows.all)
    rates = state.rates
    owed = state.owed.values.sorted { $0.id.text < $1.id.text }
    lanes = state.lanes.mapValues { lane in
      SavedLane(
        firings: (lane.running.values.map(\.place) + lane.waiting.map(\.place)).sorted(),
        followed: lane.followed.values.map {
          SavedLane.Followed(place: $0.entry.place, started: $0.started)
        }.sorted { $0.place < $1.place },
        spill: lane.spill
      )
    }
  }

  /// What the bus must not let go.
  /// - Parameter events: the places of the events of each firing that is in memory.
  func holds(_ events: Set<Position>, at place: Position) -> Holds {
    var holds = Holds(ranges: ["engine": min(asOf, cursor)])
    for (sensor, place) in parked { holds.ranges["sensor \(sensor)"] = place.position }
    for (trigger, lane) in lanes {
      if let spill = lane.spill { holds.ranges["firings of \(trigger)"] = spill.oldest }
    }
    holds.records["snapshot"] = [place]
    holds.records["slots"] = Set(slots.values.joined().compactMap { Position($0.place) })
    holds.records["firings"] = events.union(lanes.values.flatMap { $0.firings.map(\.record) })
    holds.records["followed firings"] = Set(
      lanes.values.flatMap { $0.followed.flatMap { [$0.place.record, $0.started] } }
    )
    holds.records["windows"] = Set(
      windows.values.flatMap { $0.events.compactMap { Position($0.place) } }
    )
    holds.records["dead letters"] = Set(letters.flatMap { [$0.place] + $0.events })
    holds.records["owed firings"] = Set(
      owed.flatMap { $0.events.compactMap { Position($0.place) } }
    )
    return holds
  }
}

extension Snapshot {
  var note: Note {
    func text(_ position: Position) -> JSON { .string(position.description) }
    let starts = starts.sorted { $0.key.description < $1.key.description }.map {
      JSON.Member(key: $0.key.description, value: text($0.value))
    }
    let slots: [JSON] = slots.sorted { $0.key.description < $1.key.description }.map {
      ["trigger": $0.key.json, "events": .array($0.value.map(\.json))]
    }
    let parked: [JSON] = parked.sorted { $0.key.description < $1.key.description }.map {
      [
        "sensor": .string($0.key.description), "at": text($0.value.position),
        "since": JSON(Int($0.value.since.nanoseconds)),
        "dependencies": encode($0.value.dependencies),
      ]
    }
    let sorted = lanes.sorted { $0.key.description < $1.key.description }
    let lanes: [JSON] = sorted.map { trigger, lane in
      [
        "trigger": trigger.json,
        "firings": .array(lane.firings.map { [text($0.record), JSON($0.number)] }),
        "followed": .array(
          lane.followed.map { [text($0.place.record), JSON($0.place.number), text($0.started)] }
        ),
        "spill": lane.spill.map {
          [text($0.first.record), JSON($0.first.number), text($0.oldest)]
        } ?? .null,
      ]
    }
    let json: JSON = [
      "version": JSON(Self.version),
      "asOf": text(asOf), "cursor": text(cursor), "planned": planned.map(text) ?? .null,
      "replays": JSON(replays),
      "sensors": .object(encode(sensors)), "starts": .object(starts), "slots": .array(slots),
      "parked": .array(parked), "lanes": .array(lanes), "places": .object(encode(places)),
      "letters": .array(letters.map(\.json)), "owed": .array(owed.map(\.json)),
      "windows": .array(
        windows.sorted { $0.key < $1.key }.map {
          ["window": $0.key.json, "content": $0.value.json]
        }
      ),
      "rates": .array(
        rates.sorted { $0.key.description < $1.key.description }.map {
          ["trigger": $0.key.json, "mark": $0.value.json]
        }
      ),
    ]
    return Note(kind: NoteKind.snapshot, bytes: json.encoded())
  }

  init(_ note: Note) throws(NoteError) {
    let json = try parse(note)
    if let version = json["version"]?.integer, version > Self.version {
      throw NoteError(
        description: "a snapshot record is of version \(version), written by a newer Signalbox"
      )
    }
    guard let asOf = json["asOf"]?.position, let cursor = json["cursor"]?.position,
      let sensors = decodeSensors(json["sensors"]),
      let slots = json["slots"]?.items, let parked = json["parked"]?.items,
      let lanes = json["lanes"]?.items
    else { throw Self.unknown }
    self.asOf = asOf
    self.cursor = cursor
    self.sensors = sensors
    planned = json["planned"]?.position
    replays = json["replays"]?.integer ?? 0
    for (sensor, place) in decodeTexts(json["starts"]) {
      guard let id = SensorID(text: sensor), let position = Position(place) else {
        throw Self.unknown
      }
      starts[id] = position
    }
    if case .object(let sources)? = json["places"] {
      for source in sources {
        guard case .object(let members) = source.value else { throw Self.unknown }
        places[source.key] = Dictionary(members.map { ($0.key, $0.value) }) { _, last in last }
      }
    }
    let saved = (json["letters"]?.items ?? []).map { DeadLetter(saved: $0) }
    let owed = (json["owed"]?.items ?? []).map { Intent($0) }
    guard !saved.contains(nil), !owed.contains(nil) else { throw Self.unknown }
    letters = saved.compactMap(\.self)
    self.owed = owed.compactMap(\.self)
    for entry in json["windows"]?.items ?? [] {
      guard let id = entry["window"].flatMap({ WindowID($0) }),
        let window = entry["content"].flatMap({ Window($0) })
      else { throw Self.unknown }
      windows[id] = window
    }
    for entry in json["rates"]?.items ?? [] {
      guard let trigger = entry["trigger"].flatMap({ TriggerID($0) }),
        let mark = Timestamp(entry["mark"])
      else { throw Self.unknown }
      rates[trigger] = mark
    }
    for slot in slots {
      guard let trigger = slot["trigger"].flatMap({ TriggerID($0) }),
        let events = slot["events"]?.items?.map({ EventReference($0) }), !events.contains(nil)
      else { throw Self.unknown }
      self.slots[trigger] = events.compactMap(\.self)
    }
    for entry in parked {
      guard let sensor = entry["sensor"]?.asText.flatMap({ SensorID(text: $0) }),
        let position = entry["at"]?.position, let since = entry["since"]?.integer
      else { throw Self.unknown }
      self.parked[sensor] = EngineState.Parked(
        position: position,
        since: Timestamp(nanoseconds: Int64(since)),
        dependencies: decodeTexts(entry["dependencies"])
      )
    }
    for lane in lanes {
      guard let trigger = lane["trigger"].flatMap({ TriggerID($0) }),
        let firings = lane["firings"]?.items?.map({ Lane.Place($0) }), !firings.contains(nil)
      else { throw Self.unknown }
      var spill: Lane.Spill?
      if let json = lane["spill"], let first = Lane.Place(json),
        let oldest = json.items?.last?.position
      {
        spill = Lane.Spill(first: first, oldest: oldest)
      }
      // Snapshots of versions that followed nothing have no such key.
      let followed = (lane["followed"]?.items ?? []).map { SavedLane.Followed($0) }
      guard !followed.contains(nil) else { throw Self.unknown }
      self.lanes[trigger] = SavedLane(
        firings: firings.compactMap(\.self),
        followed: followed.compactMap(\.self),
        spill: spill
      )
    }
  }

  private static var unknown: NoteError {
    NoteError(description: "a snapshot record is not in a form this version knows")
  }
}

private func encode(_ places: [String: [String: JSON]]) -> [JSON.Member] {
  places.sorted { $0.key < $1.key }.map { source in
    let members = source.value.sorted { $0.key < $1.key }
    return JSON.Member(
      key: source.key,
      value: .object(members.map { JSON.Member(key: $0.key, value: $0.value) })
    )
  }
}

extension Lane.Place {
  fileprivate init?(_ json: JSON) {
    guard let items = json.items, items.count >= 2, let record = items[0].position,
      let number = items[1].integer
    else { return nil }
    self.init(record: record, number: number)
  }
}

extension Snapshot.SavedLane.Followed {
  fileprivate init?(_ json: JSON) {
    guard let place = Lane.Place(json), let started = json.items?.last?.position else { return nil }
    self.init(place: place, started: started)
  }
}

extension JSON {
  fileprivate var position: Position? { asText.flatMap { Position($0) } }
}
