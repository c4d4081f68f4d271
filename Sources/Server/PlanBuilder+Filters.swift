import Expression
import JSON
import Manifest
import Plugin

extension PlanBuilder {
  /// All filters of a dependency; what cannot be compiled is reported and left out.
  func filter(_ manifest: FiltersManifest) -> EventFilter {
    var filter = EventFilter(
      join: join(manifest.filtersLogicalOperator),
      mode: compat.mode(.filterErrors)
    )
    filter.exprs = manifest.exprs.map { exprs in
      let filters = exprs.compactMap { expr in
        compiled(expr.mark, expr.field) { () throws(FilterError) in
          try ExprFilter(
            expr.expression,
            fields: expr.fields,
            mode: compat.mode(.exprFields)
          )
        }
      }
      return ExprFilters(filters, join: join(manifest.exprLogicalOperator))
    }
    filter.data = manifest.data.map { data in
      DataFilters(data.compactMap(dataFilter), join: join(manifest.dataLogicalOperator))
    }
    filter.context = manifest.context.map {
      ContextFilter(
        type: $0.type,
        source: $0.source,
        subject: $0.subject,
        dataContentType: $0.dataContentType
      )
    }
    if let time = manifest.time {
      let made = compiled(time.mark, time.field) { () throws(FilterError) in
        try TimeFilter(
          start: time.start,
          stop: time.stop,
          timezone: time.timezone,
          zoneFile: world.zoneFile,
          mode: compat.mode(.timeBounds)
        )
      }
      filter.time = made.map { .success($0) }
    }
    if let script = manifest.script {
      filter.script = compiledScript(script.text, script.mark, script.field).map {
        ScriptFilter($0)
      }
    }
    filter.paths = manifest.paths.flatMap { paths in
      compiled(paths.mark, paths.field) { () throws(FilterError) in
        try PathFilter(paths.patterns, passesTruncated: paths.passesTruncated)
      }
    }
    return filter
  }

  private func dataFilter(_ manifest: DataFilterManifest) -> DataFilter? {
    var template: DataFilter.Template?
    if let text = manifest.template {
      do throws(TemplateError) {
        let parsed = try GoTemplate(parsing: text)
        template = { [world] (input) throws(FilterError) in
          do throws(TemplateError) {
            return try parsed.execute(["Input": .string(input)], in: world)
          } catch { throw FilterError(description: "template: \(error)") }
        }
      } catch {
        report(manifest.mark, manifest.field + ".template", "\(error)")
        return nil
      }
    }
    return compiled(manifest.mark, manifest.field) { () throws(FilterError) in
      try DataFilter(
        path: manifest.path,
        type: manifest.type.rawValue,
        values: manifest.value,
        comparator: manifest.comparator.rawValue,
        template: template,
        mode: compat.mode(.dataValues)
      )
    }
  }

  private func compiled<Filter>(
    _ mark: Mark,
    _ field: String,
    _ make: () throws(FilterError) -> Filter
  ) -> Filter? {
    do throws(FilterError) { return try make() } catch {
      report(mark, field, "\(error)")
      return nil
    }
  }

  func cron(_ manifest: ConditionsResetManifest) -> Cron? {
    do throws(CronError) {
      return try Cron(
        manifest.cron,
        timezone: manifest.timezone,
        zoneFile: world.zoneFile,
        mode: compat.mode(.cronHours)
      )
    } catch {
      report(manifest.mark, manifest.field + ".cron", "\(error)")
      return nil
    }
  }

  private func join(_ word: LogicalOperator) -> FilterJoin { word == .or ? .any : .all }
}
