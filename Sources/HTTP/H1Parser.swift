/// HTTP/1.1 requests out of bytes (RFC 9112), strictly: whatever two implementations could read
/// differently is refused. No I/O; the caller feeds bytes and acts on what comes out.
package struct H1Parser {
  package enum Action: Equatable {
    case head(Head)
    /// The next bytes of the body.
    case body(Range<Int>)
    /// The request is complete.
    case end
    /// The bytes are no request: answer with the status and close.
    case refuse(Int, String)
  }

  package struct Head: Equatable {
    package var request: RequestHead
    /// The body's length; nil where it is chunked.
    package let length: Int?
    package let keepsAlive: Bool
    let expectsContinue: Bool
    let isHTTP10: Bool
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

  /// Bytes of extensions in one chunked body: they cost us and mean nothing to us.
  static let extensionBytes = 8 << 10

  private var state = State.head
  private let headBytes: Int
  private let headerCount: Int
  /// How far the search for the head's end has come, from the head's first byte, and where the
  /// line that it is in begins: bytes that trickle in are not searched again.
  private var searched = (end: 0, line: 0)
  private var extensions = 0

  /// - Parameters:
  ///   - headBytes: the most bytes of a request line with its headers.
  ///   - headerCount: the most header fields.
  package init(headBytes: Int, headerCount: Int) {
    self.headBytes = headBytes
    self.headerCount = headerCount
  }

  /// What the bytes from `at` on say; `at` moves over what was used. nil: more bytes are needed.
  package mutating func next(_ bytes: [UInt8], _ at: inout Int) -> Action? {
    while true {
      switch state {
      case .head:
        // A client may send empty lines after a body (RFC 9112 section 2.2).
        while bytes.count - at >= 2, bytes[at] == 0x0d, bytes[at + 1] == 0x0a {
          at += 2
          searched = (0, 0)
        }
        guard let end = headEnd(bytes, at) else {
          if bytes.count - at > headBytes { return refuse(431, "header too large") }
          return nil
        }
        if end - at > headBytes { return refuse(431, "header too large") }
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
        switch line(bytes, &at, limit: 1024) {
        case .unfinished: return nil
        case .bad(let isTooLong):
          return refuse(400, isTooLong ? "chunk line too long" : "bad line end")
        case .whole(let line):
          guard let (size, extra) = chunkSize(bytes[line]) else {
            return refuse(400, "bad chunk size")
          }
          extensions += extra
          guard extensions <= Self.extensionBytes else {
            return refuse(400, "chunk extensions too long")
          }
          state = size == 0 ? .trailers(0) : .chunk(size)
        }
      case .chunk(0): state = .chunkEnd
      case .chunk(let left):
        let count = min(left, bytes.count - at)
        if count == 0 { return nil }
        defer { at += count }
        state = .chunk(left - count)
        return .body(at..<at + count)
      case .chunkEnd:
        let end = bytes[at...].prefix(2)
        guard end.elementsEqual([0x0d, 0x0a].prefix(end.count)) else {
          return refuse(400, "chunk without end")
        }
        guard end.count == 2 else { return nil }
        at += 2
        state = .chunkSize
      case .trailers(let count):
        switch line(bytes, &at, limit: 8192) {
        case .unfinished: return nil
        case .bad(let isTooLong):
          return isTooLong ? refuse(431, "trailer too large") : refuse(400, "bad line end")
        case .whole(let line):
          if line.isEmpty {
            state = .complete
          } else if count >= 20 || field(bytes[line]) == nil {
            return refuse(400, "bad trailer")
          } else {
            state = .trailers(count + 1)
          }
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
  private mutating func headEnd(_ bytes: [UInt8], _ start: Int) -> Int? {
    var from = start + searched.end
    var lineStart = start + searched.line
    while let at = lineFeed(bytes, from, bytes.count) {
      // An empty line, also one with a bare LF, ends the head; the lines are judged below.
      let isEmpty = at == lineStart || (at == lineStart + 1 && bytes[lineStart] == 0x0d)
      if isEmpty { return at + 1 }
      lineStart = at + 1
      from = lineStart
    }
    searched = (bytes.count - start, lineStart - start)
    return nil
  }

  private mutating func head(_ bytes: [UInt8], _ at: inout Int, _ end: Int) -> Action {
    searched = (0, 0)
    extensions = 0
    guard case .whole(let first) = line(bytes, &at, limit: headBytes),
      let start = requestLine(bytes[first])
    else { return refuse(400, "bad request line") }
    guard start.isKnownVersion else { return refuse(505, "HTTP version not supported") }
    var headers = Headers()
    while true {
      guard case .whole(let range) = line(bytes, &at, limit: headBytes) else {
        return refuse(400, "bad line end")
      }
      if range.isEmpty { break }
      guard let field = field(bytes[range]) else { return refuse(400, "bad header field") }
      headers.add(field.name, field.value)
      if headers.fields.count > headerCount { return refuse(431, "too many header fields") }
    }
    guard at == end else { return refuse(400, "bad line end") }
    return framed(start, headers)
  }

  /// Host, length and connection rules (RFC 9112 sections 3.2, 6 and 9.3).
  private mutating func framed(_ start: RequestLine, _ headers: Headers) -> Action {
    let named = FramingFields(headers)
    guard named.hosts == 1 || (named.hosts == 0 && start.isHTTP10), named.host.map(isHost) ?? true
    else { return refuse(400, "bad Host header") }
    var headers = headers
    // The target's own host counts, whatever the field says (RFC 9112 section 3.2.2).
    if let authority = start.authority { headers.replace("Host", authority) }
    var length: Int? = 0
    if let codings = named.codings {
      guard named.lengths == 0, !start.isHTTP10 else { return refuse(400, "two body lengths") }
      // An empty element means nothing to one reader and is no coding to another.
      guard codings.last == "chunked", codings.filter({ $0 == "chunked" }).count == 1,
        !codings.contains("")
      else { return refuse(400, "transfer coding without a length") }
      guard codings.count == 1 else { return refuse(501, "transfer coding not supported") }
      length = nil
    } else if let text = named.length {
      guard named.lengths == 1, let number = contentLength(text) else {
        return refuse(400, "bad Content-Length")
      }
      length = number
    }
    let keepsAlive =
      start.isHTTP10
      ? named.options.contains("keep-alive") : !named.options.contains("close")
    if let expectation = named.expectation, !equalIgnoringCase(expectation, "100-continue") {
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
        expectsContinue: named.expectation != nil && !start.isHTTP10,
        isHTTP10: start.isHTTP10
      )
    )
  }

  private enum Line {
    /// Without its CRLF.
    case whole(Range<Int>)
    case unfinished
    case bad(isTooLong: Bool)
  }

  private func line(_ bytes: [UInt8], _ at: inout Int, limit: Int) -> Line {
    let most = min(bytes.count, at + limit + 1)
    guard let end = lineFeed(bytes, at, most) else {
      return most - at > limit ? .bad(isTooLong: true) : .unfinished
    }
    guard end > at, bytes[end - 1] == 0x0d else { return .bad(isTooLong: false) }
    defer { at = end + 1 }
    return .whole(at..<end - 1)
  }
}
