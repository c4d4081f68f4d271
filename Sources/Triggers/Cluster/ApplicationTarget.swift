import Cluster
import HTTPClient
import JSON
import Plugin
import Posix

/// One Application: the object in the cluster, or what Argo CD's server says of it.
struct ApplicationTarget: Sendable {
  enum Access: Sendable {
    case object(ClusterAccess.Connection, ResourceType)
    case server(ArgoAPI)
  }

  let access: Access
  let namespace: String
  let name: String
  let host: any TriggerHost

  /// Who waits for the same application, whatever way it is reached.
  static let turns = Turns()

  /// How often the server is asked: it has no version to wait for.
  private static let pollTime = Duration.seconds(2)

  /// Tells it from every other application, of other clusters too.
  var place: String {
    let server =
      switch access {
      case .object(let connection, _): connection.client.configuration.server
      case .server(let api): api.spec.url
      }
    return "\(server) \(namespace)/\(name)"
  }

  var type: ResourceType? {
    if case .object(_, let type) = access { type } else { nil }
  }

  private var query: [(name: String, value: String)] { [("appNamespace", namespace)] }
  private var path: String { "/api/v1/applications/\(percentEncoded(name))" }

  func state() async throws(ClusterError) -> ApplicationState {
    switch access {
    case .object(let connection, let type):
      ApplicationState(try await connection.client.get(type, namespace: namespace, name: name))
    case .server(let api): ApplicationState(try await api.send(.get, path, query: query))
    }
  }

  /// A merge patch of the object.
  func patch(_ patch: JSON) async throws(ClusterError) -> JSON {
    switch access {
    case .object(let connection, let type):
      return try await connection.client.patch(
        type,
        namespace: namespace,
        name: name,
        .merge,
        patch
      )
    case .server(let api):
      return try await api.send(
        .patch,
        path,
        query: query,
        [
          "name": .string(name), "patch": .string(patch.text), "patchType": "merge",
          "appNamespace": .string(namespace),
        ]
      )
    }
  }

  /// Has it compared anew; the server answers when that is done.
  func refresh(_ word: String) async throws(ClusterError) -> JSON {
    switch access {
    case .object:
      return try await patch(
        ["metadata": ["annotations": ["argocd.argoproj.io/refresh": .string(word)]]]
      )
    case .server(let api):
      return try await api.send(.get, path, query: query + [("refresh", word)])
    }
  }

  /// - Parameter state: what was seen last; in the cluster its version is a lock: without it the
  ///   patch would mix with somebody else's operation.
  func request(
    _ operation: JSON,
    _ state: ApplicationState
  ) async throws(ClusterError) -> ApplicationState {
    switch access {
    case .object:
      return ApplicationState(
        try await patch(
          [
            "metadata": ["resourceVersion": .string(state.resourceVersion)],
            "operation": operation,
          ]
        )
      )
    case .server(let api):
      return ApplicationState(
        try await api.send(.post, path + "/sync", query: query, body(operation))
      )
    }
  }

  /// Whether an error of `request` says that another operation came first.
  func isBusy(_ error: ClusterError) -> Bool {
    error.isConflict || error.description.contains("another operation is already in progress")
  }

  func terminate(_ state: ApplicationState) async throws(ClusterError) -> ApplicationState {
    switch access {
    case .object:
      return ApplicationState(
        try await patch(
          [
            "metadata": ["resourceVersion": .string(state.resourceVersion)],
            "status": ["operationState": ["phase": "Terminating"]],
          ]
        )
      )
    case .server(let api):
      try await api.send(.delete, path + "/operation", query: query)
      return try await self.state()
    }
  }

  /// The operation as the server takes it: the names differ (section C.3).
  private func body(_ operation: JSON) -> JSON {
    var body: JSON = ["name": .string(name), "appNamespace": .string(namespace)]
    for (key, name) in [
      ("revision", "revision"), ("prune", "prune"), ("dryRun", "dryRun"),
      ("syncStrategy", "strategy"), ("resources", "resources"),
    ] {
      if let value = operation.at("sync", key) { body.set(value, at: name) }
    }
    if let options = operation.at("sync", "syncOptions") {
      body.set(options, at: "syncOptions", "items")
    }
    if let retry = operation["retry"] { body.set(retry, at: "retryStrategy") }
    if let info = operation["info"] { body.set(info, at: "infos") }
    return body
  }

  /// Calls `body` with every state that is seen, until it answers; nil when the task is cancelled.
  /// - Parameter patience: the longest time between two calls; nil: for ever.
  func watch<Result: Sendable>(
    patience: @Sendable () -> Duration?,
    _ body: @Sendable (Sighting) async -> Result?
  ) async -> Result? {
    guard case .server = access else {
      guard case .object(let connection, let type) = access else { return nil }
      return await connection.followers.follow(
        type,
        namespace: namespace,
        name: name,
        patience: patience,
        body
      )
    }
    while !Task.isCancelled {
      var sighting = Sighting.nothing
      // What cannot be asked now is asked again; the patience of the caller bounds that.
      if let state = try? await state() { sighting = .present(state.object) }
      if let result = await body(sighting) { return result }
      let wait = min(Self.pollTime, max(patience() ?? Self.pollTime, .milliseconds(50)))
      await host.waitForEnd(of: nil, atMost: wait)
    }
    return nil
  }
}
