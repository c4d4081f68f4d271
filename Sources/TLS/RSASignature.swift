import COpenSSL

/// Signatures of RSA with PKCS #1 v1.5 and SHA-256 (RFC 8017), which JSON Web Tokens call RS256.
package enum RSASignature {
  /// Below this nobody takes a key any more; above, a signature takes seconds.
  private static let bitsRange = 2048...8192

  /// The signature of `message` by a private key in PEM form (PKCS #1 or PKCS #8, without a
  /// passphrase); nil where that is no such key of 2048 to 8192 bits.
  package static func sign(_ message: [UInt8], privateKeyPEM pem: [UInt8]) -> [UInt8]? {
    guard let source = unsafe BIO_new_mem_buf(pem, Int32(clamping: pem.count)) else {
      preconditionFailure("out of memory")
    }
    defer { unsafe BIO_free(source) }
    // A key with a passphrase is refused, not asked for on the terminal.
    let noPassphrase:
      @convention(c) (
        UnsafeMutablePointer<CChar>?, Int32, Int32, UnsafeMutableRawPointer?
      ) -> Int32 = { _, _, _, _ in -1 }
    guard let key = unsafe PEM_read_bio_PrivateKey(source, nil, noPassphrase, nil) else {
      ERR_clear_error()
      return nil
    }
    defer { unsafe EVP_PKEY_free(key) }
    guard unsafe EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA,
      bitsRange.contains(Int(unsafe EVP_PKEY_get_bits(key)))
    else { return nil }
    guard let state = unsafe EVP_MD_CTX_new() else { preconditionFailure("out of memory") }
    defer { unsafe EVP_MD_CTX_free(state) }
    var length = Int(unsafe EVP_PKEY_get_size(key))
    var signature = [UInt8](repeating: 0, count: length)
    guard unsafe EVP_DigestSignInit(state, nil, EVP_sha256(), nil, key) == 1,
      unsafe EVP_DigestSign(state, &signature, &length, message, message.count) == 1
    else {
      ERR_clear_error()
      return nil
    }
    return Array(signature.prefix(length))
  }
}
