import CCurl
import Glibc
import Posix

/// One request on its way and what has arrived of its answer.
@safe final class Transfer: @unchecked Sendable {
  // SAFETY: made by one task and then handed to the loop; from there on it is touched only on the
  // loop's thread.

  let url: OutboundURL
  let timeout: Duration
  var continuation: CheckedContinuation<Result<OutboundResponse, OutboundError>, Never>?
  var deadline: EventLoop.Timer?
  /// Cancelled before it was started.
  var isCancelled = false

  let easy: EasyHandle
  // The transfer reads both until it ends: they live as long as this object.
  let target: URLHandle
  private let fields: HeaderList
  let route = TextList()

  private let rule: AddressRule
  private let bodyLimit: Int
  /// Takes the body of a good answer while it arrives; nil: it is kept.
  private let receive: (@Sendable ([UInt8]) -> Bool)?
  private var refused: NetworkAddress?
  private var openedSockets = 0
  private var headers: [(name: String, value: String)] = []
  private var headBytes = 0
  private var body: [UInt8] = []
  private var isTruncated = false
  private var isHeadTooLarge = false
  /// What a mail is sent from, and how far that has come.
  var upload: ArraySlice<UInt8> = []
  /// The last line a mail server answered with.
  private(set) var lastLine = ""

  /// - Throws: `OutboundError` when the request cannot be sent by anybody.
  init(
    _ request: OutboundRequest,
    receive: (@Sendable ([UInt8]) -> Bool)? = nil
  ) throws(OutboundError) {
    let target = try URLHandle.parse(request.url)
    url = try OutboundURL(target)
    fields = try HeaderList(request, for: url)
    self.receive = receive
    easy = try EasyHandle()
    self.target = target
    rule = request.rule
    bodyLimit = request.bodyLimit
    timeout = request.timeout
    try configure(request)
  }

  /// - Throws: `OutboundError` when the message cannot be sent by anybody.
  init(_ mail: OutboundMail) throws(OutboundError) {
    let target = try URLHandle.parse(mail.url)
    url = OutboundURL(mail)
    fields = HeaderList()
    receive = nil
    easy = try EasyHandle()
    self.target = target
    rule = mail.rule
    bodyLimit = 0
    timeout = mail.timeout
    upload = mail.message[...]
    try configure(mail)
  }

  var handle: UnsafeMutableRawPointer { unsafe easy.raw }

  private func configure(_ request: OutboundRequest) throws(OutboundError) {
    try easy.check(unsafe ccurl_set_pointer(easy.raw, CURLOPT_CURLU, UnsafeRawPointer(target.raw)))
    try easy.check(unsafe ccurl_set_pointer(easy.raw, CURLOPT_HTTPHEADER, fields.raw))
    try easy.check(unsafe ccurl_allow_only_http(easy.raw))
    try easy.check(unsafe ccurl_leave_lookups_behind(easy.raw))
    try easy.set(CURLOPT_NOSIGNAL, 1)
    try easy.set(CURLOPT_FOLLOWLOCATION, 0)
    try easy.set(CURLOPT_PATH_AS_IS, 1)
    try easy.set(CURLOPT_NETRC, 0)
    if receive != nil {
      // A connection of its own: breaking it off must reach the server at once, and a dead one must
      // be noticed although nothing is sent on it.
      try easy.set(CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1)
      try easy.set(CURLOPT_TCP_KEEPALIVE, 1)
    }
    try easy.set(CURLOPT_SSL_VERIFYPEER, 1)
    try easy.set(CURLOPT_SSL_VERIFYHOST, 2)
    try easy.set(CURLOPT_USERAGENT, "signalbox")
    // Proxies of the environment would connect on our behalf to addresses nobody checked.
    try easy.set(CURLOPT_PROXY, request.proxy ?? "")
    // The deadline is the loop's timer; this only lifts libcurl's own limit of five minutes.
    let milliseconds = max(1, request.timeout.wholeNanoseconds / 1_000_000)
    try easy.set(CURLOPT_CONNECTTIMEOUT_MS, Int(milliseconds))
    if let body = request.body ?? (request.method.hasBody ? [] : nil) {
      try easy.set(body: body)
    }
    try easy.set(CURLOPT_CUSTOMREQUEST, request.method.rawValue)
    if let tls = request.tls {
      if !tls.authorities.isEmpty { try easy.set(CURLOPT_CAINFO_BLOB, blob: tls.authorities) }
      if !tls.certificate.isEmpty {
        try easy.set(CURLOPT_SSLCERT_BLOB, blob: tls.certificate)
        try easy.set(CURLOPT_SSLKEY_BLOB, blob: tls.key)
      }
      if let name = tls.serverName {
        // The certificate is asked for and checked by that name; the connection goes where the
        // URL says.
        try target.set(CURLUPART_HOST, name)
        try easy.check(
          unsafe ccurl_set_pointer(easy.raw, CURLOPT_CONNECT_TO, route.append("::\(url.authority)"))
        )
      }
    }
    try installCallbacks()
  }

