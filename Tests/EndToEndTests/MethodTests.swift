import Posix
import TestKit
import Testing

/// What a port of event sources says to methods and paths that no event source takes.
@Suite struct MethodTests {
  private static let cases: [(String, String, String, String)] = [
    ("POST", "/a", "202", ""), ("GET", "/a", "405", "POST, OPTIONS"),
    ("HEAD", "/a", "405", "POST, OPTIONS"), ("DELETE", "/a", "405", "POST, OPTIONS"),
    ("OPTIONS", "/a", "204", "POST, OPTIONS"), ("HEAD", "/g", "200", ""),
    ("POST", "/g", "405", "GET, HEAD, OPTIONS"), ("GET", "/health", "200", ""),
    ("PUT", "/p", "202", ""), ("POST", "/p", "405", "PUT, OPTIONS"),
    ("HEAD", "/health", "200", ""), ("POST", "/health", "405", "GET, HEAD, OPTIONS"),
    ("OPTIONS", "*", "204", "GET, POST, HEAD, OPTIONS"), ("GET", "/no", "404", ""),
    ("GET", "/a/", "404", ""), ("OPTIONS", "/no", "404", ""),
  ]

  @Test("404, 405 with Allow, OPTIONS and HEAD; a HEAD stores nothing; each answer has its date")
  func methods() async throws {
    try await withTemporaryFolder { folder in
      let port = try freePort()
      let source = """
        apiVersion: argoproj.io/v1alpha1
        kind: EventSource
        metadata: {name: a}
        spec:
          webhook:
            a: {endpoint: /a, port: "\(port)"}
            g: {endpoint: /g, port: "\(port)", method: GET}
            p: {endpoint: /p, port: "\(port)", method: PUT}
        """
      try write(source, folder + "/manifests/a.yaml")
      let program = try Program(folder, ["--console", "127.0.0.1:0"])
      for (method, path, status, allow) in Self.cases {
        let request =
          "\(method) \(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
        let answer = String(
          decoding: try Socket.exchange(Array(request.utf8), port: port),
          as: UTF8.self
        )
        let what = "\(method) \(path): \(answer)"
        #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(what)")
        #expect(answer.contains("\r\nDate: "), "\(what)")
        #expect(answer.contains("\r\nAllow: \(allow)\r\n") == !allow.isEmpty, "\(what)")
        if method == "HEAD" { #expect(answer.hasSuffix("\r\n\r\n"), "\(what)") }
      }
      #expect(program.end() == 0)
      let events = try signalbox(["events", "--data", folder + "/data", "--json"])
      #expect(events.output.split(separator: "\n").count == 2, "\(events.output)")
    }
  }
}
