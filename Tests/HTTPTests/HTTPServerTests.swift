import Foundation
import HTTP
import Posix
import Testing

/// Answers with what was sent; bodies up to 1000 bytes.
private struct Echo: RequestHandler {
  func accept(_ head: RequestHead) -> Acceptance {
    if head.path == "/no" { return .answer(.text(403, "no")) }
    return .read(bodyLimit: 1000) { .json(200, Array($0.head.path.utf8) + $0.body) }
  }
}

@Suite struct HTTPServerTests {
  private func with(
    _ limits: HTTPLimits = HTTPLimits(),
    _ body: (Int) async throws -> Void
  ) async throws {
    let loops = [try EventLoop(name: "a"), try EventLoop(name: "b")]
    let server = try await HTTPServer(
      address: "127.0.0.1",
      port: 0,
      loops: loops,
      limits: limits,
      handler: Echo()
    )
    try await body(server.port)
    await server.shutdown(grace: .seconds(5))
    for loop in loops { loop.stop() }
  }

  private func answer(_ port: Int, _ text: String) throws -> String {
    String(decoding: try Socket.exchange(Array(text.utf8), port: port), as: UTF8.self)
  }

  @Test("pipelined requests are answered in order")
  func pipelining() async throws {
    try await with { port in
      let first = "POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab"
      let second =
        "POST /2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nc\r\n0\r\n\r\n"
      let last = "GET /3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
      let text = try answer(port, first + second + last)
      let bodies = text.components(between: "\r\n\r\n")
      #expect(text.hasPrefix("HTTP/1.1 200 OK\r\n"))
      #expect(bodies == ["/1ab", "/2c", "/3"])
    }
  }

  @Test(
    "each limit has its answer",
    arguments: [
      ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n", "413"),
      (
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n"
          + String(repeating: "a", count: 1001) + "\r\n", "413"
      ),
      ("POST /no HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", "403"),
      ("nonsense\r\n\r\n", "400"), ("GET / HTTP/1.1\r\nHost: x\r\n", "408"),
      ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc", "408"),
    ]
  )
  func refusals(request: String, status: String) async throws {
    var limits = HTTPLimits()
    limits.headTime = .milliseconds(50)
    limits.bodyTime = .milliseconds(50)
    limits.lingerTime = .milliseconds(50)
    try await with(limits) { port in
      let text = try answer(port, request)
      #expect(text.hasPrefix("HTTP/1.1 \(status) "))
    }
  }

  @Test("bodies beyond the memory for all of them are told to come again")
  func budget() async throws {
    var limits = HTTPLimits()
    limits.bodies = BodyBudget(100)
    limits.lingerTime = .milliseconds(50)
    try await with(limits) { port in
      let body = String(repeating: "a", count: 500)
      let text = try answer(
        port,
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n" + body
      )
      #expect(text.hasPrefix("HTTP/1.1 503 ") && text.contains("Retry-After: 1"))
    }
  }

  @Test("a port that is taken is refused in words")
  func taken() async throws {
    try await with { port in
      let loop = try EventLoop(name: "c")
      let failure = await #expect(throws: SystemError.self) {
        _ = try await HTTPServer(address: "127.0.0.1", port: port, loops: [loop], handler: Echo())
      }
      #expect(failure?.description == "bind 127.0.0.1:\(port): Address already in use")
      loop.stop()
    }
  }

  @Test("HEAD has the length and no body; the method decides nothing else")
  func head() async throws {
    try await with { port in
      let text = try answer(port, "HEAD /abc HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
      #expect(text.contains("Content-Length: 4\r\n") && text.hasSuffix("\r\n\r\n"))
    }
  }
}

extension String {
  /// The bodies of responses that stand one after the other.
  fileprivate func components(between separator: String) -> [String] {
    split(separator: separator).dropFirst().map { part in
      part.range(of: "HTTP/1.1").map { String(part[..<$0.lowerBound]) } ?? String(part)
    }
  }
}
