import COpenSSL

/// SHA-256 (FIPS 180-4).
package enum SHA256 {
  package static let byteCount = 32

  /// The 32 bytes of the digest.
  package static func digest(_ bytes: [UInt8]) -> [UInt8] {
    var hasher = Hasher()
    hasher.update(bytes)
    return hasher.finish()
  }

  /// A digest of bytes that arrive in pieces.
  @safe package struct Hasher: ~Copyable {
    private let state: OpaquePointer

    package init() {
      guard let state = unsafe EVP_MD_CTX_new(),
        unsafe EVP_DigestInit_ex(state, EVP_sha256(), nil) == 1
      else { preconditionFailure("OpenSSL has no SHA-256") }
      unsafe self.state = state
    }

    deinit { unsafe EVP_MD_CTX_free(state) }

    package mutating func update(_ bytes: [UInt8]) {
      let code = unsafe EVP_DigestUpdate(state, bytes, bytes.count)
      precondition(code == 1)
    }

    /// A string with its length before it, so that neighbours cannot run into each other.
    package mutating func update(lengthPrefixed text: String) {
      let count = UInt64(text.utf8.count)
      var bytes: [UInt8] = []
      bytes.reserveCapacity(8 + text.utf8.count)
      for byte in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: count >> (56 - 8 * byte))) }
      bytes.append(contentsOf: text.utf8)
      update(bytes)
    }

    package consuming func finish() -> [UInt8] {
      var digest = [UInt8](repeating: 0, count: SHA256.byteCount)
      let code = unsafe EVP_DigestFinal_ex(state, &digest, nil)
      precondition(code == 1)
      return digest
    }
  }
}
