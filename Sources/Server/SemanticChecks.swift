import Engine
import Expression
import Manifest
import Sensor

/// What is well-formed and yet cannot be meant: warnings, each at its place.
struct SemanticChecks {
  /// Compiles what was compiled already; its problems are known.
  private var builder: PlanBuilder
  private let installation: Compatibility
  private let diagnostics: Diagnostics

  init(_ builder: PlanBuilder) {
    (self.builder, installation, diagnostics) = (builder, builder.compat, builder.diagnostics)
    self.builder.diagnostics = Diagnostics()
  }

  mutating func check(_ sensors: [SensorManifest]) {
    for sensor in sensors {
      builder.compat = sensor.compat ?? installation
      checkNames(sensor)
      let impossible = Set(sensor.dependencies.filter(cannotPass).map(\.name))
      for trigger in sensor.triggers {
        checkCondition(trigger, sensor, impossible)
        for one in [trigger] + trigger.deadLetterTrigger { checkParameters(one) }
      }
    }
    checkLoops(sensors)
  }

  private func warn(_ mark: Mark, _ field: String, _ message: String) {
    diagnostics.add(Diagnostic(.warning, mark, field: field, message))
  }

  // MARK: Names

  private func checkNames(_ sensor: SensorManifest) {
    var first: [String: String] = [:]
    for dependency in sensor.dependencies {
      let folded = dependency.name.replacing("-", with: "_")
      guard let other = first.updateValue(dependency.name, forKey: folded),
        other != dependency.name
      else { continue }
      warn(
        dependency.mark,
        dependency.path + ".name",
        "found '\(dependency.name)' beside '\(other)', which are one name in Argo Events"
      )
    }
  }

  // MARK: Filters

  /// Whether no event can pass; what is wrong is reported.
  private func cannotPass(_ dependency: DependencyManifest) -> Bool {
    guard let filters = dependency.filters else { return false }
    let field = dependency.path + ".filters"
    if let context = filters.context, filters.filtersLogicalOperator == .and {
      let pairs = [
        ("source", context.source, dependency.eventSourceName, "eventSourceName"),
        ("subject", context.subject, dependency.eventName, "eventName"),
      ]
      for (name, wanted, given, key) in pairs where !wanted.isEmpty && wanted != given {
        warn(
          dependency.mark,
          field + ".context.\(name)",
          "found '\(wanted)', which contradicts \(key) '\(given)': no event passes"
        )
        return true
      }
    }
    let parts = filters.parts.map { part in
      (part.name, part.mark ?? dependency.mark, builder.filter(part.filters).choices)
    }
    checkEverything(filters, dependency)
    if parts.isEmpty {
      warn(dependency.mark, field, "passes every event: it holds no filter")
      return false
    }
    let whole = builder.filter(filters)
    if whole.choices.isEmpty, whole.readsData, dependency.transform == nil {
      warn(
        dependency.mark,
        field,
        "no index can help: every event of \(dependency.eventSourceName)/\(dependency.eventName) is "
          + "held against it (deploy/docs/matching.md)"
      )
    }
    let isAnd =
      filters.filtersLogicalOperator == .and && filters.dataLogicalOperator == .and
      && filters.exprLogicalOperator == .and
    return isAnd && contradicts(parts, field)
  }

  private func contradicts(
    _ parts: [(name: String, mark: Mark, choices: [FilterChoice])],
    _ field: String
  ) -> Bool {
    for (place, part) in parts.enumerated() {
      for other in parts[..<place] {
        let isExcluded = part.choices.contains { a in
          other.choices.contains { b in a.excludes(b) }
        }
        if isExcluded {
          warn(
            part.mark,
            field + "." + part.name.prefix { $0 != ":" },
            "contradicts \(other.name): no event passes both"
          )
          return true
        }
      }
    }
    return false
  }

  /// Patterns that fit every text.
  private static let everything: Set<String> = [
    "^", "$", ".*", "^.*", ".*$", "^.*$", "(.*)", "^(.*)$", "[\\s\\S]*",
  ]

  private func checkEverything(_ filters: FiltersManifest, _ dependency: DependencyManifest) {
    for item in filters.data ?? [] where item.type == .string {
      guard let pattern = item.value.first(where: Self.everything.contains) else { continue }
      let what = item.comparator == .equal ? "passes every value" : "passes no value"
      warn(item.mark, item.field + ".value", "found '\(pattern)', which \(what) that is there")
    }
  }

  // MARK: Triggers

