import JSON

/// Mistakes in what a trigger says of windows, waits and rates.
extension Mutant {
  /// What is not here does not show while nothing runs: `concurrency`.
  private static let settings = [
    "correlate", "absent", "batch", "debounce", "throttle", "delay", "suspend",
  ]

  /// Takes each of the settings of a trigger away, and makes each of their numbers larger.
  static func addSettings(_ trigger: JSON, _ place: [Place], _ add: Add) {
    let own = trigger["signalbox"]
    for name in settings {
      guard let setting = own?[name] else { continue }
      let path = place + ["signalbox", .key(name)]
      add(path, "dropped", nil)
      addNumbers(setting, path, add)
    }
    if let rate = trigger["rateLimit"] {
      add(place + ["rateLimit"], "dropped", nil)
      addNumbers(rate, place + ["rateLimit"], add)
    }
  }

  /// Every number and duration within `value`.
  private static func addNumbers(_ value: JSON, _ path: [Place], _ add: Add) {
    switch value {
    case .object(let members):
      for member in members { addNumbers(member.value, path + [.key(member.key)], add) }
    case .number(let text):
      guard let number = Int(text) else { return }
      add(path, "\(text) becomes \(number + 1)", .number("\(number + 1)"))
    case .string(let text):
      guard let longer = longer(text) else { return }
      add(path, "\(text) becomes \(longer)", .string(longer))
    default: return
    }
  }

  /// A duration such as `90s` or `1h30m` with twice its first number; nil for other texts.
  private static func longer(_ text: String) -> String? {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    let rest = text.dropFirst(digits.count)
    guard let number = Int(digits), number < 1_000_000, let unit = rest.first,
      "nuµmsh".contains(unit),
      rest.allSatisfy({ "nuµmsh.".contains($0) || $0.isASCII && $0.isNumber })
    else { return nil }
    return "\(number * 2)\(rest)"
  }
}
