extension ExprParser {
  mutating func primary() throws(ExprFault) -> ExprNode {
    let token = current
    if token.kind == .symbol, let level = ExprOperators.unary[token.text] {
      try advance()
      return try postfix(try make(.unary(token.text, try expression(level)), token.offset))
    }
    if token.isBracket("(") {
      try advance()
      let node = try sequence()
      try expectBracket(")")
      return try postfix(node)
    }
    if predicates > 0, token.isSymbol("#") || token.isSymbol(".") {
      var name: ByteString = ""
      if token.isSymbol("#") {
        try advance()
        if current.kind == .name {
          name = current.text
          try advance()
        }
      }
      return try postfix(try make(.pointer(name), token.offset))
    }
    if token.isSymbol("::") {
      try advance()
      return try postfix(try call(try expectName(), []))
    }
    return try secondary(token)
  }

  private mutating func secondary(_ token: ExprToken) throws(ExprFault) -> ExprNode {
    switch token.kind {
    case .name:
      try advance()
      switch token.text {
      case "true": return try make(.bool(true), token.offset)
      case "false": return try make(.bool(false), token.offset)
      case "nil": return try make(.null, token.offset)
      default:
        if isBracket("(") { return try postfix(try call(token, [])) }
        return try postfix(try make(.name(token.text), token.offset))
      }
    case .number:
      try advance()
      return try make(try number(token), token.offset)
    case .string:
      try advance()
      return try postfix(try make(.string(token.text), token.offset))
    case .bytes:
      try advance()
      return try postfix(try make(.bytes(token.text), token.offset))
    default:
      if token.isBracket("[") { return try postfix(try array(token)) }
      if token.isBracket("{") { return try postfix(try map(token)) }
      throw unexpected(token)
    }
  }

  private func number(_ token: ExprToken) throws(ExprFault) -> ExprNode.Kind {
    let text = token.text.description.filter { $0 != "_" }
    let lower = text.lowercased()
    let radix = [("0x", 16), ("0b", 2), ("0o", 8)].first { lower.hasPrefix($0.0) }?.1
    if let radix {
      if let value = Int(lower.dropFirst(2), radix: radix) { return .int(value) }
    } else if lower.contains(where: { $0 == "." || $0 == "e" }) {
      if let value = GoNumber.float(text), value.isFinite { return .float(value) }
    } else if let value = Int(text) {
      return .int(value)
    }
    throw fail("'\(token.text)' is no number of 64 bits", at: token)
  }

  /// A call by name: of a function with a predicate, another built-in one, or a value.
  mutating func call(
    _ token: ExprToken,
    _ piped: [ExprNode]
  ) throws(ExprFault) -> ExprNode {
    if let shape = ExprPredicates.shapes[token.text] {
      let arguments = try predicateArguments(token, shape, piped)
      return try make(.builtin(token.text, arguments), token.offset)
    }
    if ExprFunctions.all[token.text] != nil {
      return try make(.builtin(token.text, try arguments(piped)), token.offset)
    }
    let callee = try make(.name(token.text), token.offset)
    return try make(.call(callee, try arguments(piped)), token.offset)
  }

  private mutating func predicateArguments(
    _ token: ExprToken,
    _ shape: ExprPredicates.Shape,
    _ piped: [ExprNode]
  ) throws(ExprFault) -> [ExprNode] {
    var arguments = piped
    try expectBracket("(")
    for (place, kind) in shape.arguments.dropFirst(piped.count).enumerated() {
      if isBracket(")") {
        if kind.isOptional { break }
        throw fail("expected more arguments for '\(token.text)'")
      }
      if place > 0 { try expectSymbol(",") }
      arguments.append(kind.isPredicate ? try predicate() : try expression(0))
    }
    if isSymbol(",") { try advance() }
    try expectBracket(")")
    return arguments
  }

