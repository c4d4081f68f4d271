import COpenSSL

/// What is wrong with certificates or keys; the words never contain a part of a key.
package enum TLSError: Error, Equatable, CustomStringConvertible {
  /// The certificate or its chain.
  case certificate(String)
  /// The private key, or its relation to the certificate.
  case key(String)
  /// The certificates that clients are checked against.
  case authorities(String)
  /// OpenSSL would not do it.
  case failed(String)

  package var description: String {
    switch self {
    case .certificate(let why), .key(let why), .authorities(let why), .failed(let why): why
    }
  }
}

/// A server's certificate with its chain and its private key.
@safe package final class TLSIdentity: @unchecked Sendable {
  // SAFETY: the key is written in `init` only; OpenSSL counts references atomically.
  let certificate: Certificate
  let chain: [Certificate]
  let key: OpaquePointer

  /// - Parameters:
  ///   - certificates: PEM, the server's own certificate first, then its chain.
  ///   - key: PEM, not encrypted.
  /// - Throws: `TLSError.certificate` or `TLSError.key`.
  package init(certificates: [UInt8], key: [UInt8]) throws(TLSError) {
    let found = Certificate.all(in: certificates)
    guard let first = found.first else {
      throw .certificate("there is no certificate in PEM form in it")
    }
    guard let key = unsafe readKey(key) else {
      throw .key("there is no unencrypted private key in PEM form in it")
    }
    certificate = first
    chain = Array(found.dropFirst())
    unsafe self.key = unsafe key
    guard unsafe X509_check_private_key(first.pointer, key) == 1 else {
      ERR_clear_error()
      throw .key("the key does not belong to the certificate")
    }
  }

  deinit { unsafe EVP_PKEY_free(key) }

  /// Whether the certificate's time is over.
  package var hasExpired: Bool {
    unsafe X509_cmp_current_time(X509_get0_notAfter(certificate.pointer)) < 0
  }

  /// Whether the certificate is for this host, wildcards as in RFC 6125.
  package func covers(_ host: String) -> Bool {
    unsafe X509_check_host(certificate.pointer, host, host.utf8.count, 0, nil) == 1
  }
}

/// An X.509 certificate.
@safe final class Certificate: @unchecked Sendable {
  // SAFETY: never written; OpenSSL counts references atomically.
  let pointer: OpaquePointer

  private init(_ pointer: OpaquePointer) { unsafe self.pointer = unsafe pointer }

  deinit { unsafe X509_free(pointer) }

  /// All certificates of a PEM text.
  static func all(in pem: [UInt8]) -> [Certificate] {
    var found: [Certificate] = []
    unsafe pem.withUnsafeBytes { bytes in
      guard let source = unsafe BIO_new_mem_buf(bytes.baseAddress, Int32(clamping: bytes.count))
      else { return }
      defer { unsafe BIO_free(source) }
      while let next = unsafe PEM_read_bio_X509(source, nil, nil, nil) {
        unsafe found.append(Certificate(next))
      }
    }
    ERR_clear_error()
    return found
  }
}

@unsafe private func readKey(_ pem: [UInt8]) -> OpaquePointer? {
  let key = unsafe pem.withUnsafeBytes { bytes -> OpaquePointer? in
    guard let source = unsafe BIO_new_mem_buf(bytes.baseAddress, Int32(clamping: bytes.count))
    else { return nil }
    defer { unsafe BIO_free(source) }
    // Without this answer OpenSSL would ask for a password on the terminal.
    return unsafe PEM_read_bio_PrivateKey(source, nil, { _, _, _, _ in -1 }, nil)
  }
  ERR_clear_error()
  return unsafe key
}

/// OpenSSL's newest complaint on this thread, in its words.
func takeOpenSSLError() -> String {
  let code = ERR_peek_last_error()
  ERR_clear_error()
  guard let reason = unsafe ERR_reason_error_string(code) else { return "error \(code)" }
  return unsafe String(cString: reason)
}
