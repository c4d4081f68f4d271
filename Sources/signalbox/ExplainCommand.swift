import ArgumentParser
import Expression
import Glibc
import JSON
import Manifest
import Posix
import Server

/// `signalbox explain`: why an event did or did not fire.
struct ExplainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain",
    abstract: "Say what became of an event at each sensor that waits for its kind, and why.",
    discussion: """
      A program that runs on the data folder answers by the manifests in force; without one the \
      manifests are read here. Filters are judged as they are now, firings and what is held are \
      read from the log. Exit status 1 if there is no such event.
      """
  )

  @OptionGroup var folder: DataOption

  @Argument(help: "The id of the event.")
  var id: String

  @Argument(help: "Manifest files and folders, where no program runs.")
  var manifests: [String] = ["eventsources", "sensors"]

  @Option(help: "Only this sensor: NAME or NAMESPACE/NAME.")
  var sensor: String?

  @Option(help: "The event source, where events of several have the id.")
  var source: String?

  @Flag(help: "One JSON object.")
  var json = false

  func run() throws {
    let given = [("event", id), ("sensor", sensor), ("source", source)]
    let request = JSON.object(
      given.compactMap { key, value in value.map { .init(key: key, value: .string($0)) } }
    )
    let (isDone, answer) = try ask(request)
    guard isDone else {
      print(text(answer["error"]))
      throw ExitCode(1)
    }
    if json { return print(answer.text) }
    for line in lines(answer) { print(line) }
  }

  private func ask(_ request: JSON) throws -> (isDone: Bool, JSON) {
    if let answer = try ControlSocket(folder).answer("/explain", request) {
      return (answer.status == 200, answer.body)
    }
    guard let question = EventQuestion(request) else { return (false, ["error": "no event"]) }
    let explainer = ExplainFolder(
      manifests: manifests,
      program: "/proc/self/exe",
      world: .machine
    )
    let errors = explainer.found.filter { $0.severity == .error }
    for error in errors { print("\(error)") }
    if !errors.isEmpty { throw ExitCode(1) }
    return explainer.answer(question, data: folder.data)
  }

  private func lines(_ answer: JSON) -> [String] {
    let event = "\(text(answer["event"])) (\(text(answer["source"])) \(text(answer["subject"])))"
    var lines = ["event \(event) at \(text(answer["position"]))"]
    if answer["read"] != .bool(true) { lines.append("the engine has not read it yet") }
    let sensors = answer["sensors"]?.items ?? []
    if sensors.isEmpty { lines.append("no sensor waits for events of that source and name") }
    for sensor in sensors {
      lines.append("sensor \(text(sensor["sensor"]))")
      if sensor["reading"] != .bool(true) {
        lines.append("  did not read when the event came: it was loaded later, or is not loaded")
      }
      for dependency in sensor["dependencies"]?.items ?? [] { lines += self.dependency(dependency) }
      for trigger in sensor["triggers"]?.items ?? [] {
        lines.append("  trigger \(text(trigger["name"])): \(state(trigger))")
      }
    }
    return lines
  }

  private func dependency(_ dependency: JSON) -> [String] {
    let name = "  dependency \(text(dependency["name"]))"
    if dependency["takes"] != .bool(true) { return [name + ": waits for other events"] }
    if dependency["passes"] == .bool(true) { return [name + ": passes"] }
    let faults = dependency["faults"]?.items ?? []
    var lines = faults.map { fault in
      let isError = fault["error"] == .bool(true)
      return "\(name): \(text(fault["clause"])) \(isError ? "failed" : "is false"): expected "
        + "\(text(fault["expected"])), found \(text(fault["found"]))"
    }
    if faults.count > 1 { lines.append(name + ": one of these \(faults.count) would have done") }
    return lines
  }

  private func state(_ trigger: JSON) -> String {
    func list(_ key: String) -> String {
      (trigger[key]?.items ?? []).map { text($0) }.joined(separator: ", ")
    }
    let due = text(trigger["until"])
    let until = due.isEmpty || due == "null" ? "" : " until " + due
    return switch text(trigger["state"]) {
    case "fired": "fired: \(list("firings"))"
    case "waits": "holds it and waits for \(list("for"))"
    case "replaced":
      "held it until event \(text(trigger["by"])) took its place: the latest of a dependency counts"
    case "letGo": "holds it no longer: a reset, an edit, a window or a limit let it go"
    case "held": "fired, and is held back by \(text(trigger["hold"]))\(until): \(list("firings"))"
    case "gathered": "waits in a window (\(text(trigger["window"])))\(until)"
    case "notReached": "was not reached"
    default: "has not come to it"
    }
  }

  private func text(_ json: JSON?) -> String {
    switch json {
    case .string(let text)?: text
    case let json?: json.text
    case nil: ""
    }
  }
}
