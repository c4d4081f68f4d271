import Bus
import Event
import EventLog
import Foundation
import Posix
import TestKit
import Testing

/// The real binary with a log that may hold little.
@Suite struct BudgetTests {
  private static let manifests = """
    apiVersion: argoproj.io/v1alpha1
    kind: EventSource
    metadata: {name: hooks}
    spec:
      webhook:
        push: {endpoint: /push, port: "PORT"}
    ---
    apiVersion: argoproj.io/v1alpha1
    kind: EventBus
    metadata: {name: default}
    spec:
      jetstream: {}
      signalbox: {retention: {maxAge: AGE, maxBytes: 1048576}}
    """

  private func answer(_ port: Int) -> (status: Int, text: String) {
    let body = Array(("{\"a\":\"" + String(repeating: "x", count: 100_000) + "\"}").utf8)
    let head =
      "POST /push HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
      + "Content-Length: \(body.count)\r\n\r\n"
    guard let bytes = try? Socket.exchange(Array(head.utf8) + body, port: port) else {
      return (0, "")
    }
    let text = String(decoding: bytes, as: UTF8.self)
    return (Int(text.split(separator: " ").dropFirst().first ?? "") ?? 0, text)
  }

  private func withServer(maxAge: String, _ body: (Int, String) throws -> Void) async throws {
    try await withTemporaryFolder { folder in
      let listener = try Socket.listen("127.0.0.1", 0)
      let port = try Socket.port(listener)
      try listener.close()
      let text = Self.manifests.replacingOccurrences(of: "PORT", with: "\(port)")
        .replacingOccurrences(of: "AGE", with: maxAge)
      try Files.writeDurably(Array(text.utf8), to: folder + "/manifests.yaml")
      let process = Process()
      process.executableURL = URL(fileURLWithPath: builtProgram("signalbox"))
      process.arguments = [
        "run", folder + "/manifests.yaml", "--data", folder + "/data", "--secrets", folder,
        "--listen", "127.0.0.1", "--console", "127.0.0.1:0", "--log-level", "critical",
      ]
      let pipe = Pipe()
      process.standardOutput = pipe
      try process.run()
      let output = PrintedOutput(pipe)
      if !output.wait(for: "\nready") { throw SystemError("start", output.all, code: ECHILD) }
      let result = Result { try body(port, folder + "/data/log") }
      process.terminate()
      process.waitUntilExit()
      try result.get()
    }
  }

  @Test("a full log answers 503 with Retry-After, and keeps what it acknowledged")
  func full() async throws {
    try await withServer(maxAge: "1h") { port, log in
      var stored = 0
      var last = answer(port)
      while last.status == 202 {
        stored += 1
        last = answer(port)
      }
      #expect(last.status == 503 && last.text.contains("\r\nRetry-After: "))
      var found = 0
      let report = try EventLogReader(folder: log).read { record in
        if case .event(let event) = record.content, event.source == "hooks" { found += 1 }
      }
      #expect(found == stored && stored > 5 && report.damages.isEmpty)
    }
  }

  @Test("space comes free when what is on the log is old and read")
  func freed() async throws {
    try await withServer(maxAge: "1s") { port, _ in
      // Three times as much as there is room for.
      var stored = 0
      let deadline = MonotonicTime.now() + .seconds(60)
      while stored < 30 && MonotonicTime.now() < deadline {
        if answer(port).status == 202 { stored += 1 }
      }
      #expect(stored == 30)
    }
  }
}
