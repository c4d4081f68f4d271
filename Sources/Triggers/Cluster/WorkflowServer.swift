import Cluster
import Event
import HTTPClient
import JSON
import Plugin
import Posix

extension WorkflowTrigger {
  /// argo-server; nil: the manifest names none.
  var server: WorkflowServer? {
    spec.server.map { WorkflowServer(api: ArgoAPI(spec: $0, host: host)) }
  }

  /// Lets a failed run go on in its place, once for the firing: when it began and ended is noted
  /// before, and a retry begins anew (spec section B.4).
  func retry(
    _ named: JSON,
    _ namespace: String,
    _ client: ClusterClient,
    _ firing: Firing
  ) async throws -> Outcome {
    guard let server else { return .reject(why: "no argo-server is named", result: .null) }
    let type = try await client.resource(Self.version, kind: "Workflow")
    let object = try await client.get(type, namespace: namespace, name: name(of: named))
    let state = WorkflowState(object)
    let claim = Claim(firing, host)
    if let note = try claim.read() {
      guard note["uid"] == .string(state.uid) else {
        return .unknown(
          why: "the workflow may have been retried and deleted since, and another has its name",
          result: state.result
        )
      }
      if note["span"] != .string(state.span) {
        return retried(object, type, note["span"] ?? .null)
      }
    }
    guard state.isOver else {
      return .reject(why: "the workflow runs", result: state.result)
    }
    guard !state.isSucceeded else {
      return .reject(why: "found phase Succeeded, expected Failed or Error", result: state.result)
    }
    let before = JSON.string(state.span)
    try claim.write(["uid": .string(state.uid), "span": before])
    do throws(ClusterError) {
      try await server.retry(namespace, name(of: named))
    } catch {
      guard error.isUncertain else { throw error }
      let now = try await client.get(type, namespace: namespace, name: name(of: named))
      if WorkflowState(now).span == state.span { throw error }
    }
    return retried(object, type, before)
  }

  private func retried(_ object: JSON, _ type: ResourceType, _ before: JSON) -> Outcome {
    var result = reference(object, type)
    result.set(before, at: "retried")
    return spec.isFollowed ? .started(result: result) : .done(result: result)
  }
}

/// What only argo-server can do (spec sections B.3 to B.5).
struct WorkflowServer: Sendable {
  let api: ArgoAPI

  /// Rows of the archive are written after the end (section B.5).
  private static let archiveTries = 5

  private func path(_ namespace: String, _ name: String, _ verb: String = "") -> String {
    "/api/v1/workflows/\(percentEncoded(namespace))/\(percentEncoded(name))\(verb)"
  }

  /// - Throws: `ClusterError`.
  func retry(_ namespace: String, _ name: String) async throws(ClusterError) {
    try await api.send(
      .put,
      path(namespace, name, "/retry"),
      [
        "namespace": .string(namespace), "name": .string(name), "restartSuccessful": false,
        "nodeFieldSelector": "", "parameters": [],
      ]
    )
  }

  /// - Throws: `ClusterError`.
  func resume(_ namespace: String, _ name: String) async throws(ClusterError) -> JSON {
    try await api.send(
      .put,
      path(namespace, name, "/resume"),
      ["namespace": .string(namespace), "name": .string(name), "nodeFieldSelector": ""]
    )
  }

  /// The workflow with all its nodes, wherever they are kept.
  /// - Throws: `ClusterError`.
  func get(_ namespace: String, _ name: String, _ uid: String) async throws(ClusterError) -> JSON {
    try await api.send(.get, path(namespace, name), query: [("uid", uid)])
  }

  /// A workflow that is no longer in the cluster; nil where the archive does not have it.
  func archived(_ uid: String, on loop: EventLoop) async -> JSON? {
    for attempt in 0..<Self.archiveTries {
      if attempt > 0 { await loop.sleep(for: .seconds(1)) }
      if Task.isCancelled { return nil }
      do throws(ClusterError) {
        return try await api.send(.get, "/api/v1/archived-workflows/\(percentEncoded(uid))")
      } catch {
        if !error.isNotFound && !error.isTransient { return nil }
      }
    }
    return nil
  }
}
