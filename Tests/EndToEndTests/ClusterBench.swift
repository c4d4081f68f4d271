import Foundation
import Glibc
import JSON
import Posix
import TestKit
import Testing

/// The real binary under `--kubernetes` on the test server.
struct ClusterBench {
  let cluster: TestCluster
  let folder: String
  /// Two ports for event sources, and the console's.
  let ports: [Int]
  let console: Int

  static func run(_ body: (ClusterBench) async throws -> Void) async throws {
    try await withTemporaryFolder { folder in
      let cluster = try await TestCluster()
      try write(cluster.kubeconfig, folder + "/config")
      let bench = ClusterBench(
        cluster: cluster,
        folder: folder,
        ports: [try freePort(), try freePort()],
        console: try freePort()
      )
      var failure: (any Error)?
      do { try await body(bench) } catch { failure = error }
      await cluster.shutdown()
      if let failure { throw failure }
    }
  }

  func start(_ options: [String] = [], started: String = "\nready") throws -> Program {
    try Program(
      folder,
      [
        "--kubernetes", "--kubeconfig", folder + "/config", "--console",
        "127.0.0.1:\(console)",
      ] + options,
      started: started
    )
  }

  // MARK: Objects

  private static let plurals = [
    "EventSource": "eventsources", "Sensor": "sensors", "EventBus": "eventbus",
  ]

  /// Creates the object, or gives it another spec.
  func apply(_ kind: String, _ name: String, in namespace: String = "ci", _ spec: JSON) throws {
    let plural = Self.plurals[kind] ?? ""
    if cluster.object(plural, namespace, name) != nil {
      cluster.change(plural, namespace, name) { $0.set(spec, at: "spec") }
    } else {
      try cluster.put(plural, namespace, ["metadata": ["name": .string(name)], "spec": spec])
    }
  }

  func remove(_ kind: String, _ name: String, in namespace: String = "ci") {
    cluster.remove(Self.plurals[kind] ?? "", namespace, name)
  }

  func object(_ kind: String, _ name: String, in namespace: String = "ci") -> JSON {
    cluster.object(Self.plurals[kind] ?? "", namespace, name) ?? .null
  }

  /// `status reason: message` of a condition that tells of the object's present generation.
  func condition(
    _ type: String,
    _ kind: String,
    _ name: String,
    in namespace: String = "ci"
  ) -> String {
    let object = object(kind, name, in: namespace)
    let found = (object.at("status", "conditions")?.items ?? []).first {
      $0["type"]?.asString == type
    }
    guard let found, found["observedGeneration"] == object.at("metadata", "generation"),
      object.at("status", "observedGeneration") == found["observedGeneration"]
    else { return "" }
    func text(_ key: String) -> String { found[key]?.asString ?? "" }
    let message = text("message")
    return "\(text("status")) \(text("reason"))" + (message.isEmpty ? "" : ": \(message)")
  }

  /// A webhook on the path `/NAME` for everybody.
  func hook(_ path: String, port: Int = 0) -> JSON {
    [
      "webhook": [
        "hook": [
          "endpoint": .string(path), "port": .string("\(ports[port])"), "method": "POST",
        ]
      ]
    ]
  }

  /// Makes a ConfigMap that holds `mark` of each event of the event source `source`.
  func maker(
    _ mark: String,
    source: String = "source",
    metadata: JSON = ["generateName": "made-"]
  ) -> JSON {
    [
      "dependencies": [["name": "dep", "eventSourceName": .string(source), "eventName": "hook"]],
      "triggers": [
        [
          "template": [
            "name": "make",
            "k8s": [
              "operation": "create",
              "source": [
                "resource": [
                  "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata,
                  "data": ["mark": .string(mark), "body": ""],
                ]
              ],
              "parameters": [
                ["src": ["dependencyName": "dep", "dataKey": "body.n"], "dest": "data.body"]
              ],
            ],
          ]
        ]
      ],
    ]
  }

  /// What was made: mark and event, sorted.
  func made(in namespace: String = "ci") -> [String] {
    cluster.objects("configmaps", namespace).map {
      "\($0.at("data", "mark")?.asString ?? "") \($0.at("data", "body")?.asString ?? "")"
    }.sorted()
  }

  // MARK: Requests

  /// The status line's beginning; empty where nobody listens.
  func post(_ path: String, _ body: String = "{}", port: Int = 0) -> String {
    let request =
      "POST \(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
      + "Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
    let answer = try? Socket.exchange(Array(request.utf8), port: ports[port])
    return String(decoding: (answer ?? []).prefix(12), as: UTF8.self)
  }

  /// What the console answers.
  func get(_ path: String) -> String {
    let request = "GET \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    let answer = try? Socket.exchange(Array(request.utf8), port: console)
    return String(decoding: answer ?? [], as: UTF8.self)
  }

  /// Waits until it holds.
  func wait(
    _ what: String,
    _ program: Program? = nil,
    _ place: SourceLocation = #_sourceLocation,
    until holds: () -> Bool
  ) throws {
    let deadline = MonotonicTime.now() + .seconds(60)
    while !holds() {
      guard MonotonicTime.now() < deadline else {
        Issue.record("waited in vain: \(what)\n\(program?.printed ?? "")", sourceLocation: place)
        throw SystemError("wait", what, code: ETIMEDOUT)
      }
      _ = poll(nil, 0, 10)
    }
  }
}
