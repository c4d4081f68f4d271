import TLS

extension Sprig {
  private typealias Make = TemplateFunctions

  /// Digests, and bytes as text.
  static let encodings: [TemplateFunction] = [
    Make.make("sha1sum", .string) { arguments, _ in
      hexadecimal(Digest.sha1(Array(arguments[0].text.bytes)))
    },
    Make.make("sha256sum", .string) { arguments, _ in
      hexadecimal(SHA256.digest(Array(arguments[0].text.bytes)))
    },
    Make.make("sha512sum", .string) { arguments, _ in
      hexadecimal(Digest.sha512(Array(arguments[0].text.bytes)))
    },
    Make.make("adler32sum", .string) { arguments, _ in
      var (a, b): (UInt32, UInt32) = (1, 0)
      for byte in arguments[0].text.bytes {
        a = (a + UInt32(byte)) % 65521
        b = (b + a) % 65521
      }
      return .string("\(b << 16 | a)")
    },
    Make.make("b64enc", .string) { arguments, _ in
      .string(ByteString(encoded(arguments[0].text.bytes, base64, bits: 6)))
    },
    Make.make("b64dec", .string) { arguments, _ in decodedBase64(arguments[0].text) },
    Make.make("b32enc", .string) { arguments, _ in
      .string(ByteString(encoded(arguments[0].text.bytes, base32, bits: 5)))
    },
    Make.make("b32dec", .string) { arguments, _ in decodedBase32(arguments[0].text) },
  ]

  private static func hexadecimal(_ bytes: [UInt8]) -> GoValue {
    var out: [UInt8] = []
    for byte in bytes { GoQuote.appendHex(UInt32(byte), 2, &out) }
    return .string(ByteString(out))
  }

  private static let base64 = Array(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8
  )
  private static let base32 = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".utf8)

  /// RFC 4648 sections 4 and 6, padded.
  static func encoded(_ bytes: ArraySlice<UInt8>, _ alphabet: [UInt8], bits: Int) -> [UInt8] {
    var out: [UInt8] = []
    var (buffer, count) = (0, 0)
    for byte in bytes {
      buffer = (buffer << 8 | Int(byte)) & 0xffff
      count += 8
      while count >= bits {
        count -= bits
        out.append(alphabet[buffer >> count & (1 << bits - 1)])
      }
    }
    if count > 0 { out.append(alphabet[buffer << (bits - count) & (1 << bits - 1)]) }
    let group = bits == 6 ? 4 : 8
    while out.count % group != 0 { out.append(0x3d) }
    return out
  }

  static func base64Text(_ bytes: [UInt8]) -> GoValue {
    .string(ByteString(encoded(bytes[...], base64, bits: 6)))
  }

  private static func packed(_ digits: [Int], bits: Int) -> [UInt8] {
    var out: [UInt8] = []
    var (buffer, count) = (0, 0)
    for digit in digits {
      buffer = (buffer << bits | digit) & 0xffff
      count += bits
      if count >= 8 {
        count -= 8
        out.append(UInt8(buffer >> count & 0xff))
      }
    }
    return out
  }

  /// The words of the original's error take the place of the text.
  private static func illegal(_ base: Int, _ place: Int) -> GoValue {
    .string("illegal base\(base) data at input byte \(place)")
  }

  private static func decodedBase64(_ text: ByteString) -> GoValue {
    let bytes = Array(text.bytes)
    var digits: [Int] = []
    var at = 0
    func isLineEnd(_ place: Int) -> Bool { bytes[place] == 0x0a || bytes[place] == 0x0d }
    while at < bytes.count {
      let byte = bytes[at]
      at += 1
      if let digit = base64.firstIndex(of: byte) {
        digits.append(digit)
        continue
      }
      if isLineEnd(at - 1) { continue }
      let place = digits.count % 4
      guard byte == 0x3d, place >= 2 else { return illegal(64, at - 1) }
      if place == 2 {
        while at < bytes.count, isLineEnd(at) { at += 1 }
        if at == bytes.count { return illegal(64, bytes.count) }
        if bytes[at] != 0x3d { return illegal(64, at - 1) }
        at += 1
      }
      while at < bytes.count, isLineEnd(at) { at += 1 }
      return at < bytes.count
        ? illegal(64, at) : .string(ByteString(packed(digits, bits: 6)))
    }
    let rest = digits.count % 4
    return rest == 0
      ? .string(ByteString(packed(digits, bits: 6))) : illegal(64, bytes.count - rest)
  }

  private static func decodedBase32(_ text: ByteString) -> GoValue {
    let bytes = text.bytes.filter { $0 != 0x0a && $0 != 0x0d }
    var digits: [Int] = []
    for (at, byte) in bytes.enumerated() {
      if let digit = base32.firstIndex(of: byte) {
        digits.append(digit)
        continue
      }
      let place = digits.count % 8
      let left = bytes.count - at - 1
      guard byte == 0x3d, place >= 2, left < 8 else { return illegal(32, at) }
      if left + place < 7 { return illegal(32, bytes.count) }
      for step in 0..<7 - place where left > step && bytes[at + 1 + step] != 0x3d {
        return illegal(32, at + step)
      }
      if place == 3 || place == 6 { return illegal(32, at) }
      return .string(ByteString(packed(digits, bits: 5)))
    }
    let rest = digits.count % 8
    return rest == 0
      ? .string(ByteString(packed(digits, bits: 5))) : illegal(32, bytes.count - rest)
  }
}
