/// Operators on values (spec section 1.5).
enum ExprArithmetic {
  typealias Operation = @Sendable (ExprValue, ExprValue) throws(ExprFailure) -> ExprValue

  static func mismatch(_ a: ExprValue, _ sign: String, _ b: ExprValue) -> ExprFailure {
    ExprFailure("invalid operation: \(a.typeName) \(sign) \(b.typeName)")
  }

  /// Two numbers as ints where both are, else as floats; nil for anything else.
  private static func numbers<T>(
    _ a: ExprValue,
    _ b: ExprValue,
    _ ints: (Int, Int) -> T,
    _ floats: (Double, Double) -> T
  ) -> T? {
    if let a = integer(a), let b = integer(b) { return ints(a, b) }
    guard let a = a.number, let b = b.number else { return nil }
    return floats(a, b)
  }

  static func integer(_ value: ExprValue) -> Int? {
    switch value {
    case .int(let value): value
    case .byte(let value): Int(value)
    default: nil
    }
  }

  static func add(_ a: ExprValue, _ b: ExprValue) throws(ExprFailure) -> ExprValue {
    switch (a, b) {
    case (.time(let time), .duration(let duration)), (.duration(let duration), .time(let time)):
      return .time(time.adding(duration))
    case (.duration(let a), .duration(let b)): return .duration(a &+ b)
    default: break
    }
    if let sum = numbers(a, b, { ExprValue.int($0 &+ $1) }, { .float($0 + $1) }) { return sum }
    throw mismatch(a, "+", b)
  }

  static func subtract(_ a: ExprValue, _ b: ExprValue) throws(ExprFailure) -> ExprValue {
    switch (a, b) {
    case (.time(let a), .time(let b)): return .duration(a.distance(from: b))
    case (.time(let time), .duration(let duration)): return .time(time.adding(0 &- duration))
    case (.duration(let a), .duration(let b)): return .duration(a &- b)
    default: break
    }
    if let rest = numbers(a, b, { ExprValue.int($0 &- $1) }, { .float($0 - $1) }) { return rest }
    throw mismatch(a, "-", b)
  }

  static func multiply(_ a: ExprValue, _ b: ExprValue) throws(ExprFailure) -> ExprValue {
    switch (a, b) {
    case (.duration(let a), .duration(let b)): return .duration(a &* b)
    case (.duration(let duration), let other), (let other, .duration(let duration)):
      if let factor = integer(other) { return .duration(duration &* factor) }
      if case .float(let factor) = other { return .float(Double(duration) * factor) }
    default: break
    }
    if let product = numbers(a, b, { ExprValue.int($0 &* $1) }, { .float($0 * $1) }) {
      return product
    }
    throw mismatch(a, "*", b)
  }

  static func divide(_ a: ExprValue, _ b: ExprValue) throws(ExprFailure) -> ExprValue {
    guard let x = a.number, let y = b.number else { throw mismatch(a, "/", b) }
    return .float(x / y)
  }

  static func remainder(_ a: ExprValue, _ b: ExprValue) throws(ExprFailure) -> ExprValue {
    guard let x = integer(a), let y = integer(b) else { throw mismatch(a, "%", b) }
    guard y != 0 else { throw ExprFailure("division by zero") }
    return .int(y == -1 ? 0 : x % y)
  }

  static func power(_ a: ExprValue, _ b: ExprValue) throws(ExprFailure) -> ExprValue {
    guard let x = a.number, let y = b.number else { throw mismatch(a, "**", b) }
    return .float(raise(x, y))
  }

  static func negate(_ value: ExprValue) throws(ExprFailure) -> ExprValue {
    switch value {
    case .int(let value): return .int(0 &- value)
    case .byte(let value): return .byte(0 &- value)
    case .float(let value): return .float(-value)
    default: throw ExprFailure("invalid operation: - \(value.typeName)")
    }
  }

  /// -1, 0 or 1; nil for NaN.
  private static func order(
    _ a: ExprValue,
    _ b: ExprValue,
    _ sign: String
  ) throws(ExprFailure) -> Int? {
    func sides<T: Comparable>(_ a: T, _ b: T) -> Int? { a < b ? -1 : a == b ? 0 : a > b ? 1 : nil }
    switch (a, b) {
    case (.int(let a), .int(let b)): return sides(a, b)
    case (.string(let a), .string(let b)): return sides(a, b)
    case (.time(let a), .time(let b)):
      return GoTime.isSame(a, b) ? 0 : GoTime.isBefore(a, b) ? -1 : 1
    case (.duration(let a), .duration(let b)): return sides(a, b)
    default: break
    }
    guard let x = a.number, let y = b.number else { throw mismatch(a, sign, b) }
    return sides(x, y)
  }

  static func less(_ a: ExprValue, _ b: ExprValue) throws(ExprFailure) -> Bool {
    try order(a, b, "<") == -1
  }

  static func more(_ a: ExprValue, _ b: ExprValue) throws(ExprFailure) -> Bool {
    try order(a, b, ">") == 1
  }

  static func lessOrEqual(_ a: ExprValue, _ b: ExprValue) throws(ExprFailure) -> Bool {
    try order(a, b, "<=").map { $0 <= 0 } ?? false
  }

  static func moreOrEqual(_ a: ExprValue, _ b: ExprValue) throws(ExprFailure) -> Bool {
    try order(a, b, ">=").map { $0 >= 0 } ?? false
  }
}

extension ExprValue {
  /// A number as a float; nil for anything else.
  var number: Double? {
    switch self {
    case .int(let value): Double(value)
    case .byte(let value): Double(value)
    case .float(let value): value
    default: nil
    }
  }

  /// A number as an int, its fraction cut.
  func integer() throws(ExprFailure) -> Int {
    switch self {
    case .int(let value): return value
    case .byte(let value): return Int(value)
    case .float(let value): return GoNumber.truncated(value)
    default: throw ExprFailure("invalid operation: int(\(typeName))")
    }
  }

  func boolean() throws(ExprFailure) -> Bool {
    guard case .bool(let value) = self else {
      throw ExprFailure("expected true or false, found \(typeName)")
    }
    return value
  }

  func text() throws(ExprFailure) -> ByteString {
    guard case .string(let value) = self else {
      throw ExprFailure("expected a string, found \(typeName)")
    }
    return value
  }
}
