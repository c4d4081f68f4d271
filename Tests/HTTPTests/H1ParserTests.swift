import Testing

@testable import HTTP

@Suite struct H1ParserTests {
  /// What came out of a whole input, bodies joined.
  private struct Seen: Equatable {
    var heads: [String] = []
    var bodies: [String] = []
    var refusal: Int?
  }

  /// Feeds `text` in pieces that end at `cuts`.
  private func parse(_ text: String, cuts: [Int] = []) -> Seen {
    var parser = H1Parser(HTTPLimits())
    var seen = Seen()
    let bytes = Array(text.utf8)
    var input: [UInt8] = []
    var at = 0
    var start = 0
    for cut in cuts + [bytes.count] {
      input += bytes[start..<cut]
      start = cut
      while let action = parser.next(input, &at) {
        switch action {
        case .head(let head):
          seen.heads.append("\(head.request.method) \(head.request.path) \(head.request.query)")
          seen.bodies.append("")
        case .body(let range):
          seen.bodies[seen.bodies.count - 1] += String(decoding: input[range], as: UTF8.self)
        case .end: seen.heads.append("end")
        case .refuse(let status, _): seen.refusal = status
        }
      }
    }
    return seen
  }

  private static let good: [(String, [String])] = [
    ("GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n", [""]),
    ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", ["hello"]),
    (
      "POST / HTTP/1.1\r\nHost:x\r\nTransfer-Encoding: chunked\r\n\r\n"
        + "3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\nX: y\r\n\r\n", ["hello"]
    ),
    ("\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n", ["", ""]),
    ("GET http://x/p HTTP/1.1\r\nHost: x\r\n\r\n", [""]),
    ("GET / HTTP/1.0\r\n\r\n", [""]),
  ]

  @Test("a request reads the same however its bytes are cut", arguments: good)
  func cuts(text: String, bodies: [String]) {
    let whole = parse(text)
    #expect(whole.refusal == nil)
    #expect(whole.bodies == bodies)
    #expect(whole.heads.filter { $0 == "end" }.count == bodies.count)
    for cut in 0...text.utf8.count { #expect(parse(text, cuts: [cut]) == whole, "cut \(cut)") }
    #expect(parse(text, cuts: Array(0..<text.utf8.count)) == whole)
  }

  @Test(
    "what two servers could read differently is refused",
    arguments: [
      ("GET / HTTP/1.1\nHost: x\n\n", 400), ("GET / HTTP/1.1\r\nHost: x\n\r\n", 400),
      ("GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400), ("GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
      ("GET / HTTP/1.1\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
      ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
      ("GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400),
      ("GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
      ("GET / HTTP/1.1\r\nHost: x\r\nA\u{0}: b\r\n\r\n", 400),
      ("GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n", 400),
      ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400),
      ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n", 400),
      ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1,1\r\n\r\n", 400),
      ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
      (
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400
      ),
      ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
      ("POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
      ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", 400),
      ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", 400),
      ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\n", 400),
      ("GET / HTTP/1.1\r\nHost: x\r\nExpect: more\r\n\r\n", 417),
    ]
  )
  func refused(text: String, status: Int) {
    #expect(parse(text).refusal == status)
  }

  @Test("a head beyond its limits is refused before it is whole")
  func limits() {
    let long = "GET / HTTP/1.1\r\nHost: x\r\nA: " + String(repeating: "a", count: 40_000)
    #expect(parse(long).refusal == 431)
    let many = (0..<200).map { "H\($0): x\r\n" }.joined()
    #expect(parse("GET / HTTP/1.1\r\nHost: x\r\n\(many)\r\n").refusal == 431)
  }
}
