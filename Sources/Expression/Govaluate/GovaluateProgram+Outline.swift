import JSON

/// What an index can tell of an expression: conjunctions of comparisons with constants.
extension GovaluateProgram {
  /// - Parameter path: where the value of a name comes from; nil for a name that is not defined.
  func outline(_ path: (ByteString) -> JSONPath?) -> FilterOutline {
    var outline = FilterOutline()
    for part in root?.conjuncts ?? [] { outline.append(part.outline(path)) }
    return root == nil ? .opaque : outline
  }
}

extension GovaluateNode {
  /// What all has to be true, in the order of evaluation.
  fileprivate var conjuncts: [GovaluateNode] {
    switch self {
    case .group(let inner?): return inner.conjuncts
    case .binary("&&", let left?, let right?, _): return left.conjuncts + right.conjuncts
    default: return [self]
    }
  }

  private var disjuncts: [GovaluateNode] {
    switch self {
    case .group(let inner?): return inner.disjuncts
    case .binary("||", let left?, let right?, _): return left.disjuncts + right.disjuncts
    default: return [self]
    }
  }

  private var bare: GovaluateNode {
    if case .group(let inner?) = self { return inner.bare }
    return self
  }

  /// Of a conjunct; it is a bool wherever it does not fail.
  fileprivate func outline(_ path: (ByteString) -> JSONPath?) -> FilterOutline {
    let alternatives = disjuncts
    if alternatives.count > 1 { return .any(alternatives.map { $0.outline(path) }) }
    guard case .binary(let sign, let left?, let right?, _) = bare else { return .opaque }
    switch sign {
    case "==", "!=", "<", "<=", ">", ">=":
      if case .variable(let name, _) = left.bare, let constant = right.constant {
        return compared(path(name), sign, constant)
      }
      if case .variable(let name, _) = right.bare, let constant = left.constant {
        return compared(path(name), mirrored(sign), constant)
      }
    case "=~", "!~":
      if case .variable(let name, _) = left.bare, case .pattern(_, let text) = right {
        return matched(path(name), sign, text)
      }
    case "in":
      if case .variable(let name, _) = left.bare { return listed(path(name), right.listItems) }
    default: break
    }
    return .opaque
  }

  private var constant: ExprValue? {
    guard case .literal(let value) = bare else { return nil }
    switch value {
    case .bool, .float, .string: return value
    default: return nil
    }
  }

  /// The items of a list of constants; nil for anything else.
  private var listItems: [ExprValue]? {
    func items(_ node: GovaluateNode) -> [ExprValue]? {
      if case .binary(",", let left?, let right?, _) = node {
        guard let head = items(left), let last = right.constant else { return nil }
        return head + [last]
      }
      return node.constant.map { [$0] }
    }
    guard case .binary(",", _, _, _) = bare else { return nil }
    return items(bare)
  }

  private func mirrored(_ sign: String) -> String {
    ["<": ">", "<=": ">=", ">": "<", ">=": "<="][sign] ?? sign
  }

  private func compared(
    _ path: JSONPath?,
    _ sign: String,
    _ constant: ExprValue
  ) -> FilterOutline {
    guard let path else { return .opaque }
    switch (sign, constant) {
    case ("==", _): return .told(path, [constant].compactMap { FilterAtom(path, equal: $0) })
    case ("!=", _): return .told(path, [])
    case (_, .float(let number)):
      var range = NumberRange()
      switch sign {
      case "<", "<=": (range.high, range.includesHigh) = (number, sign == "<=")
      default: (range.low, range.includesLow) = (number, sign == ">=")
      }
      return .told(path, [FilterAtom(path, .number(range))], kind: .number)
    case (_, .string): return .told(path, [], kind: .string)
    default: return .opaque
    }
  }

  private func matched(_ path: JSONPath?, _ sign: String, _ text: ByteString) -> FilterOutline {
    guard let path, let pattern = try? TextPattern(text.description) else { return .opaque }
    let test = sign == "=~" ? FilterAtom.Test(pattern.literal) : nil
    return .told(path, test.map { [FilterAtom(path, $0)] } ?? [], kind: .string)
  }

  private func listed(_ path: JSONPath?, _ items: [ExprValue]?) -> FilterOutline {
    guard let path, let items else { return .opaque }
    return .told(path, items.compactMap { FilterAtom(path, equal: $0) })
  }
}

extension FilterAtom {
  /// What must hold for a value to be equal to a constant.
  fileprivate init?(_ path: JSONPath, equal constant: ExprValue) {
    switch constant {
    case .bool(let value): self.init(path, .truth(value))
    case .float(let value): self.init(path, .number(NumberRange(value)))
    case .string(let text): self.init(path, .text(Array(text.bytes), begins: true, ends: true))
    default: return nil
    }
  }
}

extension FilterOutline {
  /// A comparison that fails only for values that are not of `kind`; nil: for none.
  fileprivate static func told(
    _ path: JSONPath,
    _ atoms: [FilterAtom],
    kind: JSONValue.Kind? = nil
  ) -> FilterOutline {
    var outline = FilterOutline()
    let isText = atoms.contains { if case .text = $0.test { true } else { false } }
    outline.guards = [FilterGuard(path, kind, isPlain: isText)]
    if !atoms.isEmpty { outline.choices = [FilterChoice(guards: outline.guards, atoms: atoms)] }
    return outline
  }
}
