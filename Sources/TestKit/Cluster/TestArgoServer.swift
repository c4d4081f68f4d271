import HTTP
package import JSON
import Posix
import Synchronization
import TLS

/// argo-server and Argo CD's server for tests, over the objects of a test cluster: what triggers
/// ask of them (sections B.3 to B.5, C.2 and C.3).
package final class TestArgoServer: Sendable {
  package static let token = "argo-token"
  /// The authorities that signed its certificate, as PEM.
  package static var authorities: String { TestCertificates.authority }

  private struct State {
    /// Whole workflows by uid: those of the archive, and those whose nodes are kept elsewhere.
    var archive: [String: JSON] = [:]
    var requests: [String] = []
  }

  private let cluster: TestCluster
  private let loop: EventLoop
  private let state = Mutex(State())
  private let server: Mutex<HTTPServer?>
  private let late: Late
  package let url: String

  /// - Throws: `SystemError` or `TLSError`.
  package init(_ cluster: TestCluster) async throws {
    self.cluster = cluster
    loop = try EventLoop(name: "test-argo-server")
    let identity = try TLSIdentity(
      certificates: Array(TestCertificates.one.utf8),
      key: Array(TestCertificates.oneKey.utf8)
    )
    let context = try TLSServerContext([identity], protocols: HTTPServer.protocols)
    let handler = Late()
    let server = try await HTTPServer(
      address: "127.0.0.1",
      port: 0,
      loops: [loop],
      encryption: { .tls(context) },
      handler: handler
    )
    self.server = Mutex(server)
    url = "https://127.0.0.1:\(server.port)/base"
    // Taken back by `shutdown`.
    late = handler
    handler.answer.withLock { answer in answer = { [self] in self.answer($0) } }
  }

  package func shutdown() async {
    let server = server.withLock { server in
      defer { server = nil }
      return server
    }
    await server?.shutdown(grace: .seconds(1))
    late.answer.withLock { answer in answer = { _ in .text(503, "gone") } }
    loop.stop()
  }

  /// Puts a workflow into the archive, or its nodes into the database.
  package func keep(_ workflow: JSON) {
    let uid = workflow.at("metadata", "uid")?.asString ?? ""
    state.withLock { $0.archive[uid] = workflow }
  }

  /// `METHOD path` of every request so far.
  package var requests: [String] { state.withLock { $0.requests } }

  /// The handler exists before the server whose requests it answers.
  private final class Late: RequestHandler {
    let answer = Mutex<@Sendable (Request) -> Response>({ _ in .text(503, "not there yet") })

    func accept(_ head: RequestHead) -> Acceptance {
      .read(bodyLimit: 1 << 20) { [self] request in answer.withLock { $0 }(request) }
    }
  }

  private struct Failure: Error {
    let status: Int
    let code: Int
    let message: String
  }

  private func answer(_ request: Request) -> Response {
    let head = request.head
    state.withLock { $0.requests.append("\(head.method) \(head.path)") }
    do throws(Failure) {
      guard head.headers["Authorization"] == "Bearer \(Self.token)" else {
        throw Failure(status: 401, code: 16, message: "no valid token")
      }
      // Exactly this (section C.2).
      guard head.method == "GET" || head.headers["Content-Type"] == "application/json" else {
        throw Failure(status: 415, code: 3, message: "Invalid content type")
      }
      let path = head.path.split(separator: "/").map { APIRequest.decoded(String($0)) }
      guard path.count >= 5, path[0] == "base", path[1] == "api", path[2] == "v1" else {
        throw Failure(status: 404, code: 5, message: "not found")
      }
      let body = (try? JSON(parsing: request.body)) ?? .null
      let query = APIRequest.query(head.query)
      let rest = Array(path[4...])
      let object =
        switch path[3] {
        case "workflows": try workflow(head.method, rest)
        case "archived-workflows": try archived(rest[0])
        case "applications": try application(head.method, rest, query, body)
        default: throw Failure(status: 404, code: 5, message: "not found")
        }
      return .json(200, object.encoded())
    } catch {
      let body: JSON = [
        "error": .string(error.message), "code": JSON(error.code),
        "message": .string(error.message),
      ]
      return .json(error.status, body.encoded())
    }
  }

  // MARK: Workflows

  private func archived(_ uid: String) throws(Failure) -> JSON {
    guard let found = state.withLock({ $0.archive[uid] }) else {
      throw Failure(status: 404, code: 5, message: "not found")
    }
    return found
  }

  private func workflow(_ method: String, _ path: [String]) throws(Failure) -> JSON {
    guard path.count >= 2, let object = cluster.object("workflows", path[0], path[1]) else {
      throw Failure(status: 404, code: 5, message: "not found")
    }
    let verb = path.count > 2 ? path[2] : ""
    switch (method, verb) {
    case ("GET", ""): return try archived(object.at("metadata", "uid")?.asString ?? "")
    case ("PUT", "retry"):
      let phase = object.at("status", "phase")?.asString ?? ""
      guard phase == "Failed" || phase == "Error" else {
        throw Failure(status: 400, code: 3, message: "workflow must be Failed/Error to retry")
      }
      return cluster.change("workflows", path[0], path[1]) { object in
        object.set("", at: "status", "phase")
        object.set(nil, at: "status", "finishedAt")
        object.set(nil, at: "status", "message")
        object.set(.string(APIStore.now()), at: "status", "startedAt")
        object.set(nil, at: "spec", "shutdown")
      } ?? .null
    case ("PUT", "resume"):
      return cluster.change("workflows", path[0], path[1]) { object in
        object.set(nil, at: "spec", "suspend")
        object.set("2/2", at: "status", "progress")
      } ?? .null
    default: throw Failure(status: 404, code: 5, message: "not found")
    }
  }

  // MARK: Applications

  private func application(
    _ method: String,
    _ path: [String],
    _ query: [String: String],
    _ body: JSON
  ) throws(Failure) -> JSON {
    let namespace = query["appNamespace"] ?? body["appNamespace"]?.asString ?? "argocd"
    guard let object = cluster.object("applications", namespace, path[0]) else {
      // Absent or forbidden, nobody is told which.
      throw Failure(status: 403, code: 7, message: "permission denied")
    }
    func changed(_ change: (inout JSON) -> Void) -> JSON {
      cluster.change("applications", namespace, path[0], change) ?? .null
    }
    switch (method, path.count > 1 ? path[1] : "") {
    case ("GET", ""):
      guard query["refresh"] != nil else { return object }
      return changed { $0.set(.string(APIStore.now()), at: "status", "reconciledAt") }
    case ("POST", "sync"):
      let phase = object.at("status", "operationState", "phase")
      guard object["operation"] == nil, phase != "Running", phase != "Terminating" else {
        throw Failure(status: 400, code: 9, message: "another operation is already in progress")
      }
      return changed { object in
        object.set(operation(body, object), at: "operation")
        object.set(nil, at: "status", "operationState")
      }
    case ("DELETE", "operation"):
      guard
        object["operation"] != nil || object.at("status", "operationState", "phase") == "Running"
      else { throw Failure(status: 400, code: 3, message: "No operation is in progress") }
      return changed { $0.set("Terminating", at: "status", "operationState", "phase") }
    case ("PATCH", ""):
      guard body["patchType"] == "merge", let text = body["patch"]?.asString,
        let patch = try? JSON(parsing: Array(text.utf8))
      else { throw Failure(status: 400, code: 3, message: "bad patch") }
      // Only these are taken over.
      return changed { object in
        let merged = object.merged(with: patch)
        object.set(merged["spec"], at: "spec")
        for key in ["labels", "annotations"] {
          object.set(merged.at("metadata", key), at: "metadata", key)
        }
      }
    default: throw Failure(status: 404, code: 5, message: "not found")
    }
  }

  /// The operation that a sync's body stands for; the names differ (section C.3).
  private func operation(_ body: JSON, _ object: JSON) -> JSON {
    var operation: JSON = ["initiatedBy": ["username": "test"], "sync": [:]]
    for (key, name) in [
      ("revision", "revision"), ("prune", "prune"), ("dryRun", "dryRun"),
      ("strategy", "syncStrategy"), ("resources", "resources"),
    ] {
      if let value = body[key] { operation.set(value, at: "sync", name) }
    }
    let options =
      body.at("syncOptions", "items") ?? object.at("spec", "syncPolicy", "syncOptions")
    if let options { operation.set(options, at: "sync", "syncOptions") }
    if let retry = body["retryStrategy"] { operation.set(retry, at: "retry") }
    if let infos = body["infos"] { operation.set(infos, at: "info") }
    return operation
  }
}
