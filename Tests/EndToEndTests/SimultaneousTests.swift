import Foundation
import JSON
import Posix
import TestKit
import Testing

/// Many senders at one moment.
@Suite struct SimultaneousTests {
  @Test("1,000 simultaneous posts to one sensor are 1,000 firings")
  func posts() async throws {
    try await withTemporaryFolder { folder in
      try raiseDescriptorLimit()
      let port = try freePort()
      let manifests = """
        apiVersion: argoproj.io/v1alpha1
        kind: EventSource
        metadata: {name: hooks}
        spec:
          webhook: {order: {endpoint: /order, port: "\(port)"}}
        ---
        apiVersion: argoproj.io/v1alpha1
        kind: Sensor
        metadata: {name: orders}
        spec:
          dependencies: [{name: order, eventSourceName: hooks, eventName: order}]
          triggers: [{template: {name: note, log: {}}}]
        """
      try write(manifests, folder + "/manifests/a.yaml")
      let program = try Program(folder, ["--console", "127.0.0.1:0", "--log-level", "error"])
      let connections = try (0..<1000).map { _ in try TestConnection(port) }
      for (number, connection) in connections.enumerated() {
        let body = #"{"number": \#(number)}"#
        try connection.send(
          Array(
            "POST /order HTTP/1.1\r\nHost: x\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
              .utf8
          )
        )
      }
      for connection in connections { #expect(try connection.receive().status == 202) }
      func fired() throws -> [String] {
        let listed = try signalbox(
          ["events", "--json", "--source", "outcomes", "--data", folder + "/data"]
        )
        return listed.output.split(separator: "\n").filter {
          $0.contains("orders/note/succeeded")
        }.map(String.init)
      }
      while try fired().count < 1000 { await Task.yield() }
      #expect(program.end() == 0)
      let firings = try fired().compactMap { line in
        try JSON(parsing: Array(line.utf8))["data"]?["firing"]?.text
      }
      #expect(firings.count == 1000 && Set(firings).count == 1000)
    }
  }
}
