/// Numbers as text, the way Go reads and writes them.
package enum GoNumber {
  /// The shortest decimal digits that read back as the same number, and where the point stands
  /// among them. Only for finite numbers.
  static func digits(_ number: Double) -> (digits: [UInt8], point: Int) {
    let parts = "\(number.magnitude)".split(separator: "e")
    let mantissa = parts[0].split(separator: ".", omittingEmptySubsequences: false)
    var digits = Array(mantissa[0].utf8)
    var point = digits.count + (parts.count > 1 ? Int(parts[1]) ?? 0 : 0)
    if mantissa.count > 1 { digits += mantissa[1].utf8 }
    let zeros = digits.prefix { $0 == 0x30 }.count
    digits.removeFirst(zeros)
    point -= zeros
    while digits.last == 0x30 { digits.removeLast() }
    return digits.isEmpty ? ([0x30], 1) : (digits, point)
  }

  private static func special(_ number: Double) -> String? {
    if number.isNaN { return "NaN" }
    if number.isInfinite { return number < 0 ? "-Inf" : "+Inf" }
    return nil
  }

  /// `%v`: an exponent below 1e-4 and from 1e6 on.
  package static func text(_ number: Double) -> String {
    if let special = special(number) { return special }
    let (digits, point) = digits(number)
    let sign = number.sign == .minus ? "-" : ""
    let exponent = point - 1
    if number != 0, exponent < -4 || exponent >= 6 {
      return sign + scientific(digits, exponent, least: 2)
    }
    return sign + plain(digits, point)
  }

  /// As `encoding/json` writes it: an exponent below 1e-6 and from 1e21 on; nil for what JSON
  /// does not have.
  package static func json(_ number: Double) -> String? {
    guard number.isFinite else { return nil }
    let (digits, point) = digits(number)
    let sign = number.sign == .minus ? "-" : ""
    let size = number.magnitude
    if size != 0, size < 1e-6 || size >= 1e21 {
      return sign + scientific(digits, point - 1, least: 1)
    }
    return sign + plain(digits, point)
  }

  /// Without an exponent.
  static func plain(_ digits: [UInt8], _ point: Int) -> String {
    var out: [UInt8] = []
    if point <= 0 {
      out += [0x30, 0x2e]
      out += [UInt8](repeating: 0x30, count: -point)
      out += digits
    } else if point >= digits.count {
      out += digits
      out += [UInt8](repeating: 0x30, count: point - digits.count)
    } else {
      out += digits[..<point]
      out.append(0x2e)
      out += digits[point...]
    }
    return String(decoding: out, as: UTF8.self)
  }

  private static func scientific(_ digits: [UInt8], _ exponent: Int, least: Int) -> String {
    var out = String(decoding: digits[..<1], as: UTF8.self)
    if digits.count > 1 { out += "." + String(decoding: digits[1...], as: UTF8.self) }
    var size = String(exponent.magnitude)
    // JSON writes e-09 as e-9, but keeps e+21.
    while size.count < least { size = "0" + size }
    return out + (exponent < 0 ? "e-" : "e+") + size
  }

  /// `strconv.ParseFloat`: nil for what is no number or too large.
  package static func float(_ text: String) -> Double? {
    var body = Substring(text)
    if body.first == "-" || body.first == "+" { body.removeFirst() }
    let lower = body.lowercased()
    if ["inf", "infinity", "nan"].contains(lower) {
      if lower == "nan" { return text.count == 3 ? .nan : nil }
      return text.first == "-" ? -.infinity : .infinity
    }
    let isHex = lower.hasPrefix("0x")
    guard isHex == lower.contains("p"), !isHex || lower.count > 2 else { return nil }
    let allowed: (Character) -> Bool = { character in
      character.isASCII
        && (character.isNumber || "+-._".contains(character)
          || (isHex ? character.isHexDigit || "xp".contains(character) : character == "e"))
    }
    guard lower.allSatisfy(allowed), lower.contains(where: { $0.isHexDigit }) else { return nil }
    guard areSeparators(lower) else { return nil }
    guard let value = Double(text.filter { $0 != "_" }), value.isFinite else { return nil }
    return value
  }

  /// Whether every underscore stands between digits.
  private static func areSeparators(_ text: String) -> Bool {
    let characters = Array(text)
    for (place, character) in characters.enumerated() where character == "_" {
      guard place > 0, place + 1 < characters.count else { return false }
      let before = characters[place - 1]
      guard before.isHexDigit || before == "x", characters[place + 1].isHexDigit else {
        return false
      }
    }
    return true
  }

  /// A conversion that cuts the fraction; what does not fit gives the least int, as on amd64.
  package static func truncated(_ number: Double) -> Int {
    Int(exactly: number.rounded(.towardZero)) ?? Int.min
  }
}