  func installCallbacks() throws(OutboundError) {
    let me = unsafe Unmanaged.passUnretained(self).toOpaque()
    try easy.check(
      unsafe ccurl_on_header(
        easy.raw,
        { bytes, size, count, context in
          guard let transfer = unsafe Transfer.from(context) else { return 0 }
          let line = unsafe UnsafeRawBufferPointer(start: bytes, count: size * count)
          return unsafe transfer.received(headerLine: line) ? size * count : 0
        },
        me
      )
    )
    try easy.check(
      unsafe ccurl_on_body(
        easy.raw,
        { bytes, size, count, context in
          guard let transfer = unsafe Transfer.from(context) else { return 0 }
          let part = unsafe UnsafeRawBufferPointer(start: bytes, count: size * count)
          return unsafe transfer.received(body: part) ? size * count : 0
        },
        me
      )
    )
    try easy.check(
      unsafe ccurl_on_open_socket(
        easy.raw,
        { context, _, address in
          guard let transfer = unsafe Transfer.from(context), let address = unsafe address else {
            return CURL_SOCKET_BAD
          }
          return unsafe transfer.openSocket(to: address)
        },
        me
      )
    )
    try easy.check(
      unsafe ccurl_before_request(
        easy.raw,
        { context, address, _, _, _ in
          guard let transfer = unsafe Transfer.from(context), let address = unsafe address,
            transfer.mayUseConnection(to: unsafe String(cString: address))
          else { return CURL_PREREQFUNC_ABORT }
          return CURL_PREREQFUNC_OK
        },
        me
      )
    )
  }

  static func from(_ context: UnsafeMutableRawPointer?) -> Transfer? {
    unsafe context.map { unsafe Unmanaged<Transfer>.fromOpaque($0).takeUnretainedValue() }
  }

  // MARK: The address rule

  /// Makes the socket for the very address libcurl connects to next, or refuses: whatever name,
  /// spelling or resolver led here, this is where it ends.
  private func openSocket(to address: UnsafeMutablePointer<curl_sockaddr>) -> curl_socket_t {
    guard let offset = MemoryLayout<curl_sockaddr>.offset(of: \.addr) else {
      return CURL_SOCKET_BAD
    }
    let length = unsafe Int(address.pointee.addrlen)
    let socketAddress = unsafe UnsafeRawPointer(address) + offset
    guard let peer = unsafe NetworkAddress(socketAddress: socketAddress, length: length) else {
      return CURL_SOCKET_BAD
    }
    guard rule.permits(peer, host: url.host) else {
      refused = peer
      return CURL_SOCKET_BAD
    }
    openedSockets += 1
    let cloexec = Int32(SOCK_CLOEXEC.rawValue)
    return unsafe socket(
      address.pointee.family,
      address.pointee.socktype | cloexec,
      address.pointee.protocol
    )
  }

  /// A connection may have been opened for another request under a laxer rule, so the rule is
  /// asked again for each request.
  private func mayUseConnection(to text: String) -> Bool {
    let bare = String(text.prefix { $0 != "%" })
    guard let peer = NetworkAddress(bare) else { return false }
    guard rule.permits(peer, host: url.host) else {
      refused = peer
      openedSockets = 0
      return false
    }
    return true
  }

