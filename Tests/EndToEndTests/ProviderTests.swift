import Foundation
import JSON
import Posix
import TLS
import TestKit
import Testing

/// Manifests that differ in nothing but the name of the forge.
@Suite(.serialized) struct ProviderTests {
  private static let commit = "6113728f27ae82c7b1a177c8d03f9e96e0adf246"
  private static let zeros = String(repeating: "0", count: 40)

  /// What each forge sends for one and the same push, as far as the sensor looks.
  private static let bodies: [String: String] = {
    let likeGitHub = """
      {"ref":"refs/heads/main","before":"\(zeros)","after":"\(commit)",
      "repository":{"full_name":"acme/shop","name":"shop"},"pusher":{"login":"ann","name":"ann"},
      "commits":[{"id":"\(commit)","message":"Sell","added":["a"],"modified":[],"removed":[]}]}
      """
    let bitbucket = """
      {"repository":{"full_name":"acme/shop","name":"shop"},"actor":{"nickname":"ann"},
      "push":{"changes":[{"old":null,"created":true,"new":{"type":"branch","name":"main",
      "target":{"hash":"\(commit)"}},"commits":[{"hash":"\(commit)","message":"Sell"}]}]}}
      """
    let dataCenter = """
      {"eventKey":"repo:refs_changed","repository":{"slug":"shop","name":"shop",
      "project":{"key":"acme"}},"actor":{"slug":"ann"},"changes":[{"ref":{"id":"refs/heads/main"},
      "fromHash":"\(zeros)","toHash":"\(commit)"}],"commits":[{"id":"\(commit)","message":"Sell"}]}
      """
    return [
      "github": likeGitHub, "gitea": likeGitHub, "gogs": likeGitHub, "bitbucket": bitbucket,
      "bitbucketserver": dataCenter,
    ]
  }()

  /// Headers of a delivery beside its signature.
  private static let headers: [String: [String]] = [
    "github": ["X-GitHub-Event: push", "X-GitHub-Delivery: 1"],
    "gitea": ["X-Gitea-Event: push", "X-Gitea-Delivery: 1"],
    "gogs": ["X-Gogs-Event: push", "X-Gogs-Delivery: 1"],
    "bitbucket": ["X-Event-Key: repo:push", "X-Request-UUID: 1"],
    "bitbucketserver": ["X-Event-Key: repo:refs_changed", "X-Request-Id: 1"],
  ]

  private static let signatures: [String: String] = [
    "github": "X-Hub-Signature-256: sha256=", "gitea": "X-Gitea-Signature: ",
    "gogs": "X-Gogs-Signature: ", "bitbucket": "X-Hub-Signature: sha256=",
    "bitbucketserver": "X-Hub-Signature: sha256=",
  ]

  private func manifests(_ kind: String, port: Int) -> (source: String, sensor: String) {
    let source = """
      apiVersion: argoproj.io/v1alpha1
      kind: EventSource
      metadata: {name: forge}
      spec:
        \(kind):
          push:
            webhook: {endpoint: /push, port: "\(port)"}
            webhookSecret: {name: forge, key: secret}
      """
    let sensor = """
      apiVersion: argoproj.io/v1alpha1
      kind: Sensor
      metadata: {name: build}
      spec:
        dependencies:
          - name: pushed
            eventSourceName: forge
            eventName: push
            filters:
              data: [{path: push.branch, type: string, value: ["^main$"]}]
        triggers:
          - template:
              name: job
              command:
                argv: [sh, -c, 'echo "$WHAT"']
                environment: {WHAT: ""}
                parameters:
                  - src:
                      dependencyName: pushed
                      dataTemplate: >-
                        {{ .Input.push.repository.fullName }} {{ .Input.push.branch }}
                        {{ .Input.push.after }} {{ (index .Input.push.commits 0).message }}
                        {{ .Input.push.created }} {{ .Input.push.pusher.username }}
                    dest: environment.WHAT
        signalbox:
          tests:
            - name: a push to main is built
              events:
                - id: p1
                  dependency: pushed
                  data:
                    push:
                      repository: {fullName: acme/shop}
                      branch: main
                      after: abc
                      created: true
                      commits: [{message: Sell}]
                      pusher: {username: ann}
              firings:
                - trigger: job
                  fields: {environment: {WHAT: "acme/shop main abc Sell true ann"}}
            - name: one to another branch is not
              events: [{id: p2, dependency: pushed, data: {push: {branch: side}}}]
              notFired: [{event: p2, trigger: job}]
      """
    return (source, sensor)
  }

  @Test("manifests that differ only in the provider drive the same sensor and the same tests")
  func providers() async throws {
    var seen: [String: String] = [:]
    var texts: Set<String> = []
    for kind in Self.bodies.keys.sorted() {
      try await withTemporaryFolder { folder in
        let port = try freePort()
        let (source, sensor) = manifests(kind, port: port)
        texts.insert(
          source.replacing("\(kind):\n", with: "PROVIDER:\n").replacing("\(port)", with: "PORT")
            + sensor
        )
        try write(source, folder + "/manifests/source.yaml")
        try write(sensor, folder + "/manifests/sensor.yaml")
        try write("canary", folder + "/secrets/forge/secret")
        let tested = try signalbox(["test", folder + "/manifests/sensor.yaml"])
        #expect(tested.status == 0, "\(kind): \(tested.output)")
        let program = try Program(folder, ["--console", "127.0.0.1:0"])
        let body = Array((Self.bodies[kind] ?? "").utf8)
        let code = hexadecimal(HMACKey(Array("canary".utf8)).code(body))
        let lines =
          [
            "POST /push HTTP/1.1", "Host: x", "Content-Type: application/json",
            "Content-Length: \(body.count)", "Connection: close",
            "\(Self.signatures[kind] ?? "")\(code)",
          ] + (Self.headers[kind] ?? [])
        let head = Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
        let answer = try Socket.exchange(head + body, port: port)
        #expect(String(decoding: answer, as: UTF8.self).hasPrefix("HTTP/1.1 202"), "\(kind)")
        let deadline = MonotonicTime.now() + .seconds(30)
        while seen[kind] == nil, MonotonicTime.now() < deadline {
          let events = try signalbox([
            "events", "--json", "--source", "outcomes", "--data", folder + "/data",
          ])
          for line in events.output.split(separator: "\n") {
            let outcome = try JSON(parsing: Array(line.utf8))
            if let output = outcome.at("data", "result", "output")?.asString { seen[kind] = output }
          }
          _ = poll(nil, 0, 20)
        }
        #expect(program.end() == 0)
      }
    }
    #expect(texts.count == 1)
    #expect(Set(seen.values) == ["acme/shop main \(Self.commit) Sell true ann\n"])
    #expect(seen.count == Self.bodies.count)
  }
}
