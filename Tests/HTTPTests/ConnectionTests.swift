import Foundation
import Posix
import Synchronization
import Testing

@testable import HTTP

@Suite struct ConnectionTests {
  private let short: HTTPLimits = {
    var limits = HTTPLimits()
    limits.headTime = .milliseconds(80)
    limits.bodyTime = .milliseconds(80)
    limits.sendTime = .milliseconds(80)
    limits.lingerTime = .milliseconds(80)
    return limits
  }()

  @Test("a request pipelined behind one that waits is answered after it")
  func pipelinedBehindWaiting() async throws {
    try await withServer { port, handler, _ in
      let client = try TestClient(port)
      client.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n")
      client.send("GET /now HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
      await handler.arrived.wait()
      handler.gate.open()
      let text = client.receiveToEnd()
      let places = ["waited", "/2", "now"].map { text.range(of: $0)?.lowerBound }
      #expect(places.allSatisfy { $0 != nil })
      #expect(places.compactMap(\.self) == places.compactMap(\.self).sorted())
    }
  }

  @Test("requests pipelined behind an answer the peer reads late are answered")
  func pipelinedBehindSlowReader() async throws {
    try await withServer { port, handler, _ in
      let client = try TestClient(port, receiveBuffer: 4096)
      let big = "GET /big HTTP/1.1\r\nHost: x\r\n\r\n"
      let last = "GET /now HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
      client.send(String(repeating: big, count: 8) + last)
      let text = client.receiveToEnd()
      #expect(text.utf8.count > 8 << 20 && text.hasSuffix("now\n"))
    }
  }

  @Test("a reader that stands still is cut off and counted")
  func slowReader() async throws {
    try await withServer(short) { port, _, misuses in
      let client = try TestClient(port, receiveBuffer: 4096)
      client.send(String(repeating: "GET /big HTTP/1.1\r\nHost: x\r\n\r\n", count: 20))
      while misuses.withLock(\.isEmpty) { await Task.yield() }
      #expect(misuses.withLock { $0 } == [.slowReader])
    }
  }

  @Test("a head that trickles on a used connection has the head's time, not the idle time")
  func slowHeadLater() async throws {
    try await withServer(short) { port, _, misuses in
      let client = try TestClient(port)
      client.send("GET /now HTTP/1.1\r\nHost: x\r\n\r\n")
      #expect(client.receive(until: "now\n").hasPrefix("HTTP/1.1 200"))
      client.send("GET /now HT")
      #expect(client.receiveToEnd().hasPrefix("HTTP/1.1 408 "))
      #expect(misuses.withLock { $0 } == [.slowHead])
    }
  }

  @Test("a body that stands still is answered 408 and counted")
  func slowBody() async throws {
    try await withServer(short) { port, _, misuses in
      let client = try TestClient(port)
      client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabc")
      let text = client.receiveToEnd()
      #expect(text.hasPrefix("HTTP/1.1 408 ") && text.contains("Connection: close\r\n"))
      #expect(misuses.withLock { $0 } == [.slowBody])
    }
  }

  @Test("a peer that has finished sending still gets its answer")
  func halfClose() async throws {
    try await withServer { port, handler, _ in
      let client = try TestClient(port)
      client.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
      client.finishSending()
      await handler.arrived.wait()
      handler.gate.open()
      #expect(client.receiveToEnd().hasSuffix("waited\n"))
    }
  }

  @Test("a body too long by its length is refused before it is sent, and the answer arrives")
  func earlyRefusal() async throws {
    try await withServer { port, _, _ in
      let client = try TestClient(port)
      client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n")
      #expect(client.receive(until: "\n\r\n").hasPrefix("HTTP/1.1 413 "))
      let eager = try TestClient(port)
      eager.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n")
      for _ in 0..<8 { eager.send([UInt8](repeating: 0x61, count: 64 << 10)) }
      eager.finishSending()
      #expect(eager.receiveToEnd().hasPrefix("HTTP/1.1 413 "))
    }
  }

  @Test("leave to send a body is given when it is waited for, and only then")
  func expectContinue() async throws {
    try await withServer { port, _, _ in
      let head = "POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
      let client = try TestClient(port)
      client.send(head)
      #expect(client.receive(until: "\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n")
      client.send("ab")
      #expect(client.receive(until: "/eab").hasPrefix("HTTP/1.1 200"))
      client.send(head + "cd")
      #expect(client.receive(until: "/ecd").hasPrefix("HTTP/1.1 200"))
      client.send(
        "POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\nExpect: 100-continue\r\n\r\n"
      )
      #expect(client.receiveToEnd().hasPrefix("HTTP/1.1 413 "))
    }
  }

  @Test("a client of HTTP/1.0 is told whether the connection stays")
  func oldClients() async throws {
    try await withServer { port, _, _ in
      let client = try TestClient(port)
      client.send("GET /now HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
      #expect(client.receive(until: "now\n").contains("Connection: keep-alive\r\n"))
      client.send("GET /now HTTP/1.0\r\n\r\n")
      #expect(client.receiveToEnd().contains("Connection: close\r\n"))
    }
  }

  @Test("the memory of a body is given back when its handler ends, not when its peer goes")
  func budgetOutlivesConnection() async throws {
    var limits = HTTPLimits()
    limits.bodies = BodyBudget(1000)
    try await withServer(limits) { port, handler, _ in
      let body = String(repeating: "a", count: 800)
      let request = "POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 800\r\n\r\n" + body
      do {
        let client = try TestClient(port)
        client.send(request)
        await handler.arrived.wait()
        client.reset()
      }
      let second = "POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 800\r\n\r\n" + body
      let refused = try TestClient(port)
      refused.send(second)
      refused.finishSending()
      let text = refused.receiveToEnd()
      #expect(text.hasPrefix("HTTP/1.1 503 ") && text.contains("Retry-After: 1\r\n"))
      handler.gate.open()
      var status = ""
      while !status.hasPrefix("HTTP/1.1 200") {
        let client = try TestClient(port)
        client.send(second)
        client.finishSending()
        status = client.receiveToEnd()
        if status.isEmpty { break }
      }
      #expect(status.hasPrefix("HTTP/1.1 200"))
    }
  }

  @Test("a shutdown answers what was accepted and closes what is idle")
  func shutdown() async throws {
    let loops = [try EventLoop(name: "a"), try EventLoop(name: "b")]
    let handler = Gated()
    var limits = HTTPLimits()
    limits.lingerTime = .milliseconds(80)
    let server = try await HTTPServer(
      address: "127.0.0.1",
      port: 0,
      loops: loops,
      limits: limits,
      handler: handler
    )
    // Dealt to the loops in turn: what is busy on one does not hold up the other.
    let busy = try TestClient(server.port)
    busy.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
    await handler.arrived.wait()
    let idle = try TestClient(server.port)
    idle.send("GET /now HTTP/1.1\r\nHost: x\r\n\r\n")
    #expect(idle.receive(until: "now\n").hasPrefix("HTTP/1.1 200"))
    // In the machine when the server stops, read by nobody yet.
    let late = try TestClient(server.port)
    late.send("GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
    // On the loop: this test blocks a thread of the pool.
    let done = Task(executorPreference: loops[1]) { await server.shutdown(grace: .seconds(5)) }
    #expect(idle.receiveToEnd().isEmpty)
    #expect(late.receiveToEnd().hasSuffix("/late"))
    handler.gate.open()
    let text = busy.receiveToEnd()
    #expect(text.hasSuffix("waited\n") && text.contains("Connection: close\r\n"))
    await done.value
    for loop in loops { loop.stop() }
  }
}
