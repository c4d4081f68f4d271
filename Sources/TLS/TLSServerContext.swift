import COpenSSL

/// What the TLS sessions of one port share: certificates, the authorities of clients, the keys of
/// session tickets. It never changes; a new certificate is a new context, and sessions keep the
/// one they began with.
@safe package final class TLSServerContext: @unchecked Sendable {
  // SAFETY: written in `init` only; OpenSSL locks what sessions change in a context.
  private let identities: [TLSIdentity]
  private var contexts: [Context] = []
  private let protocols: [UInt8]

  /// - Parameters:
  ///   - identities: at least one; the first serves clients that name no host or an unknown one.
  ///   - clientAuthorities: PEM; clients must then show a certificate that one of these signed.
  ///   - protocols: names for ALPN (RFC 7301), best first.
  package init(
    _ identities: [TLSIdentity],
    clientAuthorities: [UInt8]? = nil,
    protocols: [String]
  ) throws(TLSError) {
    precondition(!identities.isEmpty, "a TLS server needs a certificate")
    self.identities = identities
    self.protocols = protocols.flatMap { [UInt8(clamping: $0.utf8.count)] + Array($0.utf8) }
    for identity in identities { try add(identity, clientAuthorities) }
  }

  /// A new session in the server's role; the context must outlive it.
  @unsafe func makeSession() -> OpaquePointer? { unsafe SSL_new(contexts[0].pointer) }

  private func add(_ identity: TLSIdentity, _ authorities: [UInt8]?) throws(TLSError) {
    ERR_clear_error()
    guard let context = unsafe SSL_CTX_new(TLS_server_method()) else {
      throw .failed(takeOpenSSLError())
    }
    unsafe contexts.append(Context(context))
    // All of these have forward secrecy and are none of those RFC 9113 appendix A forbids.
    guard unsafe copenssl_prepare_server(context) == 1,
      unsafe SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1,
      unsafe SSL_CTX_set_session_id_context(context, Array("signalbox".utf8), 9) == 1
    else { throw .failed(takeOpenSSLError()) }
    guard unsafe SSL_CTX_use_certificate(context, identity.certificate.pointer) == 1 else {
      throw .certificate("the certificate cannot be used: \(takeOpenSSLError())")
    }
    for link in identity.chain {
      guard unsafe copenssl_add_chain(context, link.pointer) == 1 else {
        throw .certificate("the chain cannot be used: \(takeOpenSSLError())")
      }
    }
    guard unsafe SSL_CTX_use_PrivateKey(context, identity.key) == 1 else {
      throw .key("the key cannot be used: \(takeOpenSSLError())")
    }
    if let authorities { try unsafe require(authorities, context) }
    let me = unsafe Unmanaged.passUnretained(self).toOpaque()
    unsafe copenssl_on_server_name(
      context,
      { session, _, argument in
        guard let session = unsafe session, let argument = unsafe argument else { return 0 }
        let server = unsafe Unmanaged<TLSServerContext>.fromOpaque(argument).takeUnretainedValue()
        unsafe server.select(session)
        return SSL_TLSEXT_ERR_OK
      },
      me
    )
    unsafe SSL_CTX_set_alpn_select_cb(
      context,
      { _, chosen, length, offered, count, argument in
        guard let argument = unsafe argument else { return SSL_TLSEXT_ERR_NOACK }
        let server = unsafe Unmanaged<TLSServerContext>.fromOpaque(argument).takeUnretainedValue()
        return unsafe server.negotiate(chosen, length, offered, count)
      },
      me
    )
  }

  /// Clients must show a certificate of one of these.
  @unsafe private func require(_ pem: [UInt8], _ context: OpaquePointer) throws(TLSError) {
    let authorities = Certificate.all(in: pem)
    guard !authorities.isEmpty else {
      throw .authorities("there is no certificate in PEM form in it")
    }
    let store = unsafe SSL_CTX_get_cert_store(context)
    for authority in authorities {
      guard unsafe X509_STORE_add_cert(store, authority.pointer) == 1,
        unsafe SSL_CTX_add_client_CA(context, authority.pointer) == 1
      else { throw .authorities("it cannot be used: \(takeOpenSSLError())") }
    }
    let mode = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
    unsafe SSL_CTX_set_verify(context, mode, nil)
  }

  /// Takes the certificate for the host that the client named (RFC 6066 section 3).
  @unsafe private func select(_ session: OpaquePointer) {
    guard let name = unsafe SSL_get_servername(session, TLSEXT_NAMETYPE_host_name) else { return }
    let host = unsafe String(cString: name)
    guard let place = identities.firstIndex(where: { $0.covers(host) }), place > 0 else { return }
    unsafe SSL_set_SSL_CTX(session, contexts[place].pointer)
  }

  /// Our best protocol that the client offers; none: the handshake fails, as RFC 7301 section 3.2
  /// wants.
  @unsafe private func negotiate(
    _ chosen: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
    _ length: UnsafeMutablePointer<UInt8>?,
    _ offered: UnsafePointer<UInt8>?,
    _ count: UInt32
  ) -> Int32 {
    guard let chosen = unsafe chosen, let length = unsafe length, let offered = unsafe offered
    else { return SSL_TLSEXT_ERR_NOACK }
    let offer = unsafe UnsafeBufferPointer(start: offered, count: Int(count))
    var at = 0
    while at < protocols.count {
      let name = protocols[at + 1...at + Int(protocols[at])]
      at += 1 + name.count
      var place = 0
      while place < offer.count, unsafe place + Int(offer[place]) < offer.count {
        let other = unsafe offer[place + 1..<place + 1 + Int(offer[place])]
        if unsafe other.elementsEqual(name) {
          unsafe chosen.pointee = unsafe offered + place + 1
          unsafe length.pointee = UInt8(name.count)
          return SSL_TLSEXT_ERR_OK
        }
        unsafe place += 1 + other.count
      }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL
  }
}

@safe private final class Context: @unchecked Sendable {
  // SAFETY: OpenSSL counts references atomically and locks what sessions change.
  let pointer: OpaquePointer

  init(_ pointer: OpaquePointer) { unsafe self.pointer = unsafe pointer }

  deinit { unsafe SSL_CTX_free(pointer) }
}
