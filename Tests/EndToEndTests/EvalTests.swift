import TestKit
import Testing

/// `signalbox eval` in every language.
@Suite struct EvalTests {
  private static let values: [(language: String, text: String, value: String, type: String)] = [
    ("expr", "n * 2", "84", "float"), ("govaluate", "n > 1 && s == 'x'", "true", "bool"),
    ("condition", "a && b", "false", "bool"), ("gjson", "list.#", "2", "number"),
    ("template", "{{ .Input.s | upper }}-{{ .Input.n }}", "X-42", "string"),
    ("lua", "return event.n + 1", "43", "number"), ("lua", "return event.list", "[1,2]", "array"),
    ("jq", ".list | add", "3", "number"), ("jq", "{n}", "{\"n\":42}", "object"),
  ]

  @Test("a value and its type", arguments: values)
  func value(language: String, text: String, value: String, type: String) async throws {
    try await withTemporaryFolder { folder in
      let data = folder + "/data.json"
      try write("{\"n\":42,\"s\":\"x\",\"list\":[1,2],\"a\":true,\"b\":false}", data)
      let answer = try signalbox(["eval", language, text, "--data", data])
      #expect(answer.output == "\(value)\ntype: \(type)\n")
      #expect(answer.status == 0)
    }
  }

  @Test(
    "what fails names its place, with a caret under it",
    arguments: [
      ("expr", "n ** "), ("govaluate", "n >"), ("condition", "a && c"),
      ("template", "{{ .a | nosuch }}"),
      ("template", "{{ fail \"x\" }}"), ("lua", "return (1"), ("lua", "error('x')"),
      ("jq", "{a: input}"),
    ]
  )
  func failure(language: String, text: String) async throws {
    try await withTemporaryFolder { folder in
      let data = folder + "/data.json"
      try write("{\"a\":true,\"n\":1}", data)
      let answer = try signalbox(["eval", language, text, "--data", data])
      #expect(answer.output.contains(text), "\(answer.output)")
      #expect(answer.output.hasSuffix("^\n"), "\(answer.output)")
      #expect(answer.status == 1)
    }
  }
}
