extension FiltersManifest {
  /// Each clause by itself, with a name such as `data[0]: body.ref` and its place where it has one.
  package var parts: [(name: String, filters: FiltersManifest, mark: Mark?)] {
    var parts: [(name: String, filters: FiltersManifest, mark: Mark?)] = []
    for (index, expr) in (exprs ?? []).enumerated() {
      parts.append(("exprs[\(index)]: \(expr.expression)", Self.only(exprs: [expr]), expr.mark))
    }
    for (index, data) in (data ?? []).enumerated() {
      parts.append(("data[\(index)]: \(data.path)", Self.only(data: [data]), data.mark))
    }
    if let context { parts.append(("context", Self.only(context: context), nil)) }
    if let time { parts.append(("time", Self.only(time: time), time.mark)) }
    if let script { parts.append(("script", Self.only(script: script), script.mark)) }
    if let paths { parts.append(("signalbox.paths", Self.only(paths: paths), paths.mark)) }
    return parts
  }

  private static func only(
    exprs: [ExprFilterManifest]? = nil,
    data: [DataFilterManifest]? = nil,
    context: ContextFilterManifest? = nil,
    time: TimeFilterManifest? = nil,
    script: ScriptManifest? = nil,
    paths: PathFilterManifest? = nil
  ) -> FiltersManifest {
    FiltersManifest(
      exprs: exprs,
      data: data,
      context: context,
      time: time,
      script: script,
      paths: paths,
      exprLogicalOperator: .and,
      dataLogicalOperator: .and,
      filtersLogicalOperator: .and
    )
  }
}
