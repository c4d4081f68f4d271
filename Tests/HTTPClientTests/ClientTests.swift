import Glibc
import HTTP
import HTTPClient
import Posix
import Synchronization
import Testing

/// Holds who waits until it is opened.
private final class Gate: Sendable {
  private let waiting = Mutex<[CheckedContinuation<Void, Never>]?>([])

  func wait() async {
    await withCheckedContinuation { continuation in
      let isOpen = waiting.withLock { waiting in
        waiting?.append(continuation)
        return waiting == nil
      }
      if isOpen { continuation.resume() }
    }
  }

  func open() {
    let all = waiting.withLock { waiting in
      defer { waiting = nil }
      return waiting ?? []
    }
    for continuation in all { continuation.resume() }
  }
}

/// Answers after its gate opens, or at once.
private struct Slow: RequestHandler {
  let arrived: @Sendable () -> Void
  let gate: Gate

  func accept(_ head: RequestHead) -> Acceptance {
    .read(bodyLimit: 1024) { _ in
      arrived()
      if head.path == "/never" { await gate.wait() }
      var response = Response(status: 200)
      response.headers.add(
        "X-Long",
        String(repeating: "h", count: head.path == "/head" ? 70_000 : 1)
      )
      response.body = Array(repeating: 0x61, count: 5000)
      return response
    }
  }
}

@Suite struct ClientTests {
  private func serving(
    _ arrived: @escaping @Sendable () -> Void = {},
    limits: HTTPClient.Limits = HTTPClient.Limits(),
    _ body: (_ url: String, HTTPClient) async throws -> Void
  ) async throws {
    let loop = try EventLoop(name: "target")
    let gate = Gate()
    let server = try await HTTPServer(
      address: "127.0.0.1",
      port: 0,
      loops: [loop],
      handler: Slow(arrived: arrived, gate: gate)
    )
    let client = try HTTPClient(limits: limits)
    do { try await body("http://127.0.0.1:\(server.port)", client) } catch { Issue.record(error) }
    gate.open()
    await client.close()
    await server.shutdown(grace: .zero)
    loop.stop()
  }

  private func kind(_ client: HTTPClient, _ request: OutboundRequest) async -> OutboundError.Kind? {
    do throws(OutboundError) {
      _ = try await client.send(request)
      return nil
    } catch { return error.kind }
  }

  @Test("an answer is kept up to the limit and marked where it was cut")
  func bodyLimit() async throws {
    try await serving { (url, client) in
      var request = OutboundRequest(.get, url, rule: .trusted)
      let whole = try await client.send(request)
      #expect(whole.body.count == 5000)
      #expect(!whole.isTruncated)
      request.bodyLimit = 100
      let cut = try await client.send(request)
      #expect(cut.body.count == 100)
      #expect(cut.isTruncated)
      #expect(cut.status == 200)
    }
  }

  @Test("a head without end is refused")
  func headLimit() async throws {
    try await serving { (url, client) in
      let found = await kind(client, OutboundRequest(.get, url + "/head", rule: .trusted))
      #expect(found == .tooLarge)
    }
  }

  @Test("at the deadline the request ends")
  func deadline() async throws {
    try await serving { (url, client) in
      let request = OutboundRequest(
        .get,
        url + "/never",
        rule: .trusted,
        timeout: .milliseconds(50)
      )
      let found = await kind(client, request)
      #expect(found == .timeout)
    }
  }

  @Test("cancelling the task ends the request, closing the client ends all of them")
  func cancelled() async throws {
    let arrivals = Mutex(0)
    try await serving({ arrivals.withLock { $0 += 1 } }) { (url, client) in
      let request = OutboundRequest(.get, url + "/never", rule: .trusted)
      let first = Task { await kind(client, request) }
      while arrivals.withLock({ $0 }) < 1 { await Task.yield() }
      first.cancel()
      let found = await first.value
      #expect(found == .cancelled)
      let second = Task { await kind(client, request) }
      while arrivals.withLock({ $0 }) < 2 { await Task.yield() }
      await client.close()
      let closed = await second.value
      #expect(closed == .cancelled)
      let late = await kind(client, request)
      #expect(late == .cancelled)
    }
  }

  @Test("more requests at once than the limit are refused, not queued without bound")
  func manyRequests() async throws {
    let arrivals = Mutex(0)
    var limits = HTTPClient.Limits()
    limits.requests = 1
    try await serving({ arrivals.withLock { $0 += 1 } }, limits: limits) { (url, client) in
      let first = Task {
        await kind(client, OutboundRequest(.get, url + "/never", rule: .trusted))
      }
      while arrivals.withLock({ $0 }) < 1 { await Task.yield() }
      let second = await kind(client, OutboundRequest(.get, url, rule: .trusted))
      #expect(second == .transport)
      first.cancel()
      _ = await first.value
    }
  }

  @Test(
    "what is not HTTP, or an unknown host, is told by kind",
    arguments: [
      ("file:///etc/passwd", OutboundError.Kind.malformedURL), ("gopher://x/", .malformedURL),
      ("//x/", .malformedURL), ("", .malformedURL), ("http://a b/", .malformedURL),
      ("http://nowhere.invalid/", .resolve),
    ]
  )
  func kinds(url: String, expected: OutboundError.Kind) async throws {
    try await serving { (_, client) in
      let found = await kind(client, OutboundRequest(.get, url, rule: .trusted))
      #expect(found == expected)
    }
  }
}

@Suite struct AddressTests {
  @Test(
    "public addresses are told from all others",
    arguments: [
      ("8.8.8.8", true), ("1.1.1.1", true), ("2606:4700::1111", true), ("::ffff:8.8.8.8", true),
      ("10.0.0.1", false), ("172.16.0.1", false), ("172.32.0.1", true), ("192.168.1.1", false),
      ("127.0.0.1", false), ("0.0.0.0", false), ("100.64.0.1", false), ("169.254.169.254", false),
      ("224.0.0.1", false), ("255.255.255.255", false), ("198.18.0.1", false), ("192.0.2.1", false),
      ("::1", false), ("::", false), ("fe80::1", false), ("fc00::1", false), ("fd12::1", false),
      ("ff02::1", false), ("2001:db8::1", false), ("64:ff9b::7f00:1", false),
      ("2002:7f00:1::", false), ("::ffff:10.0.0.1", false), ("::7f00:1", false),
    ]
  )
  func publicity(text: String, isPublic: Bool) throws {
    let address = try #require(NetworkAddress(text))
    #expect(address.isPublic == isPublic)
  }

  @Test(
    "an entry of --allow-outbound that says nothing is refused",
    arguments: [
      "10.0.0.0/33", "10.0.0.1/8", "", "a b", "-x", "0x7f.1", "1.2.3", "::1/129", "a..b",
    ]
  )
  func broken(entry: String) {
    #expect(throws: AllowListError(entry: entry)) { try AllowList(parsing: [entry]) }
  }
}
