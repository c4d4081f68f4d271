import Bus
import Engine
import Event
import EventLog
package import JSON
import Posix
import Sensor

/// The dead letters of a data folder on which nothing runs. Those of a copy can be read only: what is
/// written must reach the topic first.
package struct DeadLetterFolder {
  private let folder: String
  private let letters: DeadLetters
  private let sensors: Set<SensorID>

  /// Answers as the program that runs on a data folder would; see `Installation.deadLetters`.
  /// - Parameter verb: `list`, `show`, `retry` or `drop`.
  /// - Throws: `LogError`, another process that runs on the folder is one; `NoteError` when a newer
  ///   version wrote the log; or `DataFolder.Problem`.
  package static func answer(
    _ verb: String,
    _ request: JSON,
    data: String
  ) async throws -> (isDone: Bool, JSON) {
    let parts = try DataFolder(data).parts()
    if ["retry", "drop"].contains(verb), let refusal = try refusal(parts) { return refusal }
    if let only = parts.first, only.partition == nil {
      return try await DeadLetterFolder(only).answer(verb, request)
    }
    let folders = try parts.compactMap { part in
      try part.partition.map { ($0, try DeadLetterFolder(part)) }
    }
    let map = PartitionMap(reading: folders.map { ($0, $1.sensors) })
    if let refusal = LetterChoice(request)?.refusal(map) { return refusal }
    let byPartition = Dictionary(uniqueKeysWithValues: folders)
    let letters = SharedLetters(map: map) { partition, verb, request in
      do { return try await byPartition[partition]?.answer(verb, request) ?? (false, [:]) } catch {
        return (false, ["error": .string("\(error)")])
      }
    }
    return await letters.answer(verb, request)
  }

  /// Why nothing can be written down there; nil: it can.
  /// - Throws: `SystemError`.
  private static func refusal(
    _ parts: [DataFolder.Part]
  ) throws(SystemError) -> (isDone: Bool, JSON)? {
    for part in parts {
      guard case .copy(let name) = try FolderRole(of: part.log) else { continue }
      return (false, ["error": .string("\(part.path) is a copy of \(name): start the program")])
    }
    return nil
  }

  /// Reads the whole log.
  private init(_ part: DataFolder.Part) throws {
    folder = part.log
    var fold = LetterFold()
    try part.naming {
      try EventLogReader(folder: part.log).fold { record throws(NoteError) in
        try fold.take(record)
      }
    }
    letters = fold.letters
    sensors = fold.sensors
  }

  private func answer(_ verb: String, _ request: JSON) async throws -> (isDone: Bool, JSON) {
    guard let choice = LetterChoice(request) else {
      return (false, ["error": "found no letters and no sensor"])
    }
    let chosen = choice.letters(of: letters.sorted)
    switch verb {
    case "list":
      return (
        true,
        [
          "count": JSON(chosen.count),
          "letters": .array(chosen.suffix(choice.limit).map(\.json)),
        ]
      )
    case "show":
      guard let letter = choice.ids?.first.flatMap({ letters[$0] }) else {
        return (false, ["error": "there is no such dead letter"])
      }
      return (true, try show(letter))
    default: return try await note(verb, choice.ids ?? chosen.map(\.id))
    }
  }

  private func show(_ letter: DeadLetter) throws -> JSON {
    var details = JSON.null
    var events: [Event] = []
    let wanted = Set(letter.events)
    _ = try EventLogReader(folder: folder).read { record in
      if record.position == letter.place { details = letter.details(record) }
      guard wanted.contains(record.position), case .event(let event) = record.content else {
        return
      }
      events.append(event)
    }
    return letter.json(details: details, events: events)
  }

  /// Writes down what is to happen to letters.
  private func note(_ verb: String, _ ids: [String]) async throws -> (isDone: Bool, JSON) {
    let known = ids.filter { letters[$0] != nil }
    if !known.isEmpty {
      let note = verb == "drop" ? LettersNote(drop: known) : LettersNote(retry: known)
      let (log, _) = try EventLog.open(folder: folder)
      do throws(BusError) { _ = try await log.append([.note(note.note)]) } catch {
        await log.close()
        throw error
      }
      await log.close()
    }
    let message = verb == "drop" ? "dropped" : "is tried again when the program runs"
    let lines: [JSON] = ids.map { id in
      let isKnown = letters[id] != nil
      return [
        "id": .string(id), "done": .bool(isKnown),
        "message": .string(isKnown ? message : "there is none"),
      ]
    }
    return (known.count == ids.count, ["letters": .array(lines)])
  }
}

/// Which letters a request is about.
struct LetterChoice {
  /// nil: all, as far as `sensor` allows.
  let ids: [String]?
  let sensor: SensorID?
  let limit: Int

  /// nil for anything but a request.
  init?(_ json: JSON) {
    guard case .object = json else { return nil }
    switch json["letters"] {
    case .array(let items)?:
      let texts = items.compactMap { item in
        if case .string(let text) = item { text } else { nil as String? }
      }
      guard texts.count == items.count else { return nil }
      ids = texts
    case nil, .null?: ids = nil
    default: return nil
    }
    switch json["sensor"] {
    case .string(let name)?: sensor = SensorID(asked: name)
    case nil, .null?: sensor = nil
    default: return nil
    }
    if case .number(let text)? = json["limit"], let number = Int(text), number > 0 {
      limit = number
    } else {
      limit = .max
    }
  }

  /// Where partitions are asked: for a sensor that runs in none of them.
  /// - Parameter plan: of the whole bus, where it is known.
  func refusal(_ map: PartitionMap, _ plan: EnginePlan? = nil) -> (isDone: Bool, JSON)? {
    guard let sensor, let absence = map.absence(of: sensor) else { return nil }
    if let plan, let home = map.home(sensor),
      !plan.interlocking.sensors.contains(where: { $0.id == sensor })
    {
      let why =
        "\(Explainer.Problem.noSensor(sensor)); dead letters of one that left would be in "
        + "partition \(home), which this process does not own"
      return (false, ["error": .string(why)])
    }
    return (false, ["error": .string("sensor \(sensor) \(absence)")])
  }

  func letters(of all: [DeadLetter]) -> [DeadLetter] {
    all.filter { letter in
      sensor.map { $0 == letter.sensor } ?? true
        && ids?.contains(letter.id) ?? true
    }
  }
}

extension DeadLetter {
  /// Everything about one, for `show`.
  func json(details: JSON, events: [Event]) -> JSON {
    guard case .object(let members) = json else { return json }
    return .object(
      members + [
        .init(key: "details", value: details),
        .init(
          key: "content",
          value: .array(
            events.map { event in
              let text = JSON.string(String(decoding: event.data, as: UTF8.self))
              return [
                "id": .string(event.id), "source": .string(event.source),
                "type": .string(event.type), "subject": .string(event.subject),
                "time": .string(event.time.description),
                "data": (try? JSON(parsing: event.data)) ?? text,
              ]
            }
          )
        ),
      ]
    )
  }
}
