import Foundation
import Posix
import Synchronization
import Testing

@testable import HTTP

@Suite struct H2Tests {
  private typealias Frame = H2TestClient.Frame

  /// Short times, for tests in which one runs out.
  private let short: HTTPLimits = {
    var limits = HTTPLimits()
    limits.headTime = .milliseconds(80)
    limits.bodyTime = .milliseconds(80)
    limits.sendTime = .milliseconds(80)
    limits.idleTime = .milliseconds(300)
    limits.lingerTime = .milliseconds(80)
    return limits
  }()

  @Test("many requests at once are answered, whichever ends first")
  func requests() async throws {
    try await withServer { port, handler, _ in
      let client = try H2TestClient(port)
      client.send(client.get(1, "/wait"), client.get(3, "/now"))
      client.send(client.post(5, "/up"), client.data(5, Array("ab".utf8), ends: false))
      client.send(client.data(5, Array("cd".utf8)), client.get(7, "/now", method: "HEAD"))
      let now = client.answer(3)
      #expect(now.status == 200 && now.body == Array("now\n".utf8))
      #expect(now.headers["date"] != nil && now.headers["content-length"] == "4")
      #expect(client.answer(5).body == Array("/upabcd".utf8))
      let head = client.answer(7)
      #expect(head.headers["content-length"] == "4" && head.body.isEmpty)
      #expect(client.answers[1] == nil)
      handler.gate.open()
      #expect(client.answer(1).body == Array("waited\n".utf8))
    }
  }

  @Test("the preface is known however it is cut")
  func slowPreface() async throws {
    try await withServer { port, _, _ in
      let client = try H2TestClient(port, begins: false)
      for byte in H2TestClient.preface { client.socket.send([byte]) }
      client.send(H2TestClient.settings, client.get(1, "/now"))
      #expect(client.answer(1).status == 200)
    }
  }

  @Test("a body of many windows arrives whole, an answer of many windows too")
  func windows() async throws {
    try await withServer { port, _, _ in
      let client = try H2TestClient(port)
      client.send(client.post(1, "/up"))
      let piece = [UInt8](repeating: 0x61, count: 16 << 10)
      for _ in 0..<63 { client.send(client.data(1, piece, ends: false)) }
      client.send(client.data(1, piece, ends: true))
      client.send(client.window(0, 1 << 20), client.window(1, 1 << 20))
      #expect(client.answer(1).body.count == 64 * piece.count + 3)
      client.send(client.get(3, "/big"), client.window(0, 1 << 21), client.window(3, 1 << 20))
      #expect(client.answer(3).body.count == 1 << 20)
    }
  }

  @Test("a request beyond a limit gets its status and no more of its body is wanted")
  func limits() async throws {
    var limits = short
    limits.bodyTime = .seconds(60)
    limits.bodies = BodyBudget(1000)
    try await withServer(limits) { port, _, _ in
      let client = try H2TestClient(port)
      let long = client.post(1, "/up", [("content-length", "1048577")])
      client.send(long)
      let refused = client.answer(1)
      #expect(refused.status == 413 && refused.isFinished)
      while client.answers[1]?.reset == nil, client.next() != nil {}
      #expect(client.answers[1]?.reset == 0)
      client.send(client.post(3, "/up"), client.data(3, [UInt8](repeating: 1, count: 1001)))
      let busy = client.answer(3)
      #expect(busy.status == 503 && busy.headers["retry-after"] == "1")
      let value = String(repeating: "a", count: 9000)
      let fields = (0..<4).map { ("a\($0)", value) }
      var block = client.head("GET", "/now", fields)
      client.send(Frame(type: 1, flags: 1, stream: 5, payload: Array(block.prefix(16_000))))
      block.removeFirst(16_000)
      client.send(Frame(type: 9, stream: 5, payload: Array(block.prefix(16_000))))
      client.send(Frame(type: 9, flags: 4, stream: 5, payload: Array(block.dropFirst(16_000))))
      #expect(client.answer(5).status == 431)
      client.send(client.get(7, "/now"))
      #expect(client.answer(7).status == 200)
    }
  }

