/// Reads the tokens of a template (Go's text/template).
struct TemplateParser {
  let text: [UInt8]
  let tokens: [TemplateToken]
  var place = 0
  /// Variables that are declared here.
  var variables: [ByteString] = ["$"]
  var loops = 0
  var depth = 0
  var templates: [ByteString: [TemplateNode]] = [:]
  /// Functions that are called by the name of the call.
  var called: Set<String> = []

  /// Blocks and parentheses within each other.
  static let depthMax = 100
  /// The name of the template as a whole.
  static let mainName: ByteString = "param"

  init(_ text: [UInt8]) {
    self.text = text
    tokens = TemplateLexer.tokens(text)
  }

  func fail(_ message: String, _ token: TemplateToken) -> TemplateError {
    if case .error(let words) = token.kind {
      return TemplateError(.parse, words, at: token.offset, in: text)
    }
    return TemplateError(.parse, message, at: token.offset, in: text)
  }

  func unexpected(_ token: TemplateToken, _ context: String) -> TemplateError {
    fail("unexpected \(token.description) in \(context)", token)
  }

  var token: TemplateToken { tokens[place] }

  /// The last token, an end or an error, is never passed.
  mutating func next() -> TemplateToken {
    let token = tokens[place]
    if place < tokens.count - 1 { place += 1 }
    return token
  }

  mutating func skipSpace() { while token.kind == .space { place += 1 } }

  mutating func nextNonSpace() -> TemplateToken {
    skipSpace()
    return next()
  }

  mutating func peekNonSpace() -> TemplateToken {
    skipSpace()
    return token
  }

  mutating func enter() throws(TemplateError) {
    depth += 1
    if depth > Self.depthMax {
      throw TemplateError(.limit, "nested too deep", at: token.offset, in: text)
    }
  }

  mutating func template() throws(TemplateError) {
    var nodes: [TemplateNode] = []
    while token.kind != .end {
      if token.kind == .leftDelimiter {
        let open = place
        place += 1
        if nextNonSpace().kind == .keyword(.define) {
          try definition()
          continue
        }
        place = open
      }
      switch try textOrAction() {
      case .node(let node): nodes.append(node)
      case .end(let token): throw fail("unexpected {{end}}", token)
      case .otherwise(let token): throw fail("unexpected {{else}}", token)
      }
    }
    try add(nodes, Self.mainName, token)
  }

  /// What an action is.
  enum Item {
    case node(TemplateNode)
    case end(TemplateToken)
    case otherwise(TemplateToken)
  }

  private mutating func definition() throws(TemplateError) {
    let token = nextNonSpace()
    let name = try templateName(token, "define clause")
    try expectClose("define clause")
    let body = try separateBody("define clause")
    try add(body, name, token)
  }

  /// A body that sees no variables from around it.
  mutating func separateBody(_ context: String) throws(TemplateError) -> [TemplateNode] {
    let (outerVariables, outerLoops) = (variables, loops)
    (variables, loops) = (["$"], 0)
    try enter()
    let (nodes, stop) = try items()
    guard case .end = stop else {
      throw fail("unexpected {{else}} in \(context)", token)
    }
    depth -= 1
    (variables, loops) = (outerVariables, outerLoops)
    return nodes
  }

  /// Of two templates of one name the one that says something counts.
  private mutating func add(
    _ nodes: [TemplateNode],
    _ name: ByteString,
    _ token: TemplateToken
  ) throws(TemplateError) {
    guard let known = templates[name], !Self.isEmpty(known) else {
      templates[name] = nodes
      return
    }
    if !Self.isEmpty(nodes) {
      throw fail("multiple definition of template \"\(name)\"", token)
    }
  }

  static func isEmpty(_ nodes: [TemplateNode]) -> Bool {
    nodes.allSatisfy { node in
      guard case .text(let text) = node else { return false }
      return ByteString(text).trimmed(\.properties.isWhitespace).isEmpty
    }
  }

  func templateName(_ token: TemplateToken, _ context: String) throws(TemplateError) -> ByteString {
    guard token.kind == .string || token.kind == .rawString else {
      throw unexpected(token, context)
    }
    return try unquoted(token)
  }

