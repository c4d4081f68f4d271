import Foundation
import JSON
import Posix
import TestKit
import Testing

/// `signalbox deadletters` against the real binary, and against a folder on which nothing runs.
@Suite struct DeadLetterCommandTests {
  private func manifests(_ port: Int, _ folder: String) -> String {
    """
    apiVersion: argoproj.io/v1alpha1
    kind: EventSource
    metadata: {name: hooks}
    spec:
      webhook:
        order:
          endpoint: /order
          port: "\(port)"
          signalbox: {unauthenticated: true}
    ---
    apiVersion: argoproj.io/v1alpha1
    kind: Sensor
    metadata: {name: write}
    spec:
      dependencies:
        - {name: order, eventSourceName: hooks, eventName: order}
      triggers:
        - template:
            name: job
            command: {argv: [sh, -c, 'test -e \(folder)/open && echo "$SIGNALBOX_FIRING_ID" >> \(folder)/lines']}
          dlqTrigger:
            template:
              name: job-failed
              command: {argv: [sh, -c, 'echo dlq >> \(folder)/lines; exit 1']}
    """
  }

  private func lines(_ folder: String) -> [String] {
    let text = (try? Files.read(folder + "/lines", limit: 1 << 20)) ?? []
    return String(decoding: text, as: UTF8.self).split(separator: "\n").map(String.init)
  }

  @Test("a failed job is listed, shown, retried and dropped, running or not")
  func command() async throws {
    try await withTemporaryFolder { folder in
      let port = try freePort()
      try write(manifests(port, folder), folder + "/manifests/a.yaml")
      let data = ["--data", folder + "/data"]
      func letters() throws -> [JSON] {
        let listed = try signalbox(["deadletters", "list", "--json"] + data)
        #expect(listed.status == 0, "\(listed.output)")
        return try listed.output.split(separator: "\n").map { try JSON(parsing: Array($0.utf8)) }
      }
      let program = try Program(folder, ["--console", "127.0.0.1:0"])
      let request =
        "POST /order HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
      for _ in 0..<2 { _ = try Socket.exchange(Array(request.utf8), port: port) }
      // The dlqTrigger takes the place of the dead letter, and fails as well.
      while try letters().count < 2 { await Task.yield() }
      let found = try letters()
      #expect(found.allSatisfy { $0["trigger"] == "job-failed" && $0["sensor"] == "default/write" })
      guard case .string(let first)? = found[0]["id"], case .string(let second)? = found[1]["id"]
      else { throw SystemError("list", "no ids", code: EPROTO) }
      let shown = try signalbox(["deadletters", "show", first] + data)
      #expect(shown.status == 0 && shown.output.contains("exitStatus"), "\(shown.output)")
      let dropped = try signalbox(["deadletters", "drop", first] + data)
      #expect(dropped.status == 0 && dropped.output == "\(first)  dropped\n")
      #expect(try signalbox(["deadletters", "drop", first] + data).status == 1)
      #expect(program.end() == 0)
      // Nothing runs: the folder answers.
      #expect(try letters().map { $0["id"] } == [.string(second)])
      let offline = try signalbox(["deadletters", "show", second] + data)
      #expect(offline.status == 0 && offline.output.contains("exitStatus"), "\(offline.output)")
      let wanted = try signalbox(["deadletters", "retry", "--all", "--sensor", "write"] + data)
      #expect(wanted.output == "\(second)  is tried again when the program runs\n")
      let before = lines(folder).count
      let next = try Program(folder, ["--console", "127.0.0.1:0"])
      while lines(folder).count == before { await Task.yield() }
      while try letters().first?["id"] == .string(second) { await Task.yield() }
      while try letters().isEmpty { await Task.yield() }
      #expect(next.end() == 0)
    }
  }
}
