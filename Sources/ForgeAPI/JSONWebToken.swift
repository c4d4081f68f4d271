import JSON
import TLS

/// A JSON Web Token signed with RS256 (RFC 7519, RFC 7515).
enum JSONWebToken {
  /// nil where the key is no private key of RSA.
  static func signed(_ claims: [JSON.Member], privateKeyPEM pem: [UInt8]) -> String? {
    let header: JSON = ["alg": "RS256", "typ": "JWT"]
    let message = part(header.encoded()) + "." + part(JSON.object(claims).encoded())
    return RSASignature.sign(Array(message.utf8), privateKeyPEM: pem).map {
      message + "." + part($0)
    }
  }

  /// Base64 for URLs, without padding.
  private static func part(_ bytes: [UInt8]) -> String {
    String(decoding: Base64.encode(bytes[...]), as: UTF8.self)
      .replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
  }
}
