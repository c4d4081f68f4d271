import Foundation
import JSON
import Manifest
import Posix
import TestKit
import Testing

extension KubernetesTests {
  /// The rules of deploy/kubernetes, as `verb group/resource`.
  private func allowed() throws -> Set<String> {
    let path = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../../deploy/kubernetes/base/rbac.yaml").standardized.path
    let diagnostics = Diagnostics()
    let text = String(decoding: try Files.read(path), as: UTF8.self)
    let documents = yamlDocuments(text, file: path, diagnostics).map(\.json)
    #expect(!diagnostics.hasErrors)
    let role = try #require(
      documents.first {
        $0["kind"] == "ClusterRole" && $0.at("metadata", "name") == "signalbox"
      }
    )
    var allowed: Set<String> = []
    for rule in role["rules"]?.items ?? [] {
      func texts(_ key: String) -> [String] { (rule[key]?.items ?? []).compactMap(\.asString) }
      for group in texts("apiGroups") {
        for resource in texts("resources") {
          for verb in texts("verbs") { allowed.insert("\(verb) \(group)/\(resource)") }
        }
      }
    }
    return allowed
  }

  /// What the program itself did is what its role allows; what triggers did is allowed by others.
  func check(_ rights: Set<String>) throws {
    let allowed = try allowed()
    let own = rights.filter { !$0.hasSuffix("/configmaps") }
    #expect(own.isSubset(of: allowed), "\(own.subtracting(allowed).sorted())")
  }

  @Test("the role of deploy/kubernetes allows what the program does, and nothing it does not")
  func role() async throws {
    try await ClusterBench.run { bench in
      var source = bench.hook("/hook")
      source.set(["name": "token", "key": "key"], at: "webhook", "hook", "authSecret")
      try bench.apply("EventSource", "source", source)
      try bench.apply("EventBus", "default", ["jetstream": ["version": "latest"]])
      try bench.apply("Sensor", "sensor", bench.maker("one"))
      let program = try bench.start()
      for (kind, name) in [("Sensor", "sensor"), ("EventBus", "default")] {
        try bench.wait("\(kind) to load", program) {
          bench.condition("Ready", kind, name).hasPrefix("True")
        }
      }
      // A write that collides is read anew; a message that repeats is read to be counted.
      for kind in ["eventsources", "eventbus", "sensors"] {
        bench.cluster.failNext("PATCH", "/\(kind)/", code: 409, reason: "Conflict")
      }
      for _ in 1...2 {
        for (kind, name) in [
          ("EventSource", "source"), ("Sensor", "sensor"), ("EventBus", "default"),
        ] {
          try bench.apply(kind, name, ["nonsense": true])
          try bench.wait("the refusal", program) {
            bench.condition("Ready", kind, name).hasPrefix("False")
          }
        }
        for (kind, name) in [
          ("EventSource", "source"), ("Sensor", "sensor"), ("EventBus", "default"),
        ] {
          try bench.apply(kind, name, ["otherwise": true])
          try bench.wait("the refusal", program) {
            bench.condition("Ready", kind, name).contains("otherwise")
          }
        }
      }
      try bench.wait("an event that counts", program) {
        bench.cluster.rights.contains("patch /events")
      }
      #expect(program.end() == 0)
      #expect(bench.cluster.rights == (try allowed()))
    }
  }
}
