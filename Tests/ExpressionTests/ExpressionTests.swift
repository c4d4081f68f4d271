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

  @Test("a pattern that RE2 does not know is refused", arguments: ["(", "a(?=b)", "\\1", "[z-a]"])
  func refusedPatterns(pattern: String) {
    #expect(throws: FilterError.self) {
      _ = try DataFilter(path: "k", type: "string", values: [pattern], comparator: nil)
    }
  }
}
