/// Finds what can only fail, from what is known without data: literals, operators and built-in
/// functions have a type, names have none (spec section 1.10).
struct ExprCheck {
  /// How much is refused that the language itself would let through to its run.
  enum Strictness: Sendable {
    case nothing
    case literals
    /// Also names of built-in functions as names of values, as in Argo Events.
    case strict
  }

  private enum Kind: Equatable {
    case unknown, null, bool, int, float, text, list, map, time, duration, function

    var isNumber: Bool { self == .int || self == .float }
    var isKnown: Bool { self != .unknown }

    var name: String {
      switch self {
      case .unknown: "anything"
      case .null: "nil"
      case .text: "string"
      default: "\(self)"
      }
    }
  }

  private let strictness: Strictness
  private var variables: [ByteString] = []

  static func check(_ node: ExprNode, _ strictness: Strictness) throws(ExprFault) {
    guard strictness != .nothing else { return }
    var check = ExprCheck(strictness: strictness)
    _ = try check.kind(node)
  }

  private init(strictness: Strictness) { self.strictness = strictness }

  private mutating func kind(_ node: ExprNode) throws(ExprFault) -> Kind {
    switch node.kind {
    case .null: return .null
    case .bool: return .bool
    case .int: return .int
    case .float: return .float
    case .string: return .text
    case .bytes: return .list
    case .name(let name): return self.name(name)
    case .pointer: return .unknown
    case .unary(let sign, let operand): return try unary(sign, operand, node.offset)
    case .binary(let sign, let left, let right):
      return try binary(sign, try kind(left), try kind(right), right, node.offset)
    case .chain(let link):
      _ = try kind(link)
      return .unknown
    case .variable(let name, let value, let body):
      _ = try kind(value)
      variables.append(name)
      defer { variables.removeLast() }
      return try kind(body)
    case .conditional(let condition, let first, let second):
      let tested = try kind(condition)
      guard tested == .unknown || tested == .bool else {
        throw fault("\(tested.name) is no condition", condition.offset)
      }
      let (a, b) = (try kind(first), try kind(second))
      return a == b ? a : .unknown
    case .sequence(let parts):
      var last = Kind.unknown
      for part in parts { last = try kind(part) }
      return last
    default: return try container(node)
    }
  }

  private mutating func container(_ node: ExprNode) throws(ExprFault) -> Kind {
    switch node.kind {
    case .array(let items):
      for item in items { _ = try kind(item) }
      return .list
    case .map(let pairs):
      for pair in pairs {
        _ = try kind(pair.key)
        _ = try kind(pair.value)
      }
      return .map
    case .member(let base, let property, _):
      let owner = try kind(base)
      _ = try kind(property)
      guard ![.bool, .int, .float].contains(owner) else {
        throw fault("\(owner.name) has no members", node.offset)
      }
    case .slice(let base, let from, let to):
      let owner = try kind(base)
      for bound in [from, to] { if let bound { _ = try kind(bound) } }
      return owner == .text || owner == .list ? owner : .unknown
    case .call(let callee, let arguments):
      _ = try kind(callee)
      for argument in arguments { _ = try kind(argument) }
    case .builtin(let name, let arguments):
      for argument in arguments { _ = try kind(argument) }
      return Self.results[name] ?? .unknown
    default: break
    }
    return .unknown
  }

  private func fault(_ message: String, _ offset: Int) -> ExprFault {
    ExprFault(message, at: offset, phase: .compile)
  }

  private func name(_ name: ByteString) -> Kind {
    if variables.contains(name) || strictness != .strict { return .unknown }
    if name == "$env" { return .map }
    let isBuiltin = ExprFunctions.all[name] != nil || ExprPredicates.shapes[name] != nil
    return isBuiltin && !Self.later.contains(name) ? .function : .unknown
  }

  /// Functions that are newer than the language of Argo Events.
  private static let later: Set<ByteString> = [
    "sortBy", "reverse", "uniq", "concat", "flatten", "timezone", "bitand", "bitor", "bitxor",
    "bitnand", "bitnot", "bitshl", "bitshr", "bitushr",
  ]

