/// What Go's `strconv.ParseFloat` makes of a text.
package struct GoFloat: Equatable, Sendable {
  package enum Fault: Equatable, Sendable {
    /// No number: the value is 0.
    case syntax
    /// Too large: the value is infinite.
    case range
  }

  package let value: Double
  package let fault: Fault?

  package init(_ text: some Sequence<UInt8>) {
    let text = Array(text)
    if let special = Self.special(text) {
      value = special
      fault = nil
      return
    }
    guard let spelling = Self.spelling(text), let number = Double(spelling) else {
      value = 0
      fault = .syntax
      return
    }
    value = number
    fault = number.isFinite ? nil : .range
  }

  /// Infinity may have a sign, the undefined number not; case does not matter.
  private static func special(_ text: [UInt8]) -> Double? {
    guard (3...9).contains(text.count) else { return nil }
    let isNegative = text[0] == 0x2d
    let name = text.dropFirst(isNegative || text[0] == 0x2b ? 1 : 0).map { $0 | 0x20 }
    if name == Array("inf".utf8) || name == Array("infinity".utf8) {
      return isNegative ? -.infinity : .infinity
    }
    return text.count == 3 && name == Array("nan".utf8) ? .nan : nil
  }

  /// The text without the underscores between its digits; nil where Go's grammar says no.
  private static func spelling(_ text: [UInt8]) -> String? {
    var at = 0
    func peek(_ bytes: UInt8...) -> Bool { at < text.count && bytes.contains(text[at]) }
    if peek(0x2b, 0x2d) { at += 1 }
    let numberStart = at
    let isHex = at + 1 < text.count && text[at] == 0x30 && text[at + 1] | 0x20 == 0x78
    if isHex { at += 2 }
    func digits() -> Int {
      let start = at
      while at < text.count, text[at] == 0x5f || isDigit(text[at], isHex: isHex) { at += 1 }
      return text[start..<at].count { $0 != 0x5f }
    }
    var count = digits()
    if peek(0x2e) {
      at += 1
      count += digits()
    }
    guard count > 0 else { return nil }
    let hasExponent = isHex ? peek(0x70, 0x50) : peek(0x65, 0x45)
    if hasExponent {
      at += 1
      if peek(0x2b, 0x2d) { at += 1 }
      let start = at
      while at < text.count, text[at] == 0x5f || isDigit(text[at], isHex: false) { at += 1 }
      guard at > start else { return nil }
    }
    guard at == text.count, isHex == hasExponent || !isHex else { return nil }
    guard text.contains(0x5f) else { return String(decoding: text, as: UTF8.self) }
    return separatorsFit(text, numberStart, isHex)
      ? String(decoding: text.filter { $0 != 0x5f }, as: UTF8.self) : nil
  }

  /// An underscore stands between digits, or between the base's prefix and a digit.
  private static func separatorsFit(_ text: [UInt8], _ start: Int, _ isHex: Bool) -> Bool {
    for at in start..<text.count where text[at] == 0x5f {
      let before = at > start && (isDigit(text[at - 1], isHex: isHex) || isHex && at == start + 2)
      let after = at + 1 < text.count && isDigit(text[at + 1], isHex: isHex)
      if !before || !after { return false }
    }
    return true
  }

  private static func isDigit(_ byte: UInt8, isHex: Bool) -> Bool {
    switch byte {
    case 0x30...0x39: true
    case 0x41...0x46, 0x61...0x66: isHex
    default: false
    }
  }
}
