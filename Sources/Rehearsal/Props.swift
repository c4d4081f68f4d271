import Event
import JSON
import Manifest
import Posix
import Sensor

/// The events that a test gives.
struct Props {
  private let test: TestManifest
  private let stored: Rehearsal.StoredEvents

  init(_ test: TestManifest, _ stored: @escaping Rehearsal.StoredEvents) {
    (self.test, self.stored) = (test, stored)
  }

  /// The largest file that is taken as an event's data.
  private static let fileBytes = 64 << 20

  /// - Parameter number: counts from 1; an event without an id is called `e1`, `e2` and so on.
  func event(
    _ given: TestEvent,
    number: Int,
    _ stage: Stage,
    _ now: Timestamp
  ) throws(RehearsalError) -> Event {
    let place = "events[\(number - 1)]"
    if case .stored(let id) = given.data {
      guard let event = try stored([id])[id] else {
        throw RehearsalError(place + ".stored", "no event '\(id)' in the data folder")
      }
      return event
    }
    let key = try key(given, stage, place)
    var time = now
    if let text = given.time {
      guard let given = Timestamp(rfc3339: text) else {
        throw RehearsalError(
          place + ".time",
          "found '\(text)', expected a time such as 2026-01-01T00:00:00Z"
        )
      }
      time = given
    }
    let id = given.id ?? "e\(number)"
    if stage.eventIDs.contains(id) {
      throw RehearsalError(place + ".id", "found '\(id)' again, expected another id")
    }
    return Event(
      id: id,
      namespace: key.namespace,
      bus: key.bus,
      source: key.source,
      type: given.type ?? "webhook",
      subject: key.subject,
      time: time,
      dataContentType: given.contentType ?? "application/json",
      data: try data(given, place)
    )
  }

  private func key(
    _ given: TestEvent,
    _ stage: Stage,
    _ place: String
  ) throws(RehearsalError) -> EventKey {
    guard let dependency = given.dependency else {
      return EventKey(
        namespace: stage.namespace,
        bus: stage.bus,
        source: given.source ?? "",
        subject: given.event ?? ""
      )
    }
    guard let key = stage.key(of: dependency) else {
      let known = stage.dependencies.joined(separator: ", ")
      throw RehearsalError(
        place + ".dependency",
        "found '\(dependency)', expected one of \(known)"
      )
    }
    return key
  }

  private func data(_ given: TestEvent, _ place: String) throws(RehearsalError) -> [UInt8] {
    switch given.data {
    case .value(let node): return node.json.encoded()
    case .text(let text): return Array(text.utf8)
    case .none, .stored: return []
    case .file(let name):
      let path = name.hasPrefix("/") ? name : Files.parent(of: test.mark.file) + "/" + name
      do throws(SystemError) { return try Files.read(path, limit: Self.fileBytes) } catch {
        throw RehearsalError(place + ".file", "\(error)")
      }
    }
  }
}
