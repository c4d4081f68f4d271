import JSON

/// One entry of `filters.exprs` (spec section 7.4), compiled.
package struct ExprFilter: Sendable {
  private let program: Result<GovaluateProgram, FilterError>
  private let fields: [(name: ByteString, path: JSONPath)]

  /// - Throws: `FilterError` for an expression that is none, and for one without fields, which
  ///   would never be looked at; in mode `argo-1.9` only for a path, the rest is an error of each
  ///   event.
  package init(
    _ expression: String,
    fields: [(name: String, path: String)],
    mode: CompatibilityMode = .fixed
  ) throws(FilterError) {
    var compiled: [(name: ByteString, path: JSONPath)] = []
    for (name, path) in fields {
      do throws(JSONPathError) {
        compiled.append((ByteString(name), try JSONPath(path)))
      } catch { throw FilterError(description: "path '\(path)': \(error)") }
    }
    self.fields = compiled
    do throws(ExprError) { program = .success(try GovaluateProgram(expression)) } catch {
      program = .failure(FilterError(description: "expr: \(error)"))
    }
    if mode == .fixed {
      _ = try program.get()
      if fields.isEmpty {
        throw FilterError(description: "fields: found none, expected at least one")
      }
    }
  }

  private static func value(_ found: JSONValue) -> ExprValue {
    switch found.kind {
    case .null: .null
    case .bool: .bool(found.isTrue)
    case .number: .float(ExprJSON.number(found.raw))
    case .string: .string(ExprJSON.text(found.raw.dropFirst().dropLast()))
    // A path can put together what is no JSON.
    case .array: found.json.map { ExprValue($0) } ?? .array(ExprArray([]))
    case .object: found.json.map { ExprValue($0) } ?? .map(ExprMap([]))
    }
  }

  /// nil: it has no fields and says nothing.
  func evaluate(_ document: JSONDocument) -> FilterVerdict? {
    if fields.isEmpty { return nil }
    var values: [(name: ByteString, value: ExprValue)] = []
    values.reserveCapacity(fields.count)
    for (name, path) in fields {
      guard let found = document.value(at: path) else {
        return .error("path '\(path.text)' does not exist")
      }
      values.append((name, Self.value(found)))
    }
    switch program {
    case .failure(let error): return .error("\(error)")
    case .success(let program):
      do throws(ExprError) {
        let answer = try program.evaluate { name in values.last { $0.name == name }?.value }
        if case .bool(true) = answer { return .pass }
        return .refused("'\(program.source)' is not true")
      } catch { return .error("'\(program.source)': \(error.message)") }
    }
  }
}

extension ExprFilter {
  /// In words: the expression, and what its fields are.
  func fault(_ document: JSONDocument, clause: String) -> FilterFault? {
    let verdict = evaluate(document) ?? .pass
    let wanted: String
    switch program {
    case .success(let program): wanted = "\(program.source)"
    case .failure: wanted = "an expression"
    }
    guard let fault = FilterFault(verdict, clause: clause, wanted: wanted), !fault.isError else {
      return FilterFault(verdict, clause: clause, wanted: wanted)
    }
    let found = fields.map { name, path in
      "\(name) = " + (document.value(at: path).map { FilterFault.shown($0) } ?? "nothing")
    }
    return FilterFault(clause: clause, wanted: wanted, found: found.joined(separator: ", "))
  }

  /// nil: it has no fields and says nothing.
  var outline: FilterOutline? {
    if fields.isEmpty { return nil }
    guard case .success(let program) = program else { return .opaque }
    var outline = FilterOutline()
    // All fields are fetched before anything is judged.
    outline.guards = fields.map { FilterGuard($0.path) }
    outline.append(program.outline { name in fields.last { $0.name == name }?.path })
    return outline
  }
}

/// All `filters.exprs` of a dependency with their operator.
package struct ExprFilters: DataJudge {
  private let filters: [ExprFilter]
  private let join: FilterJoin

  /// - Parameter join: `exprLogicalOperator`.
  package init(_ filters: [ExprFilter], join: FilterJoin) {
    self.filters = filters
    self.join = join
  }

  package func faults(_ data: FilterData, at time: FilterTime) -> [FilterFault] {
    let verdict = evaluate(data, at: time)
    if verdict == .pass { return [] }
    guard case .document(let document) = data else {
      return FilterFault(verdict, clause: "", wanted: "JSON").map { [$0] } ?? []
    }
    var faults: [FilterFault] = []
    for (place, filter) in filters.enumerated() {
      guard let fault = filter.fault(document, clause: "[\(place)]") else { continue }
      faults.append(fault)
      if join == .all { return faults }
    }
    if faults.isEmpty {
      return FilterFault(verdict, clause: "", wanted: "one with fields").map { [$0] } ?? []
    }
    return faults
  }

  package var outline: FilterOutline {
    let parts = filters.compactMap(\.outline)
    if join == .any { return .any(parts) }
    var outline = FilterOutline()
    for part in parts { outline.append(part) }
    return outline
  }

  package func evaluate(_ data: FilterData, at time: FilterTime) -> FilterVerdict {
    switch data {
    case .absent: return .pass
    case .broken(let why): return .error("event data is not valid JSON: \(why)")
    case .document(let document): return evaluate(document)
    }
  }

  private func evaluate(_ document: JSONDocument) -> FilterVerdict {
    var refusal: String?
    var error: String?
    for filter in filters {
      switch (filter.evaluate(document), join) {
      case (.pass?, .any): return .pass
      case (.pass?, .all), (nil, _): continue
      case (let verdict?, .all): return verdict
      case (.refused(let why)?, .any): refusal = refusal ?? why
      case (.error(let why)?, .any): error = error ?? why
      }
    }
    if join == .all { return .pass }
    if let error { return .error(error) }
    return .refused(refusal ?? "there is no expression with fields")
  }
}
