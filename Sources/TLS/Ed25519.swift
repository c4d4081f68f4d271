import COpenSSL

/// Signatures of Ed25519 (RFC 8032). Nothing here is secret, so time tells nobody anything.
package enum Ed25519 {
  package static let keyByteCount = 32
  package static let signatureByteCount = 64

  /// Whether `signature` was made over `message` with the private half of `publicKey`; false for
  /// keys and signatures of any other length.
  package static func isValid(
    _ signature: [UInt8],
    over message: [UInt8],
    publicKey: [UInt8]
  ) -> Bool {
    guard signature.count == signatureByteCount, publicKey.count == keyByteCount,
      let key = unsafe EVP_PKEY_new_raw_public_key(
        EVP_PKEY_ED25519,
        nil,
        publicKey,
        publicKey.count
      )
    else { return false }
    defer { unsafe EVP_PKEY_free(key) }
    guard let state = unsafe EVP_MD_CTX_new() else { preconditionFailure("out of memory") }
    defer { unsafe EVP_MD_CTX_free(state) }
    guard unsafe EVP_DigestVerifyInit(state, nil, nil, nil, key) == 1 else { return false }
    let code = unsafe EVP_DigestVerify(state, signature, signature.count, message, message.count)
    // A signature that does not hold leaves an error behind, which is nobody else's.
    if code != 1 { ERR_clear_error() }
    return code == 1
  }

  /// The signature of `message` by the 32 bytes of a private key; nil for another length.
  package static func sign(_ message: [UInt8], privateKey: [UInt8]) -> [UInt8]? {
    guard
      let key = unsafe EVP_PKEY_new_raw_private_key(
        EVP_PKEY_ED25519,
        nil,
        privateKey,
        privateKey.count
      )
    else { return nil }
    defer { unsafe EVP_PKEY_free(key) }
    guard let state = unsafe EVP_MD_CTX_new() else { preconditionFailure("out of memory") }
    defer { unsafe EVP_MD_CTX_free(state) }
    var signature = [UInt8](repeating: 0, count: signatureByteCount)
    var length = signature.count
    guard unsafe EVP_DigestSignInit(state, nil, nil, nil, key) == 1,
      unsafe EVP_DigestSign(state, &signature, &length, message, message.count) == 1
    else { return nil }
    return signature
  }

  /// The public half of the 32 bytes of a private key; nil for another length.
  package static func publicKey(of privateKey: [UInt8]) -> [UInt8]? {
    guard
      let key = unsafe EVP_PKEY_new_raw_private_key(
        EVP_PKEY_ED25519,
        nil,
        privateKey,
        privateKey.count
      )
    else { return nil }
    defer { unsafe EVP_PKEY_free(key) }
    var bytes = [UInt8](repeating: 0, count: keyByteCount)
    var length = bytes.count
    return unsafe EVP_PKEY_get_raw_public_key(key, &bytes, &length) == 1 ? bytes : nil
  }
}