  func unquoted(_ token: TemplateToken) throws(TemplateError) -> ByteString {
    guard let text = GoQuote.unquote(token.bytes) else { throw fail("invalid syntax", token) }
    return text
  }

  mutating func expectClose(_ context: String) throws(TemplateError) {
    let token = nextNonSpace()
    guard token.kind == .rightDelimiter else { throw unexpected(token, context) }
  }

  /// Text and actions up to `end` or `else`.
  mutating func items() throws(TemplateError) -> ([TemplateNode], Item) {
    var nodes: [TemplateNode] = []
    while token.kind != .end {
      let item = try textOrAction()
      guard case .node(let node) = item else { return (nodes, item) }
      nodes.append(node)
    }
    throw fail("unexpected EOF", token)
  }

  private mutating func textOrAction() throws(TemplateError) -> Item {
    let token = nextNonSpace()
    switch token.kind {
    case .text: return .node(.text(Array(token.bytes)))
    case .leftDelimiter: return try action()
    default: throw unexpected(token, "input")
    }
  }

  private mutating func action() throws(TemplateError) -> Item {
    let start = peekNonSpace()
    guard case .keyword(let keyword) = start.kind else {
      return .node(.action(try pipeline("command", until: .rightDelimiter)))
    }
    switch keyword {
    case .dot, .null, .define:
      return .node(.action(try pipeline("command", until: .rightDelimiter)))
    default: place += 1
    }
    switch keyword {
    case .block: return .node(try block())
    case .break, .continue:
      let name = keyword.rawValue
      try expectClose(name)
      guard loops > 0 else { throw fail("{{\(name)}} outside {{range}}", start) }
      return .node(keyword == .break ? .breakLoop : .continueLoop)
    case .else:
      let following = peekNonSpace()
      if following.kind != .keyword(.if), following.kind != .keyword(.with) {
        try expectClose("else")
      }
      return .otherwise(start)
    case .end:
      try expectClose("end")
      return .end(start)
    case .if: return .node(.branch(try branch(.if)))
    case .range: return .node(.branch(try branch(.range)))
    case .with: return .node(.branch(try branch(.with)))
    default: return .node(try call())
    }
  }

  private mutating func branch(_ kind: TemplateBranch.Kind) throws(TemplateError) -> TemplateBranch
  {
    let outer = variables.count
    try enter()
    let pipeline = try pipeline(kind.rawValue, until: .rightDelimiter)
    if kind == .range { loops += 1 }
    let (body, stop) = try items()
    if kind == .range { loops -= 1 }
    var otherwise: [TemplateNode] = []
    if case .otherwise = stop {
      if kind == .if, token.kind == .keyword(.if) {
        place += 1
        otherwise = [.branch(try branch(.if))]
      } else if kind == .with, token.kind == .keyword(.with) {
        place += 1
        otherwise = [.branch(try branch(.with))]
      } else {
        let (nodes, stop) = try items()
        guard case .end = stop else { throw fail("expected end; found {{else}}", token) }
        otherwise = nodes
      }
    }
    depth -= 1
    variables.removeLast(variables.count - outer)
    return TemplateBranch(kind: kind, pipeline: pipeline, body: body, otherwise: otherwise)
  }

  private mutating func block() throws(TemplateError) -> TemplateNode {
    let token = nextNonSpace()
    let name = try templateName(token, "block clause")
    let pipeline = try pipeline("block clause", until: .rightDelimiter)
    let body = try separateBody("block clause")
    try add(body, name, token)
    return .call(name, pipeline, offset: token.offset)
  }

  private mutating func call() throws(TemplateError) -> TemplateNode {
    let token = nextNonSpace()
    let name = try templateName(token, "template clause")
    guard peekNonSpace().kind != .rightDelimiter else {
      place += 1
      return .call(name, nil, offset: token.offset)
    }
    let pipeline = try pipeline("template clause", until: .rightDelimiter)
    return .call(name, pipeline, offset: token.offset)
  }
}
