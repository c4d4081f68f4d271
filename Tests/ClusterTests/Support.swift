import Cluster
import Glibc
import HTTPClient
import JSON
import Posix
import TestKit

/// A test server and our client of it.
struct Bench {
  let cluster: TestCluster
  let client: ClusterClient
  let http: HTTPClient
  let loop: EventLoop
  let folder: String

  /// Runs `body` against a fresh server.
  static func run(
    workflows: TestCluster.WorkflowCRD = .full,
    context: String = "token",
    _ body: (Bench) async throws -> Void
  ) async throws {
    try await withTemporaryFolder { folder in
      let cluster = try await TestCluster(workflows: workflows)
      let http = try HTTPClient()
      let loop = try EventLoop(name: "test")
      let path = folder + "/config"
      try Files.writeDurably(Array(cluster.kubeconfig.utf8), to: path)
      let configuration = try Kubeconfig(files: [path]).configuration(context: context)
      let client = quickClient(configuration, http, loop)
      let bench = Bench(cluster: cluster, client: client, http: http, loop: loop, folder: folder)
      var failure: (any Error)?
      do { try await body(bench) } catch { failure = error }
      await http.close()
      await cluster.shutdown()
      loop.stop()
      if let failure { throw failure }
    }
  }

}

/// What tests ask of a cluster, whichever it is.
protocol Asking {
  var client: ClusterClient { get }
}

extension Bench: Asking {}

extension Asking {
  var configMaps: ResourceType {
    ResourceType(group: "", version: "v1", plural: "configmaps", kind: "ConfigMap")
  }

  func argo(_ plural: String) async throws -> ResourceType {
    try await client.resource("argoproj.io/v1alpha1", plural: plural)
  }

  /// What a call was refused with.
  func refusal(_ call: () async throws -> Void) async -> ClusterError? {
    do {
      try await call()
      return nil
    } catch { return error as? ClusterError }
  }
}

/// A client that does not hold itself back.
func quickClient(
  _ configuration: ClusterConfiguration,
  _ http: HTTPClient,
  _ loop: EventLoop
) -> ClusterClient {
  var limits = ClusterClient.Limits()
  limits.perSecond = 1000
  limits.burst = 1000
  return ClusterClient(configuration, http: http, loop: loop, limits: limits)
}

func workflow(_ name: String, _ spec: JSON = ["entrypoint": "main"]) -> JSON {
  [
    "apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow",
    "metadata": ["name": .string(name)], "spec": spec,
  ]
}
