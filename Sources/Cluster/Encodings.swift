import JSON

/// Bytes of base64 text; nil for anything else.
func base64Decoded(_ text: String) -> [UInt8]? {
  Base64.decode(Array(text.utf8.filter { $0 != 0x20 })[...])
}

func base64Encoded(_ bytes: [UInt8]) -> String {
  String(decoding: Base64.encode(bytes[...]), as: UTF8.self)
}

/// Everything but letters, digits, `-`, `.`, `_` and `~` as `%XX` (RFC 3986 section 2.3).
package func percentEncoded(_ text: String) -> String {
  let digits = Array("0123456789ABCDEF".utf8)
  var bytes: [UInt8] = []
  for byte in text.utf8 {
    switch byte {
    case 0x41...0x5a, 0x61...0x7a, 0x30...0x39, 0x2d, 0x2e, 0x5f, 0x7e: bytes.append(byte)
    default: bytes += [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
    }
  }
  return String(decoding: bytes, as: UTF8.self)
}