  private func checkCondition(
    _ trigger: TriggerManifest,
    _ sensor: SensorManifest,
    _ impossible: Set<String>
  ) {
    guard !impossible.isEmpty else { return }
    let names = sensor.dependencies.map(\.name)
    let made = try? trigger.conditions.map { try Condition($0, names: names) }
    let condition = (made ?? nil) ?? Condition.all(count: names.count)
    if !condition.evaluate({ !impossible.contains(names[$0]) }) {
      warn(
        trigger.mark,
        trigger.path + ".template.conditions",
        "can never be true: no event passes \(impossible.sorted().joined(separator: ", "))"
      )
    }
  }

  private func checkParameters(_ trigger: TriggerManifest) {
    let all = trigger.payload + trigger.resourceParameters + trigger.triggerParameters
    for parameter in all {
      let hasData = parameter.dataKey != nil || parameter.dataTemplate != nil
      let hasContext = parameter.contextKey != nil || parameter.contextTemplate != nil
      if hasData, hasContext {
        warn(
          parameter.mark,
          parameter.path + ".src",
          "contextKey and contextTemplate have no effect beside dataKey and dataTemplate"
        )
      } else if !hasData, !hasContext, parameter.value != nil, parameter.useRawData {
        warn(
          parameter.mark,
          parameter.path + ".src.useRawData",
          "has no effect on 'value', which is always a string"
        )
      }
    }
  }

  // MARK: Loops

  /// A trigger that, over however many others, fires again by its own outcome.
  private func checkLoops(_ sensors: [SensorManifest]) {
    var next: [String: [(trigger: String, dependency: DependencyManifest)]] = [:]
    for sensor in sensors {
      let names = sensor.dependencies.map(\.name)
      for dependency in sensor.dependencies
      where dependency.eventSourceName == OutcomePhase.sourceName {
        let cause = source(dependency.eventName, sensor.namespace)
        for trigger in sensor.triggers {
          let condition = trigger.conditions.flatMap { try? Condition($0, names: names) }
          let indices = condition?.indices ?? Set(names.indices)
          guard indices.contains(where: { names[$0] == dependency.name }) else { continue }
          let id = "\(sensor.namespace)/\(sensor.name)/\(trigger.name)"
          next[cause, default: []].append((id, dependency))
        }
      }
    }
    for start in next.keys.sorted() {
      guard let last = loop(from: start, next) else { continue }
      warn(
        last.mark,
        last.path + ".eventName",
        "the trigger \(start) fires itself again by its own outcome, until the hop limit stops it"
      )
    }
  }

  /// The dependency that leads back to where it began.
  private func loop(
    from start: String,
    _ next: [String: [(trigger: String, dependency: DependencyManifest)]]
  ) -> DependencyManifest? {
    var seen: Set<String> = []
    var open = [start]
    while let trigger = open.popLast() {
      for (follower, dependency) in next[trigger] ?? [] {
        if follower == start { return dependency }
        if seen.insert(follower).inserted { open.append(follower) }
      }
    }
    return nil
  }

  /// `<namespace>/<sensor>/<trigger>` of an outcome's event name.
  private func source(_ eventName: String, _ namespace: String) -> String {
    let parts = eventName.split(separator: "/").dropLast()
    return (parts.count == 2 ? namespace + "/" : "") + parts.joined(separator: "/")
  }
}

extension FilterChoice {
  /// Whether no value can fit both.
  fileprivate func excludes(_ other: FilterChoice) -> Bool {
    !atoms.isEmpty && !other.atoms.isEmpty
      && atoms.allSatisfy { a in other.atoms.allSatisfy { b in a.excludes(b) } }
  }
}

extension FilterAtom {
  fileprivate func excludes(_ other: FilterAtom) -> Bool {
    guard path == other.path else { return false }
    switch (test, other.test) {
    case (.number(let a), .number(let b)): return a.intersection(b).isEmpty
    case (.truth(let a), .truth(let b)): return a != b
    case (.text(let a, true, true), .text(let b, let begins, let ends)):
      return !Self.fits(a, b, begins, ends)
    case (.text(let b, let begins, let ends), .text(let a, true, true)):
      return !Self.fits(a, b, begins, ends)
    case (.text(let a, true, _), .text(let b, true, _)):
      return !a.starts(with: b) && !b.starts(with: a)
    default: return false
    }
  }

  private static func fits(_ text: [UInt8], _ part: [UInt8], _ begins: Bool, _ ends: Bool) -> Bool {
    switch (begins, ends) {
    case (true, true): text == part
    case (true, false): text.starts(with: part)
    case (false, true): text.suffix(part.count).elementsEqual(part)
    case (false, false):
      part.isEmpty
        || text.indices.contains { text[$0...].starts(with: part) }
    }
  }
}
