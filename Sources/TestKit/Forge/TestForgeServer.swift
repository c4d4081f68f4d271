package import HTTP
package import JSON
import Posix
import Synchronization

/// A forge's HTTP API for tests, made by its documentation and not by our tables: statuses of
/// commits, hooks and what was delivered to them. What a forge would refuse is refused.
package final class TestForgeServer: RequestHandler {
  /// Whose API it is.
  package enum Flavour: String, Sendable, CaseIterable {
    case github, gitlab, gitea, bitbucket, bitbucketserver, gerrit
  }

  struct State {
    /// `METHOD path`, in the order they came.
    var calls: [String] = []
    /// Bodies of statuses that were taken, with the path.
    var statuses: [(path: String, body: JSON)] = []
    /// Hooks as this forge describes them, by the path of their list.
    var hooks: [String: [JSON]] = [:]
    /// The secret of each, which it never tells.
    var secrets: [String: String] = [:]
    var lastID = 100
    /// Answers in the place of the next ones.
    var instead: [Response] = []
    var deliveries = TestDeliveries()
    /// Bodies of what is only asked for, by path, or path and query.
    var replayed: [String: String] = [:]
    /// How many calls are left.
    var callsLeft = 5000
  }

  package let flavour: Flavour
  /// What a caller shows.
  package static let token = "forge-token"
  let state = Mutex(State())
  private let loop: EventLoop
  private let server = Mutex<HTTPServer?>(nil)
  /// A page of a list holds at the most so many.
  let pageMax: Int

  /// - Throws: `SystemError`.
  package init(_ flavour: Flavour, pageMax: Int = 100) async throws {
    self.flavour = flavour
    self.pageMax = pageMax
    loop = try EventLoop(name: "test-forge")
    let server = try await HTTPServer(address: "127.0.0.1", port: 0, loops: [loop], handler: self)
    self.server.withLock { $0 = server }
  }

  package func close() async {
    await server.withLock { $0 }?.shutdown(grace: .zero)
    loop.stop()
  }

  /// Where it is, as an operator writes it in a manifest.
  package var address: String { "http://127.0.0.1:\(server.withLock { $0?.port ?? 0 })" }

  /// Where its API begins.
  var root: String {
    switch flavour {
    case .github: "/api/v3"
    case .gitlab: "/api/v4"
    case .gitea: "/api/v1"
    case .bitbucket: "/2.0"
    case .bitbucketserver: "/rest/api/1.0"
    case .gerrit: "/a"
    }
  }

  package var calls: [String] { state.withLock { $0.calls } }
  package var statuses: [(path: String, body: JSON)] { state.withLock { $0.statuses } }

  /// Answers the next calls with these.
  package func answer(_ responses: Response...) { state.withLock { $0.instead += responses } }

  /// Answers calls of a path below the root, or of a path and query, with this body.
  package func replay(_ path: String, _ body: String) {
    state.withLock { $0.replayed[path] = body }
  }

  /// The hooks of a list, by its path below the root.
  package func hooks(_ path: String) -> [JSON] { state.withLock { $0.hooks[path] ?? [] } }

  package func secret(ofHook id: String) -> String? { state.withLock { $0.secrets[id] } }

  /// Puts a hook there by other hands.
  package func put(_ hook: JSON, _ path: String) {
    state.withLock { $0.hooks[path, default: []].append(hook) }
  }

  package func removeHooks(_ path: String) { state.withLock { $0.hooks[path] = [] } }

  /// Changes the first hook of a list by other hands.
  package func change(_ path: String, _ key: String, _ value: JSON) {
    state.withLock { $0.hooks[path]?[0].set(value, at: key) }
  }

  // MARK: Requests

  package func accept(_ head: RequestHead) -> Acceptance {
    .read(bodyLimit: 1 << 20) { [self] request in respond(request) }
  }

  private func respond(_ request: Request) -> Response {
    let head = request.head
    guard head.path.hasPrefix(root + "/") else { return Self.message(404, "Not Found") }
    let path = String(head.path.dropFirst(root.count))
    return state.withLock { state in
      state.calls.append("\(head.method) \(path)")
      if !state.instead.isEmpty { return state.instead.removeFirst() }
      if path.hasPrefix("/app/installations/") { return appToken(request) }
      guard isKnown(head.headers) else { return Self.message(401, "Bad credentials") }
      state.callsLeft -= 1
      let body = (try? JSON(parsing: request.body)) ?? .null
      var response: Response
      if head.method == "GET",
        let text = state.replayed[path + "?" + head.query] ?? state.replayed[path]
      {
        response = .json(200, Array(text.utf8))
      } else if isStatus(path) {
        response = takeStatus(path, head.method, body, &state)
      } else if path.contains("/deliveries") {
        response = state.deliveries.answer(request, path, pageMax, address + root + path)
      } else if flavour == .gitlab, path.contains("/hooks/"), path.contains("/events") {
        response = state.deliveries.answerGitLab(request, path, pageMax, address + root + path)
      } else {
        response = hook(path, request, body, &state)
      }
      if flavour == .gerrit, !response.body.isEmpty { response.body = guarded(response.body) }
      if flavour == .github {
        response.headers.add("X-RateLimit-Remaining", "\(state.callsLeft)")
      }
      return response
    }
  }

  private func isKnown(_ headers: Headers) -> Bool {
    let token = Self.token
    switch flavour {
    case .gitlab: return headers["PRIVATE-TOKEN"] == token
    case .gitea: return headers["Authorization"] == "token " + token
    case .bitbucket, .gerrit:
      let pair = Array("robot:\(token)".utf8)
      let basic = "Basic " + String(decoding: Base64.encode(pair[...]), as: UTF8.self)
      let isToken = flavour == .bitbucket && headers["Authorization"] == "Bearer " + token
      return isToken || headers["Authorization"] == basic
    case .bitbucketserver: return headers["Authorization"] == "Bearer " + token
    case .github: return headers["Authorization"] == "Bearer " + token
    }
  }

  /// Of a GitHub App: whether the token it shows is one is looked at, its signature elsewhere.
  private func appToken(_ request: Request) -> Response {
    let proof = request.head.headers["Authorization"]?.split(separator: " ").last ?? ""
    let parts = proof.split(separator: ".")
    guard parts.count == 3 else {
      return Self.message(401, "A JSON web token could not be decoded")
    }
    let text = parts[1].replacing("-", with: "+").replacing("_", with: "/")
    let padded = text + String(repeating: "=", count: (4 - text.count % 4) % 4)
    guard let bytes = Base64.decode(Array(padded.utf8)[...]),
      let claims = try? JSON(parsing: bytes),
      let issued = claims["iat"]?.wholeNumber, let end = claims["exp"]?.wholeNumber,
      end - issued <= 600, claims["iss"] == "77"
    else { return Self.message(401, "'Expiration time' claim ('exp') is too far in the future") }
    return .json(
      201,
      JSON.object([
        .init(key: "token", value: .string(Self.token)),
        .init(key: "expires_at", value: "2099-01-01T00:00:00Z"),
      ]).encoded()
    )
  }

  /// Gerrit's answers are no scripts.
  private func guarded(_ body: [UInt8]) -> [UInt8] { Array(")]}'\n".utf8) + body }

  static func message(_ status: Int, _ text: String) -> Response {
    .json(status, JSON.object([.init(key: "message", value: .string(text))]).encoded())
  }

  // MARK: Statuses

  private func isStatus(_ path: String) -> Bool {
    path.contains("/statuses/") || path.hasSuffix("/builds")
  }

  /// Which words a state has, and what must stand in a status.
  private var statusRule: (words: Set<String>, required: [String], descriptionMax: Int) {
    switch flavour {
    case .github: (["pending", "success", "failure", "error"], ["state"], 140)
    case .gitea: (["pending", "success", "failure", "error", "warning"], ["state"], .max)
    case .gitlab: (["pending", "running", "success", "failed", "canceled"], ["state"], 255)
    case .bitbucket:
      (["SUCCESSFUL", "FAILED", "INPROGRESS", "STOPPED"], ["state", "key", "url"], .max)
    case .bitbucketserver:
      (
        ["SUCCESSFUL", "FAILED", "INPROGRESS", "CANCELLED", "UNKNOWN"], ["state", "key", "url"], 255
      )
    case .gerrit: ([], [], 0)
    }
  }

  private func takeStatus(
    _ path: String,
    _ method: String,
    _ body: JSON,
    _ state: inout State
  ) -> Response {
    guard method == "POST" else { return Self.message(405, "Method Not Allowed") }
    let rule = statusRule
    for key in rule.required where (body[key]?.asString ?? "").isEmpty {
      return Self.message(400, "\(key) is missing")
    }
    guard rule.words.contains(body["state"]?.asString ?? "") else {
      return Self.message(422, "State is not included in the list")
    }
    guard (body["description"]?.asString ?? "").count <= rule.descriptionMax else {
      return Self.message(422, "description is too long (maximum is \(rule.descriptionMax))")
    }
    if flavour == .bitbucket, (body["key"]?.asString ?? "").count > 40 {
      return Self.message(400, "key is too long")
    }
    let last = state.statuses.last { $0.path == path && $0.body["name"] == body["name"] }
    if flavour == .gitlab, let last, last.body["state"] == body["state"] {
      let word = body["state"]?.asString ?? ""
      return Self.message(400, "Cannot transition status via :enqueue from :\(word)")
    }
    state.statuses.append((path, body))
    return flavour == .bitbucketserver ? Response(status: 204) : .json(201, body.encoded())
  }
}
