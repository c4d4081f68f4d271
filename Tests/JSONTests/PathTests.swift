import JSON
import Testing

@Suite struct PathTests {
  @Test(
    "what the vectors leave open",
    arguments: [
      ("{\"a\":1,\"a\":{\"b\":2}}", "a.b", "2"), ("{\"a\":{\"b\":1},\"a\":{\"c\":2}}", "a.c", "2"),
      ("{\"\\u0061\":1}", "a", "1"), ("{\"a.b\":1}", "a\\.b", "1"), ("[[1],[2]]", "01.0", "2"),
      ("{}", "a|!5", "5"), ("{}", "a.b|!5", nil), ("{\"a\":{}}", "a.b|!5", "5"),
      ("[1,2]", "18446744073709551616", "1"), ("\"{\\\"a\\\":1}\"", "@fromstr.a", "1"),
      ("{\"\":7}", "", "7"), ("", "a", nil), ("[[[1]]]", "@flatten:{\"deep\":true}", "[1]"),
      ("{\"b\":1,\"a\":[1,{}]}", "@pretty:{\"sortKeys\":true,\"indent\":\"\\t\"}", nil),
    ] as [(String, String, String?)]
  )
  func details(json: String, path: String, wanted: String?) throws {
    let compiled = try JSONPath(path)
    let bytes = Array(json.utf8)
    let found = compiled.value(in: bytes[...]).map { String(decoding: $0.raw, as: UTF8.self) }
    if let document = try? JSONDocument(bytes) {
      let checked = document.value(at: compiled).map { String(decoding: $0.raw, as: UTF8.self) }
      #expect(checked == found)
    }
    if path.hasPrefix("@pretty") {
      #expect(found == "{\n\t\"a\": [\n\t\t1,\n\t\t{}\n\t],\n\t\"b\": 1\n}\n")
    } else {
      #expect(found == wanted)
    }
  }

  @Test("a path is bounded, and so is what it makes")
  func bounds() throws {
    #expect(throws: JSONPathError.self) {
      _ = try JSONPath(String(repeating: "a", count: JSONPath.lengthMax + 1))
    }
    let document = Array(String(repeating: "[", count: 100_000).utf8)
    let deep = String(repeating: "0.", count: JSONPath.lengthMax / 2)
    #expect(try JSONPath(deep).value(in: document[...]) == nil)
    for modifier in ["@pretty", "@dig:a", "@flatten:{\"deep\":true}", "@valid", "@keys"] {
      _ = try JSONPath(modifier).value(in: document[...])
    }
    let doubling = Array(repeating: "[@this,@this]", count: 60).joined(separator: "|")
    #expect(try JSONPath(doubling).value(in: Array("[1]".utf8)[...])?.raw.count ?? 0 < 10)
  }

  @Test("whatever is between the bytes of a path and a text, nothing traps")
  func garbage() throws {
    var random = SystemRandomNumberGenerator()
    let alphabet = Array(#"{}[]():,."\|#@!*?%=<>~-0129aens tu"#.utf8)
    func bytes(_ count: Int) -> [UInt8] {
      (0..<count).map { _ in alphabet.randomElement(using: &random) ?? 0 }
    }
    let names = ["@pretty", "@dig:", "@join", "@group", "@flatten", "@tostr", "@fromstr", "!\""]
    for _ in 0..<3000 {
      let text = bytes(Int.random(in: 0..<40, using: &random))
      var path = String(decoding: bytes(Int.random(in: 0..<20, using: &random)), as: UTF8.self)
      if Bool.random(using: &random) { path = (names.randomElement(using: &random) ?? "") + path }
      let found = try JSONPath(path).value(in: text[...])
      _ = found?.string
      _ = found?.double
      if let place = try? JSONDestination(path) {
        _ = try? place.setting(.text("v"), in: text)
        _ = try? place.deleting(in: text)
      }
    }
  }
}
