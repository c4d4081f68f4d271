import HTTP
import HTTPClient
import Posix
import Synchronization
import TLS
import TestKit
import Testing

/// Bodies that are sent while they come to be, over both versions of HTTP and both ends.
@Suite struct StreamTests {
  /// Answers with a stream that the test holds.
  private final class Target: RequestHandler {
    let streams = Mutex<[ResponseStream]>([])
    let ended = Atomic<Int>(0)
    let limit: Int

    init(limit: Int) { self.limit = limit }

    func accept(_ head: RequestHead) -> Acceptance {
      .read(bodyLimit: 0) { [self] _ in
        var response = Response(status: head.path == "/no" ? 404 : 200)
        response.stream = ResponseStream(limit: limit) { [self] in
          ended.add(1, ordering: .relaxed)
        }
        if let stream = response.stream { streams.withLock { $0.append(stream) } }
        return response
      }
    }

    func stream() async -> ResponseStream {
      while true {
        if let stream = streams.withLock({ $0.last }) { return stream }
        await Task.yield()
      }
    }
  }

  private final class Received: Sendable {
    let bytes = Mutex<[UInt8]>([])
    func wait(for count: Int) async {
      while bytes.withLock({ $0.count }) < count { await Task.yield() }
    }
  }

  private func serving(
    secure: Bool,
    limit: Int = 1 << 20,
    _ body: (String, HTTPClient, Target, HTTPServer) async throws -> Void
  ) async throws {
    let loop = try EventLoop(name: "target")
    let target = Target(limit: limit)
    let identity = try TLSIdentity(
      certificates: Array(TestCertificates.one.utf8),
      key: Array(TestCertificates.oneKey.utf8)
    )
    let context = try TLSServerContext([identity], protocols: HTTPServer.protocols)
    let server = try await HTTPServer(
      address: "127.0.0.1",
      port: 0,
      loops: [loop],
      encryption: { secure ? .tls(context) : .plain },
      handler: target
    )
    let client = try HTTPClient()
    let url = (secure ? "https" : "http") + "://127.0.0.1:\(server.port)/"
    do { try await body(url, client, target, server) } catch { Issue.record(error) }
    await client.close()
    await server.shutdown(grace: .zero)
    loop.stop()
  }

  private func request(_ url: String) -> OutboundRequest {
    var request = OutboundRequest(.get, url, rule: .trusted)
    request.tls = OutboundTLS(authorities: Array(TestCertificates.authority.utf8))
    return request
  }

  @Test(
    "pieces arrive as they are written, whatever their size, and the end is seen",
    arguments: [false, true]
  )
  func pieces(secure: Bool) async throws {
    try await serving(secure: secure) { (url, client, target, _) in
      let received = Received()
      let request = request(url)
      async let answer = client.stream(request) { bytes in
        received.bytes.withLock { $0 += bytes }
        return true
      }
      let stream = await target.stream()
      stream.write([1, 2, 3])
      await received.wait(for: 3)
      let large = [UInt8](repeating: 7, count: 700_000)
      stream.write(large)
      await received.wait(for: 700_003)
      stream.write([9])
      stream.finish()
      let response = try await answer
      #expect(response.status == 200)
      #expect(response.body.isEmpty)
      #expect(received.bytes.withLock { $0 } == [1, 2, 3] + large + [9])
      // The connection goes on.
      var after = request
      after.url = url + "no"
      let next = after
      async let second = client.send(next)
      while target.streams.withLock({ $0.count }) < 2 { await Task.yield() }
      await target.stream().write([5])
      await target.stream().finish()
      let last = try await second
      #expect(last.body == [5])
    }
  }

  @Test("a client that goes away ends the stream", arguments: [false, true])
  func cancelled(secure: Bool) async throws {
    try await serving(secure: secure) { (url, client, target, _) in
      let received = Received()
      let request = request(url)
      let task = Task {
        try? await client.stream(request) { bytes in
          received.bytes.withLock { $0 += bytes }
          return true
        }
      }
      await target.stream().write([1])
      await received.wait(for: 1)
      task.cancel()
      _ = await task.value
      while target.ended.load(ordering: .relaxed) == 0 { await Task.yield() }
      #expect(await target.stream().write([2]) == false)
    }
  }

  @Test("a stream beyond its limit breaks off, which is no end", arguments: [false, true])
  func cut(secure: Bool) async throws {
    try await serving(secure: secure, limit: 1000) { (url, client, target, _) in
      let request = request(url)
      let task = Task { () -> OutboundError? in
        do throws(OutboundError) {
          _ = try await client.stream(request) { _ in true }
          return nil
        } catch { return error }
      }
      #expect(await target.stream().write([UInt8](repeating: 0, count: 2000)) == false)
      #expect(await task.value?.kind == .transport)
    }
  }

  @Test("a server that stops ends its streams", arguments: [false, true])
  func drained(secure: Bool) async throws {
    try await serving(secure: secure) { (url, client, target, server) in
      let request = request(url)
      let task = Task { try? await client.stream(request) { _ in true }.status }
      _ = await target.stream()
      await server.shutdown(grace: .seconds(20))
      #expect(await task.value == 200)
    }
  }
}
