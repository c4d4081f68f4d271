package import JSON

/// One entry of `filters.data` (spec section 7.3), compiled.
package struct DataFilter: Sendable {
  /// Turns what the path found, in its string form, into the text that is compared.
  package typealias Template = @Sendable (String) throws(FilterError) -> String

  private enum Test: Sendable {
    case bool([Result<Bool, FilterError>])
    case number([Result<Double, FilterError>], Comparison)
    case text([Result<TextPattern, FilterError>], Comparison)
    case unknown(String)
  }

  private enum Comparison: String, Sendable {
    case equal = "="
    case notEqual = "!="
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="
    case never
  }

  private let path: JSONPath
  private let template: Template?
  private let test: Test
  private let mode: CompatibilityMode
  /// As they were written.
  private let values: [String]
  private let sign: String

  private var isEmpty: Bool { values.isEmpty }

  /// - Parameters:
  ///   - type: `bool`, `number` or `string`; a string's values are regular expressions.
  ///   - values: alternatives, tried in order. With `!=` the event passes if none of them is
  ///     equal; in mode `argo-1.9` if one of them is not.
  ///   - comparator: nil or empty is equality. `bool` does not look at it.
  /// - Throws: `FilterError` for what can never be judged; in mode `argo-1.9` only for the path,
  ///   the rest is an error of each event that comes to it.
  package init(
    path: String,
    type: String,
    values: [String],
    comparator: String?,
    template: Template? = nil,
    mode: CompatibilityMode = .fixed
  ) throws(FilterError) {
    let compiled: JSONPath
    do throws(JSONPathError) { compiled = try JSONPath(path) } catch {
      throw FilterError(description: "path: \(error)")
    }
    try self.init(
      path: compiled,
      type: type,
      values: values,
      comparator: comparator,
      template: template,
      mode: mode
    )
  }

  /// With a path that many filters share.
  package init(
    path: JSONPath,
    type: String,
    values: [String],
    comparator: String?,
    template: Template? = nil,
    mode: CompatibilityMode = .fixed
  ) throws(FilterError) {
    self.path = path
    self.template = template
    self.mode = mode
    self.values = values
    let sign = comparator.flatMap { $0.isEmpty ? nil : $0 } ?? "="
    self.sign = sign
    let comparison = Comparison(rawValue: sign) ?? .never
    switch type {
    case "bool": test = .bool(values.map(parseBool))
    case "number": test = .number(values.map(parseNumber), comparison)
    case "string": test = .text(values.map(parsePattern), comparison)
    default: test = .unknown(type)
    }
    if mode == .fixed { try check(sign, comparison) }
  }

  private func check(_ sign: String, _ comparison: Comparison) throws(FilterError) {
    if isEmpty { throw FilterError(description: "value: expected at least one") }
    switch test {
    case .bool(let values): for value in values { _ = try value.get() }
    case .number(let values, _): for value in values { _ = try value.get() }
    case .text(let values, _):
      for value in values { _ = try value.get() }
      if comparison != .equal, comparison != .notEqual {
        throw FilterError(
          description: "comparator: '\(sign)' never matches a string; expected = or !="
        )
      }
    case .unknown(let type):
      throw FilterError(description: "type: found '\(type)', expected bool, number or string")
    }
    if comparison == .never {
      throw FilterError(
        description: "comparator: found '\(sign)', expected one of =, !=, <, <=, >, >="
      )
    }
  }

  func evaluate(_ document: JSONDocument) -> FilterVerdict {
    guard let value = document.value(at: path) else {
      return .error("path '\(path.text)' does not exist")
    }
    if isEmpty { return .error("no values specified") }
    do throws(FilterError) {
      if try passes(value) { return .pass }
      return .refused("\(path.text) is '\(value.string.prefix(200))'")
    } catch { return .error("\(error)") }
  }

  private func passes(_ value: JSONValue) throws(FilterError) -> Bool {
    guard let template else { return try compare(value) }
    let text = try template(value.string)
    // Text that holds nothing is taken for a template that missed.
    if text.isEmpty || text == "<no value>" {
      throw FilterError(description: "the template came to nothing")
    }
    return try compare(JSONValue(string: text))
  }

  private func compare(_ value: JSONValue) throws(FilterError) -> Bool {
    switch test {
    case .bool(let wanted):
      let found = value.bool
      return try anyHolds(wanted, .equal) { $0 == found }
    case .number(let wanted, let comparison):
      let found = value.double
      return try anyHolds(wanted, comparison) { holds(found, $0, comparison) }
    case .text(let patterns, let comparison):
      let found = value.stringBytes
      return try anyHolds(patterns, comparison) {
        switch comparison {
        case .equal: $0.matches(found)
        case .notEqual: !$0.matches(found)
        default: false
        }
      }
    case .unknown(let type): throw FilterError(description: "unsupported JSON type '\(type)'")
    }
  }

  /// Whether one alternative holds, the first that cannot be judged ending it; with `!=` whether
  /// all do, as it is meant.
  private func anyHolds<Wanted>(
    _ wanted: [Result<Wanted, FilterError>],
    _ comparison: Comparison,
    _ holds: (Wanted) -> Bool
  ) throws(FilterError) -> Bool {
    let mustAll = comparison == .notEqual && mode == .fixed
    for alternative in wanted where holds(try alternative.get()) != mustAll { return !mustAll }
    return mustAll
  }

  private func holds(_ a: Double, _ b: Double, _ comparison: Comparison) -> Bool {
    switch comparison {
    case .equal: a == b
    case .notEqual: a != b
    case .less: a < b
    case .lessOrEqual: a <= b
    case .greater: a > b
    case .greaterOrEqual: a >= b
    case .never: false
    }
  }
}

