/// Base64 of RFC 4648 section 4.
package enum Base64 {
  private static let alphabet = Array(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8
  )

  package static func encode(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
    var text: [UInt8] = []
    text.reserveCapacity((bytes.count + 2) / 3 * 4)
    var rest = bytes
    while !rest.isEmpty {
      let group = rest.prefix(3)
      rest = rest.dropFirst(3)
      let bits = group.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - group.count))
      for place in 0..<4 {
        text.append(place <= group.count ? alphabet[bits >> (18 - 6 * place) & 63] : 0x3d)
      }
    }
    return text
  }

  /// nil for what is no base64 with padding. Line ends are skipped.
  package static func decode(_ text: ArraySlice<UInt8>) -> [UInt8]? {
    var out: [UInt8] = []
    var bits = 0
    var count = 0
    var padding = 0
    for byte in text where byte != 0x0a && byte != 0x0d {
      count += 1
      if byte == 0x3d {
        padding += 1
        bits <<= 6
      } else {
        guard padding == 0, let value = value(byte) else { return nil }
        bits = bits << 6 | value
      }
      if count % 4 == 0 {
        guard padding <= 2 else { return nil }
        let group = [UInt8(bits >> 16 & 255), UInt8(bits >> 8 & 255), UInt8(bits & 255)]
        out += group.prefix(3 - padding)
        bits = 0
      }
    }
    return count % 4 == 0 ? out : nil
  }

  private static func value(_ byte: UInt8) -> Int? {
    switch byte {
    case 0x41...0x5a: Int(byte) - 0x41
    case 0x61...0x7a: Int(byte) - 0x61 + 26
    case 0x30...0x39: Int(byte) - 0x30 + 52
    case 0x2b: 62
    case 0x2f: 63
    default: nil
    }
  }
}
