/// Why a condition cannot be used; the message has a caret line under the text.
package struct ConditionError: Error, Equatable, CustomStringConvertible {
  package let description: String

  package init(description: String) { self.description = description }
}

/// A trigger's `conditions`: dependency names joined by `&&`, `||` and parentheses, `&&` binding
/// tighter (spec section 2). Names are exact: `a-b` and `a_b` are two, but one in mode `argo-1.9`.
package struct Condition: Sendable, Equatable {
  private indirect enum Term: Sendable, Equatable {
    case name(Int)
    case all([Term])
    case any([Term])
  }

  private let term: Term
  /// The dependencies it names, by index.
  package let indices: Set<Int>
  /// Whether it has no `&&`, so that every event fires alone.
  package let isPureOr: Bool

  /// - Parameters:
  ///   - names: the dependencies of the sensor; the condition refers to them by index. Empty text
  ///     is all of them.
  ///   - mode: `argo-1.9` takes `-` for `_` and refuses the names its machinery gives a meaning.
  package init(
    _ text: String,
    names: [String],
    mode: CompatibilityMode = .fixed
  ) throws(ConditionError) {
    if text.isEmpty, mode == .argo19, !names.isEmpty {
      self = try Condition(names.joined(separator: " && "), names: names, mode: mode)
      return
    }
    if mode == .argo19, !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
      // A number alone is a number there, and never true.
      self.init(.any([]))
      return
    }
    var parser = ConditionParser(text, names: names, mode: mode)
    let term = try parser.parse { (parser) throws(ConditionError) in try Condition.any(&parser) }
    self.init(term)
  }

  /// All dependencies joined by `&&`, which is the default.
  package static func all(count: Int) -> Condition {
    Condition(count == 1 ? .name(0) : .all((0..<count).map { .name($0) }))
  }

  private init(_ term: Term) {
    self.term = term
    var indices: Set<Int> = []
    var isPureOr = true
    func visit(_ term: Term) {
      switch term {
      case .name(let index): indices.insert(index)
      case .all(let terms):
        isPureOr = false
        terms.forEach(visit)
      case .any(let terms): terms.forEach(visit)
      }
    }
    visit(term)
    self.indices = indices
    self.isPureOr = isPureOr
  }

  package func evaluate(_ isTrue: (Int) -> Bool) -> Bool { Self.evaluate(term, isTrue) }

  private static func evaluate(_ term: Term, _ isTrue: (Int) -> Bool) -> Bool {
    switch term {
    case .name(let index): isTrue(index)
    case .all(let terms): terms.allSatisfy { evaluate($0, isTrue) }
    case .any(let terms): terms.contains { evaluate($0, isTrue) }
    }
  }

  private static func any(_ parser: inout ConditionParser) throws(ConditionError) -> Term {
    var terms = [try all(&parser)]
    while parser.take("||") { terms.append(try all(&parser)) }
    return terms.count == 1 ? terms[0] : .any(terms)
  }

  private static func all(_ parser: inout ConditionParser) throws(ConditionError) -> Term {
    var terms = [try atom(&parser)]
    while parser.take("&&") { terms.append(try atom(&parser)) }
    return terms.count == 1 ? terms[0] : .all(terms)
  }

  private static func atom(_ parser: inout ConditionParser) throws(ConditionError) -> Term {
    guard parser.take("(") else { return .name(try parser.name()) }
    try parser.enter()
    let term = try any(&parser)
    guard parser.take(")") else { throw parser.fail("expected ')'") }
    parser.leave()
    return term
  }
}

struct ConditionParser {
  private let text: [Character]
  private let names: [String]
  private let mode: CompatibilityMode
  private var at = 0
  private var depth = 0

  init(_ text: String, names: [String], mode: CompatibilityMode) {
    self.text = Array(text)
    self.names = names
    self.mode = mode
  }

  mutating func parse<Term>(
    _ body: (inout ConditionParser) throws(ConditionError) -> Term
  ) throws(ConditionError) -> Term {
    let term = try body(&self)
    skipSpace()
    guard at == text.count else { throw fail("expected '&&', '||' or the end") }
    return term
  }

  mutating func enter() throws(ConditionError) {
    depth += 1
    if depth > 64 { throw fail("parentheses are nested deeper than 64") }
  }

  mutating func leave() { depth -= 1 }

  mutating func take(_ symbol: String) -> Bool {
    skipSpace()
    guard text[at...].starts(with: symbol) else { return false }
    at += symbol.count
    return true
  }

  mutating func name() throws(ConditionError) -> Int {
    skipSpace()
    let start = at
    while at < text.count, isNamePart(text[at], mode) { at += 1 }
    let name = String(text[start..<at])
    guard !name.isEmpty else { throw fail("expected a dependency name or '('") }
    guard let index = index(of: name) else {
      at = start
      throw fail("unknown dependency '\(name)'; the sensor has \(names.joined(separator: ", "))")
    }
    return index
  }

  private func index(of name: String) -> Int? {
    if mode == .fixed { return names.firstIndex(of: name) }
    let folded = name.replacing("-", with: "_")
    // A later dependency takes the place of an earlier one that folds to the same name.
    guard let index = names.lastIndex(where: { $0.replacing("-", with: "_") == folded }),
      isUsable(folded), isUsable(names[index])
    else { return nil }
    return index
  }

  /// Whether a name survives both parsers it is put through: neither a word of theirs, nor with a
  /// first character they know otherwise.
  private func isUsable(_ name: String) -> Bool {
    guard let first = name.first, first.isLetter else { return false }
    return !reservedNames.contains(name) && !name.contains("$")
  }

  func fail(_ message: String) -> ConditionError {
    let caret = String(repeating: " ", count: at) + "^"
    return ConditionError(description: "column \(at + 1): \(message)\n\(String(text))\n\(caret)")
  }

  private mutating func skipSpace() {
    while at < text.count, text[at].isWhitespace { at += 1 }
  }
}

private func isNamePart(_ character: Character, _ mode: CompatibilityMode) -> Bool {
  character.isLetter || character.isNumber || character == "_" || character == "-"
    || (character == "." && mode == .fixed)
}

/// Words and functions of expr v1.15.5, and `IN` of govaluate: no dependency can be called so there.
private let reservedNames: Set<String> = [
  "in", "IN", "not", "and", "or", "matches", "contains", "startsWith", "endsWith", "let", "true",
  "false", "nil", "all", "none", "any", "one", "filter", "map", "find", "findIndex", "findLast",
  "findLastIndex", "count", "sum", "groupBy", "reduce", "len", "type", "abs", "ceil", "floor",
  "round", "int", "float", "string", "trim", "trimPrefix", "trimSuffix", "upper", "lower", "split",
  "splitAfter", "replace", "repeat", "join", "indexOf", "lastIndexOf", "hasPrefix", "hasSuffix",
  "max", "min", "mean", "median", "toJSON", "fromJSON", "toBase64", "fromBase64", "now",
  "duration", "date", "first", "last", "get", "take", "keys", "values", "toPairs", "fromPairs",
  "sort",
]
