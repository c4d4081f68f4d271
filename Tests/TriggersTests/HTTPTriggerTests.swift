import Event
import Foundation
import HTTP
import HTTPClient
import JSON
import Plugin
import Posix
import Synchronization
import TestKit
import Testing
import Triggers

/// A server that keeps what it was sent and answers by the path.
private final class Target: RequestHandler {
  private let seen = Mutex<[Request]>([])
  var requests: [Request] { seen.withLock { $0 } }

  func accept(_ head: RequestHead) -> Acceptance {
    .read(bodyLimit: 1 << 20) { [self] request in
      seen.withLock { $0.append(request) }
      switch head.path {
      case "/busy":
        var response = Response.text(503, "later")
        response.headers.add("Retry-After", "7")
        return response
      case "/moved":
        var response = Response.text(302, "there")
        response.headers.add("Location", "http://169.254.169.254/latest")
        return response
      case "/teapot": return .text(418, "short and stout")
      case "/echo":
        return .text(500, head.headers["X-Token"].map { "you sent \($0)" } ?? "nothing")
      case "/large": return .text(200, String(repeating: "x", count: 1 << 20))
      default: return .text(200, "done")
      }
    }
  }
}

@Suite struct HTTPTriggerTests {
  private func serving(
    secrets: [String: String] = [:],
    allow: [String] = [],
    _ body: (_ port: Int, Target, Host) async throws -> Void
  ) async throws {
    let loop = try EventLoop(name: "target")
    let target = Target()
    let server = try await HTTPServer(
      address: "127.0.0.1",
      port: 0,
      loops: [loop],
      handler: target
    )
    let host = try Host("/nowhere", secrets: secrets, allow: allow)
    do {
      try await body(server.port, target, host)
    } catch {
      Issue.record(error)
    }
    await host.close()
    await server.shutdown(grace: .zero)
    loop.stop()
  }

  private func trigger(
    _ fields: String,
    from original: String? = nil,
    _ host: Host
  ) throws -> any Trigger {
    let (trigger, problems) = try made("http", fields, from: original, host)
    #expect(problems.isEmpty, "\(problems)")
    return try #require(trigger)
  }

