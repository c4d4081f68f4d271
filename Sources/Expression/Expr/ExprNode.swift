/// A part of a parsed expression.
struct ExprNode: Sendable {
  indirect enum Kind: Sendable {
    case null
    case bool(Bool)
    case int(Int)
    case float(Double)
    case string(ByteString)
    case bytes(ByteString)
    case name(ByteString)
    /// The element (empty name), `#index` or `#acc`.
    case pointer(ByteString)
    case unary(ByteString, ExprNode)
    case binary(ByteString, ExprNode, ExprNode)
    /// Nil as a whole where an optional member within it finds nil.
    case chain(ExprNode)
    case member(ExprNode, ExprNode, isOptional: Bool)
    case slice(ExprNode, from: ExprNode?, to: ExprNode?)
    case call(ExprNode, [ExprNode])
    case builtin(ByteString, [ExprNode])
    case variable(ByteString, ExprNode, within: ExprNode)
    case sequence([ExprNode])
    case conditional(ExprNode, ExprNode, ExprNode)
    case array([ExprNode])
    case map([(key: ExprNode, value: ExprNode)])
  }

  let kind: Kind
  /// The byte offset that errors point at.
  let offset: Int
  /// Levels of parts within each other: each takes stack when it is evaluated.
  let depth: Int

  init(_ kind: Kind, at offset: Int) {
    self.kind = kind
    self.offset = offset
    depth = (Self.parts(of: kind).map(\.depth).max() ?? 0) + 1
  }

  /// What it is made of.
  var parts: [ExprNode] { Self.parts(of: kind) }

  private static func parts(of kind: Kind) -> [ExprNode] {
    switch kind {
    case .null, .bool, .int, .float, .string, .bytes, .name, .pointer: []
    case .unary(_, let node), .chain(let node): [node]
    case .binary(_, let left, let right): [left, right]
    case .member(let base, let property, _): [base, property]
    case .slice(let base, let from, let to): [base] + [from, to].compactMap(\.self)
    case .call(let callee, let arguments): [callee] + arguments
    case .builtin(_, let arguments): arguments
    case .variable(_, let value, let body): [value, body]
    case .sequence(let nodes), .array(let nodes): nodes
    case .conditional(let condition, let first, let second): [condition, first, second]
    case .map(let pairs): pairs.flatMap { [$0.key, $0.value] }
    }
  }
}

/// What an expression may be at most.
enum ExprLimits {
  /// Syntax nodes, as in the original.
  static let nodes = 10_000
  /// Levels of brackets within each other: each takes stack when it is parsed.
  static let nesting = 400
  /// Levels of parts within each other: each takes stack when it is evaluated.
  static let levels = 2000
  /// Elements that an evaluation makes, as in the original.
  static let elements = 1_000_000
  /// Passes through loops, elements and sixteenths of a byte looked at. The original has no such
  /// limit.
  static let work = 50_000_000
  /// Bytes of text that an evaluation makes. The original has no such limit.
  static let textBytes = 64 << 20
  /// Levels of lists and maps within each other.
  static let depth = 500
  /// Bytes of source text.
  static let source = 64 << 10
}

/// The operators (spec section 1.3).
enum ExprOperators {
  static let unary: [ByteString: Int] = ["not": 50, "!": 50, "-": 90, "+": 90]

  static let binary: [ByteString: Int] = [
    "|": 0, "or": 10, "||": 10, "and": 15, "&&": 15, "==": 20, "!=": 20, "<": 20, ">": 20,
    ">=": 20, "<=": 20, "in": 20, "matches": 20, "contains": 20, "startsWith": 20, "endsWith": 20,
    "..": 25, "+": 30, "-": 30, "*": 60, "/": 60, "%": 60, "**": 100, "^": 100, "??": 500,
  ]

  static let rightAssociative: Set<ByteString> = ["**", "^"]
  static let ordering: Set<ByteString> = ["<", ">", ">=", "<="]
  static let negatable: Set<ByteString> = ["contains", "matches", "startsWith", "endsWith", "in"]
}
