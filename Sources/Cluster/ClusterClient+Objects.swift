import HTTPClient
package import JSON
import Posix

/// How a patch changes an object (spec section A.7).
package enum PatchStrategy: String, Sendable, CaseIterable {
  case merge = "application/merge-patch+json"
  case json = "application/json-patch+json"
  case strategic = "application/strategic-merge-patch+json"
  case apply = "application/apply-patch+yaml"
}

/// Verbs over objects. All throw `ClusterError`.
extension ClusterClient {
  /// Who changes objects, as `managedFields` will name us.
  package static var fieldManager: String { "signalbox" }

  package func get(
    _ type: ResourceType,
    namespace: String?,
    name: String
  ) async throws(ClusterError) -> JSON {
    try await send(
      Call(
        method: .get,
        path: try path(type, namespace, name),
        isRepeatable: true
      )
    )
  }

  /// One page of a collection: `items` and `metadata`.
  package func page(
    _ type: ResourceType,
    namespace: String?,
    query: [(name: String, value: String)]
  ) async throws(ClusterError) -> JSON {
    try await send(
      Call(
        method: .get,
        path: try path(type, namespace),
        query: query,
        isRepeatable: true
      )
    )
  }

  /// All objects of a collection that a label selector takes; an expired continuation begins anew
  /// (spec section A.5).
  package func list(
    _ type: ResourceType,
    namespace: String?,
    labelSelector: String? = nil
  ) async throws(ClusterError) -> [JSON] {
    var items: [JSON] = []
    var token = ""
    var restarts = 0
    while true {
      var query: [(name: String, value: String)] = [("limit", "500")]
      if let labelSelector { query.append(("labelSelector", labelSelector)) }
      if !token.isEmpty { query.append(("continue", token)) }
      do throws(ClusterError) {
        let page = try await page(type, namespace: namespace, query: query)
        items += page["items"]?.items ?? []
        token = page.at("metadata", "continue")?.asString ?? ""
        if token.isEmpty { return items }
      } catch {
        guard error.isGone, restarts < 3 else { throw error }
        (items, token, restarts) = ([], "", restarts + 1)
      }
    }
  }

  package func create(
    _ type: ResourceType,
    namespace: String?,
    _ object: JSON,
    dryRun: Bool = false
  ) async throws(ClusterError) -> JSON {
    try await send(
      Call(
        method: .post,
        path: try path(type, namespace),
        query: [("fieldManager", Self.fieldManager)] + (dryRun ? [("dryRun", "All")] : []),
        body: object
      )
    )
  }

  /// Replaces an object whole; its `resourceVersion` must be the last one (spec section A.6).
  package func replace(
    _ type: ResourceType,
    namespace: String?,
    name: String,
    _ object: JSON
  ) async throws(ClusterError) -> JSON {
    try await send(
      Call(
        method: .put,
        path: try path(type, namespace, name),
        query: [("fieldManager", Self.fieldManager)],
        body: object
      )
    )
  }

  /// - Parameter force: takes fields from other managers (server-side apply only).
  package func patch(
    _ type: ResourceType,
    namespace: String?,
    name: String,
    subresource: String? = nil,
    _ strategy: PatchStrategy,
    _ body: JSON,
    force: Bool = false
  ) async throws(ClusterError) -> JSON {
    var query = [(name: "fieldManager", value: Self.fieldManager)]
    if force && strategy == .apply { query.append(("force", "true")) }
    return try await send(
      Call(
        method: .patch,
        path: try path(type, namespace, name, subresource),
        query: query,
        body: body,
        contentType: strategy.rawValue,
        isRepeatable: strategy == .apply
      )
    )
  }

  /// - Parameter uid: the object that is meant; a namesake is left alone (409).
  package func delete(
    _ type: ResourceType,
    namespace: String?,
    name: String,
    uid: String? = nil
  ) async throws(ClusterError) -> JSON {
    var options: JSON = [
      "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background",
    ]
    if let uid { options.set(.string(uid), at: "preconditions", "uid") }
    return try await send(
      Call(
        method: .delete,
        path: try path(type, namespace, name),
        body: options
      )
    )
  }

  /// Reads, changes and writes until nobody writes in between (spec section A.6).
  /// - Parameter change: nil: nothing to write; the object is answered as it is.
  package func update(
    _ type: ResourceType,
    namespace: String?,
    name: String,
    _ change: (JSON) throws(ClusterError) -> JSON?
  ) async throws(ClusterError) -> JSON {
    var attempt = 0
    while true {
      let object = try await get(type, namespace: namespace, name: name)
      guard let changed = try change(object) else { return object }
      do throws(ClusterError) {
        return try await replace(type, namespace: namespace, name: name, changed)
      } catch {
        guard error.isConflict, attempt < 5 else { throw error }
        await loop.sleep(for: .milliseconds(10 << attempt))
        attempt += 1
      }
    }
  }
}