  @Test("host and target are held to the rules of HTTP/1.1")
  func targets() async throws {
    try await withServer { port, _, _ in
      let client = try H2TestClient(port)
      func get(_ stream: Int, _ path: String, _ more: [(String, String)]) -> Frame {
        let fields = [(":method", "GET"), (":scheme", "http"), (":path", path)] + more
        return Frame(type: 1, flags: 5, stream: stream, payload: client.block(fields))
      }
      client.send(get(1, "/now", [(":authority", "a@b")]), get(3, "/now#a", [(":authority", "a")]))
      client.send(get(5, "/now", [(":authority", "a"), ("host", "b")]))
      client.send(
        get(7, "/now", [("host", "b")]),
        get(9, "/now", [(":authority", "A"), ("host", "a")])
      )
      #expect([1, 3, 5, 7, 9].map { client.answer($0).status } == [400, 400, 400, 200, 200])
    }
  }

  @Test("leave to send a body is given when it is waited for")
  func expectContinue() async throws {
    try await withServer { port, _, _ in
      let client = try H2TestClient(port)
      client.send(client.post(1, "/up", [("expect", "100-continue")]))
      while client.answers[1] == nil, client.next() != nil {}
      #expect(client.answers[1]?.status == 100)
      client.send(client.data(1, [0x61]))
      #expect(client.answer(1).body == Array("/upa".utf8))
    }
  }

  private static let floodKinds: [(HTTPMisuse, @Sendable (H2TestClient, Int) -> [UInt8])] = [
    (
      .rapidReset,
      { client, at in
        client.bytes(client.get(2 * at + 1, "/now")) + client.bytes(client.reset(2 * at + 1))
      }
    ),
    (.settings, { client, _ in client.bytes(H2TestClient.settings) }),
    (.pings, { client, _ in client.bytes(.init(type: 6, payload: [0, 0, 0, 0, 0, 0, 0, 0])) }),
    (.windowUpdates, { client, _ in client.bytes(client.window(0, 1)) }),
    (
      .priorities,
      { client, _ in client.bytes(.init(type: 2, stream: 1, payload: [0, 0, 0, 0, 1])) }
    ),
    (
      .emptyFrames,
      { client, at in
        (at == 0 ? client.bytes(client.post(1, "/up")) : [])
          + client.bytes(client.data(1, [], ends: false))
      }
    ),
    (
      .continuations,
      { client, at in
        at == 0
          ? client.bytes(.init(type: 1, stream: 1, payload: client.head("GET", "/now")))
          : client.bytes(.init(type: 9, stream: 1, payload: client.block([("a", "b")])))
      }
    ),
  ]

