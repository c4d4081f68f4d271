/// Which token may follow which (spec section 3.3).
enum GovaluateGrammar {
  private typealias Kind = GovaluateToken.Kind

  private static let operators: Set<Kind> = [
    .modifier, .comparator, .logical, .close, .ternary, .separator,
  ]
  private static let values: Set<Kind> = [
    .prefix, .number, .bool, .variable, .pattern, .accessor, .text, .time, .open,
  ]

  private static func followers(_ kind: Kind?) -> Set<Kind> {
    switch kind {
    case nil: values
    case .open?: values.union([.close])
    case .close?: operators.union([.number, .bool, .variable, .text, .pattern, .time, .open])
    case .number?, .bool?, .text?, .variable?: operators
    case .time?, .pattern?: operators.subtracting([.ternary])
    case .accessor?: operators.union([.open])
    case .modifier?: values.subtracting([.pattern, .time]).union([.close])
    case .comparator?: values.union([.close])
    case .logical?: values.subtracting([.pattern]).union([.close])
    case .prefix?: [.number, .bool, .variable, .accessor, .open, .close]
    case .ternary?: values.subtracting([.pattern]).union([.separator])
    case .separator?: values.subtracting([.pattern])
    }
  }

  static func isAllowed(_ kind: GovaluateToken.Kind, behind last: GovaluateToken.Kind?) -> Bool {
    followers(last).contains(kind)
  }

  private static let endings: Set<Kind> = [
    .close, .number, .bool, .text, .time, .pattern, .variable, .accessor,
  ]

  static func check(_ tokens: [GovaluateToken], _ length: Int) throws(ExprFault) {
    var open = 0
    for token in tokens {
      if token.kind == .open { open += 1 }
      if token.kind == .close { open -= 1 }
    }
    guard open == 0 else { throw ExprFault("unbalanced parentheses", at: length, phase: .parse) }
    var last: GovaluateToken?
    for token in tokens {
      guard isAllowed(token.kind, behind: last?.kind) else {
        let message =
          last?.kind == .variable && token.kind == .open
          ? "there are no functions, so no '\(last?.text ?? "")'"
          : "'\(token.text)' cannot stand here"
        throw ExprFault(message, at: token.offset, phase: .parse)
      }
      last = token
    }
    guard let last, endings.contains(last.kind) else {
      throw ExprFault("unexpected end of the expression", at: length, phase: .parse)
    }
  }
}

/// A part of a govaluate expression. Sides may be missing: the original accepts `(1 +)`.
indirect enum GovaluateNode: Sendable {
  case literal(ExprValue)
  case pattern(ExprPattern, ByteString)
  case variable(ByteString, offset: Int)
  case accessor(String, offset: Int)
  case prefix(String, GovaluateNode?, offset: Int)
  case binary(String, GovaluateNode?, GovaluateNode?, offset: Int)
  case group(GovaluateNode?)
}

/// Orders tokens by precedence (spec section 3.2). The original steps back by one token wherever
/// a level ends, also at the very end; what stands behind a complete value is left unread.
struct GovaluatePlanner {
  private let tokens: [GovaluateToken]
  private var at = 0
  private var nesting = 0

  private static let levels: [(kind: GovaluateToken.Kind, symbols: Set<String>)] = [
    (.separator, [","]), (.ternary, ["?", ":", "??"]), (.logical, ["||"]), (.logical, ["&&"]),
    (.comparator, ["==", "!=", ">", ">=", "<", "<=", "=~", "!~", "in"]),
    (.modifier, ["^", "&", "|"]), (.modifier, [">>", "<<"]), (.modifier, ["+", "-"]),
    (.modifier, ["*", "/", "%"]), (.modifier, ["**"]),
  ]

  static func plan(_ tokens: [GovaluateToken]) throws(ExprFault) -> GovaluateNode? {
    var planner = GovaluatePlanner(tokens: tokens)
    return try planner.level(0)
  }

  private init(tokens: [GovaluateToken]) { self.tokens = tokens }

  private mutating func next() throws(ExprFault) -> GovaluateToken {
    guard at < tokens.count else {
      let end = tokens.last?.offset ?? 0
      throw ExprFault("unexpected end of the expression", at: end, phase: .parse)
    }
    at += 1
    return tokens[at - 1]
  }

  private mutating func level(_ index: Int) throws(ExprFault) -> GovaluateNode? {
    guard index < Self.levels.count else { return try value() }
    let (kind, symbols) = Self.levels[index]
    var left = try level(index + 1)
    while at < tokens.count {
      let token = tokens[at]
      guard token.kind == kind, symbols.contains(token.text) else { return left }
      at += 1
      let right = try level(index + 1)
      left = .binary(token.text, left, right, offset: token.offset)
    }
    at -= 1
    return left
  }

  private mutating func value() throws(ExprFault) -> GovaluateNode? {
    guard at < tokens.count else { return nil }
    let token = try next()
    switch token.kind {
    case .open:
      nesting += 1
      defer { nesting -= 1 }
      guard nesting <= ExprLimits.nesting else {
        let message = "nested deeper than \(ExprLimits.nesting) levels"
        throw ExprFault(message, at: token.offset, phase: .parse)
      }
      let inner = at < tokens.count ? try level(0) : nil
      _ = try next()
      return .group(inner)
    case .close:
      at -= 1
      return nil
    case .variable: return .variable(ByteString(token.text), offset: token.offset)
    case .accessor:
      if at < tokens.count, tokens[at].kind == .open { _ = try level(0) }
      return .accessor(token.text, offset: token.offset)
    case .pattern: return token.pattern.map { .pattern($0, ByteString(token.text)) }
    case .number, .text, .bool, .time: return .literal(token.value)
    case .prefix:
      let operand = try value()
      return .prefix(token.text, operand, offset: token.offset)
    default:
      throw ExprFault("'\(token.text)' cannot stand here", at: token.offset, phase: .parse)
    }
  }
}
