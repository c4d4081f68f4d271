import JSON

/// JSON as Go's `encoding/json` writes the values of templates.
struct TemplateJSON {
  private(set) var out: [UInt8] = []
  let limit: Int
  let indent: Int
  let escapesHTML: Bool
  private var depth = 0

  init(limit: Int, indent: Int, escapesHTML: Bool) {
    self.limit = limit
    self.indent = indent
    self.escapesHTML = escapesHTML
  }

  /// Numbers become floats; nil for what is not JSON.
  static func decoded(_ text: ByteString) -> GoValue? {
    do throws(JSONError) {
      return GoValue(try JSON(parsing: Array(text.bytes)))
    } catch { return nil }
  }

  mutating func append(_ value: GoValue) throws(TemplateFailure) {
    guard out.count <= limit else { throw GoPrinter.tooLong }
    switch value {
    case .absent, .null: out += "null".utf8
    case .bool(let value): out += (value ? "true" : "false").utf8
    case .int(let value), .int64(let value), .duration(let value), .month(let value),
      .weekday(let value):
      out += String(value).utf8
    case .byte(let value): out += String(value).utf8
    case .uint64(let value): out += String(value).utf8
    case .float(let value):
      guard let text = GoNumber.json(value) else {
        throw TemplateFailure("json: unsupported value: \(GoNumber.text(value))")
      }
      out += text.utf8
    case .complex: throw TemplateFailure("json: unsupported type: complex128")
    case .string(let text): append(text)
    case .time(let time):
      append(ByteString(GoLayout("2006-01-02T15:04:05.999999999Z07:00").format(time)))
    case .version(let version): append(ByteString(version.text))
    case .zone: out += "{}".utf8
    case .list(let list):
      if list.isNil {
        out += "null".utf8
      } else {
        try container(list.items.map { (nil, $0) }, 0x5b, 0x5d)
      }
    case .map(let map):
      if map.isNil {
        out += "null".utf8
      } else {
        try container(map.sorted.map { ($0.key, $0.value) }, 0x7b, 0x7d)
      }
    }
  }

  private mutating func container(
    _ entries: [(key: ByteString?, value: GoValue)],
    _ open: UInt8,
    _ close: UInt8
  ) throws(TemplateFailure) {
    depth += 1
    if depth > GoPrinter.depthMax { throw TemplateFailure("nested too deep", isLimit: true) }
    out.append(open)
    for (place, entry) in entries.enumerated() {
      if place > 0 { out.append(0x2c) }
      newLine(depth)
      if let key = entry.key {
        append(key)
        out.append(0x3a)
        if indent > 0 { out.append(0x20) }
      }
      try append(entry.value)
    }
    depth -= 1
    if !entries.isEmpty { newLine(depth) }
    out.append(close)
  }

  private mutating func newLine(_ level: Int) {
    guard indent > 0 else { return }
    out.append(0x0a)
    out += [UInt8](repeating: 0x20, count: indent * level)
  }

  private mutating func append(_ text: ByteString) {
    guard !escapesHTML else { return GoJSON.appendString(text, &out) }
    // The three characters are the only difference.
    var escaped: [UInt8] = []
    GoJSON.appendString(text, &escaped)
    var plain = ByteString(escaped)
    for (code, character) in [("\\u003c", "<"), ("\\u003e", ">"), ("\\u0026", "&")] {
      plain = Self.unescaped(plain, Array(code.utf8), Array(character.utf8))
    }
    out += plain.bytes
  }

  /// Undoes one escape, unless its backslash is itself escaped.
  private static func unescaped(
    _ text: ByteString,
    _ code: [UInt8],
    _ character: [UInt8]
  ) -> ByteString {
    var out: [UInt8] = []
    var rest = text.bytes
    while let byte = rest.first {
      if byte != 0x5c {
        out.append(byte)
        rest.removeFirst()
      } else if rest.starts(with: code) {
        out += character
        rest = rest.dropFirst(code.count)
      } else {
        out += rest.prefix(2)
        rest = rest.dropFirst(2)
      }
    }
    return ByteString(out)
  }
}
