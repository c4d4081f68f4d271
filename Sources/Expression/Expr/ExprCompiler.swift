/// A part of a compiled expression.
typealias ExprCode = @Sendable (inout ExprRun) throws(ExprFault) -> ExprValue

/// Turns nodes into closures.
struct ExprCompiler {
  private var scopes: [(name: ByteString, index: Int)] = []
  private(set) var variables = 0

  /// `failing` with the place of the part it is the operation of.
  static func placed<Result>(
    _ offset: Int,
    _ failing: () throws(ExprFailure) -> Result
  ) throws(ExprFault) -> Result {
    do throws(ExprFailure) { return try failing() } catch {
      throw ExprFault(error.message, at: offset)
    }
  }

  mutating func code(_ node: ExprNode) throws(ExprFault) -> ExprCode {
    switch node.kind {
    case .null: return Self.constant(.null)
    case .bool(let value): return Self.constant(.bool(value))
    case .int(let value): return Self.constant(.int(value))
    case .float(let value): return Self.constant(.float(value))
    case .string(let text): return Self.constant(.string(text))
    case .bytes(let text):
      return Self.constant(.array(ExprArray(text.bytes.map { .byte($0) }, .byte)))
    case .name(let name): return self.name(name)
    case .pointer(let name): return try pointer(name, node.offset)
    case .unary(let sign, let operand): return try unary(sign, operand, node.offset)
    case .binary(let sign, let left, let right): return try binary(sign, left, right, node.offset)
    case .chain(let link): return try chain(link)
    case .member(let base, let property, let isOptional):
      return try member(base, property, isOptional, node.offset)
    case .slice(let base, let from, let to): return try slice(base, from, to, node.offset)
    case .call(let callee, let arguments): return try call(callee, arguments, node.offset)
    case .builtin(let name, let arguments): return try builtin(name, arguments, node.offset)
    case .variable(let name, let value, let body): return try variable(name, value, body)
    case .sequence(let parts): return try sequence(parts)
    case .conditional(let condition, let first, let second):
      return try conditional(condition, first, second)
    case .array(let items): return try array(items, node.offset)
    case .map(let pairs): return try map(pairs, node.offset)
    }
  }

  mutating func codes(_ nodes: [ExprNode]) throws(ExprFault) -> [ExprCode] {
    var all: [ExprCode] = []
    for node in nodes { all.append(try code(node)) }
    return all
  }

  static func constant(_ value: ExprValue) -> ExprCode {
    { (_) in value }
  }

  static func values(
    _ codes: [ExprCode],
    _ run: inout ExprRun
  ) throws(ExprFault) -> [ExprValue] {
    var values: [ExprValue] = []
    values.reserveCapacity(codes.count)
    for code in codes { values.append(try code(&run)) }
    return values
  }

  // MARK: Names

  private func name(_ name: ByteString) -> ExprCode {
    if let index = scopes.last(where: { $0.name == name })?.index {
      return { (run) in run.variables[index] }
    }
    if name == "$env" { return { (run) in .map(run.names.all) } }
    return { (run) in run.names.value(name) }
  }

  private mutating func variable(
    _ name: ByteString,
    _ value: ExprNode,
    _ body: ExprNode
  ) throws(ExprFault) -> ExprCode {
    let value = try code(value)
    let index = variables
    variables += 1
    scopes.append((name, index))
    defer { scopes.removeLast() }
    let body = try code(body)
    return { (run) throws(ExprFault) in
      run.variables[index] = try value(&run)
      return try body(&run)
    }
  }

  private func pointer(_ name: ByteString, _ offset: Int) throws(ExprFault) -> ExprCode {
    switch name {
    case "": return { (run) throws(ExprFault) in try Self.element(run, offset) }
    case "index": return { (run) in .int(run.scopes.last?.index ?? 0) }
    case "acc": return { (run) in run.scopes.last?.accumulator ?? .null }
    default: throw ExprFault("unknown pointer #\(name)", at: offset, phase: .compile)
    }
  }

