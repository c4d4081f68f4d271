import Foundation
import JSON
import Posix
import TestKit
import Testing

/// `signalbox events replay` against the real binary.
@Suite struct ReplayTests {
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
          signalbox: {deduplicateBy: {path: body.id}, unauthenticated: true}
    ---
    apiVersion: argoproj.io/v1alpha1
    kind: Sensor
    metadata: {name: write}
    spec:
      dependencies:
        - name: order
          eventSourceName: hooks
          eventName: order
          filters: {data: [{path: body.wanted, type: bool, value: ["true"]}]}
      triggers:
        - template:
            name: line
            command:
              argv: [sh, -c, 'echo "$SIGNALBOX_FIRING_ID" >> \(folder)/lines']
    """
  }

  private func lines(_ folder: String) -> Set<String> {
    let text = (try? Files.read(folder + "/lines", limit: 1 << 20)) ?? []
    return Set(String(decoding: text, as: UTF8.self).split(separator: "\n").map(String.init))
  }

  @Test("an order repeated by its sender runs once, and again when a person asks for it")
  func replay() async throws {
    try await withTemporaryFolder { folder in
      let port = try freePort()
      try write(manifests(port, folder), folder + "/manifests/a.yaml")
      let program = try Program(folder, ["--console", "127.0.0.1:0"])
      func post(_ body: String) throws -> JSON {
        let request =
          "POST /order HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
          + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
        let answer = try Socket.exchange(Array(request.utf8), port: port)
        let text = String(decoding: answer, as: UTF8.self)
        return try JSON(parsing: Array((text.components(separatedBy: "\r\n\r\n").last ?? "").utf8))
      }
      let first = try post(#"{"id": 1, "wanted": true, "sent": 1}"#)
      let again = try post(#"{"id": 1, "wanted": true, "sent": 2}"#)
      #expect(again["duplicate"] == true && again["id"] == first["id"])
      guard case .string(let id)? = first["id"],
        case .string(let other)? = try post(#"{"id": 2, "wanted": false}"#)["id"]
      else { throw SystemError("post", "no id", code: EPROTO) }
      while lines(folder).isEmpty { await Task.yield() }

      let data = ["--data", folder + "/data"]
      let replayed = try signalbox(["events", "replay", id, "--sensor", "write"] + data)
      #expect(replayed.status == 0, "\(replayed.output)")
      #expect(replayed.output.hasPrefix("replay 1 of event \(id) (hooks order)\n"))
      while lines(folder).count < 2 { await Task.yield() }
      #expect(lines(folder).filter { replayed.output.contains($0) }.count == 1)

      let refused = try signalbox(["events", "replay", other] + data)
      #expect(refused.status == 1)
      #expect(refused.output.contains("write does not want it: order: "), "\(refused.output)")
      let unknown = try signalbox(["events", "replay", "nothing"] + data)
      #expect(unknown.status == 1 && unknown.output.contains("no event nothing"))
      #expect(program.end() == 0)
      #expect(lines(folder).count == 2)
      let events = try signalbox(["events", "--json"] + data).output
      #expect(events.components(separatedBy: "signalbox.event.replayed").count == 3)
      let nobody = try signalbox(["events", "replay", id] + data)
      #expect(nobody.status == 1 && nobody.output.contains("no program answers"))
    }
  }
}
