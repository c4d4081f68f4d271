import Foundation
import Posix
import TestKit
import Testing

/// Manifests that change while the binary runs.
@Suite struct ReloadTests {
  private func source(_ name: String, _ port: Int) -> String {
    """
    apiVersion: argoproj.io/v1alpha1
    kind: EventSource
    metadata: {name: \(name)}
    spec:
      webhook:
        hook: {endpoint: /\(name), port: "\(port)", method: POST}
    """
  }

  private func post(_ path: String, _ port: Int) -> String {
    let request =
      "POST \(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
    let answer = try? Socket.exchange(Array(request.utf8), port: port)
    return String(decoding: (answer ?? []).prefix(12), as: UTF8.self)
  }

  @Test("manifests are read anew when their files change, and not when they only look changed")
  func watched() async throws {
    try await withTemporaryFolder { folder in
      let port = try freePort()
      let file = folder + "/manifests/below/a.yaml"
      try write(source("a", port), file)
      let program = try Program(folder, ["--console", "127.0.0.1:0", "--watch"])
      #expect(post("/a", port) == "HTTP/1.1 202")
      // As editors do it: another file takes its place.
      try write(source("b", port), folder + "/manifests/below/.new")
      let moved = unsafe rename(folder + "/manifests/below/.new", file)
      #expect(moved == 0)
      while post("/b", port) != "HTTP/1.1 202" { await Task.yield() }
      try write(source("b", port), file)
      try write("kind: nonsense", folder + "/manifests/broken.yaml")
      while !program.printed.contains("were not reloaded") { await Task.yield() }
      #expect(post("/b", port) == "HTTP/1.1 202")
      try Files.remove(folder + "/manifests/broken.yaml")
      // A folder that is new.
      try write(source("c", port), folder + "/manifests/more/c.yaml")
      while post("/c", port) != "HTTP/1.1 202" { await Task.yield() }
      #expect(program.end() == 0)
      let events = try signalbox(["events", "--data", folder + "/data"])
      // b, and c with or without a step between for the file that went.
      #expect([3, 4].contains(events.output.components(separatedBy: "plan.changed").count))
    }
  }

  @Test("a reload adds, moves and removes event sources; with an error nothing changes")
  func reload() async throws {
    try await withTemporaryFolder { folder in
      let (one, two) = (try freePort(), try freePort())
      try write(source("a", one), folder + "/manifests/a.yaml")
      let program = try Program(folder, ["--console", "127.0.0.1:0"])
      #expect(post("/a", one) == "HTTP/1.1 202")

      try write(source("a", one).replacing("method", with: "methud"), folder + "/manifests/a.yaml")
      let refused = try signalbox(["reload", "--data", folder + "/data"])
      #expect(refused.status == 1)
      #expect(refused.output.contains("a.yaml:6:"), "\(refused.output)")
      #expect(post("/a", one) == "HTTP/1.1 202")

      try write(source("b", two), folder + "/manifests/b.yaml")
      try write(source("a", one), folder + "/manifests/a.yaml")
      let added = try signalbox(["reload", "--data", folder + "/data"])
      #expect(added.status == 0, "\(added.output)")
      #expect(post("/a", one) == "HTTP/1.1 202")
      #expect(post("/b", two) == "HTTP/1.1 202")

      try write(source("c", one), folder + "/manifests/a.yaml")
      try Files.remove(folder + "/manifests/b.yaml")
      let moved = try signalbox(["reload", "--data", folder + "/data"])
      #expect(moved.status == 0, "\(moved.output)")
      #expect(post("/a", one) == "HTTP/1.1 404")
      #expect(post("/c", one) == "HTTP/1.1 202")
      #expect(post("/b", two) == "")
      #expect(program.end() == 0)
      let events = try signalbox(["events", "--data", folder + "/data"])
      #expect(events.output.components(separatedBy: "plan.changed").count == 3)
      let nobody = try signalbox(["reload", "--data", folder + "/data"])
      #expect(nobody.status == 1)
    }
  }
}
