import COpenSSL

/// HMAC-SHA256 (RFC 2104) under one key. The key is set up once; each message costs a copy of
/// that state. Safe to use from several threads.
@safe package final class HMACKey: @unchecked Sendable {
  // SAFETY: `template` is written in `init` only; `EVP_MAC_CTX_dup` reads it.
  private let template: OpaquePointer

  /// - Parameter key: any bytes; an empty key is a caller's bug and traps.
  package init(_ key: [UInt8]) {
    precondition(!key.isEmpty, "an HMAC key must not be empty")
    guard let mac = unsafe EVP_MAC_fetch(nil, "HMAC", nil) else {
      preconditionFailure("OpenSSL has no HMAC")
    }
    defer { unsafe EVP_MAC_free(mac) }
    guard let context = unsafe EVP_MAC_CTX_new(mac) else {
      preconditionFailure("out of memory")
    }
    // The parameter's string must outlive EVP_MAC_init.
    let ready = unsafe "SHA256".withCString { name in
      var parameters = unsafe [
        OSSL_PARAM_construct_utf8_string(
          OSSL_MAC_PARAM_DIGEST,
          UnsafeMutablePointer(mutating: name),
          0
        ),
        OSSL_PARAM_construct_end(),
      ]
      return unsafe EVP_MAC_init(context, key, key.count, &parameters)
    }
    precondition(ready == 1)
    unsafe template = context
  }

  deinit { unsafe EVP_MAC_CTX_free(template) }

  /// The 32 bytes of the code for a whole message.
  package func code(_ message: [UInt8]) -> [UInt8] {
    var stream = stream()
    stream.update(message)
    return stream.finish()
  }

  /// A code over a message that arrives in pieces.
  package func stream() -> Stream {
    guard let state = unsafe EVP_MAC_CTX_dup(template) else { preconditionFailure("out of memory") }
    return unsafe Stream(state)
  }

  @safe package struct Stream: ~Copyable {
    private let state: OpaquePointer

    fileprivate init(_ state: OpaquePointer) { unsafe self.state = unsafe state }

    deinit { unsafe EVP_MAC_CTX_free(state) }

    package mutating func update(_ bytes: [UInt8]) {
      let code = unsafe EVP_MAC_update(state, bytes, bytes.count)
      precondition(code == 1)
    }

    package mutating func update(_ bytes: RawSpan) {
      let code = unsafe bytes.withUnsafeBytes { buffer in
        unsafe EVP_MAC_update(
          state,
          buffer.baseAddress?.assumingMemoryBound(to: UInt8.self),
          buffer.count
        )
      }
      precondition(code == 1)
    }

    package consuming func finish() -> [UInt8] {
      var code = [UInt8](repeating: 0, count: SHA256.byteCount)
      var length = 0
      let done = unsafe EVP_MAC_final(state, &code, &length, code.count)
      precondition(done == 1 && length == code.count)
      return code
    }
  }
}

/// Whether both are equal, in time that depends on the lengths only. Every comparison of a
/// secret, a token or a signature goes through here.
package func constantTimeEquals(_ a: [UInt8], _ b: [UInt8]) -> Bool {
  guard a.count == b.count else { return false }
  return unsafe CRYPTO_memcmp(a, b, a.count) == 0
}

/// Bytes from the system's secure generator.
package func secureRandomBytes(_ count: Int) -> [UInt8] {
  var bytes = [UInt8](repeating: 0, count: count)
  let code = unsafe RAND_bytes(&bytes, Int32(count))
  precondition(code == 1, "the secure random generator failed")
  return bytes
}

/// Lower-case hexadecimal digits, two a byte.
package func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
  func digit(_ value: UInt8) -> UInt8 { value + (value < 10 ? 0x30 : 0x57) }
  var text: [UInt8] = []
  text.reserveCapacity(2 * bytes.underestimatedCount)
  for byte in bytes {
    text.append(digit(byte >> 4))
    text.append(digit(byte & 15))
  }
  return String(decoding: text, as: UTF8.self)
}
