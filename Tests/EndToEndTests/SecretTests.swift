import Foundation
import HTTP
import Posix
import TestKit
import Testing

/// Secrets put through everything that could show them.
@Suite struct SecretTests {
  /// Sends back every header it got, and fails.
  private struct Echo: RequestHandler {
    func accept(_ head: RequestHead) -> Acceptance {
      .read(bodyLimit: 1 << 16) { request in
        let lines = request.head.headers.fields.map { "\($0.name): \($0.value)" }
        return .text(
          500,
          "\(request.head.path)?\(request.head.query) " + lines.joined(separator: " ")
        )
      }
    }
  }

  private func manifests(_ port: Int, _ target: Int) -> String {
    """
    apiVersion: argoproj.io/v1alpha1
    kind: EventSource
    metadata: {name: hook}
    spec:
      webhook:
        in: {endpoint: /in, port: "\(port)", method: POST, authSecret: {name: hook, key: token}}
    ---
    apiVersion: argoproj.io/v1alpha1
    kind: Sensor
    metadata: {name: leaky}
    spec:
      dependencies: [{name: in, eventSourceName: hook, eventName: in}]
      triggers:
        - template:
            name: call
            http:
              url: http://127.0.0.1:\(target)/
              secureHeaders:
                - {name: X-Token, valueFrom: {secretKeyRef: {name: target, key: token}}}
              basicAuth: {username: {name: target, key: user}, password: {name: target, key: pass}}
              headers: {X-From-Event: ""}
              parameters:
                - {src: {dependencyName: in, dataKey: header.Authorization.0}, dest: headers.X-From-Event}
          retryStrategy: {steps: 2, duration: 1ms}
        - template:
            name: refused
            http:
              url: http://127.0.0.1:1/
              basicAuth: {username: {name: target, key: user}, password: {name: target, key: pass}}
        - template:
            name: job
            command:
              argv: [sh, -c, 'env; echo "$1"; env >&2; exit 1', sh, x]
              environment: {TOKEN: {valueFrom: {secretKeyRef: {name: target, key: token}}}}
              parameters:
                - {src: {dependencyName: in, dataKey: header.Authorization.0}, dest: argv.4}
        - template: {name: note, log: {}}
    """
  }

  @Test("a secret is in no log line, event, metric, answer or file of the data folder")
  func canary() async throws {
    try await withTemporaryFolder { folder in
      let loop = try EventLoop(name: "echo")
      let server = try await HTTPServer(
        address: "127.0.0.1",
        port: 0,
        loops: [loop],
        handler: Echo()
      )
      let (port, console) = (try freePort(), try freePort())
      try write("canary-hook", folder + "/secrets/hook/token")
      for name in ["token", "user", "pass"] {
        try write("canary-\(name)", folder + "/secrets/target/\(name)")
      }
      try write(manifests(port, server.port), folder + "/manifests/all.yaml")
      let program = try Program(
        folder,
        ["--console", "127.0.0.1:\(console)", "--log-level", "trace"],
        environment: ["SIGNALBOX_SECRET_UNUSED_KEY": "canary-environment"]
      )
      var shown: [String] = []
      for token in ["canary-hook", "wrong"] {
        let request =
          "POST /in HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n"
          + "Authorization: Bearer \(token)\r\n\r\n{}"
        let answer = try Socket.exchange(Array(request.utf8), port: port)
        shown.append(String(decoding: answer, as: UTF8.self))
      }
      let endings = ["call/failed", "refused/failed", "job/failed", "note/succeeded"]
      let deadline = MonotonicTime.now() + .seconds(60)
      var events = ""
      repeat {
        events = try signalbox(["events", "--json", "--data", folder + "/data"]).output
      } while !endings.allSatisfy(events.contains) && MonotonicTime.now() < deadline
      for ending in endings { #expect(events.contains("leaky/\(ending)")) }
      // What is hidden must have been there to hide.
      #expect(events.contains("X-Token: ***"))
      #expect(events.contains("TOKEN=***"))
      #expect(events.contains("Masked Auth Secret"))
      shown.append(events)
      let scrape = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
      let metrics = try Socket.exchange(Array(scrape.utf8), port: console)
      shown.append(String(decoding: metrics, as: UTF8.self))
      #expect(program.end() == 0)
      await server.shutdown(grace: .zero)
      loop.stop()
      shown.append(program.printed)
      for text in shown { #expect(!text.contains("canary"), "\(text)") }
      let encoded = Data("canary-user:canary-pass".utf8).base64EncodedString()
      for text in shown { #expect(!text.contains(encoded)) }
      for file in try FileManager.default.subpathsOfDirectory(atPath: folder + "/data") {
        guard Files.kind("\(folder)/data/\(file)") == .file else { continue }
        let bytes = try Files.read("\(folder)/data/\(file)", limit: 1 << 30)
        #expect(!String(decoding: bytes, as: UTF8.self).contains("canary"), "\(file)")
      }
    }
  }
}