  private mutating func predicate() throws(ExprFault) -> ExprNode {
    let isBraced = isBracket("{")
    if isBraced { try advance() }
    predicates += 1
    let node = isBraced ? try sequence() : try expression(0)
    predicates -= 1
    if isBraced {
      try expectBracket("}")
    } else if isSymbol(";") {
      throw fail("wrap the predicate in { and }")
    }
    return node
  }

  mutating func arguments(_ piped: [ExprNode]) throws(ExprFault) -> [ExprNode] {
    var arguments = piped
    try expectBracket("(")
    while !isBracket(")") {
      if arguments.count > piped.count { try expectSymbol(",") }
      if isBracket(")") { break }
      arguments.append(try expression(0))
    }
    try expectBracket(")")
    return arguments
  }

  private mutating func array(_ token: ExprToken) throws(ExprFault) -> ExprNode {
    var items: [ExprNode] = []
    try expectBracket("[")
    while !isBracket("]") {
      if !items.isEmpty {
        try expectSymbol(",")
        if isBracket("]") { break }
      }
      items.append(try expression(0))
    }
    try expectBracket("]")
    return try make(.array(items), token.offset)
  }

  private mutating func map(_ token: ExprToken) throws(ExprFault) -> ExprNode {
    var pairs: [(key: ExprNode, value: ExprNode)] = []
    try expectBracket("{")
    while !isBracket("}") {
      if !pairs.isEmpty {
        try expectSymbol(",")
        if isBracket("}") { break }
      }
      let key: ExprNode
      switch current.kind {
      case .number, .string, .name:
        key = try make(.string(current.text), current.offset)
        try advance()
      case .bracket where isBracket("("): key = try expression(0)
      default:
        throw fail("found \(current.shown), expected a key: a name, text, number or (…)")
      }
      try expectSymbol(":")
      let value = try expression(0)
      pairs.append((key, value))
      // A pair is a part of its own.
      _ = try make(.null, token.offset)
    }
    try expectBracket("}")
    return try make(.map(pairs), token.offset)
  }

  /// Members, indices, slices and method calls behind a value.
  private mutating func postfix(_ start: ExprNode) throws(ExprFault) -> ExprNode {
    var node = start
    while current.kind == .symbol || current.kind == .bracket {
      let token = current
      if token.isSymbol(".") || token.isSymbol("?.") {
        let isOptional = token.text == "?."
        try advance()
        if isOptional, isBracket("[") {
          node = try index(node, isOptional: true)
        } else {
          node = try member(node, isOptional: isOptional)
        }
      } else if token.isBracket("[") {
        node = try index(node, isOptional: false)
      } else {
        break
      }
    }
    return node
  }

  private mutating func member(
    _ base: ExprNode,
    isOptional: Bool
  ) throws(ExprFault) -> ExprNode {
    let token = current
    try advance()
    // Operator words are good names of members.
    let isWord =
      token.kind == .symbol
      && token.text.bytes.first.map { ExprLexer.isWordPart(Unicode.Scalar($0)) } == true
    guard token.kind == .name || isWord else { throw fail("expected a name", at: token) }
    let property = try make(.string(token.text), token.offset)
    var inner = base
    var isChain = isOptional
    if case .chain(let link) = base.kind {
      inner = link
      isChain = true
    }
    var node = try make(.member(inner, property, isOptional: isOptional), token.offset)
    if isBracket("(") { node = try make(.call(node, try arguments([])), token.offset) }
    return isChain ? try make(.chain(node), token.offset) : node
  }

  private mutating func index(
    _ base: ExprNode,
    isOptional: Bool
  ) throws(ExprFault) -> ExprNode {
    let token = current
    try expectBracket("[")
    var from: ExprNode?
    if !isSymbol(":") { from = try expression(0) }
    guard isSymbol(":") else {
      try expectBracket("]")
      guard let from else { throw unexpected() }
      let node = try make(.member(base, from, isOptional: isOptional), token.offset)
      return isOptional ? try make(.chain(node), token.offset) : node
    }
    try advance()
    let to = isBracket("]") ? nil : try expression(0)
    try expectBracket("]")
    return try make(.slice(base, from: from, to: to), token.offset)
  }
}
