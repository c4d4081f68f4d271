package import JSON

/// What a filter made of an event.
package enum FilterVerdict: Equatable, Sendable {
  case pass
  /// Which clause was false, with what was found.
  case refused(String)
  /// It could not be judged.
  case error(String)
}

package struct FilterError: Error, Equatable, CustomStringConvertible {
  package let description: String
}

/// One entry of `filters.data` (spec section 3.5).
package struct DataFilter: Sendable {
  private enum Test: Sendable {
    case bool([Bool])
    case number([Double], NumberComparison)
    case text([TextPattern], isNegated: Bool)
  }

  private enum NumberComparison: String, Sendable {
    case equal = "="
    case notEqual = "!="
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="
  }

  private let path: JSONPath
  private let pathText: String
  private let test: Test

  /// - Parameters:
  ///   - type: `bool`, `number` or `string`.
  ///   - values: at least one; an event passes if one of them matches. With `!=` it passes if
  ///     none of them is equal.
  ///   - comparator: nil is equality.
  /// - Throws: `FilterError` in words that fit behind a field's name.
  package init(
    path: String,
    type: String,
    values: [String],
    comparator: String?
  ) throws(FilterError) {
    do throws(JSONPathError) { self.path = try JSONPath(path) } catch {
      throw FilterError(description: "path: \(error)")
    }
    pathText = path
    guard !values.isEmpty else { throw FilterError(description: "value: expected at least one") }
    let comparator = comparator?.isEmpty == false ? comparator ?? "=" : "="
    guard let comparison = NumberComparison(rawValue: comparator) else {
      throw FilterError(
        description: "comparator: found '\(comparator)', expected one of =, !=, <, <=, >, >="
      )
    }
    switch type {
    case "bool": test = .bool(try values.map(parseBool))
    case "number":
      test = .number(
        try values.map { (text) throws(FilterError) in
          guard let number = Double(text) else {
            throw FilterError(description: "value: found '\(text)', expected a number")
          }
          return number
        },
        comparison
      )
    case "string":
      guard comparison == .equal || comparison == .notEqual else {
        throw FilterError(
          description: "comparator: '\(comparator)' never matches a string; expected = or !="
        )
      }
      test = .text(
        try values.map { (text) throws(FilterError) in try TextPattern(text) },
        isNegated: comparison == .notEqual
      )
    default:
      throw FilterError(description: "type: found '\(type)', expected bool, number or string")
    }
  }

  func evaluate(_ document: JSONDocument) -> FilterVerdict {
    guard let value = document.value(at: path) else {
      return .error("path '\(pathText)' does not exist")
    }
    let passes: Bool
    switch test {
    case .bool(let wanted): passes = wanted.contains(truth(value))
    case .number(let wanted, let comparison):
      let found = magnitude(value)
      passes =
        comparison == .notEqual
        ? wanted.allSatisfy { found != $0 } : wanted.contains { compare(found, $0, comparison) }
    case .text(let patterns, let isNegated):
      let found = value.string
      passes = patterns.contains { $0.matches(found) } != isNegated
    }
    return passes ? .pass : .refused("\(pathText) is '\(value.string.prefix(200))'")
  }

  private func compare(_ a: Double, _ b: Double, _ comparison: NumberComparison) -> Bool {
    switch comparison {
    case .equal: a == b
    case .notEqual: a != b
    case .less: a < b
    case .lessOrEqual: a <= b
    case .greater: a > b
    case .greaterOrEqual: a >= b
    }
  }
}

/// All `filters.data` of a dependency with their operator.
package struct DataFilters: Sendable {
  private let filters: [DataFilter]
  private let isAny: Bool

  /// - Parameter isAny: `dataLogicalOperator: or`.
  package init(_ filters: [DataFilter], isAny: Bool) {
    self.filters = filters
    self.isAny = isAny
  }

  /// And: the first that does not pass decides. Or: the first that passes decides.
  package func evaluate(_ document: JSONDocument) -> FilterVerdict {
    var worst = FilterVerdict.pass
    for filter in filters {
      let verdict = filter.evaluate(document)
      if isAny {
        if verdict == .pass { return .pass }
        if case .error = worst { continue }
        worst = verdict
      } else if verdict != .pass {
        return verdict
      }
    }
    return worst
  }
}

/// A string filter's value: text to search for, with `^` and `$` at its ends as anchors. Other
/// regular expressions have their own module to come and are refused.
struct TextPattern: Sendable {
  private let literal: String
  private let atStart: Bool
  private let atEnd: Bool

  init(_ text: String) throws(FilterError) {
    guard !text.isEmpty else { throw FilterError(description: "value: found an empty string") }
    var rest = Substring(text)
    atStart = rest.first == "^"
    if atStart { rest.removeFirst() }
    let ends = rest.last == "$" && !rest.hasSuffix("\\$")
    if ends { rest.removeLast() }
    atEnd = ends
    var literal = ""
    var isEscaped = false
    for character in rest {
      if isEscaped {
        guard !character.isLetter && !character.isNumber else {
          throw Self.unsupported("\\\(character)", text)
        }
        literal.append(character)
        isEscaped = false
      } else if character == "\\" {
        isEscaped = true
      } else if "+*?()|[]{}^$".contains(character) {
        throw Self.unsupported("\(character)", text)
      } else {
        // A bare dot means any character; as people write it, it stands for itself, and that
        // reading is the narrower one only by chance: it is refused too.
        if character == "." { throw Self.unsupported(".", text) }
        literal.append(character)
      }
    }
    if isEscaped { throw Self.unsupported("\\", text) }
    self.literal = literal
  }

  func matches(_ text: String) -> Bool {
    switch (atStart, atEnd) {
    case (true, true): text == literal
    case (true, false): text.hasPrefix(literal)
    case (false, true): text.hasSuffix(literal)
    case (false, false): literal.isEmpty || text.contains(literal)
    }
  }

  private static func unsupported(_ what: String, _ text: String) -> FilterError {
    FilterError(
      description:
        "value: '\(what)' in '\(text)' is a regular expression, which is not supported yet; "
        + "write \\\(what) for the character itself"
    )
  }
}

/// Go's ParseBool.
private func parseBool(_ text: String) throws(FilterError) -> Bool {
  if ["1", "t", "T", "TRUE", "true", "True"].contains(text) { return true }
  if ["0", "f", "F", "FALSE", "false", "False"].contains(text) { return false }
  throw FilterError(description: "value: found '\(text)', expected true or false")
}

private func truth(_ value: JSONValue) -> Bool {
  switch value.kind {
  case .bool: value.isTrue
  case .number: value.double != 0
  case .string: ["1", "t", "true"].contains(value.string.lowercased())
  default: false
  }
}

private func magnitude(_ value: JSONValue) -> Double {
  switch value.kind {
  case .number: value.double
  case .string: Double(value.string) ?? 0
  case .bool: value.isTrue ? 1 : 0
  default: 0
  }
}
