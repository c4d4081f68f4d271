import Posix

/// One request of an HTTP/2 connection with its answer.
final class H2Stream {
  enum Phase { case head, body, answering, sending }

  let id: Int32
  var phase = Phase.head
  var deadline: MonotonicTime
  /// The client has sent all of the request.
  var isRemoteFinished = false

  private(set) var method = ""
  private var path = ""
  private var authority: String?
  private var headers = Headers()
  private var cookies: [String] = []
  private var headBytes = 0

  var respond: (@Sendable (Request) async -> Response)?
  var body: IncomingBody?
  var request: RequestHead?
  /// When it began.
  let began: MonotonicTime

  /// The answer's body and how much of it has been sent.
  var answer: [UInt8] = []
  var sent = 0
  /// The body where it is sent while it comes to be.
  var stream: ResponseStream?
  /// The stream has nothing to send now.
  var isWaiting = false

  init(_ id: Int32, _ began: MonotonicTime, deadline: MonotonicTime) {
    self.id = id
    self.began = began
    self.deadline = deadline
  }

  /// Takes a field of the head; what goes beyond the limits is counted and dropped.
  func add(_ name: String, _ value: String, _ limits: HTTPLimits) {
    headBytes += name.utf8.count + value.utf8.count + 32
    guard !isTooLarge(limits) else { return }
    switch name {
    case ":method": method = value
    case ":path": path = value
    case ":authority": authority = value
    case ":scheme": break
    // Split for compression only (RFC 9113 section 8.2.3).
    case "cookie": cookies.append(value)
    default: headers.add(name, value)
    }
  }

  func isTooLarge(_ limits: HTTPLimits) -> Bool {
    headBytes > limits.headBytes + 32 * limits.headerCount
      || headers.fields.count > limits.headerCount
  }

  /// The head as HTTP/1.1 would have brought it; nil when it is none that is served.
  func takeHead() -> RequestHead? {
    if !cookies.isEmpty { headers.add("cookie", cookies.joined(separator: "; ")) }
    if let authority {
      if let host = headers["host"], !equalIgnoringCase(host, authority) { return nil }
      headers.replace("host", authority)
    }
    guard let host = headers["host"], isHost(host), path.first == "/" || path == "*",
      path.utf8.allSatisfy({ (0x21...0x7e).contains($0) && $0 != 0x23 })
    else { return nil }
    let parts = path.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    let head = RequestHead(
      method: method,
      path: String(parts[0]),
      query: parts.count > 1 ? String(parts[1]) : "",
      headers: headers
    )
    headers = Headers()
    cookies = []
    return head
  }
}
