/// Turns an expression into nodes (spec sections 1.2 and 1.3).
struct ExprParser {
  private var tokens: [ExprToken]
  private var at = 0
  /// How many predicates surround the place; a pointer has a meaning only within one.
  var predicates = 0
  private var nodes = 0
  private var nesting = 0

  static func parse(_ source: ByteString) throws(ExprFault) -> ExprNode {
    guard source.count <= ExprLimits.source else {
      throw ExprFault(
        "the expression is longer than \(ExprLimits.source) bytes",
        at: 0,
        phase: .parse
      )
    }
    var parser = ExprParser(tokens: try ExprLexer.tokens(source))
    let node = try parser.sequence()
    guard parser.current.kind == .end else { throw parser.unexpected() }
    return node
  }

  private init(tokens: [ExprToken]) { self.tokens = tokens }

  var current: ExprToken { tokens[at] }

  mutating func advance() throws(ExprFault) {
    guard at + 1 < tokens.count else {
      throw ExprFault("unexpected end of the expression", at: current.offset, phase: .parse)
    }
    at += 1
  }

  func fail(_ message: String, at token: ExprToken? = nil) -> ExprFault {
    ExprFault(message, at: (token ?? current).offset, phase: .parse)
  }

  func unexpected(_ token: ExprToken? = nil) -> ExprFault {
    fail("\((token ?? current).shown) cannot stand here", at: token)
  }

  func isSymbol(_ symbol: ByteString) -> Bool { current.isSymbol(symbol) }
  func isBracket(_ bracket: ByteString) -> Bool { current.isBracket(bracket) }

  mutating func expectSymbol(_ symbol: ByteString) throws(ExprFault) {
    guard isSymbol(symbol) else { throw fail("found \(current.shown), expected '\(symbol)'") }
    try advance()
  }

  mutating func expectBracket(_ bracket: ByteString) throws(ExprFault) {
    guard isBracket(bracket) else {
      throw fail("found \(current.shown), expected '\(bracket)'")
    }
    try advance()
  }

  mutating func expectName() throws(ExprFault) -> ExprToken {
    let token = current
    guard token.kind == .name else { throw fail("found \(token.shown), expected a name") }
    try advance()
    return token
  }

  mutating func make(_ kind: ExprNode.Kind, _ offset: Int) throws(ExprFault) -> ExprNode {
    nodes += 1
    guard nodes <= ExprLimits.nodes else {
      throw fail("the expression has more than \(ExprLimits.nodes) parts")
    }
    let node = ExprNode(kind, at: offset)
    guard node.depth <= ExprLimits.levels else {
      throw fail("the expression has more than \(ExprLimits.levels) levels")
    }
    return node
  }

  // MARK: Expressions

  mutating func sequence() throws(ExprFault) -> ExprNode {
    var parts = [try expression(0)]
    while isSymbol(";") {
      try advance()
      if current.kind == .end { break }
      parts.append(try expression(0))
    }
    return parts.count == 1 ? parts[0] : try make(.sequence(parts), parts[0].offset)
  }

  mutating func expression(_ precedence: Int) throws(ExprFault) -> ExprNode {
    nesting += 1
    defer { nesting -= 1 }
    guard nesting <= ExprLimits.nesting else {
      throw fail("nested deeper than \(ExprLimits.nesting) levels")
    }
    if precedence == 0, isSymbol("let") { return try variable() }
    if precedence == 0, isSymbol("if") { return try conditionalIf() }
    var left = try primary()
    var previous: ByteString = ""
    while current.kind == .symbol {
      let first = at
      var operation = current
      let isNegated = operation.text == "not"
      if isNegated {
        try advance()
        operation = current
        guard ExprOperators.negatable.contains(operation.text) else { throw unexpected() }
      }
      guard let level = ExprOperators.binary[operation.text], level >= precedence else {
        at = first
        break
      }
      try advance()
      left = try binary(left, operation, level, isNegated: isNegated, previous: previous)
      previous = operation.text
    }
    return precedence == 0 ? try ternary(left) : left
  }

  private mutating func binary(
    _ left: ExprNode,
    _ operation: ExprToken,
    _ level: Int,
    isNegated: Bool,
    previous: ByteString
  ) throws(ExprFault) -> ExprNode {
    if operation.text == "|" {
      let name = try expectName()
      return try call(name, [left])
    }
    if previous == "??", operation.text != "??" {
      throw fail("\(operation.shown) and '??' cannot be mixed without parentheses", at: operation)
    }
    if ExprOperators.ordering.contains(operation.text) {
      return try comparison(left, operation, level)
    }
    let isRight = ExprOperators.rightAssociative.contains(operation.text)
    let right = try expression(isRight ? level : level + 1)
    let node = try make(.binary(operation.text, left, right), operation.offset)
    return isNegated ? try make(.unary("not", node), operation.offset) : node
  }

  /// `a < b < c` is `a < b && b < c`.
  private mutating func comparison(
    _ first: ExprNode,
    _ operation: ExprToken,
    _ level: Int
  ) throws(ExprFault) -> ExprNode {
    var left = first
    var operation = operation
    var root: ExprNode?
    while true {
      let right = try expression(level + 1)
      let node = try make(.binary(operation.text, left, right), operation.offset)
      root =
        try root.map { (all) throws(ExprFault) in
          try make(.binary("&&", all, node), operation.offset)
        } ?? node
      left = right
      operation = current
      guard operation.kind == .symbol, ExprOperators.ordering.contains(operation.text) else {
        return root ?? node
      }
      try advance()
    }
  }

  private mutating func variable() throws(ExprFault) -> ExprNode {
    try advance()
    let name = try expectName()
    try expectSymbol("=")
    let value = try expression(0)
    try expectSymbol(";")
    return try make(.variable(name.text, value, within: try sequence()), name.offset)
  }

  private mutating func conditionalIf() throws(ExprFault) -> ExprNode {
    let offset = current.offset
    try advance()
    let condition = try expression(0)
    let first = try block()
    try expectSymbol("else")
    nesting += 1
    defer { nesting -= 1 }
    guard nesting <= ExprLimits.nesting else {
      throw fail("nested deeper than \(ExprLimits.nesting) levels")
    }
    let second = isSymbol("if") ? try conditionalIf() : try block()
    return try make(.conditional(condition, first, second), offset)
  }

  private mutating func block() throws(ExprFault) -> ExprNode {
    try expectBracket("{")
    let node = try sequence()
    try expectBracket("}")
    return node
  }

  private mutating func ternary(_ condition: ExprNode) throws(ExprFault) -> ExprNode {
    var node = condition
    while isSymbol("?") {
      try advance()
      if isSymbol(":") {
        try advance()
        node = try make(.conditional(node, node, try expression(0)), current.offset)
      } else {
        let first = try expression(0)
        try expectSymbol(":")
        node = try make(.conditional(node, first, try expression(0)), current.offset)
      }
    }
    return node
  }
}
