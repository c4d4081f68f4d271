package import HTTPClient
import JSON
package import Posix

/// A Kubernetes API server, spoken to over our HTTP client: objects are trees that keep what we do
/// not understand, errors are what the Status object says (spec section A).
package final class ClusterClient: Sendable {
  package struct Limits: Sendable {
    /// Requests a second, and how many at once after a pause.
    package var perSecond = 50.0
    package var burst = 100.0
    /// For one request and its answer.
    package var timeout = Duration.seconds(60)
    /// Bytes of an answer.
    package var answerBytes = 64 << 20
    /// Repetitions of a request that the server put off with Retry-After (spec section A.9).
    package var repetitions = 10

    package init() {}
  }

  package let configuration: ClusterConfiguration
  package let loop: EventLoop
  let http: HTTPClient
  let limits: Limits
  /// Where its verbs may reach.
  let scope: ClusterScope
  private let credentials: Credentials
  private let discovery: Discovery
  private let bucket: RequestBudget
  /// Takes `Warning` headers of answers.
  private let warn: @Sendable (String) -> Void

  package init(
    _ configuration: ClusterConfiguration,
    http: HTTPClient,
    loop: EventLoop,
    limits: Limits = Limits(),
    warn: @escaping @Sendable (String) -> Void = { _ in }
  ) {
    self.configuration = configuration
    self.http = http
    self.loop = loop
    self.limits = limits
    self.warn = warn
    scope = .everywhere
    discovery = Discovery()
    credentials = Credentials(configuration, loop, now: { MonotonicTime.now() })
    bucket = RequestBudget(limits, MonotonicTime.now())
  }

  private init(_ other: ClusterClient, _ scope: ClusterScope) {
    configuration = other.configuration
    http = other.http
    loop = other.loop
    limits = other.limits
    warn = other.warn
    credentials = other.credentials
    discovery = other.discovery
    bucket = other.bucket
    self.scope = scope
  }

  /// The same connection, with verbs that reach no further than `scope`.
  func scoped(to scope: ClusterScope) -> ClusterClient { ClusterClient(self, scope) }

  /// Asks for something that everybody may read.
  /// - Throws: `ClusterError`, when no answer came or none that is one.
  package func ping() async throws(ClusterError) {
    _ = try await send(Call(method: .get, path: "/version"))
  }

  /// The path of a collection or an object that is within reach.
  /// - Throws: `ClusterError`.
  func path(
    _ type: ResourceType,
    _ namespace: String?,
    _ name: String? = nil,
    _ subresource: String? = nil
  ) throws(ClusterError) -> String {
    try scope.check(type, namespace)
    return try type.path(namespace: namespace, name: name, subresource: subresource)
  }

  /// Where objects without a namespace belong.
  package var namespace: String { configuration.namespace }

  // MARK: Requests

  struct Call: Sendable {
    var method: OutboundRequest.Method
    var path: String
    var query: [(name: String, value: String)] = []
    var body: JSON?
    var contentType = "application/json"
    /// Whether a repetition does no harm, so that breaks and 5xx are tried again here.
    var isRepeatable = false
  }

  /// Sends a call and answers the object or list that came back.
  /// - Throws: `ClusterError`.
  func send(_ call: Call) async throws(ClusterError) -> JSON {
    var attempt = 0
    var hasRefreshed = false
    while true {
      do throws(ClusterError) {
        let response = try await once(call)
        guard !response.body.isEmpty else { return .null }
        do throws(JSONError) {
          return try JSON(parsing: response.body)
        } catch {
          throw ClusterError(
            .transport(.transport),
            "\(call.path): the answer is no JSON: \(error)"
          )
        }
      } catch {
        if Task.isCancelled { throw error }
        if error.code == 401, !hasRefreshed, await credentials.refused() {
          hasRefreshed = true
          continue
        }
        guard let wait = wait(after: error, call, attempt) else { throw error }
        attempt += 1
        await loop.sleep(for: wait)
        if Task.isCancelled { throw error }
      }
    }
  }

  /// How long to wait before a repetition; nil for none.
  private func wait(after error: ClusterError, _ call: Call, _ attempt: Int) -> Duration? {
    if let after = error.retryAfter, error.code == 429 || error.code >= 500,
      call.isRepeatable || error.code == 429 || error.code == 503
    {
      return attempt < limits.repetitions && after <= .seconds(30) ? after : nil
    }
    guard call.isRepeatable, attempt < 3, error.isTransient, !error.isConflict else { return nil }
    if error.kind == .notConfigured || error.kind == .credential || error.code == 401 { return nil }
    return .milliseconds(200 << attempt)
  }

  private func once(_ call: Call) async throws(ClusterError) -> OutboundResponse {
    await bucket.take(on: loop)
    let request = try await request(call)
    let response: OutboundResponse
    do throws(OutboundError) { response = try await http.send(request) } catch {
      throw ClusterError(.transport(error.kind), error.description)
    }
    guard !response.isTruncated else {
      throw ClusterError(
        .transport(.tooLarge),
        "\(call.path): the answer is larger than \(limits.answerBytes) bytes"
      )
    }
    report(response)
    guard (200...299).contains(response.status) else { throw Self.error(of: response) }
    return response
  }

  static func error(of response: OutboundResponse) -> ClusterError {
    ClusterError(
      status: response.status,
      body: response.body,
      retryAfterSeconds: response.header("Retry-After").flatMap { Int($0) }
    )
  }

  private func report(_ response: OutboundResponse) {
    // Warning: 299 - "text"
    for (name, value) in response.headers where name.lowercased() == "warning" {
      warn(value)
    }
  }

  func request(_ call: Call) async throws(ClusterError) -> OutboundRequest {
    let credential = try await credentials.current()
    var url = configuration.server + call.path
    let query = call.query.map { "\(percentEncoded($0.name))=\(percentEncoded($0.value))" }
    if !query.isEmpty { url += "?" + query.joined(separator: "&") }
    var headers = credential.headers
    headers.append(("Accept", "application/json"))
    headers.append(("User-Agent", "signalbox"))
    if call.body != nil { headers.append(("Content-Type", call.contentType)) }
    var request = OutboundRequest(
      call.method,
      url,
      headers: headers,
      body: call.body.map { $0.encoded() },
      // A kubeconfig is the operator's word.
      rule: .trusted,
      timeout: limits.timeout,
      bodyLimit: limits.answerBytes
    )
    request.tls = credential.tls
    request.proxy = configuration.proxy
    return request
  }

  /// Waits for the budget of requests.
  func takeTurn() async { await bucket.take(on: loop) }

  /// The server refused the credential; whether another one can be had.
  func renewCredential() async -> Bool { await credentials.refused() }

  // MARK: Kinds

  /// The resource of a kind.
  /// - Throws: `ClusterError` of kind `configuration` where the cluster does not serve it.
  package func resource(
    _ apiVersion: String,
    kind: String
  ) async throws(ClusterError) -> ResourceType {
    try await find(apiVersion, "kind \(kind)") { $0.kind == kind }
  }

  /// The resource of a plural name, such as `workflows`.
  package func resource(
    _ apiVersion: String,
    plural: String
  ) async throws(ClusterError) -> ResourceType {
    try await find(apiVersion, plural) { $0.plural == plural }
  }

  private func find(
    _ apiVersion: String,
    _ what: String,
    _ isWanted: @escaping @Sendable (ResourceType) -> Bool
  ) async throws(ClusterError) -> ResourceType {
    do throws(ClusterError) {
      return try await discovery.resources(of: apiVersion, isWanted: isWanted) {
        (path) throws(ClusterError) in
        try await self.send(Call(method: .get, path: path, isRepeatable: true))
      }
    } catch {
      guard error.kind == .configuration || error.isNotFound else { throw error }
      throw ClusterError(.configuration, "the cluster serves no \(what) in \(apiVersion)")
    }
  }
}

/// A bucket of requests that fills with time (spec section A.9).
private actor RequestBudget {
  private let perSecond: Double
  private let burst: Double
  private var left: Double
  private var last: MonotonicTime

  init(_ limits: ClusterClient.Limits, _ now: MonotonicTime) {
    perSecond = limits.perSecond
    burst = limits.burst
    left = limits.burst
    last = now
  }

  /// Takes one, waiting for it where none is left; below nothing means who waits already.
  func take(on loop: EventLoop) async {
    let now = MonotonicTime.now()
    left = min(burst, left + (now - last).inSeconds * perSecond)
    last = now
    left -= 1
    if left < 0 { await loop.sleep(for: .seconds(-left / perSecond)) }
  }
}
