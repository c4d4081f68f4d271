import Foundation
import Posix
import TestKit
import Testing

/// What the real binary says to those who made a mistake.
@Suite struct RefusalTests {
  @Test("every error of every file is told with its place, and nothing is started")
  func brokenManifests() async throws {
    try await withTemporaryFolder { folder in
      try Files.makeFolder(folder + "/manifests")
      let source = """
        apiVersion: argoproj.io/v1alpha1
        kind: EventSource
        metadata: {name: one}
        spec:
          github:
            push:
              webhook: {endpoint: /push, port: "99999"}
              webhookSecrets: {name: github, key: secret}
        """
      let sensor = """
        apiVersion: argoproj.io/v1alpha1
        kind: Sensor
        metadata: {name: two}
        spec:
          dependencies: [{name: a, eventSourceName: one, eventName: push}]
          triggers:
            - template: {name: t, conditions: "a && b", log: {}}
            - template: {name: u, slack: {channel: x}}
        """
      try Files.writeDurably(Array(source.utf8), to: folder + "/manifests/a.yaml")
      try Files.writeDurably(Array(sensor.utf8), to: folder + "/manifests/b.yaml")
      let validated = try signalbox(["validate", folder + "/manifests"])
      #expect(validated.status == 1)
      let wanted = [
        "a.yaml:7:", "99999", "a.yaml:8:", "webhookSecrets", "b.yaml:7:", "unknown dependency 'b'",
        "b.yaml:8:", "slack",
      ]
      for text in wanted { #expect(validated.output.contains(text), "\(text)") }
      let started = try signalbox([
        "run", folder + "/manifests", "--data", folder + "/data", "--console", "127.0.0.1:0",
      ])
      #expect(started.status == 1)
      for text in wanted { #expect(started.output.contains(text), "\(text)") }
      #expect(Files.kind(folder + "/data") == nil)
    }
  }

  @Test("a secret that does not exist is named with the places that were looked at")
  func missingSecret() async throws {
    try await withTemporaryFolder { folder in
      let source = """
        apiVersion: argoproj.io/v1alpha1
        kind: EventSource
        metadata: {name: one}
        spec:
          webhook:
            hook: {endpoint: /a, port: "12000", method: POST, authSecret: {name: a-b, key: c}}
        """
      try Files.writeDurably(Array(source.utf8), to: folder + "/a.yaml")
      let answer = try signalbox(["validate", folder + "/a.yaml", "--secrets", folder])
      #expect(answer.status == 1)
      #expect(answer.output.contains("\(folder)/a-b/c"))
      #expect(answer.output.contains("SIGNALBOX_SECRET_A_B_C"))
    }
  }

  @Test(
    "a command that anybody can reach, also through outcomes, is refused unless it is meant",
    arguments: [
      ("", "", 1), ("webhookSecret: {name: github, key: secret}", "", 0),
      ("signalbox: {unauthenticated: true}", "", 0), ("", "other", 0),
    ]
  )
  func openCommand(proof: String, eventName: String, status: Int32) async throws {
    try await withTemporaryFolder { folder in
      let manifests = """
        apiVersion: argoproj.io/v1alpha1
        kind: EventSource
        metadata: {name: one}
        spec:
          github:
            push:
              webhook: {endpoint: /push, port: "12000"}
              \(proof)
        ---
        apiVersion: argoproj.io/v1alpha1
        kind: Sensor
        metadata: {name: first}
        spec:
          dependencies: [{name: a, eventSourceName: one, eventName: push\(eventName)}]
          triggers: [{template: {name: t, log: {}}}]
        ---
        apiVersion: argoproj.io/v1alpha1
        kind: Sensor
        metadata: {name: second}
        spec:
          dependencies: [{name: a, eventSourceName: outcomes, eventName: first/t/succeeded}]
          triggers: [{template: {name: t, command: {argv: ["true"]}}}]
        """
      try Files.makeFolder(folder + "/secrets/github")
      try Files.writeDurably(Array("canary".utf8), to: folder + "/secrets/github/secret")
      try Files.writeDurably(Array(manifests.utf8), to: folder + "/a.yaml")
      let answer = try signalbox(["validate", folder + "/a.yaml", "--secrets", folder + "/secrets"])
      #expect(answer.status == status, "\(answer.output)")
      #expect(answer.output.contains("a.yaml:6:") == (status == 1))
      #expect(answer.output.contains("they reach the command default/second/t") == (status == 1))
    }
  }
}
