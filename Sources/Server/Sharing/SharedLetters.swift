import Event
import JSON

/// The dead letters of several partitions, answered for like those of one.
struct SharedLetters {
  let map: PartitionMap
  /// Asks one partition: `list`, `show`, `retry` or `drop`, and the request.
  let ask: (Int, String, JSON) async -> (isDone: Bool, JSON)

  func answer(_ verb: String, _ request: JSON) async -> (isDone: Bool, JSON) {
    guard let choice = LetterChoice(request) else {
      return (false, ["error": "found no letters and no sensor"])
    }
    if verb == "list" { return (true, await list(request, choice.limit)) }
    guard let ids = choice.ids else {
      var acted = await act(verb) { _ in request }
      acted.elsewhere = map.elsewhere
      return (acted.isDone, acted.json)
    }
    let homes = await homes(of: ids)
    if verb == "show" {
      guard let home = ids.first.flatMap({ homes[$0] }) else {
        return (false, ["error": .string("there is no such dead letter in \(places)")])
      }
      let (isDone, answer) = await ask(home, verb, request)
      return (isDone, Self.locate(answer, in: home))
    }
    return await act(verb, on: ids, homes)
  }

  private var places: String { "the partitions that are here: \(map.list)\(map.others)" }

  /// The latest `limit` of all, oldest first.
  private func list(_ request: JSON, _ limit: Int) async -> JSON {
    var letters: [(time: Int64, letter: JSON)] = []
    var count = 0
    for partition in map.here {
      let (_, answer) = await ask(partition, "list", request)
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
  private func homes(of ids: [String]) async -> [String: Int] {
    var homes: [String: Int] = [:]
    for partition in map.here {
      let request: JSON = ["letters": .array(ids.map { .string($0) })]
      let (_, answer) = await ask(partition, "list", request)
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
  ) async -> (isDone: Bool, JSON) {
    var answer = await act(verb) { partition in
      let own = ids.filter { homes[$0] == partition }
      return own.isEmpty ? nil : ["letters": .array(own.map { .string($0) })]
    }
    for id in ids where homes[id] == nil {
      answer.isDone = false
      answer.lines.append([
        "id": .string(id), "done": false, "message": .string("there is none in \(places)"),
      ])
    }
    return (answer.isDone, answer.json)
  }

  /// - Parameter request: what one partition is asked; nil: nothing.
  private func act(_ verb: String, _ request: (Int) -> JSON?) async -> Acted {
    var acted = Acted()
    for partition in map.here {
      guard let request = request(partition) else { continue }
      let (isDone, answer) = await ask(partition, verb, request)
      acted.isDone = acted.isDone && isDone
      acted.lines += answer["letters"]?.items ?? []
      // Those of others may go all the same.
      if let error = answer["error"] {
        acted.errors.append("partition \(partition): \(error.asString ?? error.text)")
      }
    }
    return acted
  }

  /// What was done in several partitions.
  private struct Acted {
    var isDone = true
    var lines: [JSON] = []
    var errors: [String] = []
    /// Those that were not asked; nil where they were not meant.
    var elsewhere: [Int]?

    var json: JSON {
      var members: [JSON.Member] = []
      if errors.isEmpty || !lines.isEmpty {
        members.append(.init(key: "letters", value: .array(lines)))
      }
      if !errors.isEmpty {
        members.append(.init(key: "error", value: .string(errors.joined(separator: "; "))))
      }
      if let elsewhere {
        members.append(.init(key: "elsewhere", value: .array(elsewhere.map { JSON($0) })))
      }
      return .object(members)
    }
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
