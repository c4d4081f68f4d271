import Expression
import Foundation
import JSON
import Testing

/// What Argo Events' own filters answer (mode `argo-1.9`).
@Suite struct FilterVectorTests {
  @Test(
    "filters answer what the original's answer",
    arguments: [
      "datafilter", "exprfilter", "contextfilter", "timefilter", "filters",
    ]
  )
  func vectors(file: String) throws {
    let cases = try vectorCases(file)
    var failed = 0
    for item in cases {
      let verdict = try verdict(item)
      let isSame =
        switch (verdict, item["expect"]) {
        case (.pass, .bool(true)), (.refused, .bool(false)), (.error, .string("error")): true
        default: false
        }
      if !isSame {
        failed += 1
        Issue.record("\(item.text("id")): found \(verdict), expected \(item["expect"]?.text ?? "")")
      }
    }
    if !cases.isEmpty { print("vectors: \(file) \(cases.count - failed) ran, \(failed) failed") }
  }

  private func verdict(_ item: JSON) throws -> FilterVerdict {
    guard let event = item["event"], event != .null else {
      // An event that is not there cannot happen here; the original calls it an error.
      return .error("no event")
    }
    let fields = item["filter"] ?? .null
    do throws(FilterError) {
      return try filter(fields, item.text("filtersLogicalOperator")).evaluate(subject(event))
    } catch { return .error("\(error)") }
  }

  private func subject(_ event: JSON) -> FilterSubject {
    let context = event["context"] ?? .null
    var data = FilterData.absent
    if case .string(let raw)? = event["dataRaw"] {
      if !raw.isEmpty { data = FilterData(Array(raw.utf8)) }
    } else if let value = event["data"] {
      data = FilterData(spelled(value))
    }
    let time = parsedTime(context.text("time"))
    return FilterSubject(
      type: context.text("type"),
      source: context.text("source"),
      subject: context.text("subject"),
      dataContentType: context.text("datacontenttype"),
      time: time,
      data: data
    )
  }

  private func parsedTime(_ text: String) -> FilterTime {
    let formatter = ISO8601DateFormatter()
    let fraction = text.firstIndex(of: ".").map { start in
      text[text.index(after: start)...].prefix { $0.isNumber }
    }
    let whole = fraction.map { text.replacingOccurrences(of: "." + $0, with: "") } ?? text
    let digits = (fraction ?? "").padding(toLength: 9, withPad: "0", startingAt: 0)
    return FilterTime(
      seconds: Int(formatter.date(from: whole)?.timeIntervalSince1970 ?? 0),
      nanoseconds: Int(digits) ?? 0
    )
  }

  private func filter(_ fields: JSON, _ word: String) throws(FilterError) -> EventFilter {
    let mode = CompatibilityMode.argo19
    var filter = EventFilter(join: join(word), mode: mode)
    if let data = fields["data"]?.items {
      var compiled: [DataFilter] = []
      for entry in data {
        compiled.append(
          try DataFilter(
            path: entry.text("path"),
            type: entry.text("type"),
            values: (entry["value"]?.items ?? []).map(\.asText),
            comparator: entry.text("comparator"),
            template: template(entry.text("template")),
            mode: mode
          )
        )
      }
      filter.data = DataFilters(compiled, join: join(fields.text("dataLogicalOperator")))
    }
    if let exprs = fields["exprs"]?.items {
      var compiled: [ExprFilter] = []
      for entry in exprs {
        let names = (entry["fields"]?.items ?? []).map {
          (name: $0.text("name"), path: $0.text("path"))
        }
        compiled.append(try ExprFilter(entry.text("expr"), fields: names, mode: mode))
      }
      filter.exprs = ExprFilters(compiled, join: join(fields.text("exprLogicalOperator")))
    }
    if let context = fields["context"], context != .null {
      filter.context = ContextFilter(
        type: context.text("type"),
        source: context.text("source"),
        subject: context.text("subject"),
        dataContentType: context.text("datacontenttype")
      )
    }
    if let time = fields["time"], time != .null {
      do throws(FilterError) {
        filter.time = .success(
          try TimeFilter(
            start: time.text("start"),
            stop: time.text("stop"),
            timezone: time.text("timezone"),
            zoneFile: zoneFile,
            mode: mode
          )
        )
      } catch { filter.time = .failure(error) }
    }
    if !fields.text("script").isEmpty {
      do throws(LuaError) {
        filter.script = ScriptFilter(try LuaScript(fields.text("script")))
      } catch { throw FilterError(description: "\(error)") }
    }
    return filter
  }

  private func join(_ word: String) -> FilterJoin { word == "or" ? .any : .all }

  private func template(_ text: String) -> DataFilter.Template? {
    if text.isEmpty { return nil }
    return { (input) throws(FilterError) in
      do throws(TemplateError) {
        return try GoTemplate(parsing: text).execute(["Input": .string(input)], in: vectorWorld)
      } catch { throw FilterError(description: "\(error)") }
    }
  }

  @Test("conditions answer what the original's answer, but for accidents of its machinery")
  func conditions() throws {
    let cases = try vectorCases("conditions")
    var failed = 0
    for item in cases {
      let names = (item["deps"]?.items ?? []).map(\.asText)
      let satisfied = Set((item["true"]?.items ?? []).map(\.asText))
      var found: JSON?
      do throws(ConditionError) {
        let condition = try Condition(item.text("expr"), names: names, mode: .argo19)
        found = .bool(condition.evaluate { satisfied.contains(names[$0]) })
      } catch {}
      let wanted = item["expect_error"] == true ? nil : item["expect"]
      if found != wanted && item["quirk"] != true {
        failed += 1
        let shown = "found \(found?.text ?? "error"), expected \(wanted?.text ?? "error")"
        Issue.record("\(item.text("id")) \(item.text("expr")): \(shown)")
      }
    }
    if !cases.isEmpty { print("vectors: conditions \(cases.count - failed) ran, \(failed) failed") }
  }
}
