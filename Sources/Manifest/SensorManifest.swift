/// A `Sensor` document (spec section 3.1).
package struct SensorManifest: Sendable {
  package let namespace: String
  package let name: String
  /// `spec.eventBusName`.
  package let bus: String
  package let mark: Mark
  package let dependencies: [DependencyManifest]
  package let triggers: [TriggerManifest]
  /// `signalbox.suspend`: no firing of its triggers is started.
  package let isSuspended: Bool
  /// `signalbox.startFrom`: `now`, `beginning` or a time in RFC 3339; nil: `now`.
  package let startFrom: (text: String, mark: Mark)?
  /// `signalbox.compat`; nil: as the installation has it.
  package let compat: Compatibility?
  /// `signalbox.tests`.
  package let tests: [TestManifest]
  /// The whole document, so that it can be read again with a change in it.
  package let document: Node
}

/// One dependency of a sensor.
package struct DependencyManifest: Sendable {
  package let name: String
  package let eventSourceName: String
  package let eventName: String
  package let filters: FiltersManifest?
  package let transform: TransformManifest?
  package let mark: Mark
  package let path: String
  /// As written; its `json` tells whether a definition changed.
  package let node: Node
}

/// `transform` of a dependency (spec section 3.4); jq wins where both are there.
package struct TransformManifest: Sendable {
  package enum Language: String, Sendable { case jq, script }

  package let language: Language
  package let text: String
  package let mark: Mark
  /// The path of the text from the document's root.
  package let field: String
}

package enum LogicalOperator: String, Sendable, CaseIterable { case and, or }

/// `filters` of a dependency (spec section 3.5).
package struct FiltersManifest: Sendable {
  /// nil where the key is absent: an empty list is a filter, too.
  package let exprs: [ExprFilterManifest]?
  package let data: [DataFilterManifest]?
  package let context: ContextFilterManifest?
  package let time: TimeFilterManifest?
  /// Lua; nil where there is none.
  package let script: ScriptManifest?
  /// `signalbox.paths`; nil where there is none.
  package let paths: PathFilterManifest?
  /// Joins the items of `exprs`.
  package let exprLogicalOperator: LogicalOperator
  /// Joins the items of `data`.
  package let dataLogicalOperator: LogicalOperator
  /// Joins the kinds of filters.
  package let filtersLogicalOperator: LogicalOperator
}

/// One item of `filters.exprs`.
package struct ExprFilterManifest: Sendable {
  package let expression: String
  package let fields: [(name: String, path: String)]
  package let mark: Mark
  /// The path of the item from the document's root.
  package let field: String
}

/// `filters.signalbox`: which changed paths of a push are wanted.
package struct PathFilterManifest: Sendable {
  /// Globs; those that begin with `!` are for paths that are not wanted.
  package let patterns: [String]
  /// Whether a push passes whose paths are not all known.
  package let passesTruncated: Bool
  package let mark: Mark
  /// The path of the list from the document's root.
  package let field: String
}

/// `filters.context`; what is empty is not compared.
package struct ContextFilterManifest: Sendable {
  package let type: String
  package let source: String
  package let subject: String
  package let dataContentType: String
}

/// `filters.time`.
package struct TimeFilterManifest: Sendable {
  package let start: String
  package let stop: String
  /// A name of the time zone database; empty is UTC.
  package let timezone: String
  package let mark: Mark
  /// The path of the block from the document's root.
  package let field: String
}

/// `filters.script` of a dependency.
package struct ScriptManifest: Sendable {
  package let text: String
  package let mark: Mark
  /// The path of the text from the document's root.
  package let field: String
}

/// One item of `filters.data`.
package struct DataFilterManifest: Sendable {
  package enum ValueType: String, Sendable, CaseIterable { case bool, number, string }

  package enum Comparator: String, Sendable, CaseIterable {
    case greaterOrEqual = ">="
    case greater = ">"
    case equal = "="
    case notEqual = "!="
    case less = "<"
    case lessOrEqual = "<="
  }

  package let path: String
  package let type: ValueType
  /// At least one.
  package let value: [String]
  package let comparator: Comparator
  /// Over the value that was found; nil where there is none.
  package let template: String?
  package let mark: Mark
  /// The path of the item from the document's root.
  package let field: String
}

