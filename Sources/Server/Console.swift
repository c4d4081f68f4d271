import Bus
import Engine
import EventLog
import HTTP
import Posix

/// What operators and probes ask: whether events can be stored, and how far the engine is behind.
struct Console: RequestHandler {
  let log: EventLog
  let engine: Engine

  func accept(_ head: RequestHead) -> Acceptance {
    guard head.method == "GET" || head.method == "HEAD" else {
      var response = Response.text(405, "use GET")
      response.headers.add("Allow", "GET, HEAD")
      return .answer(response)
    }
    switch head.path {
    case "/healthz": return .answer(.text(200, "the loops turn"))
    case "/healthz/lag":
      return .answer(.text(200, "\(engine.lag(at: .now()).inSeconds) seconds behind"))
    case "/readyz":
      if let failure = log.failure { return .answer(.text(503, "the log failed: \(failure)")) }
      return .answer(.text(200, "ready"))
    default: return .answer(.text(404, "there are /readyz, /healthz and /healthz/lag"))
    }
  }
}
