/// Lengths of time as text, the way Go reads and writes them.
package enum GoDuration {
  package static let second = 1_000_000_000

  private static let units: [(name: String, size: Int)] = [
    ("ns", 1), ("us", 1000), ("µs", 1000), ("μs", 1000), ("ms", 1_000_000), ("s", second),
    ("m", 60 * second), ("h", 3600 * second),
  ]

  /// `time.ParseDuration`; nil for what it refuses.
  package static func parse(_ text: String) -> Int? {
    var rest = Substring(text)
    let isNegative = rest.first == "-"
    if isNegative || rest.first == "+" { rest.removeFirst() }
    if rest == "0" { return 0 }
    guard !rest.isEmpty else { return nil }
    var total: UInt = 0
    while !rest.isEmpty {
      let whole = rest.prefix(while: isDigit)
      rest = rest.dropFirst(whole.count)
      var fraction: Substring = ""
      if rest.first == "." {
        rest.removeFirst()
        fraction = rest.prefix(while: isDigit)
        rest = rest.dropFirst(fraction.count)
      }
      guard !whole.isEmpty || !fraction.isEmpty else { return nil }
      let name = rest.prefix { $0 != "." && !isDigit($0) }
      rest = rest.dropFirst(name.count)
      guard let unit = units.first(where: { $0.name == name })?.size,
        let value = whole.isEmpty ? 0 : UInt(whole)
      else { return nil }
      let (product, overflow) = value.multipliedReportingOverflow(by: UInt(unit))
      guard !overflow else { return nil }
      var part = product
      if let size = Double("0." + fraction + "0") { part += UInt(size * Double(unit)) }
      let (sum, tooLarge) = total.addingReportingOverflow(part)
      guard !tooLarge, sum <= 1 << 63 else { return nil }
      total = sum
    }
    if isNegative { return total == 1 << 63 ? Int.min : -Int(total) }
    return total < 1 << 63 ? Int(total) : nil
  }

  private static func isDigit(_ character: Character) -> Bool { ("0"..."9").contains(character) }

  /// `Duration.String`.
  package static func text(_ duration: Int) -> String {
    let size = duration.magnitude
    let sign = duration < 0 ? "-" : ""
    if size == 0 { return "0s" }
    if size < UInt(second) {
      let (unit, name): (UInt, String) =
        size < 1000 ? (1, "ns") : size < 1_000_000 ? (1000, "µs") : (1_000_000, "ms")
      return sign + decimal(size, unit) + name
    }
    let seconds = size / UInt(second)
    var out = decimal(size % (60 * UInt(second)), UInt(second)) + "s"
    if seconds >= 60 { out = "\(seconds / 60 % 60)m" + out }
    if seconds >= 3600 { out = "\(seconds / 3600)h" + out }
    return sign + out
  }

  private static func decimal(_ size: UInt, _ unit: UInt) -> String {
    let rest = size % unit
    guard rest > 0 else { return "\(size / unit)" }
    var digits = String(rest + unit).dropFirst()
    while digits.last == "0" { digits.removeLast() }
    return "\(size / unit).\(digits)"
  }
}
