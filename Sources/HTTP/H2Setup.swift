import CNGHTTP2

/// What all HTTP/2 sessions of the process share: options and the way back from nghttp2.
@safe struct H2Setup: @unchecked Sendable {
  // SAFETY: written before it is shared; nghttp2 copies both into each session.
  static let shared = H2Setup()

  private let callbacks: OpaquePointer?
  private let options: OpaquePointer?

  func makeSession() -> OpaquePointer? {
    var session: OpaquePointer?
    // The user data is set once the conversation stands.
    guard unsafe nghttp2_session_server_new2(&session, callbacks, nil, options) == 0 else {
      return nil
    }
    return unsafe session
  }

  private init() {
    var options: OpaquePointer?
    guard unsafe nghttp2_option_new(&options) == 0 else {
      preconditionFailure("out of memory")
    }
    // A window opens again when a body's bytes have found their place, not when they arrive.
    unsafe nghttp2_option_set_no_auto_window_update(options, 1)
    unsafe nghttp2_option_set_max_settings(options, 32)
    unsafe self.options = unsafe options
    var callbacks: OpaquePointer?
    guard unsafe nghttp2_session_callbacks_new(&callbacks) == 0 else {
      preconditionFailure("out of memory")
    }
    unsafe self.callbacks = unsafe callbacks
    unsafe setReceiving(callbacks)
    unsafe setSending(callbacks)
  }

  @unsafe private func setReceiving(_ callbacks: OpaquePointer?) {
    unsafe nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks) { _, head, user in
      guard let head = unsafe head, let to = unsafe conversation(user) else { return 0 }
      return unsafe to.begin(H2Frame(head.pointee)) ? 0 : failure
    }
    unsafe nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks) { _, frame, user in
      guard let frame = unsafe frame, let to = unsafe conversation(user) else { return 0 }
      if unsafe frame.pointee.headers.cat == NGHTTP2_HCAT_REQUEST {
        unsafe to.beginHead(frame.pointee.hd.stream_id)
      }
      return 0
    }
    unsafe nghttp2_session_callbacks_set_on_header_callback(callbacks) {
      _,
      frame,
      name,
      nameCount,
      value,
      valueCount,
      _,
      user in
      guard let frame = unsafe frame, let to = unsafe conversation(user) else { return 0 }
      unsafe to.headField(
        frame.pointee.hd.stream_id,
        text(name, nameCount),
        text(value, valueCount)
      )
      return 0
    }
    unsafe nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, user in
      guard let frame = unsafe frame, let to = unsafe conversation(user) else { return 0 }
      unsafe to.received(H2Frame(frame.pointee.hd))
      return 0
    }
    unsafe nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) {
      _,
      _,
      stream,
      bytes,
      count,
      user in
      guard let to = unsafe conversation(user) else { return 0 }
      unsafe to.data(stream, UnsafeBufferPointer(start: bytes, count: count))
      return 0
    }
  }

  @unsafe private func setSending(_ callbacks: OpaquePointer?) {
    unsafe nghttp2_session_callbacks_set_on_frame_send_callback(callbacks) { _, frame, user in
      guard let frame = unsafe frame, let to = unsafe conversation(user) else { return 0 }
      unsafe to.sent(H2Frame(frame.pointee.hd))
      return 0
    }
    unsafe nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) {
      _,
      stream,
      code,
      user in
      guard let to = unsafe conversation(user) else { return 0 }
      to.closed(stream, code)
      return 0
    }
  }

  /// Fills a DATA frame; must not give more than it is asked for.
  static let readAnswer: nghttp2_data_source_read_callback = {
    _,
    stream,
    buffer,
    length,
    flags,
    _,
    user in
    guard let to = unsafe conversation(user), let flags = unsafe flags else { return Int(failure) }
    let space = unsafe UnsafeMutableRawBufferPointer(start: buffer, count: length)
    guard let (count, isLast) = unsafe to.read(stream, space) else {
      return Int(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue)
    }
    // Asked again once the stream has more.
    if count == 0 && !isLast { return Int(NGHTTP2_ERR_DEFERRED.rawValue) }
    if isLast { unsafe flags.pointee |= UInt32(NGHTTP2_DATA_FLAG_EOF.rawValue) }
    return count
  }
}

private let failure = NGHTTP2_ERR_CALLBACK_FAILURE.rawValue

private func conversation(_ user: UnsafeMutableRawPointer?) -> H2Conversation? {
  guard let user = unsafe user else { return nil }
  return unsafe Unmanaged<H2Conversation>.fromOpaque(user).takeUnretainedValue()
}

private func text(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> String {
  unsafe String(decoding: UnsafeBufferPointer(start: bytes, count: count), as: UTF8.self)
}

extension H2Frame {
  init(_ head: nghttp2_frame_hd) {
    kind = Kind(rawValue: head.type)
    flags = head.flags
    length = head.length
    stream = head.stream_id
  }
}

/// Lends names and values in the form that nghttp2 reads; it copies them.
func withNameValues<R>(
  _ fields: [(String, String)],
  _ body: (UnsafeMutablePointer<nghttp2_nv>) -> R
) -> R {
  var bytes = fields.flatMap { Array($0.0.utf8) + Array($0.1.utf8) }
  // So that there is an address even when there is nothing at it.
  bytes.append(0)
  return unsafe bytes.withUnsafeMutableBufferPointer { bytes in
    unsafe withUnsafeTemporaryAllocation(of: nghttp2_nv.self, capacity: fields.count) { values in
      guard var at = bytes.baseAddress, let first = values.baseAddress else {
        preconditionFailure("no fields to lend")
      }
      for (place, field) in fields.enumerated() {
        let name = unsafe at
        let value = unsafe at + field.0.utf8.count
        unsafe (first + place).initialize(
          to: nghttp2_nv(
            name: name,
            value: value,
            namelen: field.0.utf8.count,
            valuelen: field.1.utf8.count,
            flags: UInt8(NGHTTP2_NV_FLAG_NONE.rawValue)
          )
        )
        unsafe at = value + field.1.utf8.count
      }
      return unsafe body(first)
    }
  }
}
