extension JSON {
  /// Parses a whole document (RFC 8259).
  /// - Throws: `JSONError` with the offset of the first byte that does not fit.
  package init(
    parsing bytes: [UInt8],
    limits: JSONLimits = JSONLimits()
  ) throws(JSONError) {
    var scanner = JSONScanner(bytes, limits: limits)
    self = try scanner.document(JSON.read)
  }

  private static func read(
    _ scanner: inout JSONScanner,
    _ depth: Int
  ) throws(JSONError) -> JSON {
    guard scanner.at < scanner.bytes.count else { throw scanner.fail("a value") }
    switch scanner.bytes[scanner.at] {
    case 0x7b:
      var members: [Member] = []
      try scanner.object(depth) { (scanner, key, depth) throws(JSONError) in
        let name = decoded(key, in: scanner.bytes)
        members.append(Member(key: name, value: try read(&scanner, depth)))
      }
      return .object(members)
    case 0x5b:
      var items: [JSON] = []
      try scanner.array(depth) { (scanner, depth) throws(JSONError) in
        items.append(try read(&scanner, depth))
      }
      return .array(items)
    case 0x22: return .string(decoded(try scanner.string(), in: scanner.bytes))
    case 0x2d, 0x30...0x39:
      return .number(String(decoding: scanner.bytes[try scanner.number()], as: UTF8.self))
    default: return try scanner.literal()
    }
  }

  private static func decoded(_ text: JSONScanner.Text, in bytes: [UInt8]) -> String {
    let content = bytes[text.range]
    return text.isEscaped ? unescaped(content) : String(decoding: content, as: UTF8.self)
  }

  /// Compact bytes; strings escape only what they must.
  package func encoded() -> [UInt8] {
    var out: [UInt8] = []
    append(to: &out)
    return out
  }

  /// `encoded()` as text.
  package var text: String { String(decoding: encoded(), as: UTF8.self) }

  package func append(to out: inout [UInt8]) {
    switch self {
    case .null: out += "null".utf8
    case .bool(let value): out += (value ? "true" : "false").utf8
    case .number(let text): out += text.utf8
    case .string(let text): JSON.appendString(text, to: &out)
    case .array(let items):
      out.append(0x5b)
      for (index, item) in items.enumerated() {
        if index > 0 { out.append(0x2c) }
        item.append(to: &out)
      }
      out.append(0x5d)
    case .object(let members):
      out.append(0x7b)
      for (index, member) in members.enumerated() {
        if index > 0 { out.append(0x2c) }
        JSON.appendString(member.key, to: &out)
        out.append(0x3a)
        member.value.append(to: &out)
      }
      out.append(0x7d)
    }
  }

  /// A string with its quotes.
  package static func appendString(_ text: String, to out: inout [UInt8]) {
    out.append(0x22)
    defer { out.append(0x22) }
    // Most strings are copied as a whole.
    if text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x22 && $0 != 0x5c }) {
      out.append(contentsOf: text.utf8)
      return
    }
    for byte in text.utf8 {
      switch byte {
      case 0x22, 0x5c:
        out.append(0x5c)
        out.append(byte)
      case 0x0a: out += "\\n".utf8
      case 0x0d: out += "\\r".utf8
      case 0x09: out += "\\t".utf8
      case 0..<0x20:
        let digits = Array("0123456789abcdef".utf8)
        out += "\\u00".utf8
        out.append(digits[Int(byte >> 4)])
        out.append(digits[Int(byte & 15)])
      default: out.append(byte)
      }
    }
  }
}
