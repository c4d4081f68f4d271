import Engine
import JSON

extension Installation {
  /// Answers `/deadletters/list`, `show`, `retry` and `drop`. `request` is JSON: `letters` (ids; for
  /// list, retry and drop nothing means all), and for all of these `sensor` to narrow them down.
  func deadLetters(_ path: String, _ request: [UInt8]) async -> (isDone: Bool, JSON) {
    guard let choice = LetterChoice(request: request) else { return LetterChoice.malformed }
    let letters = choice.letters(of: await engine.deadLetters)
    switch path {
    case "/deadletters/list":
      let shown = letters.suffix(choice.limit)
      return (true, ["count": JSON(letters.count), "letters": .array(shown.map(\.json))])
    case "/deadletters/show":
      guard let id = choice.ids?.first, let found = await engine.deadLetter(id) else {
        return (false, ["error": "there is no such dead letter"])
      }
      return (true, found.letter.json(details: found.details, events: found.events))
    case "/deadletters/retry":
      let answers = await engine.retry(letters: choice.ids ?? letters.map(\.id), by: "asked for")
      let lines: [JSON] = answers.map {
        ["id": .string($0.id), "done": .bool($0.isDone), "message": .string($0.message)]
      }
      return (answers.allSatisfy(\.isDone), ["letters": .array(lines)])
    case "/deadletters/drop":
      do {
        let ids = choice.ids ?? letters.map(\.id)
        let dropped = try await engine.drop(letters: ids, why: "asked for")
        let lines: [JSON] = ids.map { id in
          let isDone = dropped.contains(id)
          return [
            "id": .string(id), "done": .bool(isDone),
            "message": .string(isDone ? "dropped" : "there is none"),
          ]
        }
        return (ids.count == dropped.count, ["letters": .array(lines)])
      } catch { return (false, ["error": .string("\(error)")]) }
    default: return (false, ["error": "there are list, show, retry and drop"])
    }
  }
}

extension LetterChoice {
  init?(request: [UInt8]) {
    guard let json = request.isEmpty ? JSON.object([]) : try? JSON(parsing: request) else {
      return nil
    }
    self.init(json)
  }

  static let malformed: (isDone: Bool, JSON) = (
    false, ["error": "found no JSON with letters and sensor, both of them text"]
  )
}
