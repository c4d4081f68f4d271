/// Text made safe for other languages, as Go's text/template and net/url do it.
enum GoEscapes {
  static func html(_ text: ByteString) -> [UInt8] {
    var out: [UInt8] = []
    for byte in text.bytes {
      switch byte {
      case 0x00: out += "\u{fffd}".utf8
      case 0x22: out += "&#34;".utf8
      case 0x27: out += "&#39;".utf8
      case 0x26: out += "&amp;".utf8
      case 0x3c: out += "&lt;".utf8
      case 0x3e: out += "&gt;".utf8
      default: out.append(byte)
      }
    }
    return out
  }

  static func javaScript(_ text: ByteString) -> [UInt8] {
    var out: [UInt8] = []
    for (offset, rune) in text.runes {
      switch rune.scalar {
      case "\\", "'", "\"": out += [0x5c, UInt8(rune.scalar.value)]
      case "<", ">", "&", "=", "\u{0}"..<" ": escape(rune.scalar, &out)
      case _ where rune.scalar.isASCII || GoQuote.isPrintable(rune.scalar):
        out += text[offset..<offset + rune.width].bytes
      default: escape(rune.scalar, &out)
      }
    }
    return out
  }

  private static func escape(_ scalar: Unicode.Scalar, _ out: inout [UInt8]) {
    let digits = String(scalar.value, radix: 16, uppercase: true)
    out += ("\\u" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits).utf8
  }

  /// `url.QueryEscape`.
  static func query(_ text: ByteString) -> [UInt8] {
    var out: [UInt8] = []
    for byte in text.bytes {
      if byte == 0x20 {
        out.append(0x2b)
      } else if isUnreserved(byte) {
        out.append(byte)
      } else {
        appendPercent(byte, &out)
      }
    }
    return out
  }

  /// RFC 3986 section 2.3.
  static func isUnreserved(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte & 0xdf)
      || [0x2d, 0x5f, 0x2e, 0x7e].contains(byte)
  }

  static func appendPercent(_ byte: UInt8, _ out: inout [UInt8]) {
    let digits = Array("0123456789ABCDEF".utf8)
    out += [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
  }
}
