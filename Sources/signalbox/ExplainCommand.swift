import ArgumentParser
import Expression
import Glibc
import JSON
import Manifest
import Posix
import Server

/// `signalbox explain`: why an event did or did not fire, and what is waited for.
struct ExplainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain",
    abstract: "Say what became of an event at each sensor, or what triggers wait for, and why.",
    discussion: """
      A program that runs on the data folder answers by the manifests in force; without one the \
      manifests are read here. Filters are judged as they are now, firings and what is held are \
      read from the log. Of a bus with partitions each sensor is looked up in its own, as far as \
      this machine has it. With --pending: what triggers hold and wait for, since when, and what \
      holds their firings back. Exit status 1 if there is no such event or sensor, \
      or a partition cannot be read.
      """
  )

  @OptionGroup var folder: DataOption

  @Argument(
    help: "The id of the event, not with --pending; manifests behind it, where no program runs."
  )
  var words: [String] = []

  @Flag(help: "Instead of an event: what triggers hold and wait for now.")
  var pending = false

  @Option(help: "Only this sensor: NAME or NAMESPACE/NAME.")
  var sensor: String?

  @Option(help: "The event source, where events of several have the id.")
  var source: String?

  @Flag(help: "One JSON object.")
  var json = false

  func validate() throws {
    if !pending, words.isEmpty {
      throw ValidationError("expected the id of an event, or --pending")
    }
    if pending, source != nil {
      throw ValidationError("--source goes with an event, not --pending")
    }
  }

  func run() throws {
    let id = pending ? nil : words.first
    let given = [("event", id), ("sensor", sensor), ("source", source)]
    let request = JSON.object(
      given.compactMap { key, value in value.map { .init(key: key, value: .string($0)) } }
    )
    let (isDone, answer) = try ask(request)
    guard isDone else {
      print(plain(answer["error"]))
      throw ExitCode(1)
    }
    if json {
      print(answer.text)
    } else {
      for line in pending ? PendingLines(answer).lines : lines(answer) { print(line) }
    }
    if answer["unreadable"]?.items.isEmpty == false { throw ExitCode(1) }
  }

  private func ask(_ request: JSON) throws -> (isDone: Bool, JSON) {
    let path = pending ? "/pending" : "/explain"
    if let answer = try ControlSocket(folder).answer(path, request) {
      return (answer.status == 200, answer.body)
    }
    let explainer = try readManifests()
    if pending, let question = PendingQuestion(request) {
      return explainer.pending(question, data: folder.data)
    }
    guard let question = EventQuestion(request) else { return (false, ["error": "no event"]) }
    return explainer.answer(question, data: folder.data)
  }

  private func readManifests() throws -> ExplainFolder {
    let named = words.dropFirst(pending ? 0 : 1)
    let explainer = ExplainFolder(
      manifests: named.isEmpty ? ["eventsources", "sensors"] : Array(named),
      program: "/proc/self/exe",
      world: .machine
    )
    let errors = explainer.found.filter { $0.severity == .error }
    for error in errors { print("\(error)") }
    if !errors.isEmpty { throw ExitCode(1) }
    return explainer
  }

  private func lines(_ answer: JSON) -> [String] {
    let event = "\(plain(answer["event"])) (\(plain(answer["source"])) \(plain(answer["subject"])))"
    // Copies of a bus with partitions.
    let places = answer["positions"].map { $0.items.map { plain($0) }.joined(separator: ", ") }
    var lines = ["event \(event) at \(places ?? plain(answer["position"]))"]
    for partition in answer["unread"]?.items ?? [] {
      lines.append("the engine of partition \(plain(partition)) has not read it yet")
    }
    for one in answer["unreadable"]?.items ?? [] {
      lines.append("partition \(plain(one["partition"])) cannot be read: \(plain(one["why"]))")
    }
    if places == nil, answer["read"] != .bool(true) {
      lines.append("the engine has not read it yet")
    }
    let sensors = answer["sensors"]?.items ?? []
    if sensors.isEmpty { lines.append("no sensor waits for events of that source and name") }
    for sensor in sensors {
      if let why = sensor["absent"] {
        lines += ["sensor \(plain(sensor["sensor"]))", "  \(plain(why))"]
        continue
      }
      lines.append("sensor \(plain(sensor["sensor"]))\(partition(of: sensor))")
      if sensor["reading"] != .bool(true) {
        lines.append("  did not read when the event came: it was loaded later, or is not loaded")
      }
      for dependency in sensor["dependencies"]?.items ?? [] { lines += self.dependency(dependency) }
      for trigger in sensor["triggers"]?.items ?? [] {
        lines.append("  trigger \(plain(trigger["name"])): \(state(trigger))")
      }
    }
    return lines
  }

  private func dependency(_ dependency: JSON) -> [String] {
    let name = "  dependency \(plain(dependency["name"]))"
    if dependency["takes"] != .bool(true) { return [name + ": waits for other events"] }
    if dependency["passes"] == .bool(true) { return [name + ": passes"] }
    let faults = dependency["faults"]?.items ?? []
    var lines = faults.map { fault in
      let isError = fault["error"] == .bool(true)
      return "\(name): \(plain(fault["clause"])) \(isError ? "failed" : "is false"): expected "
        + "\(plain(fault["expected"])), found \(plain(fault["found"]))"
    }
    if faults.count > 1 { lines.append(name + ": one of these \(faults.count) would have done") }
    return lines
  }

  private func state(_ trigger: JSON) -> String {
    func list(_ key: String) -> String {
      (trigger[key]?.items ?? []).map { plain($0) }.joined(separator: ", ")
    }
    let due = plain(trigger["until"])
    let until = due.isEmpty || due == "null" ? "" : " until " + due
    return switch plain(trigger["state"]) {
    case "fired": "fired: \(list("firings"))"
    case "waits": "holds it and waits for \(list("for"))"
    case "replaced":
      "held it until event \(plain(trigger["by"])) took its place: the latest of a dependency counts"
    case "letGo": "holds it no longer: a reset, an edit, a window or a limit let it go"
    case "held": "fired, and is held back by \(plain(trigger["hold"]))\(until): \(list("firings"))"
    case "gathered": "waits in a window (\(plain(trigger["window"])))\(until)"
    case "notReached": "was not reached"
    default: "has not come to it"
    }
  }
}