  @Test("a flood ends with its connection, the right code and a count", arguments: floodKinds)
  func floods(kind: HTTPMisuse, make: @Sendable (H2TestClient, Int) -> [UInt8]) async throws {
    try await withServer(short) { port, _, misuses in
      let client = try H2TestClient(port)
      // At once, so that the rate is a flood's whatever else the machine does.
      _ = client.socket.send((0..<3000).flatMap { make(client, $0) })
      // A client that still sends may lose the last frame to its own reset; the count stands.
      if let code = client.end() { #expect(code == 11) }
      let first = misuses.withLock { $0.first }
      #expect(first == kind)
    }
  }

  @Test("resets buy no handlers beyond the number of streams")
  func resetHandlers() async throws {
    var limits = HTTPLimits()
    limits.streams = 10
    try await withServer(limits) { port, handler, _ in
      let client = try H2TestClient(port)
      for at in 0..<200 {
        client.send(client.get(2 * at + 1, "/wait"), client.reset(2 * at + 1))
      }
      client.send(Frame(type: 6, payload: [1, 2, 3, 4, 5, 6, 7, 8]))
      while client.pings.isEmpty, client.next() != nil {}
      #expect(handler.arrivals.load(ordering: .relaxed) == 10)
      #expect(client.answer(399).reset == 7 || client.answers[399] == nil)
    }
  }

  @Test("a client that opens more streams than it was told loses its connection")
  func concurrentStreams() async throws {
    var limits = HTTPLimits()
    limits.streams = 3
    try await withServer(limits) { port, handler, _ in
      let client = try H2TestClient(port)
      for at in 0..<4 { client.send(client.get(2 * at + 1, "/wait")) }
      #expect(client.end() == 1)
      #expect(handler.arrivals.load(ordering: .relaxed) == 3)
    }
  }

  private static let breaches: [(String, Int, @Sendable (H2TestClient) -> [UInt8])] = [
    (
      "a stream's number goes back", 1,
      { $0.bytes($0.get(5, "/now")) + $0.bytes($0.get(3, "/now")) }
    ),
    (
      "a frame is too large", 6,
      { $0.bytes(.init(type: 0, stream: 1, payload: [UInt8](repeating: 0, count: 16_385))) }
    ),
    ("the client's stream is even", 1, { $0.bytes($0.get(2, "/now")) }),
    ("a ping is short", 6, { $0.bytes(.init(type: 6, payload: [1])) }),
    (
      "a header block is no HPACK", 9,
      { $0.bytes(.init(type: 1, flags: 5, stream: 1, payload: [0x80])) }
    ),
    ("a window overflows", 3, { $0.bytes($0.window(0, 0x7fff_ffff)) }),
  ]

  @Test("what breaks the protocol ends the connection with the code for it", arguments: breaches)
  func errors(what: String, code: Int, bytes: @Sendable (H2TestClient) -> [UInt8]) async throws {
    try await withServer(short) { port, _, _ in
      let client = try H2TestClient(port)
      client.socket.send(bytes(client))
      #expect(client.end() == code, "\(what)")
    }
  }

  @Test("a preface that goes wrong is told so")
  func badPreface() async throws {
    try await withServer(short) { port, _, _ in
      let client = try H2TestClient(port, begins: false)
      client.socket.send("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n")
      #expect(client.end() == 1)
    }
  }

  @Test("clients that stand still are cut off: body, answer, head and between requests")
  func slowness() async throws {
    try await withServer(short) { port, _, misuses in
      let body = try H2TestClient(port)
      body.send(body.post(1, "/up"), body.data(1, [1], ends: false))
      #expect(body.answer(1).status == 408)
      // A window of nothing: the answer can never leave.
      let answer = try H2TestClient(port, settings: [(4, 0)])
      answer.send(answer.get(1, "/now"))
      #expect(answer.answer(1).reset == 8)
      let head = try H2TestClient(port)
      head.send(Frame(type: 1, stream: 1, payload: head.head("GET", "/now")))
      #expect(head.end() == 11)
      let idle = try H2TestClient(port)
      #expect(idle.end() == 0)
      #expect(misuses.withLock { Set($0) } == [.slowBody, .slowReader, .slowHead])
    }
  }

  @Test("a shutdown tells the client, serves what was on its way and ends")
  func shutdown() async throws {
    let loop = try EventLoop(name: "connections")
    let handler = Gated()
    var limits = HTTPLimits()
    limits.lingerTime = .milliseconds(80)
    let server = try await HTTPServer(
      address: "127.0.0.1",
      port: 0,
      loops: [loop],
      limits: limits,
      handler: handler
    )
    let client = try H2TestClient(server.port)
    client.send(client.get(1, "/wait"))
    await handler.arrived.wait()
    // On the loop: this test blocks a thread of the pool.
    let done = Task(executorPreference: loop) { await server.shutdown(grace: .seconds(5)) }
    while client.pings.isEmpty || client.goAways.isEmpty, client.next() != nil {}
    #expect(client.goAways.map(\.last) == [0x7fff_ffff])
    client.send(client.get(3, "/now"), Frame(type: 6, flags: 1, payload: client.pings[0].payload))
    #expect(client.answer(3).status == 200)
    while client.goAways.count < 2, client.next() != nil {}
    #expect(client.goAways.last?.last == 3 && client.goAways.last?.code == 0)
    handler.gate.open()
    #expect(client.answer(1).body == Array("waited\n".utf8))
    #expect(client.next() == nil)
    await done.value
    loop.stop()
  }
}
