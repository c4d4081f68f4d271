import Engine
import HTTP
import Observe
import Posix

/// The console of a process of a shared bus: which partitions run here, and the numbers of all of them, each
/// series with the label `partition`.
struct FrontConsole: RequestHandler {
  let figures: PartitionFigures
  let loops: [EventLoop]
  let metrics: Metrics
  /// The name or address it was told to listen on.
  let host: String
  /// nil: the manifests are files.
  let contact: Contact?

  func accept(_ head: RequestHead) -> Acceptance {
    if let refusal = ConsoleChecks.refusal(head, host) { return .answer(refusal) }
    switch head.path {
    case "/healthz":
      return .read(bodyLimit: 0) { _ in
        let own = figures.all.map(\.entry.engine.loop)
        return await ConsoleChecks.health(of: loops + own)
      }
    case "/healthz/lag":
      let lines = figures.all.map {
        "partition \($0): \($1.engine.lag(at: .now()).inSeconds) seconds behind\n"
      }
      return .answer(.text(200, lines.isEmpty ? "no partition is ours\n" : lines.joined()))
    case "/readyz":
      // One without partitions takes events as well as any other.
      let owned = figures.all.map { "\($0.partition)" }.joined(separator: ", ")
      let words = "ready; partitions that run: \(owned.isEmpty ? "none" : owned)"
      return .answer(ConsoleChecks.readiness(words, contact))
    case "/metrics":
      let parts = [("", metrics)] + figures.all.map { ("\($0)", $1.metrics) }
      return .answer(ConsoleChecks.metrics(Metrics.render(parts)))
    default:
      return .answer(.text(404, "there are /readyz, /healthz, /healthz/lag and /metrics"))
    }
  }
}
