import Foundation
import Posix
import Synchronization
import Testing

@testable import HTTP

/// Bodies that are looked at while they arrive, and the memory that all of them share.
@Suite struct BodyCheckTests {
  /// Refuses bodies that hold a `!`; tells what it saw.
  private final class NoMarks: RequestHandler {
    struct Seen {
      var updates = 0
      var bytes = 0
      var responses = 0
      var arrived: [CheckedContinuation<Void, Never>] = []
    }
    let seen = Mutex(Seen())

    private final class Check: BodyCheck, @unchecked Sendable {
      // SAFETY: belongs to one request on one loop.
      let owner: NoMarks
      var isMarked = false
      init(_ owner: NoMarks) { self.owner = owner }

      func update(_ bytes: RawSpan) {
        unsafe bytes.withUnsafeBytes { if unsafe $0.contains(0x21) { isMarked = true } }
        owner.note(bytes.byteCount)
      }

      func finish() -> Response? { isMarked ? .text(401, "marked") : nil }
    }

    func note(_ count: Int) {
      seen.withLock { seen in
        seen.updates += 1
        seen.bytes += count
      }
    }

    func accept(_ head: RequestHead) -> Acceptance {
      .check(bodyLimit: 1 << 20, by: Check(self)) { [self] request in
        seen.withLock { $0.responses += 1 }
        return .json(200, request.body)
      }
    }

    /// Waits until so many bytes were looked at.
    func waitForBytes(_ count: Int) async {
      while seen.withLock({ $0.bytes }) < count { await Task.yield() }
    }
  }

  private func with(
    _ limits: HTTPLimits = HTTPLimits(),
    _ body: (HTTPServer, NoMarks) async throws -> Void
  ) async throws {
    let loop = try EventLoop(name: "bodies")
    let handler = NoMarks()
    let server = try await HTTPServer(
      address: "127.0.0.1",
      port: 0,
      loops: [loop],
      limits: limits,
      handler: handler
    )
    try await body(server, handler)
    await server.shutdown(grace: .seconds(5))
    loop.stop()
  }

  @Test("a check sees the body piece by piece; what it refuses reaches nobody, and both go on")
  func http1() async throws {
    try await with { server, handler in
      let client = try TestClient(server.port)
      let head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n"
      client.send(head + "abc")
      await handler.waitForBytes(3)
      client.send("d!f")
      #expect(client.receive(until: "marked\n").hasPrefix("HTTP/1.1 401 "))
      #expect(handler.seen.withLock { $0.responses } == 0)
      #expect(handler.seen.withLock { $0.updates } >= 2)
      // The connection stays, and the next body is one of its own.
      client.send(head + "abcdef")
      #expect(client.receive(until: "abcdef").hasPrefix("HTTP/1.1 200 "))
      client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
      client.send("2\r\na!\r\n1\r\nc\r\n0\r\n\r\n")
      #expect(client.receive(until: "marked\n").hasPrefix("HTTP/1.1 401 "))
      client.send("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
      #expect(client.receiveToEnd().hasPrefix("HTTP/1.1 200 "))
      #expect(handler.seen.withLock { $0.responses } == 2)
    }
  }

  @Test("the same over HTTP/2")
  func http2() async throws {
    try await with { server, handler in
      let client = try H2TestClient(server.port)
      client.send(client.post(1, "/"), client.data(1, Array("ab".utf8), ends: false))
      await handler.waitForBytes(2)
      client.send(client.data(1, Array("!".utf8)))
      client.send(client.post(3, "/"), client.data(3, Array("abc".utf8)))
      #expect(client.answer(1).status == 401)
      let answer = client.answer(3)
      #expect(answer.status == 200 && answer.body == Array("abc".utf8))
      #expect(handler.seen.withLock { $0.responses } == 1)
    }
  }

  @Test("the buffer of a refused body serves the next one, and its memory is free at once")
  func reuse() async throws {
    let loop = try EventLoop(name: "bodies")
    let pool = ConnectionPool(loop, HTTPLimits(), HTTPObserver(), share: 1)
    let first = IncomingBody(limit: 1 << 20, announced: 7000, nil, pool)
    let bytes = [UInt8](repeating: 0x61, count: 7000)
    let refusals = unsafe [first.append(bytes.span.bytes)?.status]
    #expect(refusals == [nil])
    #expect(pool.limits.bodies.inUse == 7000)
    pool.reclaim(first)
    #expect(pool.limits.bodies.inUse == 0)
    let buffer = pool.takeBuffer()
    #expect(buffer.isEmpty && buffer.capacity >= 7000)
    #expect(pool.takeBuffer().capacity == 0)
    loop.stop()
  }

  @Test("what a body takes is counted by its room, and never more than was announced")
  func accounting() async throws {
    let loop = try EventLoop(name: "bodies")
    let pool = ConnectionPool(loop, HTTPLimits(), HTTPObserver(), share: 1)
    let piece = [UInt8](repeating: 0x61, count: 1000)
    func body(_ announced: Int?) -> IncomingBody {
      IncomingBody(limit: 1 << 20, announced: announced, nil, pool)
    }
    var seen: [Int] = []
    do {
      // An announcement alone costs nothing.
      let announcing = body(1 << 20)
      seen.append(pool.limits.bodies.inUse)
      for _ in 0..<20 { _ = unsafe announcing.append(piece.span.bytes) }
      seen.append(pool.limits.bodies.inUse)
      withExtendedLifetime(announcing) {}
    }
    do {
      let chunked = body(nil)
      for _ in 0..<1000 { _ = unsafe chunked.append(piece.span.bytes) }
      seen.append(pool.limits.bodies.inUse)
      withExtendedLifetime(chunked) {}
    }
    #expect(seen == [0, 32 << 10, 1 << 20])
    #expect(pool.limits.bodies.inUse == 0)
    loop.stop()
  }

  @Test("servers share one budget; a length beyond it is refused before the body is sent")
  func shared() async throws {
    var limits = HTTPLimits()
    limits.bodies = BodyBudget(1000)
    try await with(limits) { one, handler in
      try await with(limits) { other, _ in
        let holding = try TestClient(one.port)
        holding.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\na")
        await handler.waitForBytes(1)
        let refused = try TestClient(other.port)
        refused.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200\r\n\r\n")
        let answer = refused.receive(until: "again\n")
        #expect(answer.hasPrefix("HTTP/1.1 503 ") && answer.contains("\r\nRetry-After: 1\r\n"))
        holding.reset()
        var text = ""
        while !text.hasPrefix("HTTP/1.1 200 ") {
          let client = try TestClient(other.port)
          client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200\r\n\r\n")
          client.send([UInt8](repeating: 0x61, count: 200))
          text = client.receive(until: "aaaa")
          if text.isEmpty { break }
        }
        #expect(text.hasPrefix("HTTP/1.1 200 "))
      }
    }
  }
}
