extension ExprCompiler {
  mutating func unary(
    _ sign: ByteString,
    _ operand: ExprNode,
    _ offset: Int
  ) throws(ExprFault) -> ExprCode {
    let operand = try code(operand)
    switch sign {
    case "+": return operand
    case "-":
      return { (run) throws(ExprFault) in
        let value = try operand(&run)
        return try Self.placed(offset) { () throws(ExprFailure) in
          try ExprArithmetic.negate(value)
        }
      }
    default:
      return { (run) throws(ExprFault) in
        let value = try operand(&run)
        return try Self.placed(offset) { () throws(ExprFailure) in .bool(!(try value.boolean())) }
      }
    }
  }

  mutating func binary(
    _ sign: ByteString,
    _ left: ExprNode,
    _ right: ExprNode,
    _ offset: Int
  ) throws(ExprFault) -> ExprCode {
    switch sign {
    case "and", "&&": return try decisive(left, right, offset, stopsAt: false)
    case "or", "||": return try decisive(left, right, offset, stopsAt: true)
    case "??":
      let (left, right) = (try code(left), try code(right))
      return { (run) throws(ExprFault) in
        let value = try left(&run)
        return value.isNil ? try right(&run) : value
      }
    case "matches":
      guard case .string(let pattern) = right.kind else { break }
      return try matches(left, pattern, offset)
    case "==", "!=":
      let isEqual = sign == "=="
      let (left, right) = (try code(left), try code(right))
      return { (run) throws(ExprFault) in
        let a = try left(&run)
        let b = try right(&run)
        try Self.placed(offset) { () throws(ExprFailure) in try run.work(a.weight + b.weight) }
        let isStrict = run.isStrict && a.isList && b.isList
        let areEqual =
          isStrict ? ExprComparison.strictlyEqual(a, b) : ExprComparison.equal(a, b)
        return .bool(areEqual == isEqual)
      }
    default: break
    }
    guard let operation = Self.operations[sign] else {
      throw ExprFault("unknown operator \(sign)", at: offset, phase: .compile)
    }
    let (left, right) = (try code(left), try code(right))
    return { (run) throws(ExprFault) in
      let a = try left(&run)
      let b = try right(&run)
      return try Self.placed(offset) { () throws(ExprFailure) in try operation(a, b, &run) }
    }
  }

  private mutating func decisive(
    _ left: ExprNode,
    _ right: ExprNode,
    _ offset: Int,
    stopsAt end: Bool
  ) throws(ExprFault) -> ExprCode {
    let (left, right) = (try code(left), try code(right))
    return { (run) throws(ExprFault) in
      let value = try left(&run)
      let isTrue = try Self.placed(offset) { () throws(ExprFailure) in try value.boolean() }
      return isTrue == end ? value : try right(&run)
    }
  }

  private mutating func matches(
    _ subject: ExprNode,
    _ pattern: ByteString,
    _ offset: Int
  ) throws(ExprFault) -> ExprCode {
    let compiled: ExprPattern
    do throws(ExprFailure) { compiled = try ExprPattern(pattern) } catch {
      throw ExprFault(error.message, at: offset, phase: .compile)
    }
    let subject = try code(subject)
    return { (run) throws(ExprFault) in
      let value = try subject(&run)
      return try Self.placed(offset) { () throws(ExprFailure) in
        if try run.isWithoutText(value) { return .bool(false) }
        return .bool(try Self.matches(value, compiled, &run))
      }
    }
  }

  private typealias Operation =
    @Sendable (ExprValue, ExprValue, inout ExprRun) throws(ExprFailure) -> ExprValue

  private static func plain(_ operation: @escaping ExprArithmetic.Operation) -> Operation {
    { (a, b, _) throws(ExprFailure) in try operation(a, b) }
  }

  private static func comparing(
    _ compare: @escaping @Sendable (ExprValue, ExprValue) throws(ExprFailure) -> Bool
  ) -> Operation {
    { (a, b, _) throws(ExprFailure) in .bool(try compare(a, b)) }
  }

  private static func searching(
    _ search: @escaping @Sendable (ByteString, ByteString) -> Bool
  ) -> Operation {
    { (a, b, run) throws(ExprFailure) in
      if try run.isWithoutText(a, b) { return .bool(false) }
      try run.work(a.weight + b.weight)
      return .bool(search(try a.text(), try b.text()))
    }
  }