extension DocumentReader {
  func sensor(_ identity: Identity, _ spec: Block) -> SensorManifest {
    let bus = busName(spec)
    spec.kubernetesOnly("replicas", "template", "revisionHistoryLimit")
    for key in ["errorOnFailedRound", "loggingFields"] where spec.contains(key) {
      spec.report(.info, key, "has no effect, here as in Argo Events")
    }
    let own = own(spec)
    let dependencies = spec.blocks("dependencies").map(dependency)
    if dependencies.isEmpty, !spec.contains("dependencies") || spec.list("dependencies") != nil {
      spec.error("dependencies", "found none, expected at least one")
    }
    let triggers = spec.blocks("triggers").map { trigger($0, dependencies) }
    if triggers.isEmpty, !spec.contains("triggers") || spec.list("triggers") != nil {
      spec.error("triggers", "found none, expected at least one")
    }
    checkDistinct(dependencies.map { ($0.name, $0.mark, $0.path + ".name") }, "dependency")
    // Those of dlqTriggers fire under their own names.
    let named = triggers.flatMap { [$0] + $0.deadLetterTrigger }
    checkDistinct(named.map { ($0.name, $0.mark, $0.path + ".template.name") }, "trigger")
    spec.finish()
    return SensorManifest(
      namespace: identity.namespace,
      name: identity.name,
      bus: bus,
      mark: identity.mark,
      dependencies: dependencies,
      triggers: triggers,
      isSuspended: own?.isSuspended ?? false,
      startFrom: own?.startFrom,
      compat: own?.compat,
      tests: own?.tests ?? [],
      document: identity.document
    )
  }

  /// What a sensor says under `signalbox`.
  private func own(_ spec: Block) -> (
    isSuspended: Bool, startFrom: (text: String, mark: Mark)?, compat: Compatibility?,
    tests: [TestManifest]
  )? {
    guard let own = spec.block("signalbox") else { return nil }
    let compat = Compatibility(from: own, of: ("sensors", Difference.ofSensors))
    let isSuspended = own.bool("suspend") ?? false
    let start = own.string("startFrom").map { (text: $0, mark: own.mark(of: "startFrom")) }
    let tests = own.blocks("tests").map { TestManifest(from: $0) }
    own.finish()
    return (isSuspended, start, compat, tests)
  }

  private func dependency(_ block: Block) -> DependencyManifest {
    let name = block.requiredString("name")
    let source = block.requiredString("eventSourceName")
    let event = block.requiredString("eventName")
    if !name.isEmpty { checkName(name, block.mark, block.child("name")) }
    if source == OutcomePhase.sourceName, !event.isEmpty { checkOutcome(event, block) }
    let transform = block.block("transform").flatMap(self.transform)
    let join = logicalOperator(block, "filtersLogicalOperator")
    let filters = block.block("filters").map { self.filters($0, join) }
    block.finish()
    return DependencyManifest(
      name: name,
      eventSourceName: source,
      eventName: event,
      filters: filters,
      transform: transform,
      mark: block.mark,
      path: block.path,
      node: block.node
    )
  }

  private func transform(_ block: Block) -> TransformManifest? {
    let texts = [("jq", block.string("jq")), ("script", block.string("script"))]
    block.finish()
    for (key, text) in texts {
      guard let text, !text.isEmpty, let language = TransformManifest.Language(rawValue: key) else {
        continue
      }
      return TransformManifest(
        language: language,
        text: text,
        mark: block.mark(of: key),
        field: block.child(key)
      )
    }
    return nil
  }

  private func checkOutcome(_ event: String, _ block: Block) {
    let parts = event.split(separator: "/", omittingEmptySubsequences: false)
    let phases = OutcomePhase.allCases.map(\.rawValue).joined(separator: ", ")
    // Three parts within the sensor's own namespace, four with another's before them.
    let isWhole = parts.allSatisfy { !$0.isEmpty } && (3...4).contains(parts.count)
    guard isWhole, let phase = parts.last, OutcomePhase(rawValue: String(phase)) != nil else {
      block.error(
        "eventName",
        "found '\(event)', expected <sensor>/<trigger>/<phase> with a phase of \(phases)"
      )
      return
    }
  }

  private func filters(_ block: Block, _ join: LogicalOperator) -> FiltersManifest {
    let exprs = block.contains("exprs") ? block.blocks("exprs").map(exprFilter) : nil
    let exprJoin = logicalOperator(block, "exprLogicalOperator")
    let context = block.block("context").map(contextFilter)
    let time = block.block("time").map(timeFilter)
    let script = block.string("script").flatMap { text in
      text.isEmpty
        ? nil
        : ScriptManifest(
          text: text,
          mark: block.mark(of: "script"),
          field: block.child("script")
        )
    }
    let paths = block.block("signalbox").flatMap(pathFilter)
    let dataJoin = logicalOperator(block, "dataLogicalOperator")
    let data = block.contains("data") ? block.blocks("data").compactMap(dataFilter) : nil
    block.finish()
    return FiltersManifest(
      exprs: exprs,
      data: data,
      context: context,
      time: time,
      script: script,
      paths: paths,
      exprLogicalOperator: exprJoin,
      dataLogicalOperator: dataJoin,
      filtersLogicalOperator: join
    )
  }

