package import JSON

/// A test of one value in an event's data.
package struct FilterAtom: Hashable, Sendable {
  package enum Test: Hashable, Sendable {
    /// The value's string form has this in it, at the ends that are named.
    case text([UInt8], begins: Bool, ends: Bool)
    /// The value's number lies within.
    case number(NumberRange)
    /// The value's truth.
    case truth(Bool)
    /// The path leads somewhere.
    case exists
  }

  package let path: JSONPath
  package let test: Test

  init(_ path: JSONPath, _ test: Test) {
    self.path = path
    self.test = test
  }
}

/// A span of numbers; one with a bound that is no number holds nothing.
package struct NumberRange: Hashable, Sendable {
  package var low = -Double.infinity
  package var high = Double.infinity
  package var includesLow = true
  package var includesHigh = true

  package init() {}

  /// One number alone.
  init(_ number: Double) { (low, high) = (number, number) }

  package var isEmpty: Bool {
    !(low < high || (low == high && includesLow && includesHigh))
  }

  package func contains(_ number: Double) -> Bool {
    (low < number || (includesLow && low == number))
      && (number < high || (includesHigh && number == high))
  }

  package func intersection(_ other: NumberRange) -> NumberRange {
    var both = self
    if other.low > low || (other.low == low && !other.includesLow) {
      (both.low, both.includesLow) = (other.low, other.includesLow)
    }
    if other.high < high || (other.high == high && !other.includesHigh) {
      (both.high, both.includesHigh) = (other.high, other.includesHigh)
    }
    return both
  }
}

/// What has to be so in an event for a filter not to fail on its way: a path leads somewhere, to
/// a value of that kind if one is named.
package struct FilterGuard: Hashable, Sendable {
  package let path: JSONPath
  package let kind: JSONValue.Kind?
  /// Whether a text must have no escapes in it that two readers may read in two ways.
  package let isPlain: Bool

  init(_ path: JSONPath, _ kind: JSONValue.Kind? = nil, isPlain: Bool = false) {
    self.path = path
    self.kind = kind
    self.isPlain = isPlain
  }

  /// Whether it holds for what the path leads to.
  package func holds(for value: JSONValue?) -> Bool {
    guard let value else { return false }
    if let kind, value.kind != kind { return false }
    return !(isPlain && value.hasUnicodeEscapes)
  }
}

/// One thing by which events can be told that a filter refuses: where all guards hold and none of
/// the atoms does, the filter refuses the event. It neither passes nor fails.
package struct FilterChoice: Hashable, Sendable {
  package var guards: [FilterGuard]
  package var atoms: [FilterAtom]
}

/// What can be said of a filter, or of a part of one, without an event.
package struct FilterOutline: Sendable {
  /// While all of these hold, it does not fail, unless `mayFail` says so.
  package var guards: [FilterGuard] = []
  package var choices: [FilterChoice] = []
  /// Whether it can fail in ways that no guard tells.
  package var mayFail = false

  init() {}

  /// What can only be judged by judging.
  static var opaque: FilterOutline {
    var outline = FilterOutline()
    outline.mayFail = true
    return outline
  }

  /// What is judged behind this, and only where this passes.
  mutating func append(_ next: FilterOutline) {
    if mayFail { return }
    choices += next.choices.map {
      FilterChoice(guards: guards.adding($0.guards), atoms: $0.atoms)
    }
    guards = guards.adding(next.guards)
    mayFail = next.mayFail
  }

  /// One of several that are alternatives: all of them must be told to fail.
  static func any(_ parts: [FilterOutline]) -> FilterOutline {
    var outline = FilterOutline()
    outline.guards = parts.reduce([]) { $0.adding($1.guards) }
    outline.mayFail = parts.contains(where: \.mayFail)
    let atoms = parts.map { $0.choices.first?.atoms }
    if !outline.mayFail, !parts.isEmpty, !atoms.contains(nil) {
      outline.choices = [
        FilterChoice(guards: outline.guards, atoms: atoms.flatMap { $0 ?? [] })
      ]
    }
    return outline
  }

  /// With a choice more for each pair of bounds on one number.
  mutating func joinBounds() {
    var seen: [JSONPath: (range: NumberRange, guards: [FilterGuard])] = [:]
    var joined: [FilterChoice] = []
    for choice in choices {
      guard choice.atoms.count == 1, let atom = choice.atoms.first,
        case .number(let range) = atom.test
      else { continue }
      if let other = seen[atom.path] {
        let both = FilterAtom(atom.path, .number(range.intersection(other.range)))
        joined.append(FilterChoice(guards: other.guards.adding(choice.guards), atoms: [both]))
      }
      seen[atom.path] = (range, choice.guards)
    }
    choices += joined
  }
}

extension [FilterGuard] {
  fileprivate func adding(_ others: [FilterGuard]) -> [FilterGuard] {
    var all = self
    for other in others where !all.contains(other) { all.append(other) }
    return all
  }
}

extension EventFilter {
  /// By what an index can tell events that this filter refuses, one way each; none where it can
  /// only be tried. Holds for events whose data are a JSON document.
  package var choices: [FilterChoice] {
    let kinds: [FilterOutline?] = [
      exprs?.outline, data?.outline, context.map { _ in FilterOutline() },
      time.map { if case .success = $0 { FilterOutline() } else { .opaque } }, script?.outline,
      paths?.outline,
    ]
    let configured = kinds.compactMap(\.self)
    // Of several kinds that are alternatives one may pass whatever becomes of another.
    if join == .any, configured.count != 1 { return [] }
    var outline = FilterOutline()
    for kind in configured { outline.append(kind) }
    outline.joinBounds()
    if mode == .fixed { return outline.choices }
    // Behind a refusal an error is looked for here.
    if outline.mayFail { return [] }
    return outline.choices.map { FilterChoice(guards: outline.guards, atoms: $0.atoms) }
  }
}
