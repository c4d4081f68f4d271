import Expression
import Foundation
import JSON
import TestKit
import Testing

@Suite(.serialized) struct JQTests {
  private func workers(_ limits: JQLimits = JQLimits(), count: Int = 2) -> JQWorkers {
    JQWorkers(program: builtProgram("signalbox"), count: count, limits: limits)
  }

  private func run(_ text: String, _ data: JSON = [:], in workers: JQWorkers) throws -> JSON {
    try workers.transform(JQProgram(text), data)
  }

  @Test(
    "what reads anything but the data does not compile",
    arguments: [
      "input", "[inputs]", "{a: input}", "{(input): 1}", "\"\\(input)\"", "debug", "stderr",
      "halt", "\"x\" | halt_error", "include \"a\"; .", "import \"a\" as a; .",
      "input_filename", "\"a\" | modulemeta",
    ]
  )
  func refused(text: String) throws {
    let error = try #require(throws: JQError.self) { try JQProgram(text) }
    #expect(error.kind == .syntax)
    #expect(error.excerpt?.hasSuffix("^") == true)
  }

  @Test("the same words are fine as members, keys, variables and texts, and in comments")
  func names() throws {
    let workers = workers()
    let text = """
      # input
      .input as $input | {input: $input, debug: "input \\("halt")", x: .halt, "stderr": 1}
      """
    #expect(
      try run(text, ["input": 1, "halt": 2], in: workers)
        == ["debug": "input halt", "input": 1, "stderr": 1, "x": 2]
    )
  }

  @Test("the environment is empty, and newer spellings work")
  func environment() throws {
    let workers = workers()
    #expect(try run("{e: env, v: $ENV}", in: workers) == ["e": [:], "v": [:]])
    #expect(try run("{a: (-3 | abs), t: (1 | toarray)}", in: workers) == ["a": 3, "t": [1]])
    let data: JSON = ["a": 1, "b": ["c": 2, "d": 3]]
    #expect(try run("pick(.b.c)", data, in: workers) == ["b": ["c": 2]])
    #expect(try run("if .a == 1 then . + {x: 1} end | {x}", data, in: workers) == ["x": 1])
    #expect(try run("if . then . else {} end | {a}", data, in: workers) == ["a": 1])
    #expect(
      try run("{s: (\" x \" | trim), m: (if false then 1 elif .a then 2 end)}", data, in: workers)
        == ["m": 2, "s": "x"]
    )
  }

  @Test("what newer releases changed is as in them")
  func changed() throws {
    let workers = workers(count: 1)
    let text = """
      {a: ("12" | gsub(""; "-")), b: ("ab" | gsub("$"; "!")), c: ("a1b" | gsub("[0-9]*"; "-")),
      d: ("héab" | gsub("(?<x>a)"; "<\\(.x)>")), e: [limit(0; 1, 2)], f: [skip(1; 1, 2)]}
      """
    #expect(
      try run(text, in: workers) == [
        "a": "-1-2-", "b": "ab!", "c": "-a-b-", "d": "hé<a>b", "e": [], "f": [2],
      ]
    )
    for failing in [
      "{a: infinite}", "{a: (null | abs)}", "{a: (1 | ltrimstr(\"x\"))}", "{a: 1e999}",
    ] {
      #expect(throws: JQError.self, "\(failing)") { try run(failing, in: workers) }
    }
    #expect(throws: JQError.self) { try run(".", ["n": .number("1e400")], in: workers) }
  }

  @Test("regular expressions are Go's, and count characters")
  func patterns() throws {
    let workers = workers(count: 1)
    let text = """
      {a: ("héxhé" | [match("(?<n>h)(x)?é"; "g") | [.offset, .length, .captures[0].name]]),
      b: ("aXbX" | capture("(?<x>X)(?<m>y)?")), c: ("a1b22" | [splits("[0-9]+")]),
      d: [("tet" | gsub("t"; "a", "b"))], e: ("a\\nb" | test("a.b"; "m")),
      f: ("a,b,a" | indices("a")), g: ("é" | test("\\\\w")), h: ("\\u00a0x " | trim)}
      """
    #expect(
      try run(text, in: workers) == [
        "a": [[0, 2, "n"], [3, 2, "n"]], "b": ["m": nil, "x": "X"], "c": ["a", "b", ""],
        "d": ["aea", "beb"], "e": true, "f": [0, 4], "g": false, "h": "x",
      ]
    )
    for failing in ["(?=x)", "(x)\\\\1", "["] {
      #expect(throws: JQError.self, "\(failing)") {
        try run("{a: (\"x\" | test(\"\(failing)\"))}", in: workers)
      }
    }
    #expect(try run("{a: (try (\"x\" | test(\"[\")) catch \"bad\")}", in: workers) == ["a": "bad"])
  }

  @Test("texts of values are those of the original")
  func texts() throws {
    let workers = workers(count: 1)
    let text = """
      {a: ({b: 2, a: 1e17} | tojson), b: "\\(0.00001)", c: (1.5e-7 | tostring), d: ("x" * 0),
      e: (3 * "ab"), f: ("abc" | last), g: ([2024, 1, 1] | mktime), h: ("1" | tonumber),
      i: ([1, 2, 3, 4] | (.[] | select(. > 2)) |= empty), j: ([1, 2] | map_values(empty)),
      k: (null | rindex("/"))}
      """
    #expect(
      try run(text, in: workers) == [
        "a": "{\"a\":100000000000000000,\"b\":2}", "b": "0.00001", "c": "1.5e-7", "d": "",
        "e": "ababab", "f": "c", "g": 1_706_745_600, "h": 1, "i": [1, 2],
        "j": [], "k": nil,
      ]
    )
    for failing in [
      "{a: nan}", "{a: [infinite]}", "{a: (\" 1\" | tonumber)}", "{a: (\"nan\" | fromjson)}",
      "{a: ({} | isnan)}", "{a: (null | reverse)}",
      "{a: ({} | transpose)}",
    ] {
      #expect(throws: JQError.self, "\(failing)") { try run(failing, in: workers) }
    }
  }

  @Test("what only jq 1.6 has is not defined, unless the program defines it")
  func absent() throws {
    let error = try #require(throws: JQError.self) { try JQProgram("{a: leaf_paths}") }
    #expect(error.kind == .syntax)
    #expect(throws: JQError.self) { try JQProgram("$__loc__") }
    let workers = workers(count: 1)
    #expect(
      try run("def leaf_paths: 1; {a: leaf_paths, leaf_paths: 2}", in: workers)
        == ["a": 1, "leaf_paths": 2]
    )
  }

  @Test(
    "a program without end, or too large, fails alone",
    arguments: [
      "def f: f; f", "[range(1e12)]", "{a: (reduce range(1e9) as $i (\"x\"; . + .))}",
      "def f: [f]; f", "{a: ([limit(1e7; repeat(\"x\"))] | join(\"\"))}",
    ]
  )
  func bounded(text: String) throws {
    var limits = JQLimits()
    limits.time = .seconds(2)
    let workers = workers(limits, count: 1)
    let error = try #require(throws: JQError.self) { try run(text, in: workers) }
    #expect(error.kind == .limit, "\(error)")
    #expect(try run("{a: 1}", in: workers) == ["a": 1])
  }

  @Test("many threads share few workers")
  func shared() async throws {
    let workers = workers()
    let sums = await withTaskGroup(of: JSON?.self) { group in
      for number in 0..<50 {
        group.addTask { try? workers.transform(JQProgram("{n: (.n + 1)}"), ["n": JSON(number)]) }
      }
      return await group.reduce(into: []) { $0.append($1) }
    }
    #expect(sums.count == 50)
    #expect(sums.allSatisfy { $0 != nil })
    workers.close()
  }

  @Test("one worker keeps many programs, whatever state they end in")
  func manyPrograms() throws {
    let workers = workers(count: 1)
    for number in 0..<70 {
      let answer = try run("[paths] | {n: \(number), p: (.. |= .), q: first}", in: workers)
      #expect(answer["n"] == JSON(number))
    }
    #expect(try run("{a: 1}, (def f: f; f)", in: workers) == ["a": 1])
    #expect(try run("{a: 1}, (def f: f; f)", in: workers) == ["a": 1])
  }

  @Test("without a program there is no worker, and it says so")
  func missing() throws {
    let workers = JQWorkers(program: "/nonexistent", count: 1)
    let error = try #require(throws: JQError.self) { try run(".", in: workers) }
    #expect(error.kind == .worker)
  }

  @Test("a text that is no program says why")
  func syntax() throws {
    let error = try #require(throws: JQError.self) {
      try workers().check(JQProgram(".a | nosuch(1)"))
    }
    #expect(error.kind == .syntax)
    #expect(error.message.contains("nosuch"))
  }
}
