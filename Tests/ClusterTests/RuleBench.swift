import Cluster
import HTTPClient
import JSON
import Posix
import TestKit

/// The cluster that a rule is shown on.
struct RuleBench: Asking {
  let client: ClusterClient
  /// Where the rule may make what it likes.
  let namespace: String
  /// nil on a cluster that is known by its kubeconfig alone.
  let server: TestCluster?
  private let loop: EventLoop

  static let namespacePrefix = "signalbox-test-"
  /// A cluster removes what lost its owner, and namespaces, some time after it said so.
  private static let patience = Duration.seconds(60)

  /// Shows `rule` on a fresh test server.
  static func run(_ rule: Rule) async throws {
    try await Bench.run(workflows: rule.workflows) { bench in
      try await rule.check(
        RuleBench(client: bench.client, namespace: "ci", server: bench.cluster, loop: bench.loop)
      )
    }
  }

  /// Shows `rule` on another cluster, in a namespace of its own that is deleted behind it. What
  /// cannot be shown there is said in a line.
  /// - Parameter kubeconfig: its path; the current context counts.
  static func run(_ rule: Rule, on kubeconfig: String) async throws {
    if let why = rule.onlyHere { return skip(rule, why) }
    let http = try HTTPClient()
    let loop = try EventLoop(name: "test")
    var failure: (any Error)?
    do {
      let configuration = try Kubeconfig(files: [kubeconfig]).configuration()
      let client = quickClient(configuration, http, loop)
      if let kind = try await missing(rule.kinds, client) {
        skip(rule, "the cluster does not serve \(kind) of argoproj.io")
      } else {
        try await inNamespace(client) { namespace in
          try await rule.check(
            RuleBench(client: client, namespace: namespace, server: nil, loop: loop)
          )
        }
      }
    } catch { failure = error }
    await http.close()
    loop.stop()
    if let failure { throw failure }
  }

  private static func skip(_ rule: Rule, _ why: String) {
    print("skipped on this cluster: \(rule.testDescription): \(why)")
  }

  /// The first of these kinds that the cluster does not have.
  private static func missing(
    _ kinds: [String],
    _ client: ClusterClient
  ) async throws -> String? {
    for kind in kinds {
      do throws(ClusterError) {
        _ = try await client.resource("argoproj.io/v1alpha1", plural: kind)
      } catch {
        guard error.kind == .configuration else { throw error }
        return kind
      }
    }
    return nil
  }

  private static func inNamespace(
    _ client: ClusterClient,
    _ body: (String) async throws -> Void
  ) async throws {
    var random = SystemRandomNumberGenerator()
    let name = namespacePrefix + String(random.next() as UInt64, radix: 36)
    let type = try await client.resource("v1", kind: "Namespace")
    let object: JSON = [
      "apiVersion": "v1", "kind": "Namespace", "metadata": ["name": .string(name)],
    ]
    _ = try await client.create(type, namespace: nil, object)
    var failure: (any Error)?
    do { try await body(name) } catch { failure = error }
    _ = try await client.delete(type, namespace: nil, name: name)
    if let failure { throw failure }
  }

  /// Whether a ConfigMap is not there; on another cluster it may take its time.
  func isGone(_ name: String) async throws -> Bool {
    if let server { return server.object("configmaps", namespace, name) == nil }
    let deadline = MonotonicTime.now() + Self.patience
    while MonotonicTime.now() < deadline {
      let error = await refusal {
        _ = try await client.get(configMaps, namespace: namespace, name: name)
      }
      if error?.isNotFound == true { return true }
      await loop.sleep(for: .milliseconds(200))
    }
    return false
  }

  /// Sets a key of a ConfigMap as somebody who does not apply it.
  func changeByAnother(_ name: String, _ key: String, _ value: JSON) async throws {
    if let server {
      server.change("configmaps", namespace, name) { $0.set(value, at: "data", key) }
      return
    }
    // An update is another manager's than an apply, also under one name.
    let patch = JSON.object([.init(key: "data", value: .object([.init(key: key, value: value)]))])
    _ = try await client.patch(configMaps, namespace: namespace, name: name, .merge, patch)
  }
}
