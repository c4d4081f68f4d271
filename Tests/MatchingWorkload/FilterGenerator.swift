import Expression
import JSON
import Sensor
import TestKit

/// Filters of all kinds, many of them odd.
struct FilterGenerator {
  var random: Seeded

  private static let paths = [
    "a", "a", "a", "b", "b", "b", "c", "a.b", "a.a", "b.a", "a.0", "b.1.a", "a.b.c", "push", "0",
    "é", "a.#", "b.*",
    "c.#.a", "@this", "", "a.", "#", "00",
  ]

  mutating func sensor(_ number: Int) -> SensorPlan {
    let id = SensorID(namespace: "default", name: "s\(number)")
    let count = random.pick([1, 1, 2])
    let dependencies = (0..<count).map { place in
      Dependency(
        name: "d\(place)",
        key: EventKey(
          namespace: "default",
          bus: "default",
          source: "s",
          subject: random.pick(["x", "y"])
        ),
        filters: random.chance(12) ? nil : filter(),
        fingerprint: ""
      )
    }
    let names = dependencies.map(\.name).joined(separator: " || ")
    guard let condition = try? Condition(names, names: dependencies.map(\.name)) else {
      preconditionFailure("the names make a condition")
    }
    return SensorPlan(
      id: id,
      bus: "default",
      dependencies: dependencies,
      triggers: [TriggerRule(id: TriggerID(sensor: id, name: "run"), condition: condition)]
    )
  }

  private mutating func join() -> FilterJoin { random.chance(4) ? .any : .all }

  private mutating func filter() -> EventFilter { parts().filter() }

  mutating func parts() -> FilterParts {
    let mode: CompatibilityMode = random.chance(3) ? .argo19 : .fixed
    var parts = FilterParts(mode: mode, join: join(), dataJoin: join(), exprJoin: join())
    if !random.chance(5) {
      parts.data = (0..<random.pick([0, 1, 1, 2, 2, 3])).compactMap { _ in data(mode) }
    }
    if random.chance(3) {
      parts.exprs = (0..<random.pick([0, 1, 1, 2])).compactMap { _ in expression(mode) }
    }
    if random.chance(8) {
      parts.context = ContextFilter(
        type: random.pick(["", "webhook", "github"]),
        source: "",
        subject: "",
        dataContentType: ""
      )
    }
    if random.chance(8) { parts.time = time() }
    if random.chance(10) { parts.script = Stub(answer: random.next()) }
    if random.chance(10) {
      parts.paths = try? PathFilter(["docs/**"], passesTruncated: random.chance(2))
    }
    return parts
  }

  private mutating func time() -> Result<TimeFilter, FilterError> {
    if random.chance(3) { return .failure(FilterError(description: "stop: none")) }
    do throws(FilterError) {
      return .success(
        try TimeFilter(start: "06:00:00", stop: "18:00:00", timezone: "", zoneFile: { _ in nil })
      )
    } catch { return .failure(error) }
  }

  private mutating func data(_ mode: CompatibilityMode) -> DataFilter? {
    let type = random.pick(["string", "string", "string", "number", "number", "bool"])
    let values = (0..<random.pick([1, 1, 1, 2, 3])).map { _ in value(type) }
    let sign = random.pick(
      type == "number" ? ["=", "!=", "<", "<=", ">", ">="] : [nil, nil, "=", "!="]
    )
    return try? DataFilter(
      path: random.pick(Self.paths),
      type: type,
      values: values,
      comparator: sign,
      template: random.chance(15) ? exclaimed : nil,
      mode: mode
    )
  }

  private mutating func value(_ type: String) -> String {
    switch type {
    case "number": random.pick(["1", "2", "0", "-3", "2.5", "NaN", "Inf", "-Inf", "x"])
    case "bool": random.pick(["true", "false", "1", "x"])
    default:
      random.pick([
        "main", "^main$", "^refs/heads/", "^refs/heads/main$", "main$", "^refs/(heads|tags)/x?",
        "^$", "^", "$", "m", "é", "^é+$", "^a\\|b$", "a|b", "^re|x", "(?i)main", "^v\\d", "[a|b]",
        "1", "^1$", "\\.", "v1\\.2$", "ma*in", "main+", "mai{1}n", "^[[:alpha:](]c|main", "\\Qa|b",
        "(", "^true$", "\n",
      ])
    }
  }

