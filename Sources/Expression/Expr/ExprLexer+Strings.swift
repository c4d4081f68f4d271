extension ExprLexer {
  /// The content of a quoted string whose opening quote is passed, escapes undone.
  mutating func quoted(_ quote: UInt8, isBytes: Bool) throws(ExprFault) -> ByteString {
    var out: [UInt8] = []
    while true {
      guard let rune, rune.scalar != "\n" else { throw fail("the string is not closed") }
      if rune.scalar.value == UInt32(quote) {
        at += 1
        return ByteString(out)
      }
      if rune.scalar == "\\" {
        at += 1
        try escape(quote, isBytes, &out)
      } else if rune.scalar == "\r" {
        at += 1
        out.append(0x0a)
      } else {
        out += source.bytes[at..<at + rune.width]
        at += rune.width
      }
    }
  }

  private mutating func escape(
    _ quote: UInt8,
    _ isBytes: Bool,
    _ out: inout [UInt8]
  ) throws(ExprFault) {
    guard at < source.bytes.endIndex else { throw fail("the string is not closed") }
    let byte = source.bytes[at]
    at += 1
    switch byte {
    case 0x61: out.append(0x07)
    case 0x62: out.append(0x08)
    case 0x66: out.append(0x0c)
    case 0x6e: out.append(0x0a)
    case 0x72: out.append(0x0d)
    case 0x74: out.append(0x09)
    case 0x76: out.append(0x0b)
    case 0x5c, quote: out.append(byte)
    case 0x30...0x33:
      at -= 1
      try code(try digits(3, radix: 8), isBytes, &out)
    case 0x78: try code(try digits(2, radix: 16), isBytes, &out)
    case 0x75 where !isBytes && take("{"):
      var value: UInt32 = 0
      var count = 0
      while !isNext(0x7d) {
        guard count < 6, at < source.bytes.endIndex, let digit = digit(radix: 16) else {
          throw fail("invalid escape in a string")
        }
        value = value << 4 | digit
        at += 1
        count += 1
      }
      guard count > 0 else { throw fail("invalid escape in a string") }
      at += 1
      try code(value, false, &out)
    case 0x75 where !isBytes: try code(try digits(4, radix: 16), false, &out)
    case 0x55 where !isBytes: try code(try digits(8, radix: 16), false, &out)
    default: throw fail("invalid escape in a string", back: 1)
    }
  }

  private func digit(radix: UInt32) -> UInt32? {
    guard at < source.bytes.endIndex,
      let value = Character(Unicode.Scalar(source.bytes[at])).hexDigitValue, value < radix
    else { return nil }
    return UInt32(value)
  }

  private mutating func digits(_ count: Int, radix: UInt32) throws(ExprFault) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<count {
      guard let digit = digit(radix: radix) else { throw fail("invalid escape in a string") }
      value = (value &* radix) | digit
      at += 1
    }
    return value
  }

  private func code(_ value: UInt32, _ isBytes: Bool, _ out: inout [UInt8]) throws(ExprFault) {
    if isBytes {
      guard value < 256 else { throw fail("invalid escape in a string") }
      out.append(UInt8(value))
    } else {
      guard value <= 0x10ffff else { throw fail("invalid escape in a string") }
      // Half a surrogate pair is no code point; the original writes U+FFFD.
      out.append(Unicode.Scalar(value) ?? "\u{fffd}")
    }
  }

  /// A string between backquotes: nothing is escaped, two backquotes are one.
  mutating func raw() throws(ExprFault) -> ByteString {
    at += 1
    var out: [UInt8] = []
    while at < source.bytes.endIndex {
      let byte = source.bytes[at]
      at += 1
      if byte == 0x60 {
        guard isNext(0x60) else { return ByteString(out) }
        at += 1
      }
      out.append(byte)
    }
    throw fail("the string is not closed")
  }
}
