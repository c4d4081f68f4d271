import Glibc

/// How a verb writes the digits of a number that is finite and not negative.
struct GoFloatDigits {
  private let verb: Unicode.Scalar
  private let precision: Int?
  private let isSharp: Bool

  /// nil for a verb that is none of numbers.
  init?(_ verb: Unicode.Scalar, _ precision: Int?, isSharp: Bool) {
    guard "vgGeEfFxXb".unicodeScalars.contains(verb) else { return nil }
    (self.verb, self.precision, self.isSharp) = (verb == "F" ? "f" : verb, precision, isSharp)
  }

  func text(_ number: Double) -> String {
    switch verb {
    case "b": binary(number)
    case "x": hexadecimal(number)
    case "X": hexadecimal(number).uppercased()
    case "v", "g", "G": general(number)
    default: fixed(number, precision ?? 6)
    }
  }

  private func general(_ number: Double) -> String {
    if let precision { return fixed(number, precision) }
    var text = GoNumber.text(number)
    if verb == "G" { text = text.uppercased() }
    return isSharp ? sharpened(text) : text
  }

  /// With a point, and zeros up to six digits.
  private func sharpened(_ text: String) -> String {
    let end = text.firstIndex { $0 == "e" || $0 == "E" } ?? text.endIndex
    var digits = String(text[..<end])
    var count = digits.drop { $0 == "0" || $0 == "." }.count { $0 != "." }
    if !digits.contains(".") {
      if digits == "0" { count += 1 }
      digits += "."
    }
    return digits + String(repeating: "0", count: max(0, 6 - count)) + text[end...]
  }

  /// Correctly rounded.
  private func fixed(_ number: Double, _ precision: Int) -> String {
    let format = "%" + (isSharp ? "#" : "") + ".*" + String(Character(verb == "v" ? "g" : verb))
    var buffer = [CChar](repeating: 0, count: precision + 400)
    let written = unsafe withVaList([Int32(precision), number]) { arguments in
      unsafe vsnprintf(&buffer, buffer.count, format, arguments)
    }
    guard written >= 0 else { return "" }
    return String(
      decoding: buffer.prefix(Int(written)).map { UInt8(bitPattern: $0) },
      as: UTF8.self
    )
  }

  /// The whole number that the mantissa is, and the power of two it is multiplied by.
  private func binary(_ number: Double) -> String {
    let isNormal = number.exponentBitPattern > 0
    let mantissa = number.significandBitPattern | (isNormal ? 1 << 52 : 0)
    let power = Int(max(1, number.exponentBitPattern)) - 1075
    return "\(mantissa)p\(power < 0 ? "" : "+")\(power)"
  }

  private func hexadecimal(_ number: Double) -> String {
    var (mantissa, power) = (UInt64(0), 0)
    if number != 0 {
      // One bit before the point, 60 behind it.
      mantissa = UInt64(number.significand * 0x1p60)
      power = Int(number.exponent)
    }
    if let precision, precision < 15 {
      let shift = UInt64(60 - 4 * precision)
      let rest = mantissa & ((1 << shift) - 1)
      mantissa >>= shift
      let half: UInt64 = 1 << (shift - 1)
      if rest > half || rest == half && mantissa & 1 == 1 { mantissa += 1 }
      mantissa <<= shift
      if mantissa >> 61 != 0 { (mantissa, power) = (mantissa >> 1, power + 1) }
    }
    var digits = String(mantissa & ((1 << 60) - 1), radix: 16)
    digits = String(repeating: "0", count: 15 - digits.count) + digits
    if let precision {
      digits = String(digits.prefix(precision))
      digits += String(repeating: "0", count: precision - digits.count)
    } else {
      while digits.hasSuffix("0") { digits.removeLast() }
    }
    var text = "0x\(mantissa >> 60)"
    if !digits.isEmpty || isSharp { text += "." + digits }
    // Six digits, of which the original counts the x as one.
    if isSharp, precision == nil, verb == "x" {
      text += String(repeating: "0", count: max(0, 4 - digits.count))
    }
    let size = power.magnitude < 10 ? "0\(power.magnitude)" : "\(power.magnitude)"
    return text + "p" + (power < 0 ? "-" : "+") + size
  }
}
