import Foundation
import HTTP
import JSON
import Posix
import TestKit
import Testing

/// The real binary, its hooks at a forge, and deliveries that find nobody.
@Suite(.serialized) struct HealingTests {
  /// A forge that tells what it sent, and how it sends it.
  private struct Sender {
    let flavour: TestForgeServer.Flavour
    /// The entry's fields but those of its webhook, for a server at an address.
    let entry: @Sendable (_ address: String) -> String
    let list: String
    /// A request of a delivery, by its body, id, secret and hook.
    let request: @Sendable (String, String, String, Int) -> [UInt8]
    let deliveryHeader: String
    let event: String

    static let github = Sender(
      flavour: .github,
      entry: { address in
        """
              webhookSecret: {name: forge, key: secret}
              repositories: [{owner: acme, names: [shop]}]
              events: [push]
              apiToken: {name: forge, key: token}
              githubBaseURL: \(address)
        """
      },
      list: "/repos/acme/shop/hooks",
      request: { body, guid, secret, hook in
        signedPush(
          body,
          delivery: guid,
          secret: secret,
          headers: ["Connection: close", "X-GitHub-Hook-ID: \(hook)"]
        )
      },
      deliveryHeader: "X-Github-Delivery",
      event: "push"
    )

    static let gitlab = Sender(
      flavour: .gitlab,
      entry: { address in
        """
              secretToken: {name: forge, key: secret}
              projects: [acme/shop]
              events: [PushEvents]
              accessToken: {name: forge, key: token}
              gitlabBaseURL: \(address)
        """
      },
      list: "/projects/acme%2Fshop/hooks",
      request: { body, guid, secret, _ in
        let lines = [
          "POST /push HTTP/1.1", "Host: x", "Content-Type: application/json", "Connection: close",
          "Content-Length: \(body.utf8.count)", "X-Gitlab-Event: Push Hook",
          "X-Gitlab-Token: \(secret)", "Idempotency-Key: \(guid)", "X-Gitlab-Webhook-UUID: w",
        ]
        return Array((lines.joined(separator: "\r\n") + "\r\n\r\n" + body).utf8)
      },
      deliveryHeader: "Idempotency-Key",
      event: "Push Hook"
    )
  }

  @Test("of deliveries while the listener is down or answers 500 each is on the log once")
  func deliveries() async throws { try await heal(.github) }

  @Test("GitLab's deliveries, too, of which it sends but a few again")
  func gitlabDeliveries() async throws { try await heal(.gitlab) }

  private func heal(_ sender: Sender) async throws {
    let count = setting("SIGNALBOX_DELIVERIES", 1000)
    let server = try await TestForgeServer(sender.flavour)
    try await withTemporaryFolder { folder in
      let port = try freePort()
      try write("hook-secret", folder + "/secrets/forge/secret")
      try write(TestForgeServer.token, folder + "/secrets/forge/token")
      try write(
        """
        apiVersion: argoproj.io/v1alpha1
        kind: EventSource
        metadata: {name: forge}
        spec:
          \(sender.flavour.rawValue):
            push:
              webhook: {endpoint: /push, port: "\(port)", url: "http://127.0.0.1:\(port)"}
              signalbox: {checkInterval: 1s}
        \(sender.entry(server.address))
        """,
        folder + "/manifests/forge.yaml"
      )
      let list = sender.list
      var program = try Program(folder, ["--console", "127.0.0.1:0"])
      let deadline = MonotonicTime.now() + .seconds(120)
      while server.hooks(list).isEmpty, MonotonicTime.now() < deadline { _ = poll(nil, 0, 20) }
      let hook = try #require(server.hooks(list).first?["id"]?.wholeNumber)
      let secret = try #require(server.secret(ofHook: "\(hook)"))
      var random = Seeded(UInt64(setting("SIGNALBOX_SEED", 13)))

      /// Calls the hook as GitHub would; something between may answer 500 in our place.
      func send(_ guid: String, _ body: String, failing: Int) -> Int {
        if Int.random(in: 0..<100, using: &random) < failing { return 500 }
        let request = sender.request(body, guid, secret, hook)
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
        server.delivered("guid-\(number)", sender.event, Array(body.utf8), status: status)
      }
      if !program.isRunning { program = try Program(folder, ["--console", "127.0.0.1:0"]) }
      func stored() throws -> [String] {
        let output = try signalbox([
          "events", "--json", "--source", "forge", "--data", folder + "/data",
        ]).output
        return try output.split(separator: "\n").compactMap {
          try JSON(parsing: Array($0.utf8)).at("data", "headers", sender.deliveryHeader)?.items
            .first?
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
      print(
        "healing \(sender.flavour): \(count) deliveries, \(failures) failed, \(restarts) kills, \(gaps.count) gaps"
      )
    }
  }

  @Test("hooks are planned, applied and checked on the command line, by one writer")
  func commands() async throws {
    let server = try await TestForgeServer(.gitea)
    try await withTemporaryFolder { folder in
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
      func hooks(_ command: String, _ more: [String] = []) throws -> (status: Int32, output: String)
      {
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
      #expect(
        refused.status == 1 && refused.output.contains("keeps the hooks"),
        "\(refused.output)"
      )
      #expect(program.end() == 0)
      #expect(server.hooks("/repos/acme/shop/hooks").count == 1)
      server.answer(.json(403, Array(#"{"message":"no admin"}"#.utf8)))
      let failed = try hooks("plan")
      #expect(failed.status == 1 && failed.output.contains("status 403: no admin"))
      // The entry goes, and its hook with it, by what the log knows.
      try write(
        manifest(
          """
                accessToken: {name: gitea, key: token}
                deleteHookOnFinish: true
          """
        ),
        path
      )
      let last = try Program(folder, ["--console", "127.0.0.1:0"])
      func left() throws -> String {
        let none = folder + "/none.yaml"
        try write(manifest("").replacing("    push:", with: "    other:"), none)
        return try signalbox([
          "hooks", "plan", none, "--secrets", folder + "/secrets", "--data", folder + "/data",
        ]).output
      }
      let deadline = MonotonicTime.now() + .seconds(60)
      let told = "default/gitea/push: repository acme/shop: remove hook 101: its entry left"
      while !(try left()).contains(told), MonotonicTime.now() < deadline { _ = poll(nil, 0, 50) }
      #expect(last.end() == 0)
      #expect(server.hooks("/repos/acme/shop/hooks").count == 1)
      try write(manifest("").replacing("    push:", with: "    other:"), path)
      let without = try Program(folder, ["--console", "127.0.0.1:0"])
      while !server.hooks("/repos/acme/shop/hooks").isEmpty, MonotonicTime.now() < deadline {
        _ = poll(nil, 0, 20)
      }
      #expect(server.hooks("/repos/acme/shop/hooks").isEmpty, "\(without.printed)")
      #expect(without.end() == 0)
      #expect(!(try left()).contains("remove hook"))
      await server.close()
    }
  }
}
