import Expression
import Testing

@Suite struct RE2Tests {
  @Test(
    "a search is unanchored, ASCII in its classes, and $ is the very end",
    arguments: [
      ("b+", "abbbc", true), ("^b", "ab", false), ("a$", "a\n", false), ("(?m)a$", "a\n", true),
      ("\\d", "٣", false), ("(?i)É", "é", true), ("", "x", true), ("^.$", "é", true),
      ("(?<n>x)", "x", true), ("(?P<n>x)", "x", true), ("[(?<]", "<", true), ("[](?<]", "]", true),
      ("\\(?<", "<", true), ("\\Q(?<\\E", "(?<", true), ("\\Q(?<", "(?<", true),
      ("[[:alpha:]]", "a", true), ("^$", "", true), ("\\x{e9}", "é", true),
    ]
  )
  func search(pattern: String, text: String, wanted: Bool) throws {
    let regex = try RE2(pattern)
    #expect(regex.isMatch(text) == wanted)
    #expect(regex.isMatch(Array(text.utf8)[...]) == wanted)
  }

  @Test(
    "what Go refuses is refused",
    arguments: [
      "(", "a**", "(?=a)", "(?<!a)", "\\1", "[a", "(?<n", "\\C", "a{1001}", "\\8", "[z-a]",
    ]
  )
  func refused(pattern: String) {
    #expect(throws: RE2Error.self) { _ = try RE2(pattern) }
  }

  @Test("groups have ranges in bytes and names, and none where they took no part")
  func groups() throws {
    let regex = try RE2("(?<key>\\w+)=(a)|(b)")
    let match = try #require(regex.firstMatch(in: Array("é k=a".utf8)))
    #expect(match == [3..<6, 3..<4, 5..<6, nil])
    #expect(regex.groupNames == ["key", nil, nil])
    #expect(regex.firstMatch(in: Array("k=a".utf8), from: 2) == nil)
  }

  @Test("a pattern that others take exponential time for is linear")
  func linear() throws {
    let regex = try RE2("^(a+)+$")
    #expect(!regex.isMatch(String(repeating: "a", count: 100_000) + "b"))
  }
}
