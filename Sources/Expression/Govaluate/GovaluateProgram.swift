/// A compiled govaluate expression (spec section 3), as `filters.exprs` has them.
package struct GovaluateProgram: Sendable {
  package let source: String
  private let text: ByteString
  let root: GovaluateNode?

  /// - Parameter zone: of dates in the expression that name none.
  /// - Throws: `ExprError` of the phase `parse`.
  package init(_ source: String, zone: GoZone = .utc) throws(ExprError) {
    self.source = source
    let text = ByteString(source)
    self.text = text
    do throws(ExprFault) {
      guard text.count <= ExprLimits.source else {
        throw ExprFault("the expression is longer than \(ExprLimits.source) bytes", phase: .parse)
      }
      var tokens = try GovaluateLexer.tokens(text, zone)
      try GovaluateGrammar.check(tokens, text.count)
      try Self.compilePatterns(&tokens)
      root = try GovaluatePlanner.plan(tokens)
    } catch {
      throw ExprError(.parse, error.message, at: error.offset ?? 0, in: text)
    }
  }

  private static func compilePatterns(_ tokens: inout [GovaluateToken]) throws(ExprFault) {
    for place in tokens.indices.dropFirst()
    where tokens[place].kind == .text && ["=~", "!~"].contains(tokens[place - 1].text)
      && tokens[place - 1].kind == .comparator
    {
      do throws(ExprFailure) {
        tokens[place].pattern = try ExprPattern(ByteString(tokens[place].text))
        tokens[place].kind = .pattern
      } catch {
        throw ExprFault(error.message, at: tokens[place].offset, phase: .parse)
      }
    }
  }

  /// - Parameter parameters: the value of a name; nil for a name that nobody defined, which is an
  ///   error where it is reached.
  /// - Throws: `ExprError` of the phase `run`.
  package func evaluate(
    _ parameters: (ByteString) -> ExprValue?
  ) throws(ExprError) -> ExprValue {
    guard let root else { return .null }
    let answer: Result<ExprValue, ExprFault> = withoutActuallyEscaping(parameters) { parameters in
      do throws(ExprFault) { return .success(try GovaluateRun(parameters).value(root)) } catch {
        return .failure(error)
      }
    }
    switch answer {
    case .success(let value): return value
    case .failure(let fault):
      throw ExprError(.run, fault.message, at: fault.offset ?? 0, in: text)
    }
  }
}

/// One evaluation (spec section 3.4).
private struct GovaluateRun {
  private let parameters: (ByteString) -> ExprValue?

  init(_ parameters: @escaping (ByteString) -> ExprValue?) { self.parameters = parameters }

  func value(_ node: GovaluateNode?) throws(ExprFault) -> ExprValue {
    switch node {
    case nil: return .null
    case .literal(let value)?: return value
    case .pattern?: return .function(ExprFunction { (_, _) in .null })
    case .group(let inner)?: return try value(inner)
    case .variable(let name, let offset)?:
      guard let value = parameters(name) else {
        throw ExprFault("no parameter '\(name)'", at: offset)
      }
      return value
    case .accessor(let name, let offset)?:
      throw ExprFault("'\(name)' is a field access, which data has not", at: offset)
    case .prefix(let sign, let operand, let offset)?:
      let operand = try value(operand)
      return try ExprCompiler.placed(offset) { () throws(ExprFailure) in
        try GovaluateOperators.prefix(sign, operand)
      }
    case .binary(let sign, let left, let right, let offset)?:
      return try binary(sign, left, right, offset)
    }
  }

  private func binary(
    _ sign: String,
    _ left: GovaluateNode?,
    _ right: GovaluateNode?,
    _ offset: Int
  ) throws(ExprFault) -> ExprValue {
    let a = try value(left)
    switch sign {
    case "&&": if case .bool(false) = a { return a }
    case "||": if case .bool(true) = a { return a }
    case ":", "??": if !isNull(a) { return a }
    case "?": if case .bool(false) = a { return .null }
    default: break
    }
    if sign == "=~" || sign == "!~", case .pattern(let pattern, _)? = right {
      return try ExprCompiler.placed(offset) { () throws(ExprFailure) in
        .bool(pattern.matches(try GovaluateOperators.text(a, sign)) == (sign == "=~"))
      }
    }
    let b = try value(right)
    // A pattern that an addition got hold of is text again.
    if sign == "+", case .pattern(_, let text)? = left, case .string(let b) = b {
      return .string(text + b)
    }
    return try ExprCompiler.placed(offset) { () throws(ExprFailure) in
      try GovaluateOperators.binary(sign, a, b)
    }
  }

  private func isNull(_ value: ExprValue) -> Bool {
    if case .null = value { true } else { false }
  }
}

enum GovaluateOperators {
  private static func unfit(_ value: ExprValue, _ sign: String) -> ExprFailure {
    ExprFailure("'\(ExprPrinter.text(value).prefix(100))' cannot be used with '\(sign)'")
  }

