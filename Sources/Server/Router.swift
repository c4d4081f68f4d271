import HTTP
import Plugin
import Synchronization

/// The routes of one port, as the plan in force says.
final class PortRoutes: RequestHandler {
  private let router: Mutex<Router?>

  /// - Parameter routes: nil: the plan is not in force yet.
  init(_ routes: [Route]?) { router = Mutex(routes.map { Router($0) }) }

  func replace(with routes: [Route]) { router.withLock { $0 = Router(routes) } }

  func accept(_ head: RequestHead) -> Acceptance {
    guard let router = router.withLock({ $0 }) else {
      return .answer(.text(503, "what is served here is about to change"))
    }
    return router.accept(head)
  }
}

/// The routes of one port.
struct Router: RequestHandler {
  private let routes: [String: [Route]]

  init(_ routes: [Route]) { self.routes = Dictionary(grouping: routes) { $0.path } }

  func accept(_ head: RequestHead) -> Acceptance {
    guard let here = routes[head.path] else { return .answer(elsewhere(head)) }
    if let route = here.first(where: { $0.method == nil || $0.method == head.method }) {
      return route.handler.accept(head)
    }
    let methods = here.compactMap(\.method)
    // A GET may store an event; asking for its head never does.
    if head.method == "HEAD" && methods.contains("GET") { return .answer(.text(200, "")) }
    return .answer(allowing(methods, head))
  }

  /// What needs no route: the server as a whole, and its health.
  private func elsewhere(_ head: RequestHead) -> Response {
    switch head.path {
    case "*": return allowing(["GET", "POST"], head)
    case "/health":
      let isRead = head.method == "GET" || head.method == "HEAD"
      return isRead ? .text(200, "OK") : allowing(["GET"], head)
    default: return .text(404, "nothing is served at this path")
    }
  }

  /// 204 to OPTIONS, 405 to what is not allowed.
  private func allowing(_ methods: [String], _ head: RequestHead) -> Response {
    var allowed = methods
    if methods.contains("GET") { allowed.append("HEAD") }
    allowed.append("OPTIONS")
    let list = allowed.joined(separator: ", ")
    var response =
      head.method == "OPTIONS" ? Response(status: 204) : Response.text(405, "use \(list)")
    response.headers.add("Allow", list)
    return response
  }
}