  @Test("a request carries method, headers, secrets, payload, key and cause, each once")
  func request() async throws {
    try await serving(secrets: ["a/token": "s3cret", "a/user": "me", "a/pass": "word"]) {
      (port, target, host) in
      let fields = """
        {"url": "http://127.0.0.1:\(port)/path?q=1", "method": "PUT", "host": "example.test",
         "headers": {"X-Plain": "text", "X-Token": "overridden"},
         "secureHeaders": [{"name": "X-Token", "valueFrom": {"secretKeyRef": {"name": "a", "key": "token"}}}],
         "basicAuth": {"username": {"name": "a", "key": "user"}, "password": {"name": "a", "key": "pass"}}}
        """
      let sender = try trigger(fields, host)
      let firing = firing(payload: #"{"b":1,"a":2}"#)
      for _ in 0..<2 {
        let outcome = await sender.fire(firing)
        #expect(outcome.why == "")
        #expect(outcome.result["status"]?.text == "200")
        #expect(outcome.result["body"] == "done\n")
      }
      #expect(target.requests.count == 2)
      for request in target.requests {
        #expect(request.head.method == "PUT")
        #expect(request.head.path == "/path")
        #expect(request.head.query == "q=1")
        #expect(request.head.headers.values("Host") == ["example.test"])
        #expect(request.head.headers.values("X-Plain") == ["text"])
        #expect(request.head.headers.values("X-Token") == ["s3cret"])
        #expect(request.head.headers.values("Authorization") == ["Basic bWU6d29yZA=="])
        #expect(request.head.headers.values("Idempotency-Key") == [firing.id.text])
        #expect(request.head.headers.values("Signalbox-Cause") == ["cause of \(firing.id)"])
        #expect(request.head.headers.values("Content-Type") == ["application/json"])
        #expect(request.body == Array(#"{"b":1,"a":2}"#.utf8))
      }
    }
  }

  @Test(
    "what the target answers becomes the outcome",
    arguments: [
      ("/", nil, "", 200), ("/teapot", nil, "status 418", 418), ("/teapot", [418], "", 418),
      ("/", [201], "status 200", 200), ("/moved", nil, "redirects are not followed", 302),
      ("/busy", nil, "status 503", 503), ("/large", nil, "", 200),
    ] as [(String, [Int]?, String, Int)]
  )
  func answers(path: String, allow: [Int]?, why: String, status: Int) async throws {
    try await serving { (port, target, host) in
      let sender = try trigger(#"{"url": "http://127.0.0.1:\#(port)\#(path)"}"#, host)
      let outcome = await sender.fire(firing(statusAllow: allow))
      #expect(outcome.why == why || !why.isEmpty && outcome.why.contains(why), "\(outcome.why)")
      #expect(outcome.result["status"]?.text == "\(status)")
      #expect(outcome.result.text.utf8.count < 2000)
      #expect(target.requests.count == 1)
      if case .retry(let after, _, _) = outcome {
        #expect(after == (path == "/busy" ? .seconds(7) : nil))
      }
    }
  }

  @Test("a secret that the target sends back is masked")
  func masked() async throws {
    try await serving(secrets: ["a/token": "canary-secret"]) { (port, _, host) in
      let fields = """
        {"url": "http://127.0.0.1:\(port)/echo", "secureHeaders": [
          {"name": "X-Token", "valueFrom": {"secretKeyRef": {"name": "a", "key": "token"}}}]}
        """
      let outcome = try await trigger(fields, host).fire(firing())
      #expect(outcome.result["body"] == "you sent ***\n")
      #expect(!"\(outcome)".contains("canary"))
    }
  }

  @Test(
    "a target that an event chose is reached only where it is allowed",
    arguments: [
      ("127.0.0.1", [], "its address is private"), ("localhost", [], "its address is private"),
      ("127.0.0.1", ["127.0.0.0/8"], ""), ("localhost", ["localhost"], ""),
      ("127.0.0.1", ["10.0.0.0/8"], "its address is private"),
      ("[::ffff:127.0.0.1]", [], "its address is private"),
      ("0x7f.1", [], "its address is private"), ("2130706433", [], "its address is private"),
      ("0", [], "its address is private"), ("user@127.0.0.1", ["127.0.0.1"], "a user in it"),
    ]
  )
  func chosenTarget(name: String, allow: [String], why: String) async throws {
    try await serving(allow: allow) { (port, target, host) in
      let (sender, problems) = try made(
        "http",
        #"{"url": "http://\#(name):\#(port)/"}"#,
        from: #"{"url": "http://example.test/"}"#,
        host
      )
      guard let sender else {
        #expect(!why.isEmpty && problems[0].contains(why), "\(problems)")
        return
      }
      let outcome = await sender.fire(firing())
      #expect(outcome.why == why || !why.isEmpty && outcome.why.contains(why), "\(outcome.why)")
      #expect(target.requests.count == (why.isEmpty ? 1 : 0))
    }
  }

  @Test("a connection that a trusted request opened does not serve one that may not go there")
  func pooledConnection() async throws {
    try await serving { (port, target, host) in
      let trusted = try trigger(#"{"url": "http://127.0.0.1:\#(port)/"}"#, host)
      let chosen = try trigger(
        #"{"url": "http://127.0.0.1:\#(port)/"}"#,
        from: #"{"url": "http://example.test/"}"#,
        host
      )
      #expect(await trusted.fire(firing("a")).why == "")
      #expect(await chosen.fire(firing("b")).why.contains("its address is private"))
      #expect(await trusted.fire(firing("c")).why == "")
      #expect(target.requests.count == 2)
    }
  }

  @Test("a path that an event chose stays with the trusted server, metadata is never called")
  func chosenPath() async throws {
    try await serving { (port, target, host) in
      let chosen = try trigger(
        #"{"url": "http://127.0.0.1:\#(port)/other"}"#,
        from: #"{"url": "http://127.0.0.1:\#(port)/"}"#,
        host
      )
      #expect(await chosen.fire(firing()).why == "")
      let metadata = try trigger(#"{"url": "http://169.254.169.254/latest"}"#, host)
      let outcome = await metadata.fire(firing())
      #expect(outcome.why.contains("metadata addresses are never called"), "\(outcome.why)")
      #expect(target.requests.count == 1)
    }
  }

  @Test("nobody listening is an attempt that failed")
  func refused() async throws {
    try await serving { (port, _, host) in
      let listener = try Socket.listen("127.0.0.1", 0)
      let free = try Socket.port(listener)
      _ = consume listener
      let sender = try trigger(#"{"url": "http://127.0.0.1:\#(free)/?token=canary"}"#, host)
      guard case .retry(nil, let why, _) = await sender.fire(firing()) else {
        Issue.record("expected a retry")
        return
      }
      #expect(why.contains("Connection refused"))
      #expect(!why.contains("canary"))
    }
  }

  @Test(
    "broken fields are told by name",
    arguments: [
      (#"{}"#, "http.url:"), (#"{"url": "ftp://x/"}"#, "http.url:"),
      (#"{"url": "http://x/ y"}"#, "http.url:"),
      (#"{"url": "http://x", "method": "HEAD"}"#, "http.method:"),
      (#"{"url": "http://x", "headers": {"A B": "c"}}"#, "http.headers:"),
      (#"{"url": "http://x", "headers": {"A": "b\r\nC: d"}}"#, "http.headers:"),
      (#"{"url": "http://x", "headers": {"Idempotency-Key": "b"}}"#, "http.headers:"),
      (#"{"url": "http://x", "headers": {"Content-Length": "1"}}"#, "http.headers:"),
      (#"{"url": "http://x", "timeout": -1}"#, "http.timeout:"),
      (
        #"{"url": "http://x", "tls": {"insecureSkipVerify": true}}"#, "http.tls.insecureSkipVerify:"
      ),
      (
        #"{"url": "http://x", "basicAuth": {"username": {"name": "n", "key": "k"}}}"#,
        "http.basicAuth.username: no n/k"
      ),
    ]
  )
  func broken(fields: String, problem: String) async throws {
    try await serving { (_, _, host) in
      let (trigger, problems) = try made("http", fields, host)
      #expect(trigger == nil)
      #expect(problems.contains { $0.hasPrefix(problem) }, "\(problems)")
    }
  }

  @Test(
    "events choose the URL, the method and headers, nothing else",
    arguments: [
      ("url", true), ("method", true), ("headers.X", true), ("headers", false), ("timeout", false),
      ("basicAuth.password.name", false), ("secureHeaders.0.valueFrom.secretKeyRef.name", false),
      ("tls.caCertSecret.name", false), ("host", false), ("headers.", false),
    ]
  )
  func parameters(destination: String, isAllowed: Bool) {
    #expect((HTTPTrigger.refusal(ofParameter: destination) == nil) == isAllowed)
  }
}
