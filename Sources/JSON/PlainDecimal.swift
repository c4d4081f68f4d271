/// The shortest text that reads back as the same number, never with an exponent (Go's
/// `FormatFloat` with format `f` and precision -1).
func plainDecimal(_ number: Double) -> String {
  let text = "\(abs(number))".split(separator: "e")
  let parts = text[0].split(separator: ".")
  let exponent = text.count > 1 ? Int(text[1]) ?? 0 : 0
  var digits = String(parts[0])
  var point = digits.count + exponent
  if parts.count > 1, parts[1] != "0" { digits += parts[1] }
  if point <= 0 {
    digits = String(repeating: "0", count: 1 - point) + digits
    point = 1
  }
  if point > digits.count { digits += String(repeating: "0", count: point - digits.count) }
  var whole = digits.prefix(point)
  while whole.count > 1, whole.first == "0" { whole.removeFirst() }
  let fraction = digits.dropFirst(point)
  let sign = number.sign == .minus ? "-" : ""
  return sign + whole + (fraction.isEmpty ? "" : "." + fraction)
}

extension ArraySlice<UInt8> {
  /// The number that is spelt by at most 15 digits, with a sign and a point at most; nil for any
  /// other text.
  package var shortDecimal: Double? {
    var digits = 0
    var number: Int64 = 0
    var places: Int?
    for (offset, byte) in enumerated() {
      switch byte {
      case 0x30...0x39:
        number = number * 10 + Int64(byte - 0x30)
        digits += 1
        if let before = places { places = before + 1 }
        if digits > 15 { return nil }
      case 0x2d where offset == 0: continue
      case 0x2e where digits > 0 && places == nil: places = 0
      default: return nil
      }
    }
    guard digits > 0, places != 0 else { return nil }
    // Both are exact, so that their quotient is rounded once, as it should be.
    let value = Double(number) / powersOfTen[places ?? 0]
    return first == 0x2d ? -value : value
  }
}

private let powersOfTen: [Double] = [
  1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
]
