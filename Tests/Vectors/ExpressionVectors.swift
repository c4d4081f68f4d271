import Expression
import JSON

extension VectorFormat {
  static let expr = VectorFormat(
    name: "expr",
    input: { "\($0.text("expr")) with \($0["env"]?.text ?? "{}")" },
    expected: { expectedValue($0) },
    found: { item, run in
      let environment = ExprValue(item["env"] ?? [:], integers: item.string("num") != "float")
      guard case .map(let names) = environment else { throw SkippedCase(reason: "env is no map") }
      return answer { () throws(ExprError) in
        try ExprProgram(item.text("expr")).evaluate(names, in: run.world)
      }
    }
  )

  static let govaluate = VectorFormat(
    name: "govaluate",
    input: { "\($0.text("expr")) with \($0["env"]?.text ?? "{}")" },
    expected: { expectedValue($0) },
    found: { item, _ in
      guard case .map(let parameters) = ExprValue(item["env"] ?? [:]) else {
        throw SkippedCase(reason: "env is no map")
      }
      return answer { () throws(ExprError) in
        try GovaluateProgram(item.text("expr")).evaluate { parameters.values[.string($0)] }
      }
    }
  )

  static let eventSourceFilter = VectorFormat(
    name: "eventsourcefilter",
    hasModes: true,
    input: { "\($0.text("expression")) with \($0.text("data"))" },
    expected: { $0["expect"]?.asText ?? "" },
    found: { item, run in
      do throws(ExprError) {
        let filter = try EventSourceFilter(
          item.text("expression"),
          mode: run.mode,
          world: run.world
        )
        return verdict(filter.evaluate(Array(item.text("data").utf8)))
      } catch { return "error" }
    }
  )

  static func verdict(_ verdict: FilterVerdict) -> String {
    switch verdict {
    case .pass: "true"
    case .refused: "false"
    case .error: "error"
    }
  }

  private static func expectedValue(_ item: JSON) -> String {
    if item["expect_error"] == true { return "error in phase \(item.text("phase"))" }
    return "\(item["expect"]?.canonical.text ?? "null") (\(item.text("type")))"
  }

  private static func answer(_ evaluate: () throws(ExprError) -> ExprValue) -> String {
    do throws(ExprError) {
      let shown = described(try evaluate())
      return "\(shown.json.canonical.text) (\(shown.type))"
    } catch { return "error in phase \(error.phase.rawValue)" }
  }

  /// A value as the vectors write it, and its type.
  private static func described(_ value: ExprValue) -> (json: JSON, type: String) {
    switch value {
    case .null: return (.null, "nil")
    case .bool(let value): return (.bool(value), "bool")
    case .int(let value), .month(let value), .weekday(let value): return (JSON(value), "int")
    case .byte(let value): return (JSON(Int(value)), "int")
    case .float(let value):
      if value.isNaN { return ("NaN", "float") }
      if value.isInfinite { return (value < 0 ? "-Inf" : "+Inf", "float") }
      return (.number("\(value)"), "float")
    case .string(let text): return (.string(text.description), "string")
    case .json: return described(value.opened)
    case .array(let array): return described(array)
    case .map(let map): return described(map)
    case .time(let time):
      return (.string(GoLayout("2006-01-02T15:04:05.999999999Z07:00").format(time)), "time")
    case .duration(let duration): return (.string(GoDuration.text(duration)), "duration")
    case .zone(let zone): return (.string(zone.name), "timezone")
    case .function: return (.null, "func")
    }
  }

  private static func described(_ array: ExprArray) -> (json: JSON, type: String) {
    let items = array.items.map(described)
    let types = items.map(\.type)
    let isUniform = Set(types).count == 1
    let type = isUniform ? "[\(types[0])...]" : "[\(types.joined(separator: ","))]"
    return (.array(items.map(\.json)), type)
  }

  private static func described(_ map: ExprMap) -> (json: JSON, type: String) {
    var members: [JSON.Member] = []
    var types: [String] = []
    // By the names, whatever the types of the keys.
    let entries = map.sorted.map { (name: ExprPrinter.text($0.value), key: $0, value: $1) }
    for (name, key, value) in entries.sorted(by: { ByteString($0.name) < ByteString($1.name) }) {
      let shown = described(value)
      members.append(.init(key: name, value: shown.json))
      let kind = described(key.value).type
      types.append("\(kind == "string" ? name : "\(kind)(\(name))"):\(shown.type)")
    }
    return (.object(members), "{\(types.joined(separator: ","))}")
  }
}
