import JSON
package import KafkaClient

package struct KafkaTokenError: Error, Equatable, CustomStringConvertible {
  /// Nothing of the token is in it.
  package let description: String
}

extension KafkaToken {
  /// Reads who a JSON Web Token (RFC 7519) is for and when it ends; whether it is good is for the
  /// broker to say.
  /// - Throws: `KafkaTokenError`.
  package init(jsonWebToken token: String) throws(KafkaTokenError) {
    let parts = token.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 3, let bytes = base64URLDecoded(parts[1]),
      let claims = try? JSON(parsing: bytes)
    else { throw KafkaTokenError(description: "the token is no JSON Web Token") }
    guard case .number(let text)? = claims["exp"], let seconds = Double(text), seconds > 0,
      seconds < 1e11
    else { throw KafkaTokenError(description: "the token has no time in 'exp'") }
    guard case .string(let subject)? = claims["sub"], !subject.isEmpty else {
      throw KafkaTokenError(description: "the token has no subject in 'sub'")
    }
    self.init(token, expiresAtMilliseconds: Int64(seconds * 1000), principal: subject)
  }
}

/// RFC 4648 section 5, without padding; nil for anything else.
private func base64URLDecoded(_ text: Substring) -> [UInt8]? {
  var bytes: [UInt8] = []
  var bits = 0
  var count = 0
  for character in text.utf8 {
    let value: Int
    switch character {
    case 0x41...0x5a: value = Int(character) - 0x41
    case 0x61...0x7a: value = Int(character) - 0x61 + 26
    case 0x30...0x39: value = Int(character) - 0x30 + 52
    case 0x2d: value = 62
    case 0x5f: value = 63
    default: return nil
    }
    bits = (bits << 6 | value) & 0xffff
    count += 6
    if count >= 8 {
      count -= 8
      bytes.append(UInt8(bits >> count & 0xff))
    }
  }
  return bytes
}
