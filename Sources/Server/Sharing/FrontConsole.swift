import Engine
import EventLog
import HTTP
import Observe
import Posix

/// The console of a process of a shared bus: whether it takes events, and the numbers of all
/// partitions that it owns, each series with the label `partition`.
struct FrontConsole: RequestHandler {
  let figures: PartitionFigures
  let intake: SharedIntake
  let loops: [EventLoop]
  let metrics: Metrics
  /// The name or address it was told to listen on.
  let host: String

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
      return .read(bodyLimit: 0) { _ in
        guard await intake.isUsable else { return .text(503, "events cannot be handed to Kafka") }
        for (partition, entry) in figures.all {
          if let failure = entry.log.failure {
            return .text(503, "the log of partition \(partition) failed: \(failure)")
          }
        }
        let owned = figures.all.map { "\($0.partition)" }.joined(separator: ", ")
        return .text(200, "ready; partitions owned: \(owned.isEmpty ? "none" : owned)")
      }
    case "/metrics":
      let headers = Headers([.init("Content-Type", Metrics.contentType)])
      let parts = [("", metrics)] + figures.all.map { ("\($0)", $1.metrics) }
      return .answer(
        Response(status: 200, headers: headers, body: Array(Metrics.render(parts).utf8))
      )
    default:
      return .answer(.text(404, "there are /readyz, /healthz, /healthz/lag and /metrics"))
    }
  }
}
