/// Whom to trust and as whom to appear. Certificates are verified in any case.
package struct OutboundTLS: Sendable, Equatable {
  /// PEM certificates in place of the system's authorities; empty: the system's.
  package var authorities: [UInt8]
  /// PEM certificate and key of ours; both empty: none.
  package var certificate: [UInt8]
  package var key: [UInt8]
  /// The name that the server's certificate must bear where it is not the URL's host.
  package var serverName: String?

  package init(
    authorities: [UInt8] = [],
    certificate: [UInt8] = [],
    key: [UInt8] = [],
    serverName: String? = nil
  ) {
    self.authorities = authorities
    self.certificate = certificate
    self.key = key
    self.serverName = serverName
  }
}

/// A request to somebody else's server.
package struct OutboundRequest: Sendable {
  package enum Method: String, Sendable, CaseIterable {
    case get = "GET"
    case delete = "DELETE"
    case patch = "PATCH"
    case post = "POST"
    case put = "PUT"
  }

  package var method: Method
  /// Absolute, `http` or `https`. User and password in it become a Basic `Authorization`.
  package var url: String
  /// Sent as they are. Besides them go `Host`, `Content-Length` and, where it is not among them,
  /// `User-Agent`.
  package var headers: [(name: String, value: String)]
  package var body: [UInt8]?
  package var rule: AddressRule
  /// nil: the system's authorities, and no certificate of our own.
  package var tls: OutboundTLS?
  /// The URL of a proxy (`http`, `https`, `socks5`, `socks5h`); nil: none, whatever the environment
  /// says.
  package var proxy: String?
  /// From the call to the last byte of the answer, waiting for a free connection included.
  package var timeout: Duration
  /// How much of the answer's body is kept; a longer one is cut and marked.
  package var bodyLimit: Int

  package init(
    _ method: Method,
    _ url: String,
    headers: [(name: String, value: String)] = [],
    body: [UInt8]? = nil,
    rule: AddressRule,
    timeout: Duration = .seconds(60),
    bodyLimit: Int = 1 << 20
  ) {
    self.method = method
    self.url = url
    self.headers = headers
    self.body = body
    self.rule = rule
    self.timeout = timeout
    self.bodyLimit = bodyLimit
  }

  /// What is wrong with a header field, in words without its value; nil when it can be sent.
  /// Names are tokens (RFC 9110 section 5.1); values hold no control characters but tabs, so a
  /// value can neither end its line nor be cut at a NUL. Fields that frame the message are the
  /// client's own.
  package static func problem(inHeader name: String, value: String) -> String? {
    let marks = "!#$%&'*+-.^_`|~".utf8
    let isToken = name.utf8.allSatisfy {
      (0x61...0x7a).contains($0) || (0x41...0x5a).contains($0) || (0x30...0x39).contains($0)
        || marks.contains($0)
    }
    guard isToken, !name.isEmpty, name.utf8.count <= 256 else {
      return "a header's name has a character that is not allowed in one"
    }
    if framing.contains(name.lowercased()) { return "header '\(name)' is set by the HTTP client" }
    guard value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f || $0 == 0x09 }) else {
      return "the value of header '\(name)' has a line break or another control character in it"
    }
    if value.utf8.count > 32 << 10 { return "the value of header '\(name)' is too long" }
    return nil
  }

  private static let framing: Set<String> = [
    "connection", "content-length", "expect", "keep-alive", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade",
  ]
}

package struct OutboundResponse: Sendable {
  package let status: Int
  /// In the order received.
  package let headers: [(name: String, value: String)]
  package let body: [UInt8]
  /// Whether there was more than the request's `bodyLimit`.
  package let isTruncated: Bool

  /// The first value of `name`, whatever its case.
  package func header(_ name: String) -> String? {
    let name = name.lowercased()
    return headers.first { $0.name.lowercased() == name }?.value
  }
}

/// Why there is no answer. The text names scheme, host and port at the most: no path, no query,
/// no user, no header.
package struct OutboundError: Error, Equatable, CustomStringConvertible {
  package enum Kind: String, Sendable {
    /// The host's name has no address, or nobody could say.
    case resolve
    /// Nothing listens there, or no way leads there.
    case connect
    /// The address rule forbids every address of the host.
    case refusedAddress
    case timeout
    case tls
    /// The answer's head is larger than 64 KiB.
    case tooLarge
    case malformedURL
    case malformedHeader
    /// The calling task was cancelled, or the client closed.
    case cancelled
    /// Everything else that breaks a connection; also more requests at once than the limit.
    case transport
  }

  package let kind: Kind
  package let description: String

  package init(_ kind: Kind, _ description: String) {
    self.kind = kind
    self.description = description
  }
}
