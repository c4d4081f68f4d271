/// Why a condition cannot be used; the message has a caret line under the text.
package struct ConditionError: Error, Equatable, CustomStringConvertible {
  package let description: String

  package init(description: String) { self.description = description }
}

/// A trigger's `conditions`: dependency names joined by `&&`, `||` and parentheses, `&&` binding
/// tighter (spec section 3.6). Names are exact: `a-b` and `a_b` are two.
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

  /// - Parameter names: the dependencies of the sensor; the condition refers to them by index.
  package init(_ text: String, names: [String]) throws(ConditionError) {
    var parser = ConditionParser(text, names: names)
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
  private var at = 0
  private var depth = 0

  init(_ text: String, names: [String]) {
    self.text = Array(text)
    self.names = names
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
    while at < text.count, isNamePart(text[at]) { at += 1 }
    let name = String(text[start..<at])
    guard !name.isEmpty else { throw fail("expected a dependency name or '('") }
    guard let index = names.firstIndex(of: name) else {
      at = start
      throw fail("unknown dependency '\(name)'; the sensor has \(names.joined(separator: ", "))")
    }
    return index
  }

  func fail(_ message: String) -> ConditionError {
    let caret = String(repeating: " ", count: at) + "^"
    return ConditionError(description: "column \(at + 1): \(message)\n\(String(text))\n\(caret)")
  }

  private mutating func skipSpace() {
    while at < text.count, text[at].isWhitespace { at += 1 }
  }
}

private func isNamePart(_ character: Character) -> Bool {
  character.isLetter || character.isNumber || "_-.".contains(character)
}
