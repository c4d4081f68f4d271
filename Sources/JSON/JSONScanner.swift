/// Why bytes are not JSON.
package struct JSONError: Error, Equatable, CustomStringConvertible {
  /// Offset of the offending byte.
  package let offset: Int
  package let message: String

  package init(offset: Int, message: String) {
    self.offset = offset
    self.message = message
  }

  package var description: String { "byte \(offset): \(message)" }
}

/// Bounds on what a parser takes on.
package struct JSONLimits: Sendable {
  /// Arrays and objects within each other.
  package var depth = 512

  package init(depth: Int = 512) { self.depth = depth }
}

/// One strict pass over bytes (RFC 8259): grammar, UTF-8 and depth.
struct JSONScanner {
  let bytes: [UInt8]
  private(set) var at: Int
  private let limits: JSONLimits
  /// Of the values that were passed over.
  private(set) var containers: [JSONContainer] = []

  init(_ bytes: [UInt8], limits: JSONLimits) {
    self.bytes = bytes
    self.limits = limits
    at = 0
  }

  /// A string's content without its quotes, and whether escapes have to be undone.
  struct Text {
    let range: Range<Int>
    let isEscaped: Bool
  }

  mutating func skipSpace() {
    while at < bytes.count, isSpace(bytes[at]) { at += 1 }
  }

  func fail(_ expected: String) -> JSONError {
    let found: String
    if at >= bytes.count {
      found = "the end"
    } else if (0x21...0x7e).contains(bytes[at]) {
      found = "'\(Character(Unicode.Scalar(bytes[at])))'"
    } else {
      found = "byte 0x" + String(bytes[at], radix: 16)
    }
    return JSONError(offset: at, message: "found \(found), expected \(expected)")
  }

  mutating func expect(_ byte: UInt8, _ name: String) throws(JSONError) {
    guard at < bytes.count, bytes[at] == byte else { throw fail(name) }
    at += 1
  }

  mutating func take(_ byte: UInt8) -> Bool {
    guard at < bytes.count, bytes[at] == byte else { return false }
    at += 1
    return true
  }

  /// A whole document: one value with nothing but white space around it.
  mutating func document<Value>(
    _ value: (inout JSONScanner, Int) throws(JSONError) -> Value
  ) throws(JSONError) -> Value {
    skipSpace()
    let result = try value(&self, 0)
    skipSpace()
    guard at == bytes.count else { throw fail("the end") }
    return result
  }

  /// Checks one value and passes over it, noting the containers.
  mutating func pass(_ depth: Int) throws(JSONError) {
    guard at < bytes.count else { throw fail("a value") }
    switch bytes[at] {
    case 0x7b, 0x5b:
      let number = containers.count
      containers.append(JSONContainer(end: 0, next: 0))
      if bytes[at] == 0x7b {
        try object(depth) { (scanner, _, depth) throws(JSONError) in try scanner.pass(depth) }
      } else {
        try array(depth) { (scanner, depth) throws(JSONError) in try scanner.pass(depth) }
      }
      containers[number] = JSONContainer(
        end: UInt32(truncatingIfNeeded: at),
        next: UInt32(truncatingIfNeeded: containers.count)
      )
    case 0x22: _ = try string()
    case 0x2d, 0x30...0x39: _ = try number()
    default: _ = try literal()
    }
  }

  mutating func object(
    _ depth: Int,
    _ member: (inout JSONScanner, Text, Int) throws(JSONError) -> Void
  ) throws(JSONError) {
    try deeper(depth)
    try expect(0x7b, "'{'")
    skipSpace()
    if take(0x7d) { return }
    while true {
      let key = try string()
      skipSpace()
      try expect(0x3a, "':'")
      skipSpace()
      try member(&self, key, depth + 1)
      skipSpace()
      if take(0x7d) { return }
      try expect(0x2c, "',' or '}'")
      skipSpace()
    }
  }

  mutating func array(
    _ depth: Int,
    _ item: (inout JSONScanner, Int) throws(JSONError) -> Void
  ) throws(JSONError) {
    try deeper(depth)
    try expect(0x5b, "'['")
    skipSpace()
    if take(0x5d) { return }
    while true {
      try item(&self, depth + 1)
      skipSpace()
      if take(0x5d) { return }
      try expect(0x2c, "',' or ']'")
      skipSpace()
    }
  }

  private func deeper(_ depth: Int) throws(JSONError) {
    guard depth < limits.depth else {
      throw JSONError(offset: at, message: "nested deeper than \(limits.depth) levels")
    }
  }

  mutating func literal() throws(JSONError) -> JSON {
    for (word, value) in literals where bytes[at...].starts(with: word) {
      at += word.count
      return value
    }
    throw fail("a value")
  }

