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
