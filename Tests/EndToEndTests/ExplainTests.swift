import Foundation
import JSON
import Posix
import TestKit
import Testing

/// `signalbox explain` against the real binary, and against its folder.
@Suite struct ExplainTests {
  private func manifests(_ port: Int, _ folder: String) -> String {
    """
    apiVersion: argoproj.io/v1alpha1
    kind: EventSource
    metadata: {name: hooks}
    spec:
      webhook:
        order: {endpoint: /order, port: "\(port)", signalbox: {unauthenticated: true}}
        approval: {endpoint: /approval, port: "\(port)", signalbox: {unauthenticated: true}}
    ---
    apiVersion: argoproj.io/v1alpha1
    kind: Sensor
    metadata: {name: ship}
    spec:
      dependencies:
        - name: order
          eventSourceName: hooks
          eventName: order
          filters:
            data:
              - {path: body.kind, type: string, value: ["^big$"]}
              - {path: body.weight, type: number, comparator: ">", value: ["100"]}
        - {name: approval, eventSourceName: hooks, eventName: approval}
      triggers:
        - template:
            name: both
            command: {argv: [sh, -c, 'echo both >> \(folder)/lines']}
        - template:
            name: alone
            conditions: order
            command: {argv: [sh, -c, 'echo alone >> \(folder)/lines']}
    """
  }

  private func post(_ port: Int, _ path: String, _ body: String) throws -> String {
    let request =
      "POST \(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
      + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
    let answer = try Socket.exchange(Array(request.utf8), port: port)
    let text = String(decoding: answer, as: UTF8.self)
    let json = try JSON(parsing: Array((text.components(separatedBy: "\r\n\r\n").last ?? "").utf8))
    return json["id"]?.asString ?? ""
  }

  private func lines(_ folder: String) -> [String] {
    let text = (try? Files.read(folder + "/lines", limit: 1 << 20)) ?? []
    return String(decoding: text, as: UTF8.self).split(separator: "\n").map(String.init)
  }

  @Test("an event is explained: the clause that was false, what is waited for, what fired")
  func explain() async throws {
    try await withTemporaryFolder { folder in
      let port = try freePort()
      try write(manifests(port, folder), folder + "/manifests/a.yaml")
      let program = try Program(folder, ["--console", "127.0.0.1:0"])
      let small = try post(port, "/order", #"{"kind": "small", "weight": 500}"#)
      let broken = try post(port, "/order", #"{"kind": "big"}"#)
      let big = try post(port, "/order", #"{"kind": "big", "weight": 500}"#)
      while lines(folder).isEmpty { await Task.yield() }
      let data = ["--data", folder + "/data"]
      let place = folder + "/manifests/a.yaml"

      func check(_ arguments: [String]) throws {
        let refused = try signalbox(["explain", small] + arguments)
        #expect(refused.status == 0, "\(refused.output)")
        #expect(
          refused.output.contains(
            "dependency order: data[0] is false: expected body.kind to be a match of ^big$, found "
              + "\"small\"\n"
          ),
          "\(refused.output)"
        )
        #expect(refused.output.contains("trigger alone: was not reached\n"))
        let failed = try signalbox(["explain", broken] + arguments)
        #expect(
          failed.output.contains(
            "dependency order: data[1] failed: expected body.weight to be a number > 100, found path "
              + "'body.weight' does not exist\n"
          ),
          "\(failed.output)"
        )
        let waiting = try signalbox(["explain", big] + arguments)
        #expect(waiting.output.contains("dependency order: passes\n"), "\(waiting.output)")
        #expect(waiting.output.contains("dependency approval: waits for other events\n"))
        #expect(waiting.output.contains("trigger both: holds it and waits for approval\n"))
        #expect(waiting.output.contains("trigger alone: fired: "))
        let json = try JSON(
          parsing: Array(try signalbox(["explain", big, "--json"] + arguments).output.utf8)
        )
        let triggers = json["sensors"]?.items.first?["triggers"]?.items ?? []
        #expect(triggers.first == ["name": "both", "state": "waits", "for": ["approval"]])
        let nobody = try signalbox(["explain", "nothing"] + arguments)
        #expect(nobody.status == 1 && nobody.output == "no event nothing is on the log\n")
        let unknown = try signalbox(["explain", big, "--sensor", "other"] + arguments)
        #expect(unknown.status == 1 && unknown.output == "there is no sensor default/other\n")
      }
      try check(data)
      let approval = try post(port, "/approval", "{}")
      while lines(folder).count < 2 { await Task.yield() }
      let fired = try signalbox(["explain", approval, "--sensor", "ship"] + data)
      #expect(fired.output.contains("trigger both: fired: "), "\(fired.output)")
      #expect(fired.output.contains("trigger alone: was not reached\n"))
      let later = try signalbox(["explain", big] + data).output
      #expect(later.contains("trigger both: fired: "), "\(later)")
      #expect(program.end() == 0)

      // Nothing runs: the folder and the manifests say the same.
      let folded = try signalbox(["explain", big, place] + data).output
      #expect(folded == later)
      let refused = try signalbox(["explain", small, place, "--sensor", "ship"] + data).output
      #expect(refused.contains("data[0] is false"))
    }
  }
}