  private static let operations: [ByteString: Operation] = [
    "+": { (a, b, run) throws(ExprFailure) in
      if case .string(let a) = a, case .string(let b) = b {
        try run.write(a.count + b.count)
        return .string(a + b)
      }
      return try ExprArithmetic.add(a, b)
    },
    "-": plain { (a, b) throws(ExprFailure) in try ExprArithmetic.subtract(a, b) },
    "*": plain { (a, b) throws(ExprFailure) in try ExprArithmetic.multiply(a, b) },
    "/": plain { (a, b) throws(ExprFailure) in try ExprArithmetic.divide(a, b) },
    "%": plain { (a, b) throws(ExprFailure) in try ExprArithmetic.remainder(a, b) },
    "**": plain { (a, b) throws(ExprFailure) in try ExprArithmetic.power(a, b) },
    "^": plain { (a, b) throws(ExprFailure) in try ExprArithmetic.power(a, b) },
    "<": comparing { (a, b) throws(ExprFailure) in try ExprArithmetic.less(a, b) },
    ">": comparing { (a, b) throws(ExprFailure) in try ExprArithmetic.more(a, b) },
    "<=": comparing { (a, b) throws(ExprFailure) in try ExprArithmetic.lessOrEqual(a, b) },
    ">=": comparing { (a, b) throws(ExprFailure) in try ExprArithmetic.moreOrEqual(a, b) },
    "contains": searching { $0.contains($1) },
    "startsWith": searching { $0.hasPrefix($1) },
    "endsWith": searching { $0.hasSuffix($1) },
    "in": { (a, b, run) throws(ExprFailure) in
      try run.work(a.weight + b.weight)
      return .bool(try ExprComparison.contains(b, a))
    },
    "matches": { (a, b, run) throws(ExprFailure) in
      if try run.isWithoutText(a, b) { return .bool(false) }
      // Compiling may take as long as looking at a long text.
      try run.work(20_000)
      return .bool(try matches(a, try ExprPattern(try b.text()), &run))
    },
    "..": { (a, b, run) throws(ExprFailure) in
      let (low, high) = (try a.integer(), try b.integer())
      // The original's count wraps around, and what is then negative is empty.
      let count = high &- low &+ 1
      guard count > 0 else { return .array(ExprArray([], .int)) }
      guard count <= ExprLimits.elements else { throw ExprFailure("memory budget exceeded") }
      try run.grow(count)
      return .array(ExprArray((low...high).map { .int($0) }, .int))
    },
  ]

  private static func matches(
    _ value: ExprValue,
    _ pattern: ExprPattern,
    _ run: inout ExprRun
  ) throws(ExprFailure) -> Bool {
    try run.work(value.weight)
    if case .array(let array) = value, array.element == .byte {
      let bytes = array.items.compactMap { item in
        if case .byte(let byte) = item { byte } else { nil }
      }
      return pattern.matches(ByteString(bytes))
    }
    return pattern.matches(try value.text())
  }

  // MARK: Access

  mutating func chain(_ link: ExprNode) throws(ExprFault) -> ExprCode {
    let link = try code(link)
    return { (run) throws(ExprFault) in
      let value = try link(&run)
      run.isBroken = false
      return value
    }
  }

  mutating func member(
    _ base: ExprNode,
    _ property: ExprNode,
    _ isOptional: Bool,
    _ offset: Int
  ) throws(ExprFault) -> ExprCode {
    let base = try code(base)
    // A name that is known needs no look at its type.
    if case .string(let name) = property.kind {
      return { (run) throws(ExprFault) in
        let value = try base(&run)
        if case .json(let json) = value, json.isObject {
          try Self.placed(offset) { () throws(ExprFailure) in try run.work(value.weight) }
          return json.member(name) ?? .null
        }
        if run.isBroken { return .null }
        if isOptional, value.isNil {
          run.isBroken = true
          return .null
        }
        return try Self.placed(offset) { () throws(ExprFailure) in
          try ExprComparison.fetch(value, .string(name))
        }
      }
    }
    let property = try code(property)
    return { (run) throws(ExprFault) in
      let value = try base(&run)
      if run.isBroken { return .null }
      if isOptional, value.isNil {
        run.isBroken = true
        return .null
      }
      let name = try property(&run)
      return try Self.placed(offset) { () throws(ExprFailure) in
        if case .json = value { try run.work(value.weight) }
        return try ExprComparison.fetch(value, name)
      }
    }
  }

  mutating func slice(
    _ base: ExprNode,
    _ from: ExprNode?,
    _ to: ExprNode?,
    _ offset: Int
  ) throws(ExprFault) -> ExprCode {
    let base = try code(base)
    let to = try to.map { (node) throws(ExprFault) in try code(node) }
    let from = try from.map { (node) throws(ExprFault) in try code(node) }
    return { (run) throws(ExprFault) in
      let value = try base(&run)
      let end = try to?(&run)
      let start = try from?(&run)
      return try Self.placed(offset) { () throws(ExprFailure) in
        try run.work(value.weight)
        return try ExprComparison.slice(value, from: start, to: end)
      }
    }
  }
}