  private static func number(_ value: ExprValue, _ sign: String) throws(ExprFailure) -> Double {
    guard case .float(let number) = value else { throw unfit(value, sign) }
    return number
  }

  private static func bool(_ value: ExprValue, _ sign: String) throws(ExprFailure) -> Bool {
    guard case .bool(let flag) = value else { throw unfit(value, sign) }
    return flag
  }

  static func text(_ value: ExprValue, _ sign: String) throws(ExprFailure) -> ByteString {
    guard case .string(let text) = value else { throw unfit(value, sign) }
    return text
  }

  static func prefix(_ sign: String, _ value: ExprValue) throws(ExprFailure) -> ExprValue {
    switch sign {
    case "!": .bool(!(try bool(value, sign)))
    case "~": .float(Double(~GoNumber.truncated(try number(value, sign))))
    default: .float(-(try number(value, sign)))
    }
  }

  static func binary(
    _ sign: String,
    _ a: ExprValue,
    _ b: ExprValue
  ) throws(ExprFailure) -> ExprValue {
    switch sign {
    case "==": return .bool(ExprComparison.strictlyEqual(a, b))
    case "!=": return .bool(!ExprComparison.strictlyEqual(a, b))
    case "&&", "||":
      let (x, y) = (try bool(a, sign), try bool(b, sign))
      return .bool(sign == "&&" ? x && y : x || y)
    case "?":
      _ = try bool(a, sign)
      return b
    case ":", "??": return b
    case ",": return separated(a, b)
    case "in": return .bool(try contains(b, a))
    case "=~", "!~":
      let subject = try text(a, sign)
      return .bool(try ExprPattern(try text(b, sign)).matches(subject) == (sign == "=~"))
    case "<", ">", "<=", ">=": return .bool(try compare(sign, a, b))
    case "+": return try add(a, b)
    default: return .float(try arithmetic(sign, try number(a, sign), try number(b, sign)))
    }
  }

  private static func separated(_ a: ExprValue, _ b: ExprValue) -> ExprValue {
    guard case .array(let array) = a.opened else { return .array(ExprArray([a, b])) }
    return .array(ExprArray(array.items + [b]))
  }

  /// Equality as of Go's interfaces: lists and maps cannot be compared with their like.
  private static func contains(
    _ list: ExprValue,
    _ needle: ExprValue
  ) throws(ExprFailure) -> Bool {
    guard case .array(let array) = list.opened else { throw unfit(list, "in") }
    let needle = needle.opened
    for item in array.items {
      switch (item.opened, needle) {
      case (.array, .array), (.map, .map):
        throw ExprFailure("lists and maps cannot be compared with 'in'")
      default: if ExprComparison.strictlyEqual(item, needle) { return true }
      }
    }
    return false
  }

  private static func compare(
    _ sign: String,
    _ a: ExprValue,
    _ b: ExprValue
  ) throws(ExprFailure) -> Bool {
    func decide<T: Comparable>(_ a: T, _ b: T) -> Bool {
      switch sign {
      case "<": a < b
      case ">": a > b
      case "<=": a <= b
      default: a >= b
      }
    }
    switch (a, b) {
    case (.float(let a), .float(let b)): return decide(a, b)
    case (.string(let a), .string(let b)): return decide(a, b)
    default: throw unfit(a, sign)
    }
  }

  private static func add(_ a: ExprValue, _ b: ExprValue) throws(ExprFailure) -> ExprValue {
    if case .float(let a) = a, case .float(let b) = b { return .float(a + b) }
    switch (a, b) {
    case (.string, _), (_, .string):
      var out: [UInt8] = []
      ExprPrinter.append(a, &out)
      ExprPrinter.append(b, &out)
      guard out.count <= ExprLimits.textBytes else { throw ExprFailure("the text is too long") }
      return .string(ByteString(out))
    default: throw unfit(a, "+")
    }
  }

  private static func arithmetic(
    _ sign: String,
    _ a: Double,
    _ b: Double
  ) throws(ExprFailure) -> Double {
    switch sign {
    case "-": return a - b
    case "*": return a * b
    case "/": return a / b
    case "%": return a.truncatingRemainder(dividingBy: b)
    case "**": return raise(a, b)
    case "&": return Double(GoNumber.truncated(a) & GoNumber.truncated(b))
    case "|": return Double(GoNumber.truncated(a) | GoNumber.truncated(b))
    case "^": return Double(GoNumber.truncated(a) ^ GoNumber.truncated(b))
    case "<<": return Double(unsigned(a) << unsigned(b))
    case ">>": return Double(unsigned(a) >> unsigned(b))
    default: throw ExprFailure("unknown operator '\(sign)'")
    }
  }

  /// As amd64 converts: negative numbers wrap.
  private static func unsigned(_ number: Double) -> UInt64 {
    number < 0x1p63
      ? UInt64(bitPattern: Int64(GoNumber.truncated(number)))
      : UInt64(exactly: number.rounded(.towardZero)) ?? 1 << 63
  }
}
