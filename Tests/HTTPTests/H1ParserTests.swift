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
    var parser = H1Parser(headBytes: 32 << 10, headerCount: 100)
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

  private static let get = "GET / HTTP/1.1\r\nHost: x\r\n"
  private static let post = "POST / HTTP/1.1\r\nHost: x\r\n"
  private static let chunked = post + "Transfer-Encoding: chunked\r\n\r\n"

  // RFC 9112 section 2.2 (line ends), 3 (request line), 3.2 (target and Host), 5 (fields),
  // 6 (body length), 7.1 (chunks); RFC 9110 section 5.5 (values), 8.6 (Content-Length).
  private static let bad: [(String, Int)] = [
    // Line ends.
    ("GET / HTTP/1.1\nHost: x\n\n", 400), ("GET / HTTP/1.1\r\nHost: x\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: x\r\n\n", 400), ("GET / HTTP/1.1\r\r\nHost: x\r\n\r\n", 400),
    (get + "A: b\rc\r\n\r\n", 400), (chunked + "1\na\n0\n\n", 400),
    (chunked + "1\r\na\n", 400), (chunked + "0\n", 400), (chunked + "0\r\nA: b\n\r\n", 400),
    // Request line.
    ("GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400), (" GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n", 400), ("GET / HTTP/1.1 \r\nHost: x\r\n\r\n", 400),
    ("G(T / HTTP/1.1\r\nHost: x\r\n\r\n", 400), ("GET /\u{e9} HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("GET /#a HTTP/1.1\r\nHost: x\r\n\r\n", 400), ("GET a HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400), ("CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("GET /\r\n\r\n", 400), ("GET / http/1.1\r\nHost: x\r\n\r\n", 400),
    ("GET / HTTP/1.10\r\nHost: x\r\n\r\n", 400), ("GET / HTTP/+1.1\r\nHost: x\r\n\r\n", 400),
    ("GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505), ("GET / HTTP/0.9\r\nHost: x\r\n\r\n", 505),
    // Absolute form.
    ("GET http:///p HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("GET http://u@x/p HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("GET ftp://x/p HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("GET http://x/ HTTP/1.1\r\n\r\n", 400),
    // Host.
    ("GET / HTTP/1.1\r\n\r\n", 400), (get + "Host: x\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost: a<b\r\n\r\n", 400),
    // Fields.
    (get + " folded\r\n\r\n", 400), (get + "A: b\r\n\tc\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\n Host: x\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
    (get + ": b\r\n\r\n", 400), (get + "A\r\n\r\n", 400), (get + "A b: c\r\n\r\n", 400),
    (get + "A\u{0}: b\r\n\r\n", 400), (get + "A(b): c\r\n\r\n", 400),
    (get + "\u{e9}: b\r\n\r\n", 400), (get + "A: b\u{0}c\r\n\r\n", 400),
    (get + "A: b\u{7f}\r\n\r\n", 400), (get + "A: b\u{b}\r\n\r\n", 400),
    // Length.
    (post + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400),
    (post + "Content-Length: 1\r\ncontent-length: 2\r\n\r\n", 400),
    (post + "Content-Length: +1\r\n\r\n", 400), (post + "Content-Length: -1\r\n\r\n", 400),
    (post + "Content-Length: 1,1\r\n\r\n", 400), (post + "Content-Length: 0x1\r\n\r\n", 400),
    (post + "Content-Length:\r\n\r\n", 400), (post + "Content-Length: 1 1\r\n\r\n", 400),
    (post + "Content-Length: 1.0\r\n\r\n", 400), (post + "Content-Length: \u{661}\r\n\r\n", 400),
    (post + "Content-Length: 99999999999999999999\r\n\r\n", 400),
    (post + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    (post + "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 400),
    // Transfer codings.
    (post + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
    (post + "Transfer-Encoding: chunked, gzip\r\n\r\n", 400),
    (post + "Transfer-Encoding: chunked, chunked\r\n\r\n", 400),
    (post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    (post + "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
    (post + "Transfer-Encoding: , chunked\r\n\r\n", 400),
    (post + "Transfer-Encoding: chunked,\r\n\r\n", 400),
    (post + "Transfer-Encoding: xchunked\r\n\r\n", 400),
    (post + "Transfer-Encoding: \u{b}chunked\r\n\r\n", 400),
    (post + "Transfer-Encoding:\r\n\r\n", 400), (post + "Transfer-Encoding: identity\r\n\r\n", 400),
    ("POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    // Chunks.
    (chunked + "-1\r\n", 400), (chunked + "+1\r\n", 400), (chunked + "0x1\r\n", 400),
    (chunked + "1 \r\n", 400), (chunked + " 1\r\n", 400), (chunked + "\r\n", 400),
    (chunked + "g\r\n", 400), (chunked + ";a\r\n", 400), (chunked + "1\r\nab\r\n", 400),
    (chunked + "1;a\u{0}\r\na\r\n", 400), (chunked + "fffffffffffffffff\r\n", 400),
    (chunked + "1;" + String(repeating: "a", count: 2000), 400),
    (
      chunked
        + String(repeating: "1;" + String(repeating: "a", count: 900) + "\r\nb\r\n", count: 10),
      400
    ),
    (chunked + "0\r\nA b\r\n\r\n", 400), (chunked + "0\r\n folded\r\n\r\n", 400),
    (chunked + "0\r\n" + String(repeating: "A: b\r\n", count: 30), 400),
    (chunked + "0\r\nA: " + String(repeating: "b", count: 10_000), 431),
    // Expectations.
    (get + "Expect: more\r\n\r\n", 417),
  ]

  @Test("what two servers could read differently is refused", arguments: bad)
  func refused(text: String, status: Int) {
    #expect(parse(text).refusal == status)
    let everywhere = Array(1..<max(2, min(200, text.utf8.count)))
    #expect(parse(text, cuts: everywhere).refusal == status, "in single bytes")
  }

  @Test("what only looks odd is served")
  func odd() {
    let requests = [
      "GET / HTTP/1.9\r\nHost: x\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n",
      "M-SEARCH / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", Self.get + "A:\tb \t\r\nC:\r\n\r\n",
      "\r\n\r\n\r\n" + Self.get + "\r\n", Self.get + "A: \u{e9}\r\n\r\n",
      Self.chunked + "000A;q=\"x\"\r\n0123456789\r\n0\r\n\r\n",
      Self.post + "Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n",
    ]
    for text in requests {
      let seen = parse(text)
      #expect(seen.refusal == nil && seen.heads.last == "end", "\(text.debugDescription)")
      #expect(parse(text, cuts: Array(1..<text.utf8.count)) == seen)
    }
  }

  @Test("the host of a target in absolute form counts, not the field")
  func absoluteForm() {
    var parser = H1Parser(headBytes: 32 << 10, headerCount: 100)
    var at = 0
    let text = "GET http://a:81?q HTTP/1.1\r\nHost: b\r\n\r\n"
    guard case .head(let head)? = parser.next(Array(text.utf8), &at) else {
      Issue.record("no head")
      return
    }
    #expect(head.request.headers.values("host") == ["a:81"])
    #expect(head.request.path == "/" && head.request.query == "q")
  }

  @Test("a head that trickles in costs its length, not its square")
  func trickle() {
    var parser = H1Parser(headBytes: 32 << 10, headerCount: 100)
    let text = "GET / HTTP/1.1\r\nHost: x\r\n" + String(repeating: "A: b\r\n", count: 90)
    var input: [UInt8] = []
    var at = 0
    for byte in text.utf8 {
      input.append(byte)
      #expect(parser.next(input, &at) == nil)
    }
    input += [0x0d, 0x0a]
    if case .head(let head)? = parser.next(input, &at) {
      #expect(head.request.headers.fields.count == 91)
    } else {
      Issue.record("no head")
    }
  }

  @Test("a head beyond its limits is refused before it is whole")
  func limits() {
    let long = "GET / HTTP/1.1\r\nHost: x\r\nA: " + String(repeating: "a", count: 40_000)
    #expect(parse(long).refusal == 431)
    let many = (0..<200).map { "H\($0): x\r\n" }.joined()
    #expect(parse("GET / HTTP/1.1\r\nHost: x\r\n\(many)\r\n").refusal == 431)
  }
}
