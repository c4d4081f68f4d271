import Bus
import Event
import EventLog
import Foundation
import Posix
import TLS
import TestKit
import Testing

/// The real binary, killed in the middle of its work.
@Suite struct KillTests {
  private static let manifests = """
    apiVersion: argoproj.io/v1alpha1
    kind: EventSource
    metadata: {name: github}
    spec:
      github:
        push:
          webhook: {endpoint: /push, port: "PORT"}
          webhookSecret: {name: github, key: secret}
    ---
    apiVersion: argoproj.io/v1alpha1
    kind: Sensor
    metadata: {name: build}
    spec:
      dependencies: [{name: pushed, eventSourceName: github, eventName: push}]
      triggers: [{template: {name: note, log: {}}}]
    ---
    apiVersion: argoproj.io/v1alpha1
    kind: Sensor
    metadata: {name: next}
    spec:
      dependencies: [{name: built, eventSourceName: outcomes, eventName: build/note/succeeded}]
      triggers: [{template: {name: note, log: {}}}]
    """

  private func freePort() throws -> Int {
    let listener = try Socket.listen("127.0.0.1", 0)
    return try Socket.port(listener)
  }

  private func start(_ folder: String, _ console: Int) throws -> Process {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: builtProgram("signalbox"))
    process.arguments = [
      "run", folder + "/manifests.yaml", "--data", folder + "/data", "--secrets",
      folder + "/secrets", "--listen", "127.0.0.1", "--console", "127.0.0.1:\(console)",
      "--log-level", "error",
    ]
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    // Ready is a line of its output; the end of the output means it did not start.
    var text = ""
    while !text.contains("\nready") {
      let more = output.fileHandleForReading.availableData
      if more.isEmpty { throw SystemError("start", text, code: ECHILD) }
      text += String(decoding: more, as: UTF8.self)
    }
    output.fileHandleForReading.readabilityHandler = { _ = $0.availableData }
    return process
  }

  /// Whether the push was answered with a 2xx.
  private func push(_ number: Int, _ port: Int) -> Bool {
    let body = Array("{\"ref\":\"refs/heads/main\",\"number\":\(number)}".utf8)
    let signature = hexadecimal(HMACKey(Array("canary".utf8)).code(body))
    let head =
      "POST /push HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
      + "Content-Length: \(body.count)\r\nX-GitHub-Event: push\r\nX-GitHub-Delivery: \(number)\r\n"
      + "X-Hub-Signature-256: sha256=\(signature)\r\n\r\n"
    guard let answer = try? Socket.exchange(Array(head.utf8) + body, port: port) else {
      return false
    }
    return String(decoding: answer.prefix(10), as: UTF8.self) == "HTTP/1.1 2"
  }

  @Test("killed at any moment: each acknowledged push is stored once, each firing ends once")
  func killed() async throws {
    try await withTemporaryFolder { folder in
      let port = try freePort()
      let console = try freePort()
      try Files.makeFolder(folder + "/secrets/github")
      try Files.writeDurably(Array("canary\n".utf8), to: folder + "/secrets/github/secret")
      let text = Self.manifests.replacingOccurrences(of: "PORT", with: "\(port)")
      try Files.writeDurably(Array(text.utf8), to: folder + "/manifests.yaml")
      var random = Seeded(7)
      var number = 0
      var repeated = 0
      for _ in 0..<5 {
        let process = try start(folder, console)
        let until = number + Int.random(in: 20...80, using: &random)
        let killer = Int.random(in: number..<until, using: &random)
        while number < until {
          if number == killer && process.isRunning { kill(process.processIdentifier, SIGKILL) }
          if push(number, port) { number += 1 } else { break }
        }
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        // The push that was not answered is sent again to the next process, under the same id.
        repeated += 1
      }
      let process = try start(folder, console)
      for number in 0...number { #expect(push(number, port)) }
      let isSettled = try await settled(folder, pushes: number + 1)
      #expect(isSettled)
      process.terminate()
      process.waitUntilExit()
      #expect(process.terminationStatus == 0)
      print("repeated requests: \(repeated + number)")
    }
  }

  /// Waits until each push has its outcome and that outcome its own, then counts them.
  private func settled(_ folder: String, pushes: Int) async throws -> Bool {
    let deadline = MonotonicTime.now() + .seconds(60)
    while MonotonicTime.now() < deadline {
      var ids: [String: Set<String>] = [:]
      var total = 0
      let report = try EventLogReader(folder: folder + "/data/log").read { record in
        guard case .event(let event) = record.content else { return }
        ids[event.subject, default: []].insert(event.id)
        total += 1
      }
      #expect(report.damages.isEmpty)
      let subjects = ["push", "build/note/succeeded", "next/note/succeeded"]
      if subjects.allSatisfy({ ids[$0]?.count == pushes }) { return total == 3 * pushes }
      await Task.yield()
    }
    return false
  }
}
