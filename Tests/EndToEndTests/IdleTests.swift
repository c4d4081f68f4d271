import Foundation
import Posix
import TestKit
import Testing

/// What a connection costs that waits for its next request. `SIGNALBOX_IDLE_CONNECTIONS` makes it
/// more of them.
@Suite struct IdleTests {
  private static let count =
    setting("SIGNALBOX_IDLE_CONNECTIONS", 2000)

  @Test("an idle connection takes a kilobyte of user memory at the most, and is served again")
  func idle() async throws {
    try await withTemporaryFolder { folder in
      try raiseDescriptorLimit()
      let port = try freePort()
      let source = """
        apiVersion: argoproj.io/v1alpha1
        kind: EventSource
        metadata: {name: a}
        spec:
          webhook:
            a: {endpoint: /a, port: "\(port)", filter: {expression: "body.wanted == true"}}
        """
      try write(source, folder + "/manifests/a.yaml")
      let program = try Program(folder, ["--console", "127.0.0.1:0", "--log-level", "error"])
      let body = #"{"wanted":false,"padding":""# + String(repeating: "a", count: 7000) + #""}"#
      let request = Array(
        "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)".utf8
      )
      func open(_ count: Int) throws -> [TestConnection] {
        try (0..<count).map { _ in
          let connection = try TestConnection(port)
          let answer = try connection.exchange(request)
          #expect(answer.status == 200 && !answer.isLast)
          return connection
        }
      }
      // What is set up once is not a connection's.
      _ = try open(Self.count / 10)
      let before = try program.residentBytes
      let connections = try open(Self.count)
      let each = Double(try program.residentBytes - before) / Double(Self.count)
      print("idle connections: \(Self.count), \(Int(each)) bytes each")
      #expect(each <= 1024)
      for connection in connections.shuffled().prefix(100) {
        #expect(try connection.exchange(request).status == 200)
      }
      #expect(program.end() == 0)
    }
  }
}

extension Program {
  /// User memory that is in use.
  fileprivate var residentBytes: Int {
    get throws {
      let status = String(decoding: try Files.read("/proc/\(processID)/status"), as: UTF8.self)
      let line = status.split(separator: "\n").first { $0.hasPrefix("RssAnon:") }
      let number = line?.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int($0) }
      return try #require(number) << 10
    }
  }
}
