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

  /// A loop that does not turn within this time is stuck.
  private static let patience = Duration.seconds(1)

  func accept(_ head: RequestHead) -> Acceptance {
    guard isForUs(head) else {
      return .answer(.text(421, "the console answers by address, as localhost or as \(host)"))
    }
    guard head.method == "GET" || head.method == "HEAD" else {
      var response = Response.text(405, "use GET")
      response.headers.add("Allow", "GET, HEAD")
      return .answer(response)
    }
    switch head.path {
    case "/healthz": return .read(bodyLimit: 0) { _ in await health() }
    case "/healthz/lag":
      return .answer(.text(200, "\(engine.lag(at: .now()).inSeconds) seconds behind"))
    case "/readyz":
      if let failure = log.failure { return .answer(.text(503, "the log failed: \(failure)")) }
      if let readiness = contact?.readiness, !readiness.note.isEmpty {
        let words = readiness.isReady ? "ready, but " : "not ready: "
        return .answer(.text(readiness.isReady ? 200 : 503, words + readiness.note))
      }
      return .answer(.text(200, "ready"))
    case "/metrics":
      let headers = Headers([.init("Content-Type", Metrics.contentType)])
      return .answer(Response(status: 200, headers: headers, body: Array(metrics.render().utf8)))
    default:
      return .answer(.text(404, "there are /readyz, /healthz, /healthz/lag and /metrics"))
    }
  }

  /// Whether the request was meant for the console. A page of somebody else's site reaches it only
  /// under a name that leads here (DNS rebinding), never by address.
  private func isForUs(_ head: RequestHead) -> Bool {
    let sent = head.headers.values("Host")
    guard sent.count == 1 else { return false }
    if sent[0].hasPrefix("[") { return true }
    let name = sent[0].prefix { $0 != ":" }.lowercased()
    let isAddress = name.utf8.allSatisfy { (0x30...0x39).contains($0) || $0 == 0x2e }
    return isAddress || name == "localhost" || name == host.lowercased()
  }

  private func health() async -> Response {
    for (number, loop) in loops.enumerated() {
      let judge = loops[(number + 1) % loops.count]
      if await !turns(loop, judge) { return .text(503, "a loop does not turn") }
    }
    return .text(200, "the loops turn")
  }

  /// Whether `loop` comes round before `judge` has waited long enough.
  private func turns(_ loop: EventLoop, _ judge: EventLoop) async -> Bool {
    await withCheckedContinuation { continuation in
      let answer = Answer(continuation)
      loop.post { answer.give(true) }
      judge.post { judge.timer(after: Self.patience) { answer.give(false) } }
    }
  }

  /// The first answer counts.
  private final class Answer: Sendable {
    private let continuation: Mutex<CheckedContinuation<Bool, Never>?>

    init(_ continuation: CheckedContinuation<Bool, Never>) {
      self.continuation = Mutex(continuation)
    }

    func give(_ answer: Bool) {
      let waiting = continuation.withLock { continuation in
        defer { continuation = nil }
        return continuation
      }
      waiting?.resume(returning: answer)
    }
  }
}
