import Expression
import JSON
import Testing

@Suite struct PathFilterTests {
  @Test(
    "globs match whole paths, part by part",
    arguments: [
      ("docs/**", ["docs/a", "docs/a/b.md", "docs"], ["doc/a", "a/docs/b"]),
      ("docs/", ["docs/a", "docs/a/b"], ["docsa/b"]),
      ("**/*.md", ["a.md", "x/y/a.md"], ["a.mdx", "md"]),
      ("*.go", ["main.go"], ["cmd/main.go"]),
      ("services/*/src/**", ["services/a/src/x", "services/a/src/x/y"], ["services/a/b/src/x"]),
      ("**", ["a", "a/b"], []),
      ("a/**/b/**/c", ["a/b/c", "a/x/b/y/z/c", "a/b/b/c"], ["a/c", "a/b/x"]),
      ("**/a/*/b", ["a/x/b", "q/a/a/x/b"], ["a/b", "a/x/y/b"]),
      ("file?.[ch]", ["file1.c", "filex.h"], ["file.c", "file12.c", "file1.o"]),
      ("v[0-9]*", ["v1", "v10"], ["va", "w1"]), ("[!a]b", ["xb"], ["ab"]),
      ("[]]x", ["]x"], ["x"]), ("*a*b*", ["xaybz", "ab"], ["ba"]),
      ("Docs/*", ["Docs/a"], ["docs/a"]),
    ] as [(String, [String], [String])]
  )
  func globs(pattern: String, good: [String], bad: [String]) throws {
    let glob = try Glob(pattern)
    for path in good { #expect(glob.matches(path), "\(pattern) \(path)") }
    for path in bad { #expect(!glob.matches(path), "\(pattern) \(path)") }
  }

  @Test("a pattern that is none is an error that says what is expected")
  func broken() {
    for (pattern, words) in [
      ("", "1 to 1024"), ("a**b", "'**' alone"), ("../a", "root"), ("/a", "root"), ("a//b", "root"),
      ("[a", "']'"), (String(repeating: "a", count: 1025), "1 to 1024"),
    ] {
      let error = #expect(throws: FilterError.self, "\(pattern)") { _ = try Glob(pattern) }
      #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    }
    #expect(throws: FilterError.self) { _ = try PathFilter([], passesTruncated: true) }
  }

  @Test("a pattern made to be slow is not")
  func hostile() throws {
    let glob = try Glob(String(repeating: "**/*a*a*a*a/", count: 60) + "b")
    let path = (0..<400).map { _ in String(repeating: "a", count: 100) }.joined(separator: "/")
    #expect(!glob.matches(path))
  }

  private func verdict(
    _ patterns: [String],
    _ paths: [String],
    isTruncated: Bool = false,
    passes: Bool = true
  ) throws -> FilterVerdict {
    let data: JSON = [
      "push": [
        "changedPaths": .array(paths.map { .string($0) }), "truncated": .bool(isTruncated),
      ]
    ]
    let filter = try PathFilter(patterns, passesTruncated: passes)
    return filter.evaluate(FilterData(data.encoded()), at: FilterTime(seconds: 0, nanoseconds: 0))
  }

  @Test("the last pattern that fits a path decides; one wanted path is enough")
  func order() throws {
    let tools = ["tools/**", "!**/*.md", "tools/README.md"]
    for (patterns, paths, isWanted) in [
      (tools, ["tools/a.go"], true), (tools, ["tools/a.md"], false),
      (tools, ["tools/README.md"], true), (tools, ["app/a.go"], false),
      (tools, ["app/x", "tools/b/c"], true), (["!docs/**"], ["docs/a"], false),
      (["!docs/**"], ["docs/a", "src/b"], true), (["**"], [], false),
    ] {
      let verdict = try verdict(patterns, paths)
      #expect((verdict == .pass) == isWanted, "\(patterns) \(paths)")
    }
  }

  @Test("a push whose paths are not all known passes or not, as configured")
  func truncated() throws {
    let answers = try [
      verdict(["a/**"], ["b/c"], isTruncated: true),
      verdict(["a/**"], ["b/c"], isTruncated: true, passes: false),
      verdict(["a/**"], ["a/c"], isTruncated: true, passes: false),
    ]
    #expect(
      answers == [.pass, .refused("not all paths of the push are known"), .pass]
    )
    let filter = try PathFilter(["**"], passesTruncated: true)
    let time = FilterTime(seconds: 0, nanoseconds: 0)
    #expect(filter.evaluate(FilterData(Array("{}".utf8)), at: time) == .refused("there is no push"))
    guard case .error = filter.evaluate(FilterData(Array("{".utf8)), at: time) else {
      Issue.record("broken data were judged")
      return
    }
  }
}
