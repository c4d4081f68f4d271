import Bus
import Engine
import EventLog
import HTTP
import Observe
import Posix
import Synchronization

/// What operators and probes ask: whether events can be stored, whether the loops turn, how far
/// the engine is behind, and the numbers. It changes nothing.
struct Console: RequestHandler {
  let log: EventLog
  let engine: Engine
  let loops: [EventLoop]
  let metrics: Metrics
  /// The name or address it was told to listen on.
  let host: String
  /// nil: the manifests are files.
  var contact: Contact?

  func accept(_ head: RequestHead) -> Acceptance {
    if let refusal = ConsoleChecks.refusal(head, host) { return .answer(refusal) }
    switch head.path {
    case "/healthz": return .read(bodyLimit: 0) { _ in await ConsoleChecks.health(of: loops) }
    case "/healthz/lag":
      return .answer(.text(200, "\(engine.lag(at: .now()).inSeconds) seconds behind"))
    case "/readyz":
      if let failure = log.failure { return .answer(.text(503, "the log failed: \(failure)")) }
      return .answer(ConsoleChecks.readiness("ready", contact))
    case "/metrics": return .answer(ConsoleChecks.metrics(metrics.render()))
    default:
      return .answer(.text(404, "there are /readyz, /healthz, /healthz/lag and /metrics"))
    }
  }
}
