import CCurl

/// Where a URL leads, as the library that connects reads it: comparing two of these compares what
/// will be done, not how it was spelt.
package struct OutboundURL: Sendable, Equatable, CustomStringConvertible {
  /// `http` or `https`; of a mail server `smtp` or `smtps`.
  package let scheme: String
  /// In lower case; an IPv6 address in brackets.
  package let host: String
  package let port: Int
  /// Begins with `/`; without the query.
  package let path: String
  /// Whether it names a user or a password.
  package let hasUser: Bool

  /// - Throws: `OutboundError` of kind `malformedURL` for anything but an absolute `http` or
  ///   `https` URL. The text of the URL is not in the error.
  package init(parsing text: String) throws(OutboundError) {
    let handle = try URLHandle.parse(text)
    try self.init(handle)
  }

  /// Where a message goes.
  init(_ mail: OutboundMail) {
    scheme = mail.encryption == .tls ? "smtps" : "smtp"
    (host, port, path, hasUser) = (mail.host.lowercased(), mail.port, "/", false)
  }

  init(_ handle: borrowing URLHandle) throws(OutboundError) {
    scheme = try handle.part(CURLUPART_SCHEME)
    guard scheme == "http" || scheme == "https" else {
      throw OutboundError(.malformedURL, "the URL's scheme is neither http nor https")
    }
    host = try handle.part(CURLUPART_HOST).lowercased()
    port = Int(try handle.part(CURLUPART_PORT)) ?? 0
    path = try handle.part(CURLUPART_PATH)
    hasUser = handle.has(CURLUPART_USER) || handle.has(CURLUPART_PASSWORD)
  }

  /// Whether both lead to the same server.
  package func hasSameOrigin(as other: OutboundURL) -> Bool {
    scheme == other.scheme && host == other.host && port == other.port
  }

  /// `host:port`.
  var authority: String { "\(host):\(port)" }

  /// `scheme://host:port`; the scheme's own port left out.
  package var origin: String {
    let isDefault = port == (scheme == "https" ? 443 : 80)
    return "\(scheme)://\(host)" + (isDefault ? "" : ":\(port)")
  }

  /// Without user, password, query and fragment, which may hold secrets.
  package var description: String { origin + path }
}

/// libcurl's own parse of a URL, which a transfer is given so that what was checked is what is
/// used.
@safe struct URLHandle: ~Copyable {
  let raw: OpaquePointer

  private init() throws(OutboundError) {
    guard let raw = unsafe curl_url() else { throw OutboundError(.transport, "out of memory") }
    unsafe self.raw = unsafe raw
  }

  static func parse(_ text: String) throws(OutboundError) -> URLHandle {
    guard text.utf8.count <= 8192 else {
      throw OutboundError(.malformedURL, "the URL is longer than 8192 bytes")
    }
    guard text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f }) else {
      throw OutboundError(.malformedURL, "the URL has a space or a control character in it")
    }
    let handle = try URLHandle()
    let code = unsafe curl_url_set(handle.raw, CURLUPART_URL, text, 0)
    guard code == CURLUE_OK else {
      throw OutboundError(.malformedURL, "the URL is malformed: \(words(code))")
    }
    return handle
  }

  deinit { unsafe curl_url_cleanup(raw) }

  func set(_ part: CURLUPart, _ text: String) throws(OutboundError) {
    let code = unsafe curl_url_set(raw, part, text, 0)
    guard code == CURLUE_OK else {
      throw OutboundError(.malformedURL, "the server's name is malformed: \(words(code))")
    }
  }

  func has(_ part: CURLUPart) -> Bool {
    var text: UnsafeMutablePointer<CChar>?
    guard unsafe curl_url_get(raw, part, &text, 0) == CURLUE_OK else { return false }
    unsafe curl_free(text)
    return true
  }

  func part(_ part: CURLUPart) throws(OutboundError) -> String {
    var text: UnsafeMutablePointer<CChar>?
    let code = unsafe curl_url_get(raw, part, &text, UInt32(CURLU_DEFAULT_PORT))
    guard code == CURLUE_OK, let text = unsafe text else {
      throw OutboundError(.malformedURL, "the URL is malformed: \(words(code))")
    }
    defer { unsafe curl_free(text) }
    return unsafe String(cString: text)
  }
}

private func words(_ code: CURLUcode) -> String {
  unsafe curl_url_strerror(code).map { unsafe String(cString: $0) } ?? "code \(code.rawValue)"
}
