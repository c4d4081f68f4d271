import Expression
import JSON
import Testing

@Suite struct ExpressionTests {
  @Test(
    "a condition is true as its operators say, && before ||",
    arguments: [
      ("a", [0], true), ("a && b", [0], false), ("a && b", [0, 1], true),
      ("a || b && c", [0], true), ("(a || b) && c", [0], false), ("(a||b)&&c", [1, 2], true),
    ] as [(String, [Int], Bool)]
  )
  func conditions(text: String, holding: [Int], wanted: Bool) throws {
    let condition = try Condition(text, names: ["a", "b", "c"])
    #expect(condition.evaluate { holding.contains($0) } == wanted)
    #expect(condition.isPureOr == !text.contains("&"))
  }

  @Test(
    "what the vectors leave open is as in the original",
    arguments: [
      ("(-7) ** -7", "-1.2142656789020123e-06"), ("(-3.0) ** 3", "-27"),
      ("0.1 ** 3", "0.0010000000000000002"),
      ("3.7 ** -3.7", "0.007900482600487757"), ("1.5 ** 2.5", "2.7556759606310757"),
      ("2 ** 0.5", "1.4142135623730951"), ("2 ** -1074", "5e-324"), ("2 ** 1024", "+Inf"),
      ("len(1e21..5)", "0"), ("string(\"é\"[:1]) + \"x\"", "\u{fffd}x"),
    ]
  )
  func exprDetails(text: String, wanted: String) throws {
    let world = TemplateWorld(
      now: { GoTime(seconds: 0, nanoseconds: 0, zone: .utc) },
      zoneFile: { _ in nil },
      random: { 0 }
    )
    guard case .map(let names) = ExprValue([:] as JSON) else { return }
    #expect(ExprPrinter.text(try ExprProgram(text).evaluate(names, in: world)) == wanted)
    #expect(throws: ExprError.self) {
      try ExprProgram("get([], true)").evaluate(names, in: world)
    }
  }

  @Test(
    "a condition that cannot be meant is refused with its place",
    arguments: ["", "a &&", "a b", "!a", "a & b", "(a", "a)", "d", "a-b", "a and b", "1"]
  )
  func refusedConditions(text: String) {
    #expect(throws: ConditionError.self) { _ = try Condition(text, names: ["a", "b", "c", "a_b"]) }
  }

  @Test("an unknown dependency is named, with a caret under it")
  func caret() {
    #expect(
      throws: ConditionError(
        description: "column 6: unknown dependency 'x'; the sensor has a, b\na && x\n     ^"
      )
    ) { _ = try Condition("a && x", names: ["a", "b"]) }
  }

  @Test(
    "data filters judge as the specification lists",
    arguments: [
      ("{\"k\":\"v\"}", "string", ["v"], nil, true), ("{\"k\":\"v\"}", "string", ["b"], "!=", true),
      ("{\"k\":\"xvx\"}", "string", ["v"], nil, true),
      ("{\"k\":\"xvx\"}", "string", ["^v"], nil, false),
      ("{\"k\":\"refs/heads/main\"}", "string", ["^refs/heads/main$"], nil, true),
      ("{\"k\":\"1.0\"}", "number", ["1.0"], nil, true),
      ("{\"k\":\"2.0\"}", "number", ["1"], ">", true),
      ("{\"k\":2}", "number", ["1"], "<=", false), ("{\"k\":true}", "number", ["1"], nil, true),
      ("{\"k\":\"abc\"}", "number", ["0"], nil, true),
      ("{\"k\":\"TRUE\"}", "bool", ["true"], nil, true),
      ("{\"k\":2}", "bool", ["t"], nil, true), ("{\"k\":\"yes\"}", "bool", ["false"], nil, true),
      ("{\"k\":\"a\"}", "string", ["a", "b"], nil, true),
      ("{\"k\":\"a\"}", "string", ["a", "b"], "!=", false),
    ] as [(String, String, [String], String?, Bool)]
  )
  func dataFilters(
    data: String,
    type: String,
    values: [String],
    comparator: String?,
    wanted: Bool
  ) throws {
    let filter = try DataFilter(path: "k", type: type, values: values, comparator: comparator)
    let verdict = DataFilters([filter], join: .all)
      .evaluate(FilterData(Array(data.utf8)), at: FilterTime(seconds: 0, nanoseconds: 0))
    #expect((verdict == .pass) == wanted, "\(verdict)")
  }

  @Test("a missing path is an error, and with 'or' another filter may still pass")
  func missingPath() throws {
    let missing = try DataFilter(path: "no", type: "string", values: ["x"], comparator: nil)
    let present = try DataFilter(path: "k", type: "string", values: ["v"], comparator: nil)
    let data = FilterData(Array("{\"k\":\"v\"}".utf8))
    let time = FilterTime(seconds: 0, nanoseconds: 0)
    #expect(
      DataFilters([missing, present], join: .all).evaluate(data, at: time)
        == .error("path 'no' does not exist")
    )
    #expect(DataFilters([missing, present], join: .any).evaluate(data, at: time) == .pass)
  }

  @Test(
    "in mode argo-1.9 nil is no text, and lists are compared with their types",
    arguments: [
      ("nothing contains \"x\"", FilterVerdict.refused("the expression is false")),
      ("nothing matches \"x\"", .refused("the expression is false")),
      ("list == [1, 2]", .pass), ("list == list", .pass),
    ]
  )
  func strictness(expression: String, fixed: FilterVerdict) throws {
    let world = TemplateWorld(
      now: { GoTime(seconds: 0, nanoseconds: 0, zone: .utc) },
      zoneFile: { _ in nil },
      random: { 0 }
    )
    let data = Array("{\"list\": [1, 2]}".utf8)
    #expect(try EventSourceFilter(expression, world: world).evaluate(data) == fixed)
    let strict = try EventSourceFilter(expression, mode: .argo19, world: world).evaluate(data)
    switch (expression, strict) {
    case ("list == list", .pass), ("list == [1, 2]", .refused): break
    case ("list == list", _), ("list == [1, 2]", _): Issue.record("\(strict)")
    case (_, .error): break
    default: Issue.record("\(strict)")
    }
  }

  @Test("no expression is all of none, and not one of them")
  func noExpressions() {
    let time = FilterTime(seconds: 0, nanoseconds: 0)
    let data = FilterData(Array("{}".utf8))
    #expect(ExprFilters([], join: .all).evaluate(data, at: time) == .pass)
    #expect(ExprFilters([], join: .any).evaluate(data, at: time) != .pass)
  }

  @Test("a pattern that RE2 does not know is refused", arguments: ["(", "a(?=b)", "\\1", "[z-a]"])
  func refusedPatterns(pattern: String) {
    #expect(throws: FilterError.self) {
      _ = try DataFilter(path: "k", type: "string", values: [pattern], comparator: nil)
    }
  }
}
