import Expression
import JSON

/// What `signalbox explain --pending` prints of its answer.
struct PendingLines {
  let lines: [String]

  init(_ answer: JSON) {
    var lines: [String] = []
    var sensor = ""
    for trigger in answer["pending"]?.items ?? [] {
      if plain(trigger["sensor"]) != sensor {
        sensor = plain(trigger["sensor"])
        lines.append("sensor \(sensor)\(partition(of: trigger))")
      }
      let name = "  trigger \(plain(trigger["trigger"])): "
      lines += Self.parts(trigger, isRunning: answer["running"] == .bool(true)).map { name + $0 }
    }
    if lines.isEmpty { lines = ["nothing is held and nothing waits"] }
    self.lines = lines + elsewhere(answer)
  }

  private static func parts(_ trigger: JSON, isRunning: Bool) -> [String] {
    slots(trigger) + windows(trigger) + firings(trigger["firings"] ?? .null, isRunning)
  }

  private static func slots(_ trigger: JSON) -> [String] {
    let held = (trigger["held"]?.items ?? []).map { event in
      "\(plain(event["dependency"])) (event \(plain(event["event"]))\(since(event)))"
    }
    if held.isEmpty { return [] }
    let missing = (trigger["waitsFor"]?.items ?? []).map { plain($0) }.joined(separator: ", ")
    return ["holds \(held.joined(separator: ", ")) and waits for \(missing)"]
  }

  private static func windows(_ trigger: JSON) -> [String] {
    let windows = trigger["windows"]?.items ?? []
    var lines = windows.map { window in
      let key = plain(window["key"])
      let events = (window["events"]?.items ?? []).map { plain($0["event"]) }
      let count = window["eventCount"]?.wholeNumber ?? 0
      var line = plain(window["kind"]) + (key.isEmpty ? "" : " '\(key)'") + " is open"
      line += since(window) + until(window)
      if let fired = window["let"]?.wholeNumber, fired > 0 { line += "; \(fired) let through" }
      if count > 0 { line += "; \(count) event\(count == 1 ? "" : "s"): " }
      line += events.joined(separator: " ") + (count > events.count ? " ..." : "")
      return line
    }
    let rest = (trigger["windowCount"]?.wholeNumber ?? 0) - windows.count
    if rest > 0 { lines.append("\(rest) more windows are open") }
    return lines
  }

  private static func firings(_ firings: JSON, _ isRunning: Bool) -> [String] {
    var lines: [String] = []
    let waiting = firings["waiting"]?.wholeNumber ?? 0
    let hasMore = firings["more"] == .bool(true)
    if waiting > 0 || hasMore {
      let hold = firings["hold"].flatMap { $0 == .null ? nil : plain($0) }
      let why = hold.map { ", held by \($0)" } ?? (isRunning ? "" : " for the program to run")
      let number = hasMore ? "more than \(waiting)" : "\(waiting)"
      let isOne = waiting == 1 && !hasMore
      lines.append(
        "\(number) firing\(isOne ? " waits" : "s wait")\(since(firings))\(why)\(until(firings))"
      )
    }
    if let begun = firings["unfinished"]?.wholeNumber, begun > 0 {
      lines.append(
        "\(begun) firing\(begun == 1 ? " was" : "s were") begun and \(begun == 1 ? "has" : "have") not ended"
      )
    }
    return lines
  }

  private static func since(_ json: JSON) -> String { time(json, "since") }
  private static func until(_ json: JSON) -> String { time(json, "until") }

  private static func time(_ json: JSON, _ key: String) -> String {
    guard let time = json[key], time != .null else { return "" }
    return " \(key) \(plain(time))"
  }
}

/// Where a bus has partitions: in which one something is, behind other words.
func partition(of json: JSON) -> String {
  json["partition"].map { " in partition \(plain($0))" } ?? ""
}

/// Where a bus has partitions: which of them were not asked.
func elsewhere(_ answer: JSON) -> [String] {
  let partitions = answer["elsewhere"]?.items ?? []
  if partitions.isEmpty { return [] }
  let list = partitions.map { plain($0) }.joined(separator: ", ")
  return ["not asked, since other processes own them: partitions \(list)"]
}

/// A text as it is, anything else as JSON.
func plain(_ json: JSON?) -> String {
  switch json {
  case .string(let text)?: text
  case let json?: json.text
  case nil: ""
  }
}