  // MARK: The answer

  private func received(headerLine: UnsafeRawBufferPointer) -> Bool {
    headBytes += headerLine.count
    guard headBytes <= 64 << 10 else {
      isHeadTooLarge = true
      return false
    }
    let line = unsafe String(decoding: headerLine, as: UTF8.self)
    // An interim answer (1xx) or the next of several heads: only the last one counts.
    if line.hasPrefix("HTTP/") { headers = [] }
    // The answer to the farewell says nothing about the message.
    if url.scheme.hasPrefix("smtp"), !line.hasPrefix("221") {
      lastLine = String(trimmed(line[...]).prefix(500))
    }
    guard let colon = line.firstIndex(of: ":") else { return true }
    let value = line[line.index(after: colon)...]
    headers.append((String(line[..<colon]), trimmed(value)))
    return true
  }

  private func received(body part: UnsafeRawBufferPointer) -> Bool {
    if let receive, (200...299).contains(easy.number(CURLINFO_RESPONSE_CODE)) {
      isTruncated = !receive(unsafe Array(part))
      return !isTruncated
    }
    let room = bodyLimit - body.count
    unsafe body.append(contentsOf: part.prefix(room))
    isTruncated = part.count > room
    return !isTruncated
  }

  /// What came of it once libcurl is done with it.
  func result(_ code: CURLcode) -> Result<OutboundResponse, OutboundError> {
    let status = easy.number(CURLINFO_RESPONSE_CODE)
    // The rest of a cut body is not read: stopping it looks to libcurl like a failed write.
    if code == CURLE_OK || (isTruncated && code == CURLE_WRITE_ERROR) {
      return .success(
        OutboundResponse(status: status, headers: headers, body: body, isTruncated: isTruncated)
      )
    }
    if isHeadTooLarge {
      return .failure(OutboundError(.tooLarge, "\(url.origin) sent more than 64 KiB of headers"))
    }
    if let refused, openedSockets == 0 {
      return .failure(refusal(of: refused))
    }
    return .failure(failure(code))
  }

  func timedOut() -> OutboundError {
    OutboundError(.timeout, "\(url.origin) did not answer within \(timeout)")
  }

  private func refusal(of address: NetworkAddress) -> OutboundError {
    let why =
      address.isMetadata
      ? "link-local and metadata addresses are never called"
      : "an event chose this target and its address is private (see --allow-outbound)"
    return OutboundError(.refusedAddress, "\(url.origin) leads to \(address): \(why)")
  }

  private func failure(_ code: CURLcode) -> OutboundError {
    var words = unsafe String(cString: curl_easy_strerror(code))
    let system = easy.number(CURLINFO_OS_ERRNO)
    if code == CURLE_COULDNT_CONNECT && system != 0 {
      words = unsafe String(cString: strerror(Int32(truncatingIfNeeded: system)))
    }
    return OutboundError(kind(of: code), "\(url.origin): \(words)")
  }
}

private func kind(of code: CURLcode) -> OutboundError.Kind {
  switch code {
  case CURLE_COULDNT_RESOLVE_HOST: .resolve
  case CURLE_COULDNT_CONNECT: .connect
  case CURLE_OPERATION_TIMEDOUT: .timeout
  case CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL: .malformedURL
  case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM,
    CURLE_SSL_CIPHER, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_ISSUER_ERROR, CURLE_USE_SSL_FAILED,
    CURLE_SSL_ENGINE_INITFAILED:
    .tls
  default: .transport
  }
}

private func trimmed(_ text: Substring) -> String {
  func isBlank(_ scalar: Unicode.Scalar) -> Bool { " \t\r\n".unicodeScalars.contains(scalar) }
  var scalars = text.unicodeScalars.drop(while: isBlank)
  while let last = scalars.last, isBlank(last) { scalars.removeLast() }
  return String(scalars)
}

extension OutboundRequest.Method {
  /// Whether a request without a body says so with `Content-Length: 0` (RFC 9110 section 8.6).
  fileprivate var hasBody: Bool {
    switch self {
    case .get, .delete: false
    case .patch, .post, .put: true
    }
  }
}
