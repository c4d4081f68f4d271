import Foundation
import HTTP
import JSON
import Posix
import TestKit
import Testing

/// The real binary, its hooks at a forge, and deliveries that find nobody.
@Suite(.serialized) struct HealingTests {
  @Test("of deliveries while the listener is down or answers 500 each is on the log once")
  func deliveries() async throws {
    let count = setting("SIGNALBOX_DELIVERIES", 1000)
    let server = try await TestForgeServer(.github)
    let folder = FileManager.default.temporaryDirectory.path + "/signalbox-heal-\(UUID())"
    try Files.makeFolder(folder)
    defer { try? Files.remove(folder) }
    let port = try freePort()
    try write("hook-secret", folder + "/secrets/github/secret")
    try write(TestForgeServer.token, folder + "/secrets/github/token")
    try write(
      """
      apiVersion: argoproj.io/v1alpha1
      kind: EventSource
      metadata: {name: github}
      spec:
        github:
          push:
            webhook: {endpoint: /push, port: "\(port)", url: "http://127.0.0.1:\(port)"}
            webhookSecret: {name: github, key: secret}
            repositories: [{owner: acme, names: [shop]}]
            events: [push]
            apiToken: {name: github, key: token}
            githubBaseURL: \(server.address)
            signalbox: {checkInterval: 1s}
      """,
      folder + "/manifests/github.yaml"
    )
    let list = "/repos/acme/shop/hooks"
    var program = try Program(folder, ["--console", "127.0.0.1:0"])
    let deadline = MonotonicTime.now() + .seconds(120)
    while server.hooks(list).isEmpty, MonotonicTime.now() < deadline { _ = poll(nil, 0, 20) }
    let hook = try #require(server.hooks(list).first?["id"]?.wholeNumber)
    let secret = try #require(server.secret(ofHook: "\(hook)"))
    var random = Seeded(UInt64(setting("SIGNALBOX_SEED", 13)))

    /// Calls the hook as GitHub would; something between may answer 500 in our place.
    func send(_ guid: String, _ body: String, failing: Int) -> Int {
      if Int.random(in: 0..<100, using: &random) < failing { return 500 }
      let request = signedPush(
        body,
        delivery: guid,
        secret: secret,
        headers: ["Connection: close", "X-GitHub-Hook-ID: \(hook)"]
      )
      let answer = (try? Socket.exchange(request, port: port)) ?? []
      let text = String(decoding: answer.prefix(12), as: UTF8.self)
      return text.hasPrefix("HTTP/1.1 ") ? Int(text.dropFirst(9)) ?? 0 : 0
    }

    var restarts = 0
    var failures = 0
    for number in 1...count {
      // A tenth of the time the program is away, killed in the middle of what it did.
      if number % max(count / 5, 1) == 0 {
        program.end(by: SIGKILL)
        restarts += 1
      }
      if number % max(count / 5, 1) == max(count / 50, 1), !program.isRunning {
        program = try Program(folder, ["--console", "127.0.0.1:0"])
      }
      let body = #"{"ref":"refs/heads/main","after":"\#(number)","before":"0","commits":[]}"#
      let status = send("guid-\(number)", body, failing: 20)
      if status / 100 != 2 { failures += 1 }
      server.delivered("guid-\(number)", "push", Array(body.utf8), status: status)
    }
    if !program.isRunning { program = try Program(folder, ["--console", "127.0.0.1:0"]) }
    func stored() throws -> [String] {
      let output = try signalbox([
        "events", "--json", "--source", "github", "--data", folder + "/data",
      ]).output
      return try output.split(separator: "\n").compactMap {
        try JSON(parsing: Array($0.utf8)).at("data", "headers", "X-Github-Delivery")?.items.first?
          .asString
      }
    }
    var missing = failures
    var looks = 0
    while missing > 0, MonotonicTime.now() < deadline {
      for one in server.takeRedeliveries() {
        let status = send(one.guid, String(decoding: one.body, as: UTF8.self), failing: 20)
        server.delivered(one.guid, one.event, one.body, status: status, again: true)
      }
      _ = poll(nil, 0, 50)
      looks += 1
      if looks % 20 == 0 { missing = count - Set(try stored()).count }
    }
    let found = try stored()
    #expect(found.count == count && Set(found).count == count)
    let gaps = try signalbox([
      "events", "--json", "--source", "signalbox", "--data", folder + "/data",
    ]).output.split(separator: "\n").filter { $0.contains("signalbox.gap") }
    #expect(!gaps.isEmpty, "\(program.printed)\(server.calls.suffix(40))")
    #expect(program.end() == 0)
    await server.close()
    print("healing: \(count) deliveries, \(failures) failed, \(restarts) kills, \(gaps.count) gaps")
  }

  @Test("hooks are planned, applied and checked on the command line, by one writer")
  func commands() async throws {
    let server = try await TestForgeServer(.gitea)
    let folder = FileManager.default.temporaryDirectory.path + "/signalbox-hooks-\(UUID())"
    try Files.makeFolder(folder)
    defer { try? Files.remove(folder) }
    let port = try freePort()
    try write("hook-secret", folder + "/secrets/gitea/secret")
    try write(TestForgeServer.token, folder + "/secrets/gitea/token")
    let entry = """
          webhook: {endpoint: /gitea, port: "\(port)", url: "https://bus.example"}
          webhookSecret: {name: gitea, key: secret}
          repositories: [{owner: acme, names: [shop]}]
          events: [push]
      """
    func manifest(_ more: String) -> String {
      """
      apiVersion: argoproj.io/v1alpha1
      kind: EventSource
      metadata: {name: gitea}
      spec:
        gitea:
          push:
        \(entry.split(separator: "\n").joined(separator: "\n  "))
            giteaBaseURL: \(server.address)
      \(more)
      """
    }
    let path = folder + "/manifests/gitea.yaml"
    func hooks(_ command: String, _ more: [String] = []) throws -> (status: Int32, output: String) {
      try signalbox(["hooks", command, path, "--secrets", folder + "/secrets"] + more)
    }
    try write(manifest(""), path)
    let byHand = try hooks("plan")
    #expect(byHand.status == 0 && byHand.output.contains("URL: https://bus.example/gitea"))
    #expect(!byHand.output.contains("hook-secret"))
    try write(manifest("      accessToken: {name: gitea, key: token}"), path)
    let plan = try hooks("plan")
    #expect(plan.output.contains("repository acme/shop: create"), "\(plan.output)")
    #expect(server.hooks("/repos/acme/shop/hooks").isEmpty)
    #expect(try hooks("check").status == 1)
    #expect(try hooks("apply", ["--data", folder + "/data"]).status == 0)
    #expect(try hooks("check").status == 0)
    #expect(server.secret(ofHook: "101") == "hook-secret")
    let program = try Program(folder, ["--console", "127.0.0.1:0"])
    let refused = try hooks("apply", ["--data", folder + "/data"])
    #expect(refused.status == 1 && refused.output.contains("keeps the hooks"), "\(refused.output)")
    #expect(program.end() == 0)
    #expect(server.hooks("/repos/acme/shop/hooks").count == 1)
    server.answer(.json(403, Array(#"{"message":"no admin"}"#.utf8)))
    let failed = try hooks("plan")
    #expect(failed.status == 1 && failed.output.contains("status 403: no admin"))
    await server.close()
  }
}
