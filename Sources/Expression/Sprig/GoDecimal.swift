/// An exact decimal number: digits times a power of ten (shopspring/decimal).
struct GoDecimal {
  /// From the least significant; none is zero.
  private let digits: [UInt8]
  private let exponent: Int
  private let isNegative: Bool

  /// Places behind the point that a division is carried to.
  private static let divisionPlaces = 16

  /// Infinities and NaN, which no template gets here, count as zero.
  init(_ number: Double) {
    guard number.isFinite, number != 0 else {
      self.init([], 0, false)
      return
    }
    let (digits, point) = GoNumber.digits(number)
    self.init(digits.reversed().map { $0 - 0x30 }, point - digits.count, number < 0)
  }

  private init(_ digits: [UInt8], _ exponent: Int, _ isNegative: Bool) {
    var digits = digits
    while digits.last == 0 { digits.removeLast() }
    self.digits = digits
    self.exponent = exponent
    self.isNegative = isNegative && !digits.isEmpty
  }

  /// The nearest floating-point number.
  var double: Double {
    guard !digits.isEmpty else { return 0 }
    let text = String(decoding: digits.reversed().map { $0 + 0x30 }, as: UTF8.self)
    return Double((isNegative ? "-" : "") + text + "e\(exponent)") ?? 0
  }

  /// The digits with zeros down to a lower exponent.
  private func digits(downTo exponent: Int) -> [UInt8] {
    [UInt8](repeating: 0, count: digits.isEmpty ? 0 : self.exponent - exponent) + digits
  }

  static func + (a: GoDecimal, b: GoDecimal) -> GoDecimal {
    let exponent = min(a.exponent, b.exponent)
    let (first, second) = (a.digits(downTo: exponent), b.digits(downTo: exponent))
    if a.isNegative == b.isNegative { return GoDecimal(sum(first, second), exponent, a.isNegative) }
    if isLess(first, second) { return GoDecimal(difference(second, first), exponent, b.isNegative) }
    return GoDecimal(difference(first, second), exponent, a.isNegative)
  }

  static func - (a: GoDecimal, b: GoDecimal) -> GoDecimal {
    a + GoDecimal(b.digits, b.exponent, !b.isNegative)
  }

  static func * (a: GoDecimal, b: GoDecimal) -> GoDecimal {
    var out = [Int](repeating: 0, count: a.digits.count + b.digits.count + 1)
    for (place, digit) in a.digits.enumerated() {
      for (other, factor) in b.digits.enumerated() {
        out[place + other] += Int(digit) * Int(factor)
      }
    }
    var carry = 0
    let digits = out.map { value -> UInt8 in
      let total = value + carry
      carry = total / 10
      return UInt8(total % 10)
    }
    return GoDecimal(digits, a.exponent + b.exponent, a.isNegative != b.isNegative)
  }

  /// Rounded half away from zero behind the last place.
  static func / (a: GoDecimal, b: GoDecimal) -> GoDecimal {
    guard !a.digits.isEmpty, !b.digits.isEmpty else { return GoDecimal([], 0, false) }
    // Shifted so that the quotient of the digits has the wanted exponent.
    let shift = a.exponent - b.exponent + divisionPlaces
    var dividend = a.digits
    var divisor = b.digits
    if shift >= 0 {
      dividend = [UInt8](repeating: 0, count: shift) + dividend
    } else {
      divisor = [UInt8](repeating: 0, count: -shift) + divisor
    }
    var (quotient, rest) = divided(dividend, by: divisor)
    if !isLess(sum(rest, rest), divisor) { quotient = sum(quotient, [1]) }
    return GoDecimal(quotient, -divisionPlaces, a.isNegative != b.isNegative)
  }

  private static func isLess(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    let (first, second) = (trimmed(a), trimmed(b))
    if first.count != second.count { return first.count < second.count }
    return first.reversed().lexicographicallyPrecedes(second.reversed())
  }

  private static func trimmed(_ digits: [UInt8]) -> ArraySlice<UInt8> {
    var digits = digits[...]
    while digits.last == 0 { digits.removeLast() }
    return digits
  }

  private static func sum(_ a: [UInt8], _ b: [UInt8]) -> [UInt8] {
    var out: [UInt8] = []
    var carry: UInt8 = 0
    for place in 0..<max(a.count, b.count) {
      let total = (place < a.count ? a[place] : 0) + (place < b.count ? b[place] : 0) + carry
      out.append(total % 10)
      carry = total / 10
    }
    return carry > 0 ? out + [carry] : out
  }

  /// `a` is not less than `b`.
  private static func difference(_ a: [UInt8], _ b: [UInt8]) -> [UInt8] {
    var out: [UInt8] = []
    var borrow: UInt8 = 0
    for place in a.indices {
      let minus = (place < b.count ? b[place] : 0) + borrow
      borrow = a[place] < minus ? 1 : 0
      out.append(a[place] + 10 * borrow - minus)
    }
    return out
  }

  /// Long division.
  private static func divided(
    _ dividend: [UInt8],
    by divisor: [UInt8]
  ) -> (quotient: [UInt8], rest: [UInt8]) {
    var quotient: [UInt8] = []
    var rest: [UInt8] = []
    for digit in dividend.reversed() {
      rest.insert(digit, at: 0)
      rest = Array(trimmed(rest))
      var count: UInt8 = 0
      while !isLess(rest, divisor) {
        rest = Array(trimmed(difference(rest, divisor)))
        count += 1
      }
      quotient.insert(count, at: 0)
    }
    return (quotient, rest)
  }
}
