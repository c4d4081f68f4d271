import HTTP
package import JSON
import Posix
import Synchronization
import TLS

/// A Kubernetes API server for tests on our own HTTP server, with TLS: as much of one as clients of
/// ours and of others rely on. Each rule names its section of the specification of cluster APIs.
///
/// It listens on two ports over the same objects: one for bearer tokens, one for client
/// certificates.
package final class TestCluster: Sendable {
  /// The two flavours of the Workflow CRD (section A.7).
  package enum WorkflowCRD: Sendable { case full, minimal }

  /// How the server says that a version is forgotten (section A.5).
  package enum Gone: Sendable { case status, event }

  private struct Behaviour {
    var gone = Gone.status
    var tokens: Set<String> = ["test-token"]
    /// Answers in the place of the next requests whose method and path contain this.
    var failures: [(method: String, path: String, failure: APIFailure)] = []
    var requests: [String] = []
    var bookmarkSeconds: Double?
    var isAway = false
    var rights: Set<String> = []
  }

  package static let token = "test-token"

  let store = APIStore()
  let kinds: [APIKind]
  private let behaviour = Mutex(Behaviour())
  private let loop: EventLoop
  private let servers: Mutex<[HTTPServer]>
  package let tokenPort: Int
  package let certificatePort: Int

  /// - Parameter tokenPort: the port for bearer tokens; 0: one that is free.
  /// - Throws: `SystemError` or `TLSError`.
  package init(workflows: WorkflowCRD = .full, tokenPort: Int = 0) async throws {
    kinds = APIKind.all(workflows)
    loop = try EventLoop(name: "test-cluster")
    let identity = try TLSIdentity(
      certificates: Array(TestCertificates.one.utf8),
      key: Array(TestCertificates.oneKey.utf8)
    )
    let open = try TLSServerContext([identity], protocols: HTTPServer.protocols)
    let mutual = try TLSServerContext(
      [identity],
      clientAuthorities: Array(TestCertificates.authority.utf8),
      protocols: HTTPServer.protocols
    )
    let handler = Deferred()
    let first = try await HTTPServer(
      address: "127.0.0.1",
      port: tokenPort,
      loops: [loop],
      encryption: { .tls(open) },
      handler: handler.handler(needsToken: true)
    )
    let second = try await HTTPServer(
      address: "127.0.0.1",
      port: 0,
      loops: [loop],
      encryption: { .tls(mutual) },
      handler: handler.handler(needsToken: false)
    )
    self.tokenPort = first.port
    certificatePort = second.port
    servers = Mutex([first, second])
    handler.cluster.withLock { $0 = Weak(self) }
    for name in ["default", "ci", "argocd"] {
      _ = try store.create(kinds[0], "", ["metadata": ["name": .string(name)]], .init())
    }
  }

  package func shutdown() async {
    store.endWatches()
    let servers = servers.withLock { servers in
      defer { servers = [] }
      return servers
    }
    for server in servers { await server.shutdown(grace: .seconds(1)) }
    loop.stop()
  }

  /// A kubeconfig with the contexts `token` (the current one) and `certificate`.
  package var kubeconfig: String {
    func data(_ text: String) -> String { TestCertificates.base64(text) }
    return """
      apiVersion: v1
      kind: Config
      current-context: token
      contexts:
      - {name: token, context: {cluster: token, user: token, namespace: ci}}
      - {name: certificate, context: {cluster: certificate, user: certificate, namespace: ci}}
      clusters:
      - name: token
        cluster:
          server: https://127.0.0.1:\(tokenPort)
          certificate-authority-data: \(data(TestCertificates.authority))
      - name: certificate
        cluster:
          server: https://localhost:\(certificatePort)
          certificate-authority-data: \(data(TestCertificates.authority))
      users:
      - {name: token, user: {token: \(Self.token)}}
      - name: certificate
        user:
          client-certificate-data: \(data(TestCertificates.client))
          client-key-data: \(data(TestCertificates.clientKey))

      """
  }

  // MARK: What tests steer

  package func setGone(_ form: Gone) { behaviour.withLock { $0.gone = form } }

  /// While away it answers nothing but 503, and no watch goes on.
  package func setAway(_ isAway: Bool) {
    behaviour.withLock { $0.isAway = isAway }
    if isAway { store.endWatches() }
  }

  /// What was done so far in the terms of roles: `verb group/resource`.
  package var rights: Set<String> { behaviour.withLock { $0.rights } }

  package func setTokens(_ tokens: Set<String>) { behaviour.withLock { $0.tokens = tokens } }

  /// The next request whose method is `method` and whose path contains `path` gets this answer.
  package func failNext(
    _ method: String,
    _ path: String,
    code: Int,
    reason: String,
    retryAfterSeconds: Int? = nil
  ) {
    var failure = APIFailure(code: code, reason: reason, message: "as the test wishes")
    failure.retryAfterSeconds = retryAfterSeconds
    behaviour.withLock { $0.failures.append((method, path, failure)) }
  }

  /// Forgets the history and ends all watches.
  package func expireHistory() {
    store.compact()
    store.endWatches()
  }

  package func endWatches() { store.endWatches() }

  /// An ERROR event in every watch, which then ends.
  package func breakWatches(code: Int, reason: String) {
    store.endWatches(APIFailure(code: code, reason: reason, message: "as the test wishes"))
  }

  package func sendBookmarks(_ plural: String) {
    if let kind = kinds.first(where: { $0.plural == plural }) { store.bookmarks(kind) }
  }

  package var watcherCount: Int { store.watcherCount }

  /// `METHOD path?query` of every request so far.
  package var requests: [String] { behaviour.withLock { $0.requests } }

  /// What was written of a kind by a manager, in order, with what was there before.
  package func writes(_ plural: String, by manager: String) -> [(last: JSON?, object: JSON)] {
    guard let kind = kinds.first(where: { $0.plural == plural }) else { return [] }
    return store.state.withLock { state in
      state.history.compactMap { record in
        guard record.key.kind == kind.key, record.manager == manager, let object = record.object
        else { return nil }
        return (record.last, object)
      }
    }
  }

  // MARK: Objects, past the API

  package func object(_ plural: String, _ namespace: String, _ name: String) -> JSON? {
    kinds.first { $0.plural == plural }.flatMap { try? store.get($0, namespace, name) }
  }

  package func objects(_ plural: String, _ namespace: String? = nil) -> [JSON] {
    kinds.first { $0.plural == plural }.map { store.all($0, namespace).objects } ?? []
  }

  /// Creates an object as a controller would, status included.
  @discardableResult
  package func put(_ plural: String, _ namespace: String, _ object: JSON) throws -> JSON {
    guard let kind = kinds.first(where: { $0.plural == plural }) else {
      throw APIFailure.noSuchResource
    }
    let options = APIStore.Options(manager: "controller")
    let made = try store.create(kind, namespace, object, options)
    guard let status = object["status"], kind.hasStatus else { return made }
    return try store.patch(
      kind,
      namespace,
      made.at("metadata", "name")?.asString ?? "",
      APIStore.Options(manager: "controller", subresource: "status")
    ) { old in
      var new = old
      new.set(status, at: "status")
      return new
    }
  }

  /// Changes an object as a controller would, status included; nil where it is gone. Where the
  /// status is kept apart, `body` is asked once for each part.
  @discardableResult
  package func change(
    _ plural: String,
    _ namespace: String,
    _ name: String,
    _ body: (inout JSON) -> Void
  ) -> JSON? {
    guard let kind = kinds.first(where: { $0.plural == plural }) else { return Optional.none }
    func changed(_ old: JSON) -> JSON {
      var new = old
      body(&new)
      return new
    }
    if kind.hasStatus {
      let options = APIStore.Options(manager: "controller", subresource: "status")
      guard (try? store.patch(kind, namespace, name, options, changed)) != nil else {
        return Optional.none
      }
    }
    return try? store.patch(kind, namespace, name, .init(manager: "controller"), changed)
  }

  package func remove(_ plural: String, _ namespace: String, _ name: String) {
    guard let kind = kinds.first(where: { $0.plural == plural }) else { return }
    _ = try? store.delete(kind, namespace, name, .null, .init())
  }

  // MARK: Requests

  func answer(_ request: Request, needsToken: Bool) -> Response {
    let head = request.head
    let line = "\(head.method) \(head.path)" + (head.query.isEmpty ? "" : "?\(head.query)")
    let (isKnown, failure) = behaviour.withLock { behaviour -> (Bool, APIFailure?) in
      if behaviour.requests.count < 100_000 { behaviour.requests.append(line) }
      let token = (head.headers["Authorization"] ?? "").dropFirst("Bearer ".count)
      let isKnown = !needsToken || behaviour.tokens.contains(String(token))
      let place = behaviour.failures.firstIndex {
        $0.method == head.method && line.contains($0.path)
      }
      return (isKnown, place.map { behaviour.failures.remove(at: $0).failure })
    }
    if let failure { return failure.response }
    if behaviour.withLock({ $0.isAway }) {
      return APIFailure(code: 503, reason: "ServiceUnavailable", message: "away").response
    }
    guard isKnown else {
      return APIFailure(code: 401, reason: "Unauthorized", message: "Unauthorized").response
    }
    do throws(APIFailure) {
      if let discovery = discovery(head.path) { return .json(200, discovery.encoded()) }
      guard let call = APIRequest(request, kinds) else { throw .noSuchResource }
      if head.headers["User-Agent"] == "signalbox" {
        behaviour.withLock { _ = $0.rights.insert(call.right) }
      }
      return try serve(call)
    } catch { return error.response }
  }

  var gone: Gone { behaviour.withLock { $0.gone } }
  var timers: EventLoop { loop }
}

/// The handler exists before the cluster whose requests it answers.
private final class Deferred: Sendable {
  let cluster = Mutex<Weak?>(nil)

  struct Handler: RequestHandler {
    let deferred: Deferred
    let needsToken: Bool

    func accept(_ head: RequestHead) -> Acceptance {
      .read(bodyLimit: 3 << 20) { request in
        let cluster = deferred.cluster.withLock { $0?.cluster }
        return cluster?.answer(request, needsToken: needsToken) ?? .text(503, "not there yet")
      }
    }
  }

  func handler(needsToken: Bool) -> Handler { Handler(deferred: self, needsToken: needsToken) }
}

private final class Weak: Sendable {
  private let held: Mutex<() -> TestCluster?>
  var cluster: TestCluster? { held.withLock { $0() } }

  init(_ cluster: TestCluster) {
    held = Mutex { [weak cluster] in cluster }
  }
}

extension TestCertificates {
  /// PEM text as kubeconfigs hold it.
  package static func base64(_ text: String) -> String {
    String(decoding: Base64.encode(Array(text.utf8)[...]), as: UTF8.self)
  }
}
