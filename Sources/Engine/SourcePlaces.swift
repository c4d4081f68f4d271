package import Bus
package import Event
package import JSON
package import Plugin
import Synchronization

/// How far each event source has come, as it said itself: a fold over the notes on the bus, saved
/// in snapshots like the rest of the engine's state.
package final class SourcePlaces: Sendable {
  private struct State {
    /// By the source's name, then by key; only what is durable.
    var values: [String: [String: JSON]] = [:]
    /// Appends under way, with the last position before each.
    var underWay: [Int: Position?] = [:]
    var nextAppend = 0
  }

  private let state = Mutex(State())

  package init() {}

  /// What `source` noted last, by key.
  package func places(of source: EventSourceName) -> [String: JSON] {
    state.withLock { $0.values[Self.key(source)] ?? [:] }
  }

  /// What every source noted last, also those that are in no manifest any more.
  package var all: [EventSourceName: [String: JSON]] {
    let values = state.withLock { $0.values }
    return Dictionary(
      values.compactMap { key, places in Self.name(key).map { ($0, places) } }
    ) { _, last in last }
  }

  /// Appends `events` and behind them `places`, and waits until both are durable. A crash may tear
  /// the two apart: events without their places come again and have to be told by their id, places
  /// without their events cannot be.
  /// - Returns: one answer per event.
  /// - Throws: `BusError`; then the places are as before.
  package func append(
    _ events: [Event],
    _ places: [SourcePlace],
    of source: EventSourceName,
    to bus: any Bus
  ) async throws(BusError) -> [Appended] {
    var drafts: [Draft] = events.map { .event($0) }
    guard !places.isEmpty else { return drafts.isEmpty ? [] : try await bus.append(drafts) }
    let note = PlacesNote(source: Self.key(source), places: places)
    drafts.append(.note(note.note))
    let number = state.withLock { state in
      state.nextAppend += 1
      state.underWay[state.nextAppend] = .some(bus.committed)
      return state.nextAppend
    }
    defer { state.withLock { $0.underWay[number] = nil } }
    let appended = try await bus.append(drafts)
    state.withLock { $0.values.take(note) }
    return Array(appended.dropLast())
  }

  /// Takes one record into account.
  /// - Throws: `NoteError` for a record a newer version wrote.
  func fold(_ record: Record) throws(NoteError) {
    guard case .note(let note) = record.content, note.kind == NoteKind.places else { return }
    let places = try PlacesNote(note)
    state.withLock { $0.values.take(places) }
  }

  /// Takes the next record of a bus into account that is read from its first one on.
  /// - Throws: `NoteError` for a record a newer version wrote.
  package func take(_ record: Record) throws(NoteError) {
    guard case .note(let note) = record.content, note.kind == NoteKind.snapshot else {
      return try fold(record)
    }
    restore(try Snapshot(note).places)
  }

  func restore(_ values: [String: [String: JSON]]) { state.withLock { $0.values = values } }

  /// What a snapshot holds, and the last position before the oldest append under way: what
  /// follows it is not in the values yet. `.some(nil)` is a bus that was empty.
  func saved() -> (values: [String: [String: JSON]], before: [Position?]) {
    state.withLock { ($0.values, Array($0.underWay.values)) }
  }

  /// Only the last part may hold a slash.
  private static func key(_ source: EventSourceName) -> String {
    "\(source.namespace)/\(source.bus)/\(source.source)/\(source.event)"
  }

  private static func name(_ key: String) -> EventSourceName? {
    let parts = key.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false)
      .map(String.init)
    guard parts.count == 4 else { return nil }
    return EventSourceName(namespace: parts[0], bus: parts[1], source: parts[2], event: parts[3])
  }
}

/// What a source noted of its places.
struct PlacesNote: Equatable {
  let source: String
  let places: [SourcePlace]

  init(source: String, places: [SourcePlace]) {
    self.source = source
    self.places = places
  }

  var note: Note {
    let json: JSON = [
      "source": .string(source),
      "places": .object(places.map { JSON.Member(key: $0.key, value: $0.value ?? .null) }),
    ]
    return Note(kind: NoteKind.places, bytes: json.encoded())
  }

  init(_ note: Note) throws(NoteError) {
    let json = try parse(note)
    guard let source = json["source"]?.asText, case .object(let members)? = json["places"] else {
      throw NoteError(description: "a record of places is not in a form this version knows")
    }
    self.source = source
    places = members.map { SourcePlace(key: $0.key, value: $0.value) }
  }
}

extension [String: [String: JSON]] {
  fileprivate mutating func take(_ note: PlacesNote) {
    for place in note.places { self[note.source, default: [:]][place.key] = place.value }
    if self[note.source]?.isEmpty == true { self[note.source] = nil }
  }
}
