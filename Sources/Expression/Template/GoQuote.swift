/// Go's quoted strings.
enum GoQuote {
  /// Whether Go prints a code point as it is.
  static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.isASCII { return (0x20..<0x7f).contains(scalar.value) }
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator,
      .paragraphSeparator, .spaceSeparator:
      return false
    default: return true
    }
  }

  /// `strconv.Quote`; with `ascii`, `QuoteToASCII`.
  static func quote(
    _ text: ByteString,
    mark: Unicode.Scalar = "\"",
    ascii: Bool = false
  ) -> [UInt8] {
    var out: [UInt8] = [UInt8(mark.value)]
    for (offset, rune) in text.runes {
      if rune.width == 1, rune.scalar == "\u{fffd}" {
        let byte = text.bytes[text.bytes.startIndex + offset]
        out += "\\x".utf8
        appendHex(UInt32(byte), 2, &out)
      } else {
        append(rune.scalar, mark, ascii, &out)
      }
    }
    out.append(UInt8(mark.value))
    return out
  }

  private static func append(
    _ scalar: Unicode.Scalar,
    _ mark: Unicode.Scalar,
    _ ascii: Bool,
    _ out: inout [UInt8]
  ) {
    switch scalar {
    case mark, "\\": out += [0x5c, UInt8(scalar.value)]
    case "\u{7}": out += "\\a".utf8
    case "\u{8}": out += "\\b".utf8
    case "\u{c}": out += "\\f".utf8
    case "\n": out += "\\n".utf8
    case "\r": out += "\\r".utf8
    case "\t": out += "\\t".utf8
    case "\u{b}": out += "\\v".utf8
    case _ where isPrintable(scalar) && (!ascii || scalar.isASCII): out.append(scalar)
    case _ where scalar.value < 0x20 || scalar.value == 0x7f:
      out += "\\x".utf8
      appendHex(scalar.value, 2, &out)
    case _ where scalar.value < 0x10000:
      out += "\\u".utf8
      appendHex(scalar.value, 4, &out)
    default:
      out += "\\U".utf8
      appendHex(scalar.value, 8, &out)
    }
  }

  static func appendHex(_ value: UInt32, _ width: Int, _ out: inout [UInt8]) {
    let digits = String(value, radix: 16).utf8
    out += [UInt8](repeating: 0x30, count: max(0, width - digits.count)) + digits
  }

  /// `strconv.Unquote` of a string in double quotes or backquotes, or a character in single
  /// ones, with its quotes; nil for what it refuses.
  static func unquote(_ quoted: ArraySlice<UInt8>) -> ByteString? {
    guard quoted.count >= 2, let mark = quoted.first, quoted.last == mark else { return nil }
    let body = quoted.dropFirst().dropLast()
    if mark == 0x60 {
      return body.contains(0x60) ? nil : ByteString(body.filter { $0 != 0x0d })
    }
    var out: [UInt8] = []
    var at = body.startIndex
    while at < body.endIndex {
      if body[at] == mark || body[at] == 0x0a { return nil }
      if body[at] != 0x5c {
        out.append(body[at])
        at += 1
        continue
      }
      guard let width = unescape(body[at...], mark, &out) else { return nil }
      at += width
    }
    return ByteString(out)
  }

  /// Undoes the escape at the start; how many bytes it took, nil for an unknown one.
  private static func unescape(
    _ text: ArraySlice<UInt8>,
    _ mark: UInt8,
    _ out: inout [UInt8]
  ) -> Int? {
    guard let letter = text.dropFirst().first else { return nil }
    let simple: [UInt8: UInt8] = [
      0x61: 7, 0x62: 8, 0x66: 12, 0x6e: 10, 0x72: 13, 0x74: 9, 0x76: 11, 0x5c: 0x5c,
    ]
    if let byte = simple[letter] ?? (letter == mark ? mark : nil) {
      out.append(byte)
      return 2
    }
    func digits(_ count: Int, radix: Int, from start: Int) -> UInt32? {
      let found = text.dropFirst(start).prefix(count)
      guard found.count == count,
        found.allSatisfy({ $0 != 0x2b && $0 != 0x2d })
      else { return nil }
      return UInt32(String(decoding: found, as: UTF8.self), radix: radix)
    }
    switch letter {
    case 0x78:
      guard let value = digits(2, radix: 16, from: 2) else { return nil }
      out.append(UInt8(value))
      return 4
    case 0x75, 0x55:
      let count = letter == 0x75 ? 4 : 8
      guard let value = digits(count, radix: 16, from: 2), let scalar = Unicode.Scalar(value)
      else { return nil }
      out.append(scalar)
      return count + 2
    case 0x30...0x37:
      guard let value = digits(3, radix: 8, from: 1), value < 256 else { return nil }
      out.append(UInt8(value))
      return 4
    default: return nil
    }
  }
}
