import HTTP
import Plugin
import Synchronization

/// The routes of one port, as the plan in force says.
final class PortRoutes: RequestHandler {
  private let router: Mutex<Router>

  init(_ routes: [Route]) { router = Mutex(Router(routes)) }

  func replace(with routes: [Route]) { router.withLock { $0 = Router(routes) } }

  func accept(_ head: RequestHead) -> Acceptance { router.withLock { $0 }.accept(head) }
}

/// The routes of one port.
struct Router: RequestHandler {
  private let routes: [String: [Route]]

  init(_ routes: [Route]) { self.routes = Dictionary(grouping: routes) { $0.path } }

  func accept(_ head: RequestHead) -> Acceptance {
    guard let here = routes[head.path] else {
      if head.path == "/health" { return .answer(.text(200, "OK")) }
      return .answer(.text(404, "nothing is served at this path"))
    }
    if let route = here.first(where: { $0.method == nil || $0.method == head.method }) {
      return route.handler.accept(head)
    }
    let allowed = here.compactMap(\.method).joined(separator: ", ")
    var response = Response.text(head.method == "OPTIONS" ? 204 : 405, "use \(allowed)")
    if head.method == "OPTIONS" { response.body = [] }
    response.headers.add("Allow", allowed)
    return .answer(response)
  }
}
