extension Duration {
  /// Reads what Go's `time.ParseDuration` reads, such as `300ms`, `1.5h` or `2h45m`; nil for
  /// anything else and for negative or absurdly long ones.
  package init?(goDuration text: String) {
    if text == "0" {
      self = .zero
      return
    }
    var rest = Substring(text)
    var total = 0.0
    guard !rest.isEmpty else { return nil }
    while !rest.isEmpty {
      let number = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
      guard let value = Double(number) else { return nil }
      rest.removeFirst(number.count)
      let unit = rest.prefix { !($0.isASCII && ($0.isNumber || $0 == ".")) }
      rest.removeFirst(unit.count)
      switch unit {
      case "ns": total += value
      case "us", "µs", "μs": total += value * 1e3
      case "ms": total += value * 1e6
      case "s": total += value * 1e9
      case "m": total += value * 60e9
      case "h": total += value * 3600e9
      default: return nil
      }
    }
    guard total < 9e18 else { return nil }
    self = .nanoseconds(Int64(total))
  }
}
