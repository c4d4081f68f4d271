import Foundation
import HTTP
import JSON
import Posix
import TestKit
import Testing

/// The real binary between a push and the forge it came from.
@Suite(.serialized) struct CommitStatusTests {
  private static let commit = "6113728f27ae82c7b1a177c8d03f9e96e0adf246"

  @Test("a build's outcomes reach the commit of the push, through two sensors and a transform")
  func statuses() async throws {
    let server = try await TestForgeServer(.github)
    try await withTemporaryFolder { folder in
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
              webhook: {endpoint: /push, port: "\(port)"}
              webhookSecret: {name: github, key: secret}
        ---
        apiVersion: argoproj.io/v1alpha1
        kind: Sensor
        metadata: {name: build}
        spec:
          dependencies:
            - {name: pushed, eventSourceName: github, eventName: push}
          triggers: [{template: {name: job, command: {argv: ["true"]}}}]
        ---
        apiVersion: argoproj.io/v1alpha1
        kind: Sensor
        metadata: {name: deploy}
        spec:
          dependencies:
            - {name: built, eventSourceName: outcomes, eventName: build/job/succeeded}
          triggers: [{template: {name: job, command: {argv: ["false"]}}}]
        ---
        apiVersion: argoproj.io/v1alpha1
        kind: Sensor
        metadata: {name: status}
        spec:
          dependencies:
            - {name: started, eventSourceName: outcomes, eventName: build/job/started}
            - {name: built, eventSourceName: outcomes, eventName: build/job/succeeded}
            - name: failed
              eventSourceName: outcomes
              eventName: deploy/job/failed
              transform: {jq: '. + {note: "seen"}'}
          triggers:
            - template:
                name: tell
                conditions: started || built || failed
                commitStatus:
                  github:
                    apiToken: {name: github, key: token}
                    githubBaseURL: \(server.address)
                  targetURL: https://ci.example/1
              retryStrategy: {steps: 3, duration: 100ms}
        """,
        folder + "/manifests/all.yaml"
      )
      let program = try Program(folder, ["--console", "127.0.0.1:0"])
      let body = """
        {"ref":"refs/heads/main","after":"\(Self.commit)","before":"\(Self.commit)",
        "repository":{"full_name":"acme/shop"},"commits":[]}
        """
      // The forge fails once; the status arrives all the same.
      server.answer(.text(502, "bad gateway"))
      let answer = try Socket.exchange(
        signedPush(body, delivery: "d1", secret: "hook-secret", headers: ["Connection: close"]),
        port: port
      )
      #expect(String(decoding: answer, as: UTF8.self).hasPrefix("HTTP/1.1 202"))
      let deadline = MonotonicTime.now() + .seconds(40)
      func isTold() -> Bool { server.statuses.contains { $0.body["state"] == "failure" } }
      while !isTold(), MonotonicTime.now() < deadline { _ = poll(nil, 0, 20) }
      let statuses = server.statuses
      #expect(Set(statuses.map(\.path)) == ["/repos/acme/shop/statuses/\(Self.commit)"])
      let build = statuses.filter { $0.body["context"] == "build/job" }
      // A pending one that came late is left out; the last one is never it.
      #expect(build.last?.body["state"] == "success")
      let deploy = statuses.filter { $0.body["context"] == "deploy/job" }
      #expect(deploy.map { $0.body["state"] } == ["failure"])
      #expect(deploy.first?.body["description"]?.asString?.hasPrefix("failed: ") == true)
      #expect(program.end() == 0)
      await server.close()
    }
  }
}