  private func pathFilter(_ block: Block) -> PathFilterManifest? {
    let patterns = block.strings("paths")
    let word = block.string("whenTruncated") ?? "pass"
    if !["pass", "refuse"].contains(word) {
      block.error("whenTruncated", "found '\(word)', expected pass or refuse")
    }
    if patterns == nil { block.error("paths", "found nothing, expected a list of patterns") }
    block.finish()
    return patterns.map {
      PathFilterManifest(
        patterns: $0,
        passesTruncated: word == "pass",
        mark: block.mark(of: "paths"),
        field: block.child("paths")
      )
    }
  }

  private func exprFilter(_ block: Block) -> ExprFilterManifest {
    let expression = block.requiredString("expr")
    let fields = block.blocks("fields").map { field in
      let name = field.requiredString("name")
      let path = field.requiredString("path")
      field.finish()
      return (name: name, path: path)
    }
    block.finish()
    return ExprFilterManifest(
      expression: expression,
      fields: fields,
      mark: block.mark,
      field: block.path
    )
  }

  private func contextFilter(_ block: Block) -> ContextFilterManifest {
    for key in ["id", "specversion", "time"] where block.contains(key) {
      block.report(.info, key, "has no effect, here as in Argo Events")
    }
    let filter = ContextFilterManifest(
      type: block.string("type") ?? "",
      source: block.string("source") ?? "",
      subject: block.string("subject") ?? "",
      dataContentType: block.string("datacontenttype") ?? ""
    )
    block.finish()
    return filter
  }

  private func timeFilter(_ block: Block) -> TimeFilterManifest {
    let filter = TimeFilterManifest(
      start: block.requiredString("start"),
      stop: block.requiredString("stop"),
      timezone: block.string("timezone") ?? "",
      mark: block.mark,
      field: block.path
    )
    block.finish()
    return filter
  }

  private func dataFilter(_ block: Block) -> DataFilterManifest? {
    let path = block.requiredString("path")
    let type = choice(block, "type", DataFilterManifest.ValueType.self)
    if type == nil, !block.contains("type") {
      block.error("type", "found nothing, expected one of bool, number, string")
    }
    let value = block.strings("value") ?? []
    if !block.contains("value") || block.list("value")?.isEmpty == true {
      block.error("value", "found nothing, expected at least one value")
    }
    for (index, node) in (block.list("value") ?? []).enumerated() {
      guard case .string("") = node.value else { continue }
      block.error("value[\(index)]", "found an empty string, expected text")
    }
    let comparator = choice(block, "comparator", DataFilterManifest.Comparator.self)
    let template = block.string("template").flatMap { $0.isEmpty ? nil : $0 }
    block.finish()
    guard let type else { return nil }
    return DataFilterManifest(
      path: path,
      type: type,
      value: value,
      comparator: comparator ?? .equal,
      template: template,
      mark: block.mark,
      field: block.path
    )
  }

  private func logicalOperator(_ block: Block, _ key: String) -> LogicalOperator {
    choice(block, key, LogicalOperator.self) ?? .and
  }

  /// One of a few words; nil when absent, empty or wrong, the last being reported.
  private func choice<C: RawRepresentable<String> & CaseIterable>(
    _ block: Block,
    _ key: String,
    _: C.Type
  ) -> C? {
    guard let text = block.string(key), !text.isEmpty else { return nil }
    if let value = C(rawValue: text) { return value }
    let choices = C.allCases.map(\.rawValue).joined(separator: ", ")
    block.error(key, "found '\(text)', expected one of \(choices)")
    return nil
  }

  private func checkDistinct(_ names: [(name: String, mark: Mark, path: String)], _ what: String) {
    var places: [String: Mark] = [:]
    for (name, mark, path) in names where !name.isEmpty {
      if let first = places[name] {
        diagnostics.add(
          Diagnostic(
            .error,
            mark,
            field: path,
            "found the name '\(name)' again, expected one \(what) of that name; "
              + "the first is at \(first)"
          )
        )
      } else {
        places[name] = mark
      }
    }
  }
}
