import COpenSSL

/// A client session over memory BIOs, to talk to a server session without sockets.
@safe final class TestTLSClient {
  private let context: OpaquePointer?
  private var session: OpaquePointer?
  /// The newest ticket.
  private var ticket: OpaquePointer?

  init(
    trusting authority: String,
    certificate: String? = nil,
    key: String? = nil,
    newest: Int32 = TLS1_3_VERSION
  ) {
    unsafe context = SSL_CTX_new(TLS_client_method())
    unsafe session = SSL_new(context)
    unsafe SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
    unsafe SSL_CTX_ctrl(context, SSL_CTRL_SET_MAX_PROTO_VERSION, Int(newest), nil)
    let store = unsafe SSL_CTX_get_cert_store(context)
    unsafe X509_STORE_add_cert(store, Self.certificate(authority))
    if let certificate, let key {
      unsafe SSL_CTX_use_certificate(context, Self.certificate(certificate))
      let source = unsafe BIO_new_mem_buf(key, Int32(key.utf8.count))
      let parsed = unsafe PEM_read_bio_PrivateKey(source, nil, nil, nil)
      unsafe SSL_CTX_use_PrivateKey(context, parsed)
    }
  }

  deinit {
    unsafe SSL_SESSION_free(ticket)
    unsafe SSL_free(session)
    unsafe SSL_CTX_free(context)
  }

  private static func certificate(_ pem: String) -> OpaquePointer? {
    let source = unsafe BIO_new_mem_buf(pem, Int32(pem.utf8.count))
    defer { unsafe BIO_free(source) }
    return unsafe PEM_read_bio_X509(source, nil, nil, nil)
  }

  /// Begins a new connection, with the last one's ticket where there is one.
  func begin(host: String, protocols: [String] = []) {
    if unsafe SSL_is_init_finished(session) == 1 {
      unsafe SSL_SESSION_free(ticket)
      unsafe ticket = SSL_get1_session(session)
    }
    // A session that is freed without its end would not be taken up again.
    unsafe SSL_set_shutdown(session, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN)
    unsafe SSL_free(session)
    unsafe session = SSL_new(context)
    unsafe SSL_set_bio(session, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()))
    unsafe SSL_set_connect_state(session)
    unsafe copenssl_set_host_name(session, host)
    unsafe SSL_set1_host(session, host)
    let names = protocols.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
    if !names.isEmpty { unsafe SSL_set_alpn_protos(session, names, UInt32(names.count)) }
    if let ticket = unsafe ticket { unsafe SSL_set_session(session, ticket) }
    _ = unsafe SSL_do_handshake(session)
  }

  var isOpen: Bool { unsafe SSL_is_init_finished(session) == 1 }
  var isResumed: Bool { unsafe SSL_session_reused(session) == 1 }

  var applicationProtocol: String {
    var name: UnsafePointer<UInt8>?
    var count: UInt32 = 0
    unsafe SSL_get0_alpn_selected(session, &name, &count)
    return unsafe String(
      decoding: UnsafeBufferPointer(start: name, count: Int(count)),
      as: UTF8.self
    )
  }

  /// Ciphertext for the server.
  func takeOutput() -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 64 << 10)
    let count = unsafe BIO_read(SSL_get_wbio(session), &bytes, Int32(bytes.count))
    return Array(bytes.prefix(max(0, Int(count))))
  }

  /// What the server sent in plain; nil at its `close_notify` or an error.
  func receive(_ cipher: [UInt8]) -> [UInt8]? {
    if !cipher.isEmpty { unsafe BIO_write(SSL_get_rbio(session), cipher, Int32(cipher.count)) }
    ERR_clear_error()
    if !isOpen { _ = unsafe SSL_do_handshake(session) }
    var plain: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 16 << 10)
    while true {
      let count = unsafe SSL_read(session, &buffer, Int32(buffer.count))
      if count > 0 {
        plain += buffer[..<Int(count)]
        continue
      }
      let error = unsafe SSL_get_error(session, count)
      return error == SSL_ERROR_WANT_READ || !plain.isEmpty ? plain : nil
    }
  }

  func send(_ text: String) { unsafe SSL_write(session, text, Int32(text.utf8.count)) }
  func finishSending() { unsafe SSL_shutdown(session) }
  func renegotiate() -> Bool {
    unsafe SSL_renegotiate(session) == 1 && SSL_do_handshake(session) == 1
  }
}
