import COpenSSL

/// One TLS connection in the server's role, without I/O: ciphertext goes in and comes out as
/// bytes. Belongs to one thread at a time.
@safe package final class TLSSession {
  package enum Progress: Equatable, Sendable {
    case handshaking
    case open
    /// The peer will send nothing more (`close_notify`); it can still be sent to.
    case finished
    /// The session is over; what is left to send is an alert.
    case failed(String)
  }

  /// Ciphertext from the peer that was not used yet.
  package var incoming: [UInt8] = []
  private var used = 0
  private var outgoing: [UInt8] = []
  private let context: TLSServerContext
  private let session: OpaquePointer

  /// nil when there is no memory.
  package init?(_ context: TLSServerContext) {
    guard let session = unsafe context.makeSession() else { return nil }
    self.context = context
    unsafe self.session = unsafe session
    guard let wire = unsafe BIO_new(Wire.method.pointer) else { return nil }
    unsafe BIO_set_data(wire, Unmanaged.passUnretained(self).toOpaque())
    unsafe SSL_set_bio(session, wire, wire)
    unsafe SSL_set_accept_state(session)
  }

  deinit { unsafe SSL_free(session) }

  /// What ALPN chose.
  package var applicationProtocol: String? {
    var name: UnsafePointer<UInt8>?
    var count: UInt32 = 0
    unsafe SSL_get0_alpn_selected(session, &name, &count)
    guard let name = unsafe name else { return nil }
    return unsafe String(
      decoding: UnsafeBufferPointer(start: name, count: Int(count)),
      as: UTF8.self
    )
  }

  /// Whether the client came back with a ticket.
  package var isResumed: Bool { unsafe SSL_session_reused(session) == 1 }

  /// Uses what is in `incoming` and appends the plaintext to `plain`. Look at `takeOutput`
  /// afterwards, whatever the answer.
  package func receive(into plain: inout [UInt8]) -> Progress {
    defer {
      if used == incoming.count { incoming = [] } else { incoming.removeFirst(used) }
      used = 0
    }
    ERR_clear_error()
    if unsafe SSL_is_init_finished(session) == 0 {
      let code = unsafe SSL_do_handshake(session)
      if code != 1 { return ended(code, .handshaking) }
    }
    while true {
      var count = 0
      let code = unsafe withUnsafeTemporaryAllocation(byteCount: 16 << 10, alignment: 1) { buffer in
        let code = unsafe SSL_read_ex(session, buffer.baseAddress, buffer.count, &count)
        if code == 1 { unsafe plain += buffer[..<count] }
        return code
      }
      if code != 1 { return ended(code, .open) }
    }
  }

  private func ended(_ code: Int32, _ progress: Progress) -> Progress {
    switch unsafe SSL_get_error(session, code) {
    case SSL_ERROR_WANT_READ: return progress
    case SSL_ERROR_ZERO_RETURN: return .finished
    default: return .failed(takeOpenSSLError())
    }
  }

  /// Encrypts; false when the session is over.
  package func send(_ plain: [UInt8]) -> Bool {
    ERR_clear_error()
    var count = 0
    return unsafe SSL_write_ex(session, plain, plain.count, &count) == 1 && count == plain.count
  }

  /// Says that nothing more is sent (`close_notify`).
  package func finishSending() {
    ERR_clear_error()
    _ = unsafe SSL_shutdown(session)
    ERR_clear_error()
  }

  /// Ciphertext for the peer.
  package func takeOutput() -> [UInt8] {
    defer { outgoing = [] }
    return outgoing
  }

  fileprivate func lend(_ buffer: UnsafeMutableRawBufferPointer) -> Int {
    let count = min(buffer.count, incoming.count - used)
    unsafe buffer.copyBytes(from: incoming[used..<used + count])
    used += count
    return count
  }

  fileprivate func take(_ bytes: UnsafeRawBufferPointer) { unsafe outgoing += bytes }
}

/// The end of OpenSSL's pipe that a session's bytes pass through.
private enum Wire {
  @safe struct Method: @unchecked Sendable {
    // SAFETY: written before it is shared, and only read by OpenSSL.
    let pointer: OpaquePointer
  }

  static let method: Method = {
    guard let method = unsafe BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "session")
    else { preconditionFailure("out of memory") }
    unsafe BIO_meth_set_create(method) { wire in
      unsafe BIO_set_init(wire, 1)
      return 1
    }
    unsafe BIO_meth_set_read(method) { wire, bytes, count in
      unsafe copenssl_clear_retry(wire)
      guard let session = unsafe session(wire) else { return -1 }
      let buffer = unsafe UnsafeMutableRawBufferPointer(start: bytes, count: Int(count))
      let lent = unsafe session.lend(buffer)
      if lent == 0 {
        unsafe copenssl_retry_read(wire)
        return -1
      }
      return Int32(lent)
    }
    unsafe BIO_meth_set_write(method) { wire, bytes, count in
      unsafe copenssl_clear_retry(wire)
      guard let session = unsafe session(wire) else { return -1 }
      unsafe session.take(UnsafeRawBufferPointer(start: bytes, count: Int(count)))
      return count
    }
    unsafe BIO_meth_set_ctrl(method) { _, command, _, _ in command == BIO_CTRL_FLUSH ? 1 : 0 }
    return unsafe Method(pointer: method)
  }()

  private static func session(_ wire: OpaquePointer?) -> TLSSession? {
    guard let data = unsafe BIO_get_data(wire) else { return nil }
    return unsafe Unmanaged<TLSSession>.fromOpaque(data).takeUnretainedValue()
  }
}
