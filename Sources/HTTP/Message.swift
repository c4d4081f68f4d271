package import Posix

/// The head of a request, whatever the protocol version it came by.
package struct RequestHead: Sendable, Equatable {
  package let method: String
  /// The path as sent (percent-encoding kept), beginning with `/`.
  package let path: String
  /// What follows the first `?`, without it; empty where there is none.
  package let query: String
  package let headers: Headers
  /// The address of who sent the request, behind trusted proxies too; nil over a socket file.
  package var client: NetworkAddress?

  package init(method: String, path: String, query: String, headers: Headers) {
    self.method = method
    self.path = path
    self.query = query
    self.headers = headers
  }
}

/// A whole request: the body has arrived and was within the limit.
package struct Request: Sendable {
  package let head: RequestHead
  package let body: [UInt8]

  package init(head: RequestHead, body: [UInt8]) {
    self.head = head
    self.body = body
  }
}

package struct Response: Sendable {
  package var status: Int
  package var headers: Headers
  package var body: [UInt8]
  /// Copies of these go beside the answer's first byte. Only HTTP/1.1 over a socket file carries
  /// them.
  package var descriptors: [SharedDescriptor] = []
  /// A body that is still coming to be; `body` is then not sent.
  package var stream: ResponseStream?

  package init(status: Int, headers: Headers = Headers(), body: [UInt8] = []) {
    self.status = status
    self.headers = headers
    self.body = body
  }

  /// Plain text with a newline at the end.
  package static func text(_ status: Int, _ text: String) -> Response {
    Response(
      status: status,
      headers: Headers([.init("Content-Type", "text/plain; charset=utf-8")]),
      body: Array(text.utf8) + [0x0a]
    )
  }

  /// JSON bytes as they are.
  package static func json(_ status: Int, _ bytes: [UInt8]) -> Response {
    Response(
      status: status,
      headers: Headers([.init("Content-Type", "application/json")]),
      body: bytes
    )
  }
}

/// What a listener answers with. `accept` sees the head alone, so a request that is refused by
/// its head costs no body; `respond` sees the whole request. Both run on the connection's loop.
package protocol RequestHandler: Sendable {
  /// Decides by the head, without waiting.
  func accept(_ head: RequestHead) -> Acceptance
}

package enum Acceptance: Sendable {
  /// Answer at once; the body, if any, is not read.
  case answer(Response)
  /// Read the body, at most `bodyLimit` bytes (more: 413), then ask for the response.
  case read(bodyLimit: Int, respond: @Sendable (Request) async -> Response)
  /// The same, with `by` looking at the body while it arrives. What it refuses is not read any
  /// further, and `respond` never sees it.
  case check(bodyLimit: Int, by: any BodyCheck, respond: @Sendable (Request) async -> Response)
}

/// Looks at a request's body piece by piece. One for each request; called on its connection's
/// loop only.
package protocol BodyCheck: AnyObject, Sendable {
  /// The next bytes.
  func update(_ bytes: RawSpan)
  /// After the last byte: nil, or the answer that refuses the request.
  func finish() -> Response?
}

extension Acceptance {
  /// What comes of a request that is there as a whole.
  package func response(to request: Request) async -> Response {
    switch self {
    case .answer(let response): return response
    case .read(let limit, let respond):
      return request.body.count <= limit ? await respond(request) : .bodyTooLarge(limit)
    case .check(let limit, let check, let respond):
      guard request.body.count <= limit else { return .bodyTooLarge(limit) }
      unsafe check.update(request.body.span.bytes)
      if let refusal = check.finish() { return refusal }
      return await respond(request)
    }
  }
}