  static func element(_ run: ExprRun, _ offset: Int) throws(ExprFault) -> ExprValue {
    guard let scope = run.scopes.last, scope.index < scope.items.count else {
      throw ExprFault("there is no element here", at: offset)
    }
    return scope.items[scope.index]
  }

  // MARK: Structure

  private mutating func sequence(_ parts: [ExprNode]) throws(ExprFault) -> ExprCode {
    let codes = try codes(parts)
    return { (run) throws(ExprFault) in
      var last = ExprValue.null
      for code in codes { last = try code(&run) }
      return last
    }
  }

  private mutating func conditional(
    _ condition: ExprNode,
    _ first: ExprNode,
    _ second: ExprNode
  ) throws(ExprFault) -> ExprCode {
    let offset = condition.offset
    let (condition, first, second) = (try code(condition), try code(first), try code(second))
    return { (run) throws(ExprFault) in
      let value = try condition(&run)
      let isTrue = try Self.placed(offset) { () throws(ExprFailure) in try value.boolean() }
      return try isTrue ? first(&run) : second(&run)
    }
  }

  private mutating func array(
    _ items: [ExprNode],
    _ offset: Int
  ) throws(ExprFault) -> ExprCode {
    let codes = try codes(items)
    return { (run) throws(ExprFault) in
      let values = try Self.values(codes, &run)
      return try Self.placed(offset) { () throws(ExprFailure) in
        try run.grow(values.count)
        return try ExprValue.array(ExprArray(values)).bounded()
      }
    }
  }

  private mutating func map(
    _ pairs: [(key: ExprNode, value: ExprNode)],
    _ offset: Int
  ) throws(ExprFault) -> ExprCode {
    var codes: [(key: ExprCode, value: ExprCode)] = []
    for pair in pairs { codes.append((try code(pair.key), try code(pair.value))) }
    return { [codes] (run) throws(ExprFault) in
      var found: [(ExprValue, ExprValue)] = []
      for (key, value) in codes { found.append((try key(&run), try value(&run))) }
      return try Self.placed(offset) { () throws(ExprFailure) in
        try run.grow(found.count)
        var values: [ExprKey: ExprValue] = [:]
        // As in the original the first of several values for one key stays.
        for (key, value) in found.reversed() { values[.string(try key.text())] = value }
        return try ExprValue.map(ExprMap(values)).bounded()
      }
    }
  }

  // MARK: Calls

  private mutating func builtin(
    _ name: ByteString,
    _ arguments: [ExprNode],
    _ offset: Int
  ) throws(ExprFault) -> ExprCode {
    if ExprPredicates.shapes[name] != nil {
      return try ExprPredicates.code(name, try codes(arguments), offset)
    }
    guard let function = ExprFunctions.all[name] else {
      throw ExprFault("unknown function \(name)", at: offset, phase: .compile)
    }
    let codes = try codes(arguments)
    return { (run) throws(ExprFault) in
      let values = try Self.values(codes, &run)
      return try Self.placed(offset) { () throws(ExprFailure) in
        for value in values { try run.work(value.weight) }
        return try function(values, &run).bounded()
      }
    }
  }

  private mutating func call(
    _ callee: ExprNode,
    _ arguments: [ExprNode],
    _ offset: Int
  ) throws(ExprFault) -> ExprCode {
    let codes = try codes(arguments)
    let callee = try code(callee)
    return { (run) throws(ExprFault) in
      let values = try Self.values(codes, &run)
      let function = try callee(&run)
      if run.isBroken { return .null }
      return try Self.placed(offset) { () throws(ExprFailure) in
        guard case .function(let function) = function else {
          throw ExprFailure("cannot call \(function.typeName)")
        }
        for value in values { try run.work(value.weight) }
        return try function.call(values, &run).bounded()
      }
    }
  }
}
