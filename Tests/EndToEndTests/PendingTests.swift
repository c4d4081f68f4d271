import Foundation
import JSON
import Posix
import TestKit
import Testing

/// What waits and why: `signalbox explain --pending`, and `explain` of the events that wait.
@Suite struct PendingTests {
  private func manifests(_ port: Int, _ folder: String) -> String {
    func trigger(_ name: String, _ more: String, _ conditions: String = "order") -> String {
      "    - {template: {name: \(name), conditions: \(conditions), log: {}}, \(more)}\n"
    }
    return """
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
          - {name: order, eventSourceName: hooks, eventName: order}
          - {name: approval, eventSourceName: hooks, eventName: approval}
        triggers:

      """ + trigger("both", "retryStrategy: {steps: 1}", "order && approval")
        + trigger("quiet", "signalbox: {debounce: {wait: 1h, key: body.item}}")
        + trigger("pair", "signalbox: {correlate: {within: 2h}}", "order && approval")
        + trigger("slow", "rateLimit: {unit: Hour, requestsPerUnit: 1}")
        + trigger("later", "signalbox: {delay: 1h}") + trigger("off", "signalbox: {suspend: true}")
          + """
              - template:
                  name: one
                  conditions: order
                  command: {argv: [sh, -c, 'while [ ! -e \(folder)/go ]; do sleep 0.05; done']}
                signalbox: {concurrency: {limit: 1}}
          """
  }

  private func post(_ port: Int, _ body: String) throws -> String {
    let request =
      "POST /order HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
      + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
    let answer = String(
      decoding: try Socket.exchange(Array(request.utf8), port: port),
      as: UTF8.self
    )
    let json = try JSON(
      parsing: Array((answer.components(separatedBy: "\r\n\r\n").last ?? "").utf8)
    )
    return json["id"]?.asString ?? ""
  }

  /// The answer with its times taken out.
  private func pending(_ arguments: [String]) throws -> [String] {
    let answer = try signalbox(["explain", "--pending"] + arguments)
    #expect(answer.status == 0, "\(answer.output)")
    let times = /[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z/
    return answer.output.replacing(times, with: "TIME").split(separator: "\n").map(String.init)
  }

  @Test("what triggers hold and wait for is told, with what holds their firings, and since when")
  func pending() async throws {
    try await withTemporaryFolder { folder in
      let port = try freePort()
      try write(manifests(port, folder), folder + "/manifests/a.yaml")
      let program = try Program(folder, ["--console", "127.0.0.1:0", "--log-level", "error"])
      let data = ["--data", folder + "/data"]
      #expect(try pending(data) == ["nothing is held and nothing waits"])
      let first = try post(port, #"{"item": "x"}"#)
      let second = try post(port, #"{"item": "x"}"#)
      let windows = [
        "sensor default/ship",
        "  trigger both: holds order (event \(second) since TIME) and waits for approval",
        "  trigger quiet: debounce 'x' is open since TIME until TIME; 1 event: \(second)",
        "  trigger pair: correlate is open since TIME until TIME; 1 event: \(second)",
      ]
      let wanted =
        windows + [
          "  trigger slow: 1 firing waits since TIME, held by rateLimit until TIME",
          "  trigger later: 2 firings wait since TIME, held by delay until TIME",
          "  trigger off: 2 firings wait since TIME, held by suspend",
          "  trigger one: 1 firing waits since TIME, held by concurrency",
          "  trigger one: 1 firing was begun and has not ended",
        ]
      let deadline = MonotonicTime.now() + .seconds(30)
      while try pending(data) != wanted, MonotonicTime.now() < deadline { _ = poll(nil, 0, 20) }
      #expect(try pending(data) == wanted)
      #expect(try pending(data + ["--sensor", "ship"]) == wanted)
      let unknown = try signalbox(["explain", "--pending", "--sensor", "other"] + data)
      #expect(unknown.status == 1 && unknown.output == "there is no sensor default/other\n")
      let json = try JSON(
        parsing: Array(try signalbox(["explain", "--pending", "--json"] + data).output.utf8)
      )
      #expect(json["pending"]?.items.count == 7 && json["running"] == true)

      try explained(first, second, data)
      #expect(program.end() == 0)
      // Nothing runs: the folder and the manifests tell of windows and of what is on the log.
      let folded = try pending(data + [folder + "/manifests/a.yaml"])
      #expect(Array(folded.prefix(4)) == windows)
      #expect(folded.contains("  trigger off: 2 firings wait since TIME, held by suspend"))
      #expect(
        folded.contains("  trigger slow: 1 firing waits since TIME for the program to run")
      )
      try write("", folder + "/go")
    }
  }

  /// The same of single events.
  private func explained(_ first: String, _ second: String, _ data: [String]) throws {
    let old = try signalbox(["explain", first] + data).output
    #expect(old.contains("trigger both: held it until event \(second) took its place"), "\(old)")
    #expect(old.contains("trigger quiet: holds it no longer: "), "\(old)")
    let new = try signalbox(["explain", second] + data).output
    for (trigger, state) in [
      ("both", "holds it and waits for approval"), ("quiet", "waits in a window (debounce) until "),
      ("pair", "waits in a window (correlate) until "),
      ("slow", "fired, and is held back by rateLimit until "),
      ("later", "fired, and is held back by delay until "),
      ("off", "fired, and is held back by suspend: "),
      ("one", "fired, and is held back by concurrency: "),
    ] {
      #expect(new.contains("trigger \(trigger): \(state)"), "\(new)")
    }
  }
}