  /// The range of a number's text.
  mutating func number() throws(JSONError) -> Range<Int> {
    let start = at
    _ = take(0x2d)
    if !take(0x30) { try digits() }
    if take(0x2e) { try digits() }
    if take(0x65) || take(0x45) {
      if !take(0x2b) { _ = take(0x2d) }
      try digits()
    }
    return start..<at
  }

  private mutating func digits() throws(JSONError) {
    guard at < bytes.count, (0x30...0x39).contains(bytes[at]) else { throw fail("a digit") }
    while at < bytes.count, (0x30...0x39).contains(bytes[at]) { at += 1 }
  }

  mutating func string() throws(JSONError) -> Text {
    try expect(0x22, "'\"'")
    let start = at
    var isEscaped = false
    while true {
      guard at < bytes.count else { throw fail("'\"'") }
      let byte = bytes[at]
      if byte == 0x22 {
        at += 1
        return Text(range: start..<at - 1, isEscaped: isEscaped)
      }
      if byte == 0x5c {
        isEscaped = true
        try escape()
      } else if byte < 0x20 {
        throw fail("no control character in a string")
      } else if byte < 0x80 {
        at += 1
      } else {
        try multibyte(byte)
      }
    }
  }

  private mutating func escape() throws(JSONError) {
    at += 1
    guard at < bytes.count else { throw fail("an escape") }
    switch bytes[at] {
    case 0x22, 0x5c, 0x2f, 0x62, 0x66, 0x6e, 0x72, 0x74: at += 1
    case 0x75:
      at += 1
      for _ in 0..<4 {
        guard at < bytes.count, hexValue(bytes[at]) != nil else { throw fail("a hex digit") }
        at += 1
      }
    default: throw fail("an escape")
    }
  }

  /// One UTF-8 sequence of two to four bytes (RFC 3629 section 4).
  private mutating func multibyte(_ lead: UInt8) throws(JSONError) {
    let second: ClosedRange<UInt8>
    let more: Int
    switch lead {
    case 0xc2...0xdf: (second, more) = (0x80...0xbf, 0)
    case 0xe0: (second, more) = (0xa0...0xbf, 1)
    case 0xed: (second, more) = (0x80...0x9f, 1)
    case 0xe1...0xef: (second, more) = (0x80...0xbf, 1)
    case 0xf0: (second, more) = (0x90...0xbf, 2)
    case 0xf1...0xf3: (second, more) = (0x80...0xbf, 2)
    case 0xf4: (second, more) = (0x80...0x8f, 2)
    default: throw fail("UTF-8")
    }
    at += 1
    guard at < bytes.count, second.contains(bytes[at]) else { throw fail("UTF-8") }
    at += 1
    for _ in 0..<more {
      guard at < bytes.count, (0x80...0xbf).contains(bytes[at]) else { throw fail("UTF-8") }
      at += 1
    }
  }
}

private let literals: [([UInt8], JSON)] = [
  (Array("true".utf8), .bool(true)), (Array("false".utf8), .bool(false)),
  (Array("null".utf8), .null),
]

func isSpace(_ byte: UInt8) -> Bool {
  byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09
}

func hexValue(_ byte: UInt8) -> UInt16? {
  switch byte {
  case 0x30...0x39: UInt16(byte - 0x30)
  case 0x41...0x46: UInt16(byte - 0x37)
  case 0x61...0x66: UInt16(byte - 0x57)
  default: nil
  }
}

/// A checked string's content with its escapes undone; half a surrogate pair becomes U+FFFD.
func unescaped(_ bytes: ArraySlice<UInt8>) -> String {
  var out: [UInt8] = []
  out.reserveCapacity(bytes.count)
  var at = bytes.startIndex
  func unit(_ start: Int) -> UInt16? {
    guard start + 6 <= bytes.endIndex, bytes[start] == 0x5c, bytes[start + 1] == 0x75 else {
      return nil
    }
    return bytes[start + 2..<start + 6].reduce(0) { $0 << 4 | (hexValue($1) ?? 0) }
  }
  while at < bytes.endIndex {
    guard bytes[at] == 0x5c else {
      out.append(bytes[at])
      at += 1
      continue
    }
    guard let first = unit(at) else {
      switch bytes[at + 1] {
      case 0x62: out.append(0x08)
      case 0x66: out.append(0x0c)
      case 0x6e: out.append(0x0a)
      case 0x72: out.append(0x0d)
      case 0x74: out.append(0x09)
      case let byte: out.append(byte)
      }
      at += 2
      continue
    }
    at += 6
    var scalar = Unicode.Scalar(first)
    if (0xd800...0xdbff).contains(first), let second = unit(at),
      (0xdc00...0xdfff).contains(second)
    {
      at += 6
      scalar = Unicode.Scalar(
        0x10000 + (UInt32(first) - 0xd800) << 10 + (UInt32(second) - 0xdc00)
      )
    }
    out += Array(String(Character(scalar ?? "\u{fffd}")).utf8)
  }
  return String(decoding: out, as: UTF8.self)
}
