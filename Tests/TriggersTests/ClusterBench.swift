import Cluster
import JSON
import Plugin
import Posix
import TestKit
import Testing

/// The test cluster, a host that is connected to it, and somebody who plays Argo's controllers.
struct Bench {
  let cluster: TestCluster
  let host: Host
  let controller: ArgoController

  static func run(
    _ script: ArgoController.Script = .init(),
    seed: UInt64 = 1,
    secrets: [String: String] = [:],
    _ body: (Bench) async throws -> Void
  ) async throws {
    try await withTemporaryFolder { folder in
      let cluster = try await TestCluster()
      let path = folder + "/config"
      try Files.writeDurably(Array(cluster.kubeconfig.utf8), to: path)
      let host = try Host(folder, secrets: secrets, kubeconfig: path)
      let controller = try ArgoController(cluster, seed: seed, script: script)
      var failure: (any Error)?
      do {
        try await body(Bench(cluster: cluster, host: host, controller: controller))
      } catch { failure = error }
      await controller.stop()
      await host.cluster.close()
      await host.close()
      await cluster.shutdown()
      if let failure { throw failure }
    }
  }

  func trigger(_ kind: String, _ fields: String) throws -> any Trigger {
    let (trigger, problems) = try made(kind, fields, host)
    return try #require(trigger, "\(problems)")
  }

  /// Fires and follows to the ending.
  func ending(_ trigger: any Trigger, _ firing: Firing) async -> Outcome {
    let outcome = await trigger.fire(firing)
    guard case .started(let started) = outcome else { return outcome }
    return await trigger.follow(firing, started: started) { _, _ in }
  }

  func count(_ plural: String) -> Int { cluster.objects(plural).count }
}

/// An `argoWorkflow` trigger that submits.
let submit = """
  {"operation":"submit","args":["-p","sha=7","--labels","a=b"],"source":{"resource":{
    "apiVersion":"argoproj.io/v1alpha1","kind":"Workflow",
    "metadata":{"generateName":"build-","namespace":"ci"},
    "spec":{"entrypoint":"main","arguments":{"parameters":[{"name":"n","value":3}]}}}}}
  """

/// A canary that pauses and then waits for an analysis.
let canaryRollout: JSON = [
  "metadata": ["name": "shop"],
  "spec": [
    "template": ["spec": ["containers": [["name": "web", "image": "shop:1"]]]],
    "strategy": ["canary": ["steps": [["setWeight": 20], ["pause": [:]], ["analysis": [:]]]]],
  ],
]
