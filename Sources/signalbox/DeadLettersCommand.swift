import ArgumentParser
import EventLog
import JSON
import Posix
import Server

/// `signalbox deadletters`: what failed for good, in a running program or a data folder.
struct DeadLettersCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "deadletters",
    abstract: "Firings that failed and events that no filter could judge: list, show, retry, drop.",
    discussion: """
      They are kept with their events until they are tried again or dropped, at most 10000 and 30 \
      days unless an EventBus says otherwise. Where no program runs on the data folder, retry has \
      them tried when the next one starts; in a copy of a Kafka topic they can then be listed and \
      shown only. Of a bus with partitions they are those of the partitions that this machine has.
      """,
    subcommands: [List.self, Show.self, Retry.self, Drop.self],
    defaultSubcommand: List.self
  )

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List dead letters, oldest first.")

    @OptionGroup var folder: DataOption

    @Option(help: "Only those of this sensor: NAME or NAMESPACE/NAME.")
    var sensor: String?

    @Option(help: "The latest so many.")
    var limit = 1000

    @Flag(help: "One JSON object a line.")
    var json = false

    func run() async throws {
      let request = letterRequest(nil, sensor, limit: limit)
      let (isDone, answer) = try await ask("list", request, folder)
      if !isDone, let error = answer["error"] {
        print(text(error))
        throw ExitCode(1)
      }
      guard case .array(let letters)? = answer["letters"] else { return }
      for letter in letters { print(json ? letter.text : line(letter)) }
      if !json && letters.isEmpty { print("no dead letters") }
      // Lines of JSON are letters.
      for line in elsewhere(answer) { if json { writeError(line + "\n") } else { print(line) } }
    }

    private func line(_ letter: JSON) -> String {
      let part = text(letter["trigger"] ?? letter["dependency"])
      let place = letter["partition"].map { "  partition \(text($0))" } ?? ""
      return "\(text(letter["id"]))  \(text(letter["time"]))  \(text(letter["kind"]))  "
        + "\(text(letter["sensor"]))/\(part)\(place)  \(text(letter["why"]))"
    }
  }

  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print all that is known of one dead letter, its events included, as JSON."
    )

    @OptionGroup var folder: DataOption

    @Argument(help: "The id of the dead letter.")
    var id: String

    func run() async throws {
      let (isDone, answer) = try await ask("show", letterRequest([id], nil), folder)
      guard isDone else {
        print(text(answer["error"]))
        throw ExitCode(1)
      }
      print(answer.text)
    }
  }

  struct Retry: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Try dead letters again, by the manifests as they are now.",
      discussion: """
        A firing gets a new id, like one of a replay, so that commands run again and requests have \
        another Idempotency-Key. An event arrives once more at its dependency. Exit status 1 if \
        one of them could not be tried.
        """
    )

    @OptionGroup var letters: LettersOption

    func run() async throws { try await act("retry", letters) }
  }

  struct Drop: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Give dead letters up. Exit status 1 if there is no such letter."
    )

    @OptionGroup var letters: LettersOption

    func run() async throws { try await act("drop", letters) }
  }
}

/// Which dead letters to do something to.
struct LettersOption: ParsableArguments {
  @OptionGroup var folder: DataOption

  @Argument(help: "The ids of dead letters.")
  var ids: [String] = []

  @Flag(help: "All of them, or of --sensor.")
  var all = false

  @Option(help: "With --all: only those of this sensor: NAME or NAMESPACE/NAME.")
  var sensor: String?

  func validate() throws {
    if all == !ids.isEmpty { throw ValidationError("give either ids or --all") }
    if sensor != nil, !all { throw ValidationError("--sensor goes with --all") }
  }
}

private func act(_ verb: String, _ letters: LettersOption) async throws {
  let request = letterRequest(letters.all ? nil : letters.ids, letters.sensor)
  let (isDone, answer) = try await ask(verb, request, letters.folder)
  if case .array(let lines)? = answer["letters"] {
    for line in lines { print("\(text(line["id"]))  \(text(line["message"]))") }
    if lines.isEmpty { print("no dead letters") }
  }
  if let error = answer["error"] { print(text(error)) }
  for line in elsewhere(answer) { print(line) }
  if !isDone { throw ExitCode(1) }
}

private func letterRequest(_ ids: [String]?, _ sensor: String?, limit: Int? = nil) -> JSON {
  var members: [JSON.Member] = []
  if let ids { members.append(.init(key: "letters", value: .array(ids.map { .string($0) }))) }
  if let sensor { members.append(.init(key: "sensor", value: .string(sensor))) }
  if let limit { members.append(.init(key: "limit", value: JSON(limit))) }
  return .object(members)
}

private func text(_ json: JSON?) -> String {
  switch json {
  case .string(let text)?: text
  case let json?: json.text
  case nil: ""
  }
}

/// Asks the program that runs on the folder; the folder itself where none does.
private func ask(
  _ verb: String,
  _ request: JSON,
  _ folder: DataOption
) async throws -> (isDone: Bool, JSON) {
  if let answer = try ControlSocket(folder).answer("/deadletters/\(verb)", request) {
    return (answer.status == 200, answer.body)
  }
  return try await DeadLetterFolder.answer(verb, request, data: folder.data)
}
