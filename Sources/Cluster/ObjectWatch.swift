import HTTPClient
package import JSON
import Posix

/// An object as a watch or a list brought it: its text, and what is always looked at.
package struct ObservedObject: Sendable {
  /// The object's own text.
  package let bytes: [UInt8]
  package let namespace: String
  package let name: String
  package let uid: String
  package let resourceVersion: String

  /// nil for what is no object.
  init?(_ value: JSONValue) {
    guard value.kind == .object, let document = try? JSONDocument(Array(value.raw)) else {
      return nil
    }
    func text(_ key: String) -> String { document.value(of: "metadata", key)?.string ?? "" }
    bytes = document.bytes
    namespace = text("namespace")
    name = text("name")
    uid = text("uid")
    resourceVersion = text("resourceVersion")
  }

  package init?(_ bytes: [UInt8]) {
    guard let document = try? JSONDocument(bytes) else { return nil }
    self.init(document.root)
  }

  /// The whole tree; nil never, since the text was checked.
  package var json: JSON? { try? JSON(parsing: bytes) }

}

/// What a watch tells.
package enum WatchChange: Sendable {
  /// A list of all objects begins: the first one, or after the server forgot where we were.
  case listBegan
  /// One object of the list.
  case listed(ObservedObject)
  /// What was not in the list is gone; no deletion will be told for it (spec section A.5).
  case listEnded(resourceVersion: String)
  case added(ObservedObject)
  case modified(ObservedObject)
  /// With its last state.
  case deleted(ObservedObject)
  /// Nothing happened up to here.
  case bookmark(resourceVersion: String)
}

