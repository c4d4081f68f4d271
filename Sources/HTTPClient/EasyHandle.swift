import CCurl

/// libcurl's state of one transfer.
@safe struct EasyHandle: ~Copyable {
  let raw: UnsafeMutableRawPointer

  init() throws(OutboundError) {
    guard let raw = unsafe curl_easy_init() else {
      throw OutboundError(.transport, "out of memory")
    }
    unsafe self.raw = unsafe raw
  }

  deinit { unsafe curl_easy_cleanup(raw) }

  /// - Throws: `OutboundError` unless `code` is good. A transfer without one of its options must
  ///   not run: most of them keep it safe.
  func check(_ code: CURLcode) throws(OutboundError) {
    guard code != CURLE_OK else { return }
    let words = unsafe String(cString: curl_easy_strerror(code))
    throw OutboundError(.transport, "libcurl refuses an option: \(words)")
  }

  func set(_ option: CURLoption, _ value: Int) throws(OutboundError) {
    try check(unsafe ccurl_set_long(raw, option, value))
  }

  func set(_ option: CURLoption, _ value: String) throws(OutboundError) {
    try check(unsafe ccurl_set_string(raw, option, value))
  }

  /// Gives it a copy of `body` to send.
  func set(body: [UInt8]) throws(OutboundError) {
    try check(unsafe ccurl_set_offset(raw, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(body.count)))
    let code = unsafe body.withUnsafeBytes { bytes in
      // No bytes may mean no address, which would tell libcurl to ask a callback for them.
      guard let start = bytes.baseAddress else {
        return unsafe ccurl_set_pointer(raw, CURLOPT_COPYPOSTFIELDS, "")
      }
      return unsafe ccurl_set_pointer(raw, CURLOPT_COPYPOSTFIELDS, start)
    }
    try check(code)
  }

  /// Gives it a copy of PEM bytes.
  func set(_ option: CURLoption, blob: [UInt8]) throws(OutboundError) {
    let code = unsafe blob.withUnsafeBytes { bytes in
      unsafe ccurl_set_blob(raw, option, bytes.baseAddress, bytes.count)
    }
    try check(code)
  }

  func number(_ info: CURLINFO) -> Int {
    var value = 0
    _ = unsafe ccurl_get_long(raw, info, &value)
    return value
  }
}

/// A request's header lines as libcurl takes them.
@safe struct HeaderList: ~Copyable {
  private(set) var raw: UnsafeMutablePointer<curl_slist>?

  /// No lines.
  init() { unsafe raw = nil }

  init(_ request: OutboundRequest, for url: OutboundURL) throws(OutboundError) {
    unsafe raw = nil
    guard request.headers.count <= 128 else {
      throw OutboundError(.malformedHeader, "more than 128 headers")
    }
    var names: Set<String> = []
    for (name, value) in request.headers {
      if let problem = OutboundRequest.problem(inHeader: name, value: value) {
        throw OutboundError(.malformedHeader, problem)
      }
      names.insert(name.lowercased())
      // libcurl takes a name with nothing behind the colon as a wish to leave the header out.
      let isBlank = value.utf8.allSatisfy { $0 == 0x20 || $0 == 0x09 }
      try append(isBlank ? "\(name);" : "\(name): \(value)")
    }
    if request.tls?.serverName != nil, !names.contains("host") {
      try append("Host: \(url.authority)")
    }
    for name in ["Accept", "Content-Type", "Expect"] where !names.contains(name.lowercased()) {
      try append("\(name):")
    }
  }

  private mutating func append(_ line: String) throws(OutboundError) {
    guard let longer = unsafe curl_slist_append(raw, line) else {
      throw OutboundError(.transport, "out of memory")
    }
    unsafe raw = unsafe longer
  }

  deinit { unsafe curl_slist_free_all(raw) }
}

/// Lines that a transfer reads until it ends.
@safe final class TextList {
  private var raw: UnsafeMutablePointer<curl_slist>?

  deinit { unsafe curl_slist_free_all(raw) }

  /// The list with `line` behind what was there; it stays this object's.
  @unsafe func append(_ line: String) -> UnsafeRawPointer? {
    // Without memory the list stays as it was; libcurl then refuses the option.
    if let longer = unsafe curl_slist_append(raw, line) { unsafe raw = unsafe longer }
    return unsafe UnsafeRawPointer(raw)
  }
}
