import Foundation
import JSON
import Manifest
import Testing

@Suite struct YAMLTests {
  /// The entry that a text makes of `value`, as JSON.
  private func value(_ text: String) throws -> JSON {
    let (set, problems) = read(eventSource("{webhook: {a: {v: \(text)}}}"))
    #expect(problems == [])
    return try #require(set.eventSources.first?.entries.first?.node["v"]?.json)
  }

  @Test(
    "plain scalars are those of the YAML 1.2 core schema; quoted ones are text",
    arguments: [
      ("true", .bool(true)), ("False", .bool(false)), ("yes", "yes"), ("on", "on"),
      ("null", .null), ("~", .null), ("\"null\"", "null"), ("'true'", "true"),
      ("12000", .number("12000")), ("\"12000\"", "12000"), ("+5", .number("5")),
      ("007", .number("7")), ("-0", .number("-0")), ("0x1F", .number("31")),
      ("0o17", .number("15")), (".5", .number("0.5")), ("1.", .number("1")),
      ("1.50", .number("1.50")), ("1E+3", .number("1e+3")), ("1_000", "1_000"),
      ("0b1", "0b1"), ("12e", "12e"), ("2024-05-06", "2024-05-06"), ("1:30", "1:30"),
      (".inf", ".inf"), ("123456789012345678901", .number("123456789012345678901")),
      ("!!str 5", "5"), ("==", "=="), ("=", "="),
    ] as [(String, JSON)]
  )
  func scalars(text: String, expected: JSON) throws { #expect(try value(text) == expected) }

  @Test("aliases stand for their anchors, and merge keys add what a mapping does not say itself")
  func aliases() throws {
    let text = """
      apiVersion: argoproj.io/v1alpha1
      kind: EventSource
      metadata: {name: x}
      spec:
        webhook:
          a: &a {port: "1", endpoint: /a, headers: &h [x, y]}
          b: {<<: *a, endpoint: /b, again: *h}
          c: {<<: [{port: "2"}, *a]}
      """
    let (set, problems) = read(text)
    #expect(problems == [])
    let entries = try #require(set.eventSources.first?.entries)
    #expect(
      entries.map(\.node.json) == [
        ["port": "1", "endpoint": "/a", "headers": ["x", "y"]],
        ["endpoint": "/b", "again": ["x", "y"], "port": "1", "headers": ["x", "y"]],
        ["port": "2", "endpoint": "/a", "headers": ["x", "y"]],
      ]
    )
  }

  @Test("aliases that grow without measure are refused, as values and as keys")
  func laughs() {
    var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for level in 1...20 {
      let aliases = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
      text += "a\(level): &a\(level) [\(aliases)]\n"
    }
    #expect(
      read(text).problems == [
        "1:1: error: found too many values, expected at most 200000 with aliases written out"
      ]
    )
    for key in ["? *a20\n: 1", "*a20 : 1", "[*a20]: 1", "? [*a20]\n: 1", "{*a20 : 1}", "? - *a20"] {
      #expect(
        read(text + key + "\n").problems == [
          "1:1: error: found a key that is no plain text beside anchors"
        ]
      )
    }
  }

  @Test("nesting without end is refused")
  func depth() {
    for bracket in ["[", "{a: ", "- "] {
      let problems = read(String(repeating: bracket, count: 100_000)).problems
      #expect(problems.count == 1)
      #expect(problems.first?.contains("nesting") == true)
    }
  }

  @Test("JSON is read as the YAML it is")
  func json() throws {
    let text = #"""
      {"apiVersion": "argoproj.io/v1alpha1", "kind": "EventSource", "metadata": {"name": "x"},
       "spec": {"webhook": {"a": {"port": "12000", "n": 1.0, "t": "\u00e9\n"}}}}
      """#
    let (set, problems) = read(text)
    #expect(problems == [])
    #expect(
      set.eventSources.first?.entries.first?.node.json
        == ["port": "12000", "n": .number("1.0"), "t": "é\n"]
    )
  }
}
