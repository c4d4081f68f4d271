import JSON
import TLS

/// The signatures of Standard Webhooks 1.0.0: a code or an Ed25519 signature over
/// `<id>.<time>.<body>`, several of them in one header while a sender changes its key.
enum StandardSignature {
  /// More signatures in a header than any change of keys needs are refused unread.
  static let signaturesMax = 8

  /// A secret as the sender's pages show it.
  enum Key {
    /// `whsec_` and base64 of 24 to 64 bytes.
    case symmetric([UInt8])
    /// `whpk_` and base64 of a public key.
    case publicKey([UInt8])

    /// nil for anything else.
    init?(_ text: [UInt8]) {
      if let bytes = Self.decoded(text, behind: "whsec_"), (24...64).contains(bytes.count) {
        self = .symmetric(bytes)
      } else if let bytes = Self.decoded(text, behind: "whpk_"),
        bytes.count == Ed25519.keyByteCount
      {
        self = .publicKey(bytes)
      } else {
        return nil
      }
    }

    static let expected =
      "expected whsec_ and the base64 of 24 to 64 bytes, or whpk_ and that of an Ed25519 key"

    private static func decoded(_ text: [UInt8], behind prefix: String) -> [UInt8]? {
      let prefix = Array(prefix.utf8)
      return text.starts(with: prefix) ? Base64.decode(text[prefix.count...]) : nil
    }
  }

  /// Whether one of the signatures in `header` was made by the holder of `key` over `message`.
  static func holds(_ header: String, over message: [UInt8], _ key: Key) -> Bool {
    let signatures = header.split(separator: " ", omittingEmptySubsequences: false)
    guard signatures.count <= signaturesMax else { return false }
    switch key {
    case .symmetric(let bytes):
      let code = Base64.encode(HMACKey(bytes).code(message)[...])
      let wanted = Array("v1,".utf8) + code
      // All are compared, so that time does not tell which one was close.
      return !signatures.filter { constantTimeEquals(wanted, Array($0.utf8)) }.isEmpty
    case .publicKey(let bytes):
      return signatures.contains { signature in
        guard signature.hasPrefix("v1a,"),
          let raw = Base64.decode(Array(signature.dropFirst(4).utf8)[...])
        else { return false }
        return Ed25519.isValid(raw, over: message, publicKey: bytes)
      }
    }
  }
}
