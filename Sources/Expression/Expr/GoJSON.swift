import JSON

/// JSON as Go's `encoding/json` reads and writes it.
enum GoJSON {
  /// - Parameter indent: spaces a level; 0 is compact.
  static func encode(_ value: ExprValue, indent: Int = 0) throws(ExprFailure) -> [UInt8] {
    var out: [UInt8] = []
    try append(value, indent, 0, &out)
    return out
  }

  /// All numbers become floats.
  static func decode(_ text: ByteString) throws(ExprFailure) -> ExprValue {
    let json: JSON
    do throws(JSONError) { json = try JSON(parsing: Array(text.bytes)) } catch {
      throw ExprFailure("\(error)")
    }
    guard isFinite(json) else { throw ExprFailure("a number is too large") }
    return ExprValue(json)
  }

  private static func isFinite(_ json: JSON) -> Bool {
    switch json {
    case .number(let text): Double(text)?.isFinite == true
    case .array(let items): items.allSatisfy(isFinite)
    case .object(let members): members.allSatisfy { isFinite($0.value) }
    default: true
    }
  }

  private static func append(
    _ value: ExprValue,
    _ indent: Int,
    _ level: Int,
    _ out: inout [UInt8]
  ) throws(ExprFailure) {
    switch value {
    case .null: out += "null".utf8
    case .bool(let value): out += (value ? "true" : "false").utf8
    case .int(let value), .duration(let value), .month(let value), .weekday(let value):
      out += String(value).utf8
    case .byte(let value): out += String(value).utf8
    case .float(let value):
      guard let text = GoNumber.json(value) else { throw ExprFailure("JSON has no \(value)") }
      out += text.utf8
    case .string(let text): appendString(text, &out)
    case .json: try append(value.opened, indent, level, &out)
    case .array(let array) where array.isNil: out += "null".utf8
    case .array(let array) where array.element == .byte:
      let bytes = array.items.compactMap { item in
        if case .byte(let byte) = item { byte } else { nil }
      }
      appendString(ByteString(Base64.encode(bytes[...])), &out)
    case .array(let array):
      out.append(0x5b)
      for (place, item) in array.items.enumerated() {
        if place > 0 { out.append(0x2c) }
        newLine(indent, level + 1, &out)
        try append(item, indent, level + 1, &out)
      }
      if !array.items.isEmpty { newLine(indent, level, &out) }
      out.append(0x5d)
    case .map(let map): try append(map, indent, level, &out)
    case .time(let time):
      let text = GoLayout("2006-01-02T15:04:05.999999999Z07:00").format(time)
      appendString(ByteString(text), &out)
    case .zone: out += "{}".utf8
    case .function: throw ExprFailure("JSON has no functions")
    }
  }

  private static func append(
    _ map: ExprMap,
    _ indent: Int,
    _ level: Int,
    _ out: inout [UInt8]
  ) throws(ExprFailure) {
    guard map.keys == .strings else { throw ExprFailure("JSON has only strings as keys") }
    out.append(0x7b)
    for (place, entry) in map.sorted.enumerated() {
      if place > 0 { out.append(0x2c) }
      newLine(indent, level + 1, &out)
      if case .string(let name) = entry.key { appendString(name, &out) }
      out.append(0x3a)
      if indent > 0 { out.append(0x20) }
      try append(entry.value, indent, level + 1, &out)
    }
    if !map.values.isEmpty { newLine(indent, level, &out) }
    out.append(0x7d)
  }

  private static func newLine(_ indent: Int, _ level: Int, _ out: inout [UInt8]) {
    guard indent > 0 else { return }
    out.append(0x0a)
    out += [UInt8](repeating: 0x20, count: indent * level)
  }

  /// With the quotes; `<`, `>` and `&` are escaped so that the text may stand in HTML.
  static func appendString(_ text: ByteString, _ out: inout [UInt8]) {
    out.append(0x22)
    for (offset, rune) in text.runes {
      switch rune.scalar {
      case "\"", "\\": out += [0x5c, UInt8(rune.scalar.value)]
      case "\n": out += "\\n".utf8
      case "\r": out += "\\r".utf8
      case "\t": out += "\\t".utf8
      case "\u{8}": out += "\\b".utf8
      case "\u{c}": out += "\\f".utf8
      case "<", ">", "&", "\u{0}"..."\u{1f}", "\u{2028}", "\u{2029}":
        let digits = String(rune.scalar.value, radix: 16)
        out += ("\\u" + String(repeating: "0", count: 4 - digits.count) + digits).utf8
      case "\u{fffd}" where rune.width == 1: out += "\\ufffd".utf8
      default: out += text[offset..<offset + rune.width].bytes
      }
    }
    out.append(0x22)
  }
}
