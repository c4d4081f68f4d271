import Foundation
import Posix
import TestKit
import Testing

/// The console of the real binary.
@Suite struct ConsoleTests {
  private func get(_ path: String, _ port: Int, host: String = "127.0.0.1", method: String = "GET")
    throws -> String
  {
    let request = "\(method) \(path) HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n\r\n"
    let answer = try Socket.exchange(Array(request.utf8), port: port)
    return String(decoding: answer, as: UTF8.self)
  }

  @Test("a push is counted at each step, and a forged one where it was refused")
  func metrics() async throws {
    try await withTemporaryFolder { folder in
      let (port, console) = (try freePort(), try freePort())
      try write("canary-secret", folder + "/secrets/github/secret")
      try write(
        """
        apiVersion: argoproj.io/v1alpha1
        kind: EventSource
        metadata: {name: github}
        spec:
          github:
            push:
              webhook: {endpoint: /push, port: "\(port)"}
              webhookSecret: {name: github, key: secret}
        ---
        apiVersion: argoproj.io/v1alpha1
        kind: Sensor
        metadata: {name: build}
        spec:
          dependencies: [{name: pushed, eventSourceName: github, eventName: push}]
          triggers: [{template: {name: job, command: {argv: ["true"]}}}]
        """,
        folder + "/manifests/all.yaml"
      )
      let program = try Program(folder, ["--console", "127.0.0.1:\(console)"])
      let close = ["Connection: close"]
      for delivery in ["1", "2", "2"] {
        let push = signedPush("{}", delivery: delivery, secret: "canary-secret", headers: close)
        let answer = try Socket.exchange(push, port: port)
        #expect(String(decoding: answer, as: UTF8.self).hasPrefix("HTTP/1.1 20"))
      }
      let forged = signedPush("{}", delivery: "3", secret: "other", headers: close)
      let refusal = try Socket.exchange(forged, port: port)
      #expect(String(decoding: refusal, as: UTF8.self).hasPrefix("HTTP/1.1 401"))
      let ended =
        #"signalbox_outcomes_total{sensor="default/build",trigger="job",phase="succeeded"} 2"#
      var text = ""
      let deadline = MonotonicTime.now() + .seconds(60)
      repeat {
        text = try get("/metrics", console)
      } while !text.contains(ended) && MonotonicTime.now() < deadline
      for line in [
        ended,
        #"signalbox_http_requests_total{port="\#(port)",status="202"} 2"#,
        #"signalbox_http_requests_total{port="\#(port)",status="200"} 1"#,
        #"signalbox_http_requests_total{port="\#(port)",status="401"} 1"#,
        #"signalbox_events_appended_total{source="default/github",event="push"} 2"#,
        #"signalbox_events_duplicate_total{source="default/github",event="push"} 1"#,
        #"signalbox_events_refused_total{source="default/github",event="push",reason="signature"} 1"#,
        #"signalbox_sensor_matched_total{sensor="default/build",dependency="pushed"} 2"#,
        #"signalbox_firings_total{sensor="default/build",trigger="job"} 2"#,
        "signalbox_log_sync_seconds_count ", "signalbox_log_batch_records_sum ",
        "signalbox_lag_seconds ", "process_resident_memory_bytes ",
      ] { #expect(text.contains("\n" + line), "\(line)\n\(text)") }
      #expect(program.end() == 0)
    }
  }

  @Test(
    "the console answers who means it, and changes nothing",
    arguments: [
      ("GET", "/readyz", "127.0.0.1", "200"), ("GET", "/healthz", "localhost:1", "200"),
      ("HEAD", "/metrics", "[::1]:1", "200"), ("GET", "/readyz", "evil.example", "421"),
      ("GET", "/readyz", "127.0.0.1.evil.example", "421"), ("POST", "/readyz", "127.0.0.1", "405"),
      ("GET", "/reload", "127.0.0.1", "404"),
    ]
  )
  func hosts(method: String, path: String, host: String, status: String) async throws {
    try await withTemporaryFolder { folder in
      let console = try freePort()
      try Files.makeFolder(folder + "/manifests")
      let program = try Program(folder, ["--console", "127.0.0.1:\(console)"])
      let answer = try get(path, console, host: host, method: method)
      #expect(answer.hasPrefix("HTTP/1.1 \(status)"), "\(answer)")
      #expect(program.end() == 0)
    }
  }
}