extension DataFilter {
  /// In words: what it asks for, and what the document has.
  func fault(_ document: JSONDocument, clause: String) -> FilterFault? {
    let verdict = evaluate(document)
    let kind =
      switch test {
      case .text where sign == "!=": "no match of"
      case .text: "a match of"
      case .number: sign == "=" ? "the number" : "a number \(sign)"
      case .bool: "the truth"
      case .unknown(let type): "the \(type)"
      }
    let wanted =
      "\(path.text) \(template == nil ? "" : "through its template ")"
      + "to be \(kind) \(values.joined(separator: " or "))"
    guard let fault = FilterFault(verdict, clause: clause, wanted: wanted) else { return nil }
    guard !fault.isError, let value = document.value(at: path) else { return fault }
    return FilterFault(clause: clause, wanted: wanted, found: FilterFault.shown(value))
  }

  /// A value that is there is judged by any well-formed filter without a template.
  var outline: FilterOutline {
    guard template == nil, !isEmpty, isWellFormed else { return .opaque }
    var outline = FilterOutline()
    outline.guards = [FilterGuard(path)]
    let tests: [FilterAtom.Test?]
    switch test {
    case .bool(let values):
      tests = values.map { if case .success(let value) = $0 { .truth(value) } else { nil } }
    case .number(let values, let comparison):
      tests = values.map { value in
        guard case .success(let number) = value else { return nil }
        return range(number, comparison).map { .number($0) }
      }
    case .text(let patterns, .equal):
      tests = patterns.map { pattern in
        guard case .success(let pattern) = pattern else { return nil }
        return FilterAtom.Test(pattern.literal)
      }
    case .text, .unknown: tests = [nil]
    }
    if !tests.contains(nil) {
      let atoms = tests.compactMap { $0.map { FilterAtom(path, $0) } }
      outline.choices = [FilterChoice(guards: outline.guards, atoms: atoms)]
    }
    return outline
  }

  private var isWellFormed: Bool {
    func areAll<Value>(_ values: [Result<Value, FilterError>]) -> Bool {
      values.allSatisfy { if case .success = $0 { true } else { false } }
    }
    return switch test {
    case .bool(let values): areAll(values)
    case .number(let values, _): areAll(values)
    case .text(let patterns, _): areAll(patterns)
    case .unknown: false
    }
  }

  private func range(_ number: Double, _ comparison: Comparison) -> NumberRange? {
    var range = NumberRange()
    switch comparison {
    case .equal: range = NumberRange(number)
    case .less, .lessOrEqual:
      (range.high, range.includesHigh) = (number, comparison == .lessOrEqual)
    case .greater, .greaterOrEqual:
      (range.low, range.includesLow) = (number, comparison == .greaterOrEqual)
    case .notEqual, .never: return nil
    }
    return range
  }
}

/// All `filters.data` of a dependency with their operator.
package struct DataFilters: DataJudge {
  private let filters: [DataFilter]
  private let join: FilterJoin

  /// - Parameter join: `dataLogicalOperator`.
  package init(_ filters: [DataFilter], join: FilterJoin) {
    self.filters = filters
    self.join = join
  }

  package func evaluate(_ data: FilterData, at time: FilterTime) -> FilterVerdict {
    if filters.isEmpty { return .pass }
    switch data {
    case .absent: return .pass
    case .broken(let why): return .error("event data is not valid JSON: \(why)")
    case .document(let document): return evaluate(document)
    }
  }

  package func faults(_ data: FilterData, at time: FilterTime) -> [FilterFault] {
    guard case .document(let document) = data else {
      let verdict = evaluate(data, at: time)
      return FilterFault(verdict, clause: "", wanted: "JSON").map { [$0] } ?? []
    }
    var faults: [FilterFault] = []
    for (place, filter) in filters.enumerated() {
      if let fault = filter.fault(document, clause: "[\(place)]") {
        faults.append(fault)
        if join == .all { return faults }
      } else if join == .any {
        return []
      }
    }
    return faults
  }

  package var outline: FilterOutline {
    if join == .any { return filters.isEmpty ? FilterOutline() : .any(filters.map(\.outline)) }
    var outline = FilterOutline()
    for filter in filters { outline.append(filter.outline) }
    return outline
  }

  /// All: the first that does not pass decides. Any: the first that passes decides; if none does,
  /// an error weighs more than a refusal.
  private func evaluate(_ document: JSONDocument) -> FilterVerdict {
    var worst = FilterVerdict.pass
    for filter in filters {
      let verdict = filter.evaluate(document)
      switch (join, verdict) {
      case (.any, .pass): return .pass
      case (.all, .pass): continue
      case (.all, _): return verdict
      case (.any, .error):
        if case .error = worst { continue }
        worst = verdict
      case (.any, .refused): if worst == .pass { worst = verdict }
      }
    }
    return worst
  }
}

/// Go's ParseBool.
private func parseBool(_ text: String) -> Result<Bool, FilterError> {
  if ["1", "t", "T", "TRUE", "true", "True"].contains(text) { return .success(true) }
  if ["0", "f", "F", "FALSE", "false", "False"].contains(text) { return .success(false) }
  return .failure(FilterError(description: "value: found '\(text)', expected true or false"))
}

private func parseNumber(_ text: String) -> Result<Double, FilterError> {
  let number = GoFloat(text.utf8)
  return number.fault == nil
    ? .success(number.value)
    : .failure(FilterError(description: "value: found '\(text)', expected a number"))
}

private func parsePattern(_ text: String) -> Result<TextPattern, FilterError> {
  do throws(RE2Error) { return .success(try TextPattern(text)) } catch {
    return .failure(FilterError(description: "value: \(error)"))
  }
}
