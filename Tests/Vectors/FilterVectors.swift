import Expression
import JSON

extension VectorFormat {
  static let contextFilter = filter("contextfilter")
  static let dataFilter = filter("datafilter")
  static let exprFilter = filter("exprfilter")
  static let timeFilter = filter("timefilter")
  static let scriptFilter = filter("scriptfilter")
  static let filters = filter("filters")

  private static func filter(_ name: String) -> VectorFormat {
    VectorFormat(
      name: name,
      hasModes: true,
      input: { item in
        let join = item.string("filtersLogicalOperator").map { " joined by '\($0)'" } ?? ""
        return "\(item["filter"]?.text ?? "")\(join) of \(item["event"]?.text ?? "no event")"
      },
      expected: { $0["expect"]?.asText ?? "" },
      found: { item, run in
        guard let event = item["event"], event != .null else {
          // An event that is not there cannot happen here; the original calls it an error.
          return "error"
        }
        guard let fields = item["filter"], fields != .null else { return "true" }
        do throws(FilterError) {
          let join = join(item.text("filtersLogicalOperator"))
          let filter = try FilterOfCase(run: run).filter(fields, join: join)
          return verdict(filter.evaluate(subject(event)))
        } catch { return "error" }
      }
    )
  }

  private static func subject(_ event: JSON) -> FilterSubject {
    let context = event["context"] ?? .null
    return FilterSubject(
      type: context.text("type"),
      source: context.text("source"),
      subject: context.text("subject"),
      dataContentType: context.text("datacontenttype"),
      time: vectorTime(context.text("time")),
      data: vectorData(event).map { FilterData($0) } ?? .absent
    )
  }

  static let conditions = VectorFormat(
    name: "conditions",
    hasModes: true,
    input: { item in
      "\(item.text("expr")) of \(item["deps"]?.text ?? "") with \(item["true"]?.text ?? "")"
    },
    expected: { $0["expect_error"] == true ? "error" : $0["expect"]?.asText ?? "" },
    found: { item, run in
      let names = item.items("deps").map(\.asText)
      let satisfied = Set(item.items("true").map(\.asText))
      do throws(ConditionError) {
        var text = item.text("expr")
        // A manifest with empty conditions is read as one without: all dependencies.
        if text.isEmpty, run.mode == .fixed { text = names.joined(separator: " && ") }
        let condition = try Condition(text, names: names, mode: run.mode)
        return "\(condition.evaluate { satisfied.contains(names[$0]) })"
      } catch { return "error" }
    }
  )
}

private func join(_ word: String) -> FilterJoin { word == "or" ? .any : .all }

/// Makes the filter of a case.
private struct FilterOfCase {
  let run: VectorRun

  func filter(_ fields: JSON, join: FilterJoin) throws(FilterError) -> EventFilter {
    var filter = EventFilter(join: join, mode: run.mode)
    filter.data = try data(fields)
    filter.exprs = try exprs(fields)
    if let context = fields["context"], context != .null {
      filter.context = ContextFilter(
        type: context.text("type"),
        source: context.text("source"),
        subject: context.text("subject"),
        dataContentType: context.text("datacontenttype")
      )
    }
    if let time = fields["time"], time != .null { filter.time = try self.time(time) }
    let script = fields.text("script")
    if !script.isEmpty {
      do throws(LuaError) { filter.script = ScriptFilter(try LuaScript(script)) } catch {
        // In the default mode it is an error of the manifest.
        if run.mode == .fixed { throw FilterError(description: "\(error)") }
        filter.script = ScriptFilter(failing: error)
      }
    }
    return filter
  }

  private func time(_ fields: JSON) throws(FilterError) -> Result<TimeFilter, FilterError> {
    do throws(FilterError) {
      return .success(
        try TimeFilter(
          start: fields.text("start"),
          stop: fields.text("stop"),
          timezone: fields.text("timezone"),
          zoneFile: run.world.zoneFile,
          mode: run.mode
        )
      )
    } catch {
      // In the default mode it is an error of the manifest.
      if run.mode == .fixed { throw error }
      return .failure(error)
    }
  }

  private func data(_ fields: JSON) throws(FilterError) -> DataFilters? {
    guard let entries = fields["data"]?.items else { return nil }
    var compiled: [DataFilter] = []
    for entry in entries {
      compiled.append(
        try DataFilter(
          path: entry.text("path"),
          type: entry.text("type"),
          values: entry.items("value").map(\.asText),
          comparator: entry.text("comparator"),
          template: template(entry.text("template")),
          mode: run.mode
        )
      )
    }
    return DataFilters(compiled, join: join(fields.text("dataLogicalOperator")))
  }

  private func exprs(_ fields: JSON) throws(FilterError) -> ExprFilters? {
    guard let entries = fields["exprs"]?.items else { return nil }
    var compiled: [ExprFilter] = []
    for entry in entries {
      let names = entry.items("fields").map { (name: $0.text("name"), path: $0.text("path")) }
      compiled.append(try ExprFilter(entry.text("expr"), fields: names, mode: run.mode))
    }
    return ExprFilters(compiled, join: join(fields.text("exprLogicalOperator")))
  }

  private func template(_ text: String) -> DataFilter.Template? {
    if text.isEmpty { return nil }
    let world = run.world
    return { (input) throws(FilterError) in
      do throws(TemplateError) {
        return try GoTemplate(parsing: text).execute(["Input": .string(input)], in: world)
      } catch { throw FilterError(description: "\(error)") }
    }
  }
}
