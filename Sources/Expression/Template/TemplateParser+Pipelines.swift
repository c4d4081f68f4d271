extension TemplateParser {
  /// `declarations? command ('|' command)*`, with the token behind it.
  mutating func pipeline(
    _ context: String,
    until end: TemplateToken.Kind
  ) throws(TemplateError) -> TemplatePipeline {
    let start = peekNonSpace()
    let (declared, isAssignment) = try declarations(context)
    var commands: [TemplateCommand] = []
    while true {
      let token = peekNonSpace()
      switch token.kind {
      case end:
        place += 1
        try check(commands, context, token)
        return TemplatePipeline(
          offset: start.offset,
          isAssignment: isAssignment,
          variables: declared,
          commands: commands
        )
      case .bool, .character, .keyword(.dot), .field, .identifier, .number, .keyword(.null),
        .rawString, .string, .variable, .leftParenthesis:
        commands.append(try command())
      default: throw unexpected(token, context)
      }
    }
  }

  private mutating func declarations(
    _ context: String
  ) throws(TemplateError) -> (variables: [ByteString], isAssignment: Bool) {
    var declared: [ByteString] = []
    while peekNonSpace().kind == .variable {
      let start = place
      let name = ByteString(next().bytes)
      let operation = peekNonSpace()
      if operation.kind == .assign || operation.kind == .declare {
        place += 1
        declared.append(name)
        variables.append(name)
        return (declared, operation.kind == .assign)
      }
      guard operation.kind == .other, operation.bytes.first == 0x2c else {
        // No declaration: the variable is a value.
        place = start
        break
      }
      place += 1
      declared.append(name)
      variables.append(name)
      guard context == "range", declared.count < 2 else {
        throw fail("too many declarations in \(context)", operation)
      }
      switch peekNonSpace().kind {
      case .variable, .rightDelimiter, .rightParenthesis: continue
      default: throw fail("range can only initialize variables", token)
      }
    }
    return (declared, false)
  }

  private func check(
    _ commands: [TemplateCommand],
    _ context: String,
    _ token: TemplateToken
  ) throws(TemplateError) {
    if commands.isEmpty { throw fail("missing value for \(context)", token) }
    for (place, command) in commands.enumerated().dropFirst() {
      switch command.operands[0].kind {
      case .bool, .dot, .null, .number, .string:
        throw TemplateError(
          .parse,
          "non executable command in pipeline stage \(place + 1)",
          at: command.offset,
          in: text
        )
      default: break
      }
    }
  }

  private mutating func command() throws(TemplateError) -> TemplateCommand {
    let start = peekNonSpace()
    var operands: [TemplateOperand] = []
    reading: while true {
      skipSpace()
      if let operand = try operand() { operands.append(operand) }
      let token = token
      switch token.kind {
      case .space: place += 1
      case .rightDelimiter, .rightParenthesis: break reading
      case .pipe:
        place += 1
        break reading
      default: throw unexpected(token, "operand")
      }
    }
    if operands.isEmpty { throw fail("empty command", start) }
    return TemplateCommand(offset: start.offset, operands: operands)
  }

  /// A term and the members behind it; nil where none begins.
  private mutating func operand() throws(TemplateError) -> TemplateOperand? {
    guard let term = try term() else { return nil }
    var fields: [ByteString] = []
    let first = token
    while token.kind == .field { fields.append(ByteString(next().bytes.dropFirst())) }
    if fields.isEmpty { return term }
    switch term.kind {
    case .field(let names):
      return TemplateOperand(kind: .field(names + fields), offset: term.offset)
    case .variable(let name, let names):
      return TemplateOperand(kind: .variable(name, names + fields), offset: term.offset)
    case .bool, .string, .number, .null, .dot: throw fail("unexpected . after term", first)
    default: return TemplateOperand(kind: .chain(term, fields), offset: term.offset)
    }
  }

  private mutating func term() throws(TemplateError) -> TemplateOperand? {
    let token = token
    let kind: TemplateOperand.Kind
    switch token.kind {
    case .error: throw fail("", token)
    case .identifier:
      let name = String(decoding: token.bytes, as: UTF8.self)
      guard let function = TemplateFunctions.all[name] else {
        throw fail("function \"\(name)\" not defined", token)
      }
      called.insert(name)
      kind = .function(function)
    case .keyword(.dot): kind = .dot
    case .keyword(.null): kind = .null
    case .variable:
      let name = ByteString(token.bytes)
      guard variables.contains(name) else { throw fail("undefined variable \"\(name)\"", token) }
      kind = .variable(name, [])
    case .field: kind = .field([ByteString(token.bytes.dropFirst())])
    case .bool: kind = .bool(token.bytes.count == 4)
    case .character:
      guard let number = TemplateNumber(character: token.bytes) else {
        throw fail("malformed character constant", token)
      }
      kind = .number(number)
    case .number:
      guard let number = TemplateNumber(token.bytes) else {
        throw fail("illegal number syntax \(token.description)", token)
      }
      kind = .number(number)
    case .leftParenthesis:
      place += 1
      try enter()
      kind = .pipeline(try pipeline("parenthesized pipeline", until: .rightParenthesis))
      depth -= 1
      return TemplateOperand(kind: kind, offset: token.offset)
    case .string, .rawString: kind = .string(try unquoted(token))
    default: return nil
    }
    place += 1
    return TemplateOperand(kind: kind, offset: token.offset)
  }
}
