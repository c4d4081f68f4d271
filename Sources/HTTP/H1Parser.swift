/// HTTP/1.1 requests out of bytes (RFC 9112), strictly: whatever two implementations could read
/// differently is refused. No I/O; the caller feeds bytes and acts on what comes out.
struct H1Parser {
  enum Action: Equatable {
    case head(Head)
    /// The next bytes of the body.
    case body(Range<Int>)
    /// The request is complete.
    case end
    /// The bytes are no request: answer with the status and close.
    case refuse(Int, String)
  }

  struct Head: Equatable {
    let request: RequestHead
    /// The body's length; nil where it is chunked.
    let length: Int?
    let keepsAlive: Bool
    let expectsContinue: Bool
  }

  private enum State {
    case head
    case fixed(Int)
    case chunkSize
    case chunk(Int)
    case chunkEnd
    case trailers(Int)
    case complete
    case refused
  }

  private var state = State.head
  private let limits: HTTPLimits

  init(_ limits: HTTPLimits) { self.limits = limits }

  /// Whether the next byte begins a request.
  var isBetweenRequests: Bool {
    if case .head = state { return true }
    return false
  }

  /// What the bytes from `at` on say; `at` moves over what was used. nil: more bytes are needed.
  mutating func next(_ bytes: [UInt8], _ at: inout Int) -> Action? {
    while true {
      switch state {
      case .head:
        // A client may send one empty line after a body (RFC 9112 section 2.2).
        if bytes.count - at >= 2, bytes[at] == 0x0d, bytes[at + 1] == 0x0a { at += 2 }
        guard let end = headEnd(bytes, at) else {
          if bytes.count - at > limits.headBytes { return refuse(431, "header too large") }
          return nil
        }
        if end - at > limits.headBytes { return refuse(431, "header too large") }
        return head(bytes, &at, end)
      case .fixed(0):
        state = .complete
      case .fixed(let left):
        let count = min(left, bytes.count - at)
        if count == 0 { return nil }
        defer { at += count }
        state = .fixed(left - count)
        return .body(at..<at + count)
      case .chunkSize:
        guard let line = line(bytes, &at, limit: 1024) else {
          return bytes.count - at > 1024 ? refuse(400, "chunk line too long") : nil
        }
        guard let size = chunkSize(bytes[line]) else { return refuse(400, "bad chunk size") }
        state = size == 0 ? .trailers(0) : .chunk(size)
      case .chunk(0): state = .chunkEnd
      case .chunk(let left):
        let count = min(left, bytes.count - at)
        if count == 0 { return nil }
        defer { at += count }
        state = .chunk(left - count)
        return .body(at..<at + count)
      case .chunkEnd:
        guard bytes.count - at >= 2 else { return nil }
        guard bytes[at] == 0x0d, bytes[at + 1] == 0x0a else {
          return refuse(400, "chunk without end")
        }
        at += 2
        state = .chunkSize
      case .trailers(let count):
        guard let line = line(bytes, &at, limit: 8192) else {
          return bytes.count - at > 8192 ? refuse(431, "trailer too large") : nil
        }
        if line.isEmpty {
          state = .complete
        } else if count >= 20 || field(bytes[line]) == nil {
          return refuse(400, "bad trailer")
        } else {
          state = .trailers(count + 1)
        }
      case .complete:
        state = .head
        return .end
      case .refused: return nil
      }
    }
  }

  private mutating func refuse(_ status: Int, _ why: String) -> Action {
    state = .refused
    return .refuse(status, why)
  }

  /// The end of the line that closes the head; nil when it has not come.
  private func headEnd(_ bytes: [UInt8], _ start: Int) -> Int? {
    var at = start
    var lineStart = start
    while at < bytes.count {
      if bytes[at] == 0x0a {
        // An empty line, also one with a bare LF, ends the head; the lines are judged below.
        let isEmpty = at == lineStart || (at == lineStart + 1 && bytes[lineStart] == 0x0d)
        if isEmpty { return at + 1 }
        lineStart = at + 1
      }
      at += 1
    }
    return nil
  }

  private mutating func head(_ bytes: [UInt8], _ at: inout Int, _ end: Int) -> Action {
    guard let first = line(bytes, &at, limit: limits.headBytes),
      let start = requestLine(bytes[first])
    else { return refuse(400, "bad request line") }
    guard start.isKnownVersion else { return refuse(505, "HTTP version not supported") }
    var headers = Headers()
    while true {
      guard let range = line(bytes, &at, limit: limits.headBytes) else {
        return refuse(400, "bad line end")
      }
      if range.isEmpty { break }
      guard let field = field(bytes[range]) else { return refuse(400, "bad header field") }
      headers.add(field.name, field.value)
      if headers.fields.count > limits.headerCount { return refuse(431, "too many header fields") }
    }
    guard at == end else { return refuse(400, "bad line end") }
    return framed(start, headers)
  }

  /// Host, length and connection rules (RFC 9112 sections 3.2, 6 and 9.3).
  private mutating func framed(_ start: RequestLine, _ headers: Headers) -> Action {
    let hosts = headers.values("Host")
    guard hosts.count == 1 || (hosts.isEmpty && start.isHTTP10), hosts.allSatisfy(isHost) else {
      return refuse(400, "bad Host header")
    }
    let lengths = headers.values("Content-Length")
    let codings = headers.values("Transfer-Encoding")
    var length: Int? = 0
    if !codings.isEmpty {
      guard lengths.isEmpty, !start.isHTTP10 else { return refuse(400, "two body lengths") }
      guard codings.count == 1, equalIgnoringCase(codings[0], "chunked") else {
        return refuse(501, "transfer coding not supported")
      }
      length = nil
    } else if !lengths.isEmpty {
      guard lengths.count == 1, let number = contentLength(lengths[0]) else {
        return refuse(400, "bad Content-Length")
      }
      length = number
    }
    let options = headers.values("Connection").flatMap { $0.split(separator: ",") }.map {
      $0.trimmingSpace.lowercased()
    }
    let keepsAlive =
      start.isHTTP10 ? options.contains("keep-alive") : !options.contains("close")
    let expectation = headers["Expect"]
    if let expectation, !equalIgnoringCase(expectation, "100-continue") {
      return refuse(417, "expectation not supported")
    }
    state = length.map { .fixed($0) } ?? .chunkSize
    return .head(
      Head(
        request: RequestHead(
          method: start.method,
          path: start.path,
          query: start.query,
          headers: headers
        ),
        length: length,
        keepsAlive: keepsAlive,
        expectsContinue: expectation != nil && !start.isHTTP10
      )
    )
  }

  /// The next line without its CRLF; nil when it is not whole or does not end in CRLF.
  private func line(_ bytes: [UInt8], _ at: inout Int, limit: Int) -> Range<Int>? {
    var end = at
    while end < bytes.count, bytes[end] != 0x0a, end - at <= limit { end += 1 }
    guard end < bytes.count, bytes[end] == 0x0a, end > at, bytes[end - 1] == 0x0d else {
      return nil
    }
    defer { at = end + 1 }
    return at..<end - 1
  }
}
