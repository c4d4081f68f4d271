import HTTP
import Observe
import Posix
import Synchronization

/// What consoles have in common: whom they answer, and whether loops turn.
enum ConsoleChecks {
  /// A loop that does not turn within this time is stuck.
  private static let patience = Duration.seconds(1)

  /// What a request gets that is not for a console; nil: it is.
  /// - Parameter host: the name or address that the console was told to listen on.
  static func refusal(_ head: RequestHead, _ host: String) -> Response? {
    guard isForUs(head, host) else {
      return .text(421, "the console answers by address, as localhost or as \(host)")
    }
    guard head.method == "GET" || head.method == "HEAD" else {
      var response = Response.text(405, "use GET")
      response.headers.add("Allow", "GET, HEAD")
      return response
    }
    return nil
  }

  /// Whether the request was meant for the console. A page of somebody else's site reaches it only
  /// under a name that leads here (DNS rebinding), never by address.
  private static func isForUs(_ head: RequestHead, _ host: String) -> Bool {
    let sent = head.headers.values("Host")
    guard sent.count == 1 else { return false }
    if sent[0].hasPrefix("[") { return true }
    let name = sent[0].prefix { $0 != ":" }.lowercased()
    let isAddress = name.utf8.allSatisfy { (0x30...0x39).contains($0) || $0 == 0x2e }
    return isAddress || name == "localhost" || name == host.lowercased()
  }

  /// - Parameters:
  ///   - words: what is said when all is well.
  ///   - contact: nil: the manifests are files.
  static func readiness(_ words: String, _ contact: Contact?) -> Response {
    guard let readiness = contact?.readiness, !readiness.note.isEmpty else {
      return .text(200, words)
    }
    return readiness.isReady
      ? .text(200, "\(words), but \(readiness.note)") : .text(503, "not ready: \(readiness.note)")
  }

  static func metrics(_ text: String) -> Response {
    let headers = Headers([.init("Content-Type", Metrics.contentType)])
    return Response(status: 200, headers: headers, body: Array(text.utf8))
  }

  static func health(of loops: [EventLoop]) async -> Response {
    for (number, loop) in loops.enumerated() {
      let judge = loops[(number + 1) % loops.count]
      if await !turns(loop, judge) { return .text(503, "a loop does not turn") }
    }
    return .text(200, "the loops turn")
  }

  /// Whether `loop` comes round before `judge` has waited long enough.
  private static func turns(_ loop: EventLoop, _ judge: EventLoop) async -> Bool {
    await withCheckedContinuation { continuation in
      let answer = Answer(continuation)
      loop.post { answer.give(true) }
      judge.post { judge.timer(after: patience) { answer.give(false) } }
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