  private static let results: [ByteString: Kind] = [
    "all": .bool, "any": .bool, "none": .bool, "one": .bool, "hasPrefix": .bool,
    "hasSuffix": .bool, "len": .int, "count": .int, "int": .int, "indexOf": .int,
    "lastIndexOf": .int, "float": .float, "ceil": .float, "floor": .float, "round": .float,
    "string": .text, "type": .text, "upper": .text, "lower": .text, "trim": .text,
    "trimPrefix": .text, "trimSuffix": .text, "replace": .text, "repeat": .text, "join": .text,
    "toJSON": .text, "toBase64": .text, "fromBase64": .text, "filter": .list, "map": .list,
    "split": .list, "splitAfter": .list, "keys": .list, "values": .list, "sort": .list,
    "toPairs": .list, "groupBy": .map, "now": .time, "date": .time, "duration": .duration,
  ]

  private mutating func unary(
    _ sign: ByteString,
    _ operand: ExprNode,
    _ offset: Int
  ) throws(ExprFault) -> Kind {
    let kind = try kind(operand)
    let isNot = sign == "not" || sign == "!"
    let fits = !kind.isKnown || (isNot ? kind == .bool : kind.isNumber || kind == .duration)
    guard fits else { throw fault("'\(sign)' does not go with \(kind.name)", offset) }
    return isNot ? .bool : kind
  }

  private func binary(
    _ sign: ByteString,
    _ a: Kind,
    _ b: Kind,
    _ right: ExprNode,
    _ offset: Int
  ) throws(ExprFault) -> Kind {
    func require(_ fits: Bool) throws(ExprFault) {
      guard fits || !a.isKnown && !b.isKnown else {
        throw fault("'\(sign)' does not go with \(a.name) and \(b.name)", offset)
      }
    }
    func either(_ kinds: Kind...) -> Bool {
      (!a.isKnown || kinds.contains(a)) && (!b.isKnown || kinds.contains(b))
    }
    let areAlike = !a.isKnown || !b.isKnown || a == b || a.isNumber && b.isNumber
    switch sign {
    case "==", "!=":
      try require(areAlike || a == .null || b == .null)
      return .bool
    case "and", "&&", "or", "||":
      try require(either(.bool))
      return .bool
    case "<", ">", "<=", ">=":
      try require(areAlike && either(.int, .float, .text, .time, .duration))
      return .bool
    case "contains", "startsWith", "endsWith", "matches":
      try require(either(.text))
      return .bool
    case "in":
      try require(!b.isKnown || b == .list || b == .map && (!a.isKnown || a == .text))
      if case .array(let items) = right.kind { try requireMember(a, items, offset) }
      return .bool
    case "..":
      try require(either(.int))
      return .list
    case "%":
      try require(either(.int))
      return .int
    case "/", "**", "^":
      try require(either(.int, .float))
      return .float
    case "+", "-", "*": return try sum(sign, a, b, offset)
    default: return .unknown
    }
  }

  /// A value of a known type in a list of others is never found.
  private func requireMember(
    _ kind: Kind,
    _ items: [ExprNode],
    _ offset: Int
  ) throws(ExprFault) {
    guard kind.isKnown, !items.isEmpty else { return }
    for item in items {
      switch item.kind {
      case .int, .float: if kind.isNumber { return }
      case .string: if kind == .text { return }
      case .bool: if kind == .bool { return }
      default: return
      }
    }
    throw fault("\(kind.name) is never in this list", offset)
  }

  private func sum(
    _ sign: ByteString,
    _ a: Kind,
    _ b: Kind,
    _ offset: Int
  ) throws(ExprFault) -> Kind {
    func fits(_ kind: Kind) -> Bool {
      switch kind {
      case .unknown, .int, .float, .time, .duration: true
      case .text: sign == "+"
      default: false
      }
    }
    let isText = a == .text || b == .text
    let areTexts = (a == .text || !a.isKnown) && (b == .text || !b.isKnown)
    guard fits(a), fits(b), !isText || areTexts else {
      throw fault("'\(sign)' does not go with \(a.name) and \(b.name)", offset)
    }
    if a == .int && b == .int { return .int }
    if a.isNumber && b.isNumber { return .float }
    return a == .text && b == .text ? .text : .unknown
  }
}
