import Event
import JSON

/// The dead letters of several partitions, answered for like those of one.
struct SharedLetters {
  let map: PartitionMap
  /// Asks one partition: `list`, `show`, `retry` or `drop`, and the request.
  let ask: (Int, String, JSON) async throws -> (isDone: Bool, JSON)

  func answer(_ verb: String, _ request: JSON) async throws -> (isDone: Bool, JSON) {
    guard let choice = LetterChoice(request) else {
      return (false, ["error": "found no letters and no sensor"])
    }
    if verb == "list" { return (true, try await list(request, choice.limit)) }
    guard let ids = choice.ids else { return try await actOnAll(verb, request) }
    let homes = try await homes(of: ids)
    if verb == "show" {
      guard let home = ids.first.flatMap({ homes[$0] }) else {
        return (false, ["error": .string("there is no such dead letter in \(places)")])
      }
      let (isDone, answer) = try await ask(home, verb, request)
      return (isDone, Self.locate(answer, in: home))
    }
    return try await act(verb, on: ids, homes)
  }

  private var places: String { "the partitions that are here: \(map.list)\(map.others)" }

  /// The latest `limit` of all, oldest first.
  private func list(_ request: JSON, _ limit: Int) async throws -> JSON {
    var letters: [(time: Int64, letter: JSON)] = []
    var count = 0
    for partition in map.here {
      let (_, answer) = try await ask(partition, "list", request)
      count += answer["count"]?.wholeNumber ?? 0
      letters += (answer["letters"]?.items ?? []).map { letter in
        let time = letter["time"]?.asString.flatMap { Timestamp(rfc3339: $0) }
        return (time?.nanoseconds ?? .min, Self.locate(letter, in: partition))
      }
    }
    letters.sort { $0.time < $1.time }
    return [
      "count": JSON(count), "letters": .array(letters.suffix(limit).map(\.letter)),
      "elsewhere": .array(map.elsewhere.map { JSON($0) }),
    ]
  }

  /// The partitions that have these letters.
  private func homes(of ids: [String]) async throws -> [String: Int] {
    var homes: [String: Int] = [:]
    for partition in map.here {
      let request: JSON = ["letters": .array(ids.map { .string($0) })]
      let (_, answer) = try await ask(partition, "list", request)
      for letter in answer["letters"]?.items ?? [] {
        guard let id = letter["id"]?.asString else { continue }
        homes[id] = homes[id] ?? partition
      }
    }
    return homes
  }

  private func act(
    _ verb: String,
    on ids: [String],
    _ homes: [String: Int]
  ) async throws -> (isDone: Bool, JSON) {
    var answer = try await act(verb) { partition in
      let own = ids.filter { homes[$0] == partition }
      return own.isEmpty ? nil : ["letters": .array(own.map { .string($0) })]
    }
    if let error = answer.error { return (false, error) }
    let lines = Dictionary(answer.lines.map { ($0["id"]?.asString ?? "", $0) }) { _, last in last }
    answer.lines = ids.map { id in
      lines[id]
        ?? ["id": .string(id), "done": false, "message": .string("there is none in \(places)")]
    }
    let isDone = answer.isDone && ids.allSatisfy { homes[$0] != nil }
    return (isDone, ["letters": .array(answer.lines)])
  }

  private func actOnAll(_ verb: String, _ request: JSON) async throws -> (isDone: Bool, JSON) {
    let answer = try await act(verb) { _ in request }
    return (answer.isDone, answer.error ?? ["letters": .array(answer.lines)])
  }

  /// - Parameter request: what one partition is asked; nil: nothing.
  private func act(
    _ verb: String,
    _ request: (Int) -> JSON?
  ) async throws -> (isDone: Bool, lines: [JSON], error: JSON?) {
    var lines: [JSON] = []
    var isDone = true
    for partition in map.here {
      guard let request = request(partition) else { continue }
      let (isOneDone, answer) = try await ask(partition, verb, request)
      if let error = answer["error"] { return (false, lines, Self.told(error, by: partition)) }
      isDone = isDone && isOneDone
      lines += answer["letters"]?.items ?? []
    }
    return (isDone, lines, nil)
  }

  private static func told(_ error: JSON, by partition: Int) -> JSON {
    ["error": .string("partition \(partition): \(error.asString ?? error.text)")]
  }

  /// A letter with its partition, by which its positions are named too.
  private static func locate(_ letter: JSON, in partition: Int) -> JSON {
    guard case .object(let members) = letter else { return letter }
    func place(_ position: JSON) -> JSON {
      position.asString.map { .string(DataFolder.Part.name($0, in: partition)) } ?? position
    }
    return .object(
      [.init(key: "partition", value: JSON(partition))]
        + members.map { member in
          switch member.key {
          case "position": .init(key: member.key, value: place(member.value))
          case "events": .init(key: member.key, value: .array(member.value.items.map(place)))
          default: member
          }
        }
    )
  }
}