  private mutating func expression(_ mode: CompatibilityMode) -> ExprFilter? {
    let fields = ["p", "q"].map { (name: $0, path: random.pick(Self.paths.filter { !$0.isEmpty })) }
    var text = comparison()
    for _ in 0..<random.pick([0, 0, 1, 2]) {
      text += random.pick([" && ", " && ", " || "]) + comparison()
    }
    return try? ExprFilter(text, fields: random.chance(20) ? [] : fields, mode: mode)
  }

  private mutating func comparison() -> String {
    let name = random.pick(["p", "p", "q", "q", "r"])
    let text = random.pick(["'main'", "'refs/heads/main'", "'1'", "'é'", "'\u{fffd}x'"])
    let number = random.pick(["1", "2", "0", "2.5"])
    switch Int.random(in: 0..<12, using: &random) {
    case 0..<3: return "\(name) == \(text)"
    case 3: return "\(text) == \(name)"
    case 4: return "\(name) \(random.pick(["==", "!=", "<", "<=", ">", ">="])) \(number)"
    case 5: return "\(number) \(random.pick(["<", ">="])) \(name)"
    case 6: return "\(name) =~ '\(random.pick(["main", "^refs/", "main$", "^main$", "a|b"]))'"
    case 7: return "\(name) !~ '^refs/'"
    case 8: return "\(name) in ('main', \(text), \(number))"
    case 9: return "(\(name) == \(text) || q == \(number))"
    case 10: return random.pick(["\(name)", "!\(name)", "\(name) == true", "\(name) > 'k'"])
    default: return "(\(name) != \(text) && \(name) == \(text))"
    }
  }
}

/// What a template may make of a value.
private let exclaimed: DataFilter.Template = { text throws(FilterError) in text + "!" }

/// The clauses of a filter, so that one can be exchanged.
struct FilterParts {
  let mode: CompatibilityMode
  let join: FilterJoin
  let dataJoin: FilterJoin
  let exprJoin: FilterJoin
  var data: [DataFilter]?
  var exprs: [ExprFilter]?
  var context: ContextFilter?
  var time: Result<TimeFilter, FilterError>?
  var script: (any DataJudge)?
  var paths: (any DataJudge)?

  func filter() -> EventFilter {
    var filter = EventFilter(join: join, mode: mode)
    filter.data = data.map { DataFilters($0, join: dataJoin) }
    filter.exprs = exprs.map { ExprFilters($0, join: exprJoin) }
    filter.context = context
    filter.time = time
    filter.script = script
    filter.paths = paths
    return filter
  }

  /// With something in the place of the named clause that always passes; nil where the name is
  /// that of no single clause.
  func passing(_ clause: String) throws -> FilterParts? {
    var parts = self
    let kind = clause.prefix { $0.isLetter || $0 == "." }
    let place = Int(clause.drop { !$0.isNumber }.prefix { $0.isNumber })
    switch (String(kind), place) {
    case ("data", let place?):
      parts.data?[place] = try DataFilter(
        path: "@this",
        type: "string",
        values: ["^"],
        comparator: nil
      )
    case ("exprs", let place?):
      parts.exprs?[place] = try ExprFilter("p == p", fields: [("p", "@this")])
    case ("context.type", nil):
      parts.context = ContextFilter(type: "", source: "", subject: "", dataContentType: "")
    case ("time", nil):
      parts.time = .success(
        try TimeFilter(
          start: "00:00:00",
          stop: "00:00:00",
          timezone: "",
          zoneFile: { _ in nil },
          mode: .argo19
        )
      )
    case ("script", nil): parts.script = Stub(answer: nil)
    case ("signalbox.paths", nil): parts.paths = Stub(answer: nil)
    default: return nil
    }
    return parts
  }
}

/// A judge that nothing can be said of beforehand.
private struct Stub: DataJudge {
  /// nil: it passes.
  let answer: UInt64?

  func evaluate(_ data: FilterData, at time: FilterTime) -> FilterVerdict {
    guard let answer else { return .pass }
    return switch (answer ^ UInt64(time.seconds)) % 3 {
    case 0: .pass
    case 1: .refused("by the stub")
    default: .error("of the stub")
    }
  }
}