/// Watches one kind in one namespace for as long as its task runs: list, watch, resume, list again
/// where the server says 410 in either of its forms (spec section A.5).
package struct ObjectWatch: Sendable {
  package struct Timing: Sendable {
    /// What the server is asked for; a little later the connection is given up as dead.
    package var watchSeconds = 300
    /// Before the first repetition after a failure, doubled up to `longestWait`.
    package var shortestWait = Duration.milliseconds(800)
    package var longestWait = Duration.seconds(30)

    package init() {}

    /// Before the next repetition.
    func wait(_ failures: Int, _ after: Duration?) -> Duration {
      let doubled = shortestWait * (1 << min(max(0, failures - 1), 8))
      let jitter = Double.random(in: 0.75...1.25)
      return max(min(doubled, longestWait) * jitter, after ?? .zero)
    }
  }

  private let client: ClusterClient
  private let type: ResourceType
  private let namespace: String?
  private let labelSelector: String?
  private let fieldSelector: String?
  private let timing: Timing

  /// Bytes of a watch that may wait to be handled.
  private static let backlogBytes = 32 << 20
  /// Failures in a row before the whole list is asked for again.
  private static let failuresMax = 5

  /// - Parameter namespace: nil: all namespaces.
  package init(
    _ client: ClusterClient,
    _ type: ResourceType,
    namespace: String?,
    labelSelector: String? = nil,
    fieldSelector: String? = nil,
    timing: Timing = Timing()
  ) {
    self.client = client
    self.type = type
    self.namespace = namespace
    self.labelSelector = labelSelector
    self.fieldSelector = fieldSelector
    self.timing = timing
  }

  /// - Parameter version: where an earlier watch got to; nil: begin with a list.
  /// - Parameter failed: takes what went wrong and will be tried again.
  /// - Parameter handle: takes changes in their order.
  package func run(
    from version: String? = nil,
    failed: @escaping @Sendable (ClusterError) -> Void = { _ in },
    handle: @escaping @Sendable (WatchChange) async -> Void
  ) async {
    var version = version
    var failures = 0
    while !Task.isCancelled {
      do throws(ClusterError) {
        if version == nil { version = try await list(handle) }
        guard let from = version else { continue }
        try await watch(from, seconds: timing.watchSeconds, handle) { reached in
          version = reached
          failures = 0
        }
        failures = 0
      } catch {
        if Task.isCancelled { return }
        if error.isGone {
          version = nil
          failures += 1
          if failures == 1 { continue }
        } else {
          failures += 1
          if error.code == 401, failures == 1, await client.renewCredential() { continue }
          if failures % Self.failuresMax == 0 { version = nil }
          failed(error)
        }
        await client.loop.sleep(for: wait(failures, error.retryAfter))
      }
    }
  }

  private func wait(_ failures: Int, _ after: Duration?) -> Duration {
    timing.wait(failures, after)
  }

  private var selectors: [(name: String, value: String)] {
    var query: [(name: String, value: String)] = []
    if let labelSelector { query.append(("labelSelector", labelSelector)) }
    if let fieldSelector { query.append(("fieldSelector", fieldSelector)) }
    return query
  }

  /// Brings every object, between `listBegan` and `listEnded`, and answers the version the list
  /// is of.
  /// - Parameter past: the version whose objects are wanted; nil: the present ones.
  func list(
    as past: String? = nil,
    _ handle: @Sendable (WatchChange) async -> Void
  ) async throws(ClusterError) -> String {
    await handle(.listBegan)
    var token = ""
    while true {
      var query = selectors + [("limit", "100")]
      if !token.isEmpty {
        query.append(("continue", token))
      } else if let past {
        query += [("resourceVersion", past), ("resourceVersionMatch", "Exact")]
      }
      let page = try await client.page(type, namespace: namespace, query: query)
      for item in page["items"]?.items ?? [] {
        if let object = ObservedObject(completed(item).encoded()) { await handle(.listed(object)) }
      }
      token = page.at("metadata", "continue")?.asString ?? ""
      if token.isEmpty {
        let version = page.at("metadata", "resourceVersion")?.asString ?? ""
        await handle(.listEnded(resourceVersion: version))
        return version
      }
    }
  }

  /// Items of built-in lists come without their kind (spec section A.3).
  private func completed(_ item: JSON) -> JSON {
    guard item["kind"] == nil else { return item }
    let head: [JSON.Member] = [
      .init(key: "apiVersion", value: .string(type.apiVersion)),
      .init(key: "kind", value: .string(type.kind)),
    ]
    return .object(head + item.members)
  }

  /// Watches once, for about so many seconds, and returns at the end of the stream, which is nothing
  /// unusual.
  func watch(
    _ version: String,
    seconds: Int,
    _ handle: @escaping @Sendable (WatchChange) async -> Void,
    reached: (String) -> Void
  ) async throws(ClusterError) {
    await client.takeTurn()
    var request = try await client.request(
      ClusterClient.Call(
        method: .get,
        path: try client.path(type, namespace),
        query: selectors + [
          ("watch", "1"), ("allowWatchBookmarks", "true"), ("resourceVersion", version),
          ("timeoutSeconds", "\(seconds)"),
        ]
      )
    )
    // A connection that died without a word is noticed by this.
    request.timeout = .seconds(seconds + 30)
    let stream = ByteStream(limit: Self.backlogBytes)
    let http = client.http
    let sent = request
    let transfer = Task { () async -> Result<OutboundResponse, ClusterError> in
      defer { stream.end() }
      do throws(OutboundError) {
        return .success(try await http.stream(sent) { stream.put($0) })
      } catch {
        return .failure(ClusterError(.transport(error.kind), error.description))
      }
    }
    let failure = await withTaskCancellationHandler {
      await read(stream, handle, reached: reached)
    } onCancel: {
      transfer.cancel()
    }
    if let failure {
      transfer.cancel()
      _ = await transfer.value
      throw failure
    }
    let response = try await transfer.value.get()
    guard (200...299).contains(response.status) else { throw ClusterClient.error(of: response) }
  }

  private func read(
    _ stream: ByteStream,
    _ handle: @Sendable (WatchChange) async -> Void,
    reached: (String) -> Void
  ) async -> ClusterError? {
    var splitter = LineSplitter()
    while let bytes = await stream.next() {
      do throws(ClusterError) {
        var changes: [WatchChange] = []
        try splitter.take(bytes) { (line) throws(ClusterError) in
          if let change = try Self.change(line) { changes.append(change) }
        }
        for change in changes {
          await handle(change)
          if let version = change.resourceVersion { reached(version) }
        }
      } catch { return error }
      if splitter.count > Self.backlogBytes {
        return ClusterError(.transport(.tooLarge), "a watch event is larger than 32 MiB")
      }
    }
    return nil
  }

  /// - Throws: what an ERROR event says.
  private static func change(_ line: [UInt8]) throws(ClusterError) -> WatchChange? {
    guard let document = try? JSONDocument(line), let kind = document.value(of: "type")?.string,
      let value = document.value(of: "object")
    else { throw ClusterError(.transport(.transport), "a watch event is no JSON") }
    if kind == "ERROR" {
      let code = value.json?["code"]?.wholeNumber ?? 500
      throw ClusterError(status: code, body: Array(value.raw))
    }
    guard let object = ObservedObject(value) else { return nil }
    switch kind {
    case "ADDED": return .added(object)
    case "MODIFIED": return .modified(object)
    case "DELETED": return .deleted(object)
    case "BOOKMARK": return .bookmark(resourceVersion: object.resourceVersion)
    default: return nil
    }
  }
}

extension WatchChange {
  /// Where the watch has got to with this.
  package var resourceVersion: String? {
    switch self {
    case .added(let object), .modified(let object), .deleted(let object): object.resourceVersion
    case .listEnded(let version), .bookmark(let version): version
    case .listBegan, .listed: nil
    }
  }
}
