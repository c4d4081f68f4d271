extension Sprig {
  private typealias Make = TemplateFunctions

  /// What cuts, joins and pads.
  static let strings: [TemplateFunction] = [
    Make.make("hello") { _, _ in .string("Hello!") },
    Make.make("trim", .string) { arguments, _ in
      .string(arguments[0].text.trimmed(\.properties.isWhitespace))
    },
    trimAll("trimall"), trimAll("trimAll"),
    Make.make("trimPrefix", .string, .string) { arguments, _ in
      let (part, text) = (arguments[0].text, arguments[1].text)
      return .string(text.hasPrefix(part) ? text[part.count..<text.count] : text)
    },
    Make.make("trimSuffix", .string, .string) { arguments, _ in
      let (part, text) = (arguments[0].text, arguments[1].text)
      return .string(text.hasSuffix(part) ? text[0..<text.count - part.count] : text)
    },
    Make.make("contains", .string, .string) { arguments, _ in
      .bool(arguments[1].text.contains(arguments[0].text))
    },
    Make.make("hasPrefix", .string, .string) { arguments, _ in
      .bool(arguments[1].text.hasPrefix(arguments[0].text))
    },
    Make.make("hasSuffix", .string, .string) { arguments, _ in
      .bool(arguments[1].text.hasSuffix(arguments[0].text))
    },
    Make.make("substr", .int, .int, .string) { (arguments, _) throws(TemplateFailure) in
      try substring(arguments[0].number, arguments[1].number, arguments[2].text)
    },
    Make.make("trunc", .int, .string) { arguments, _ in
      let (size, text) = (arguments[0].number, arguments[1].text)
      if size < 0, text.count + size > 0 {
        return .string(text[text.count + size..<text.count])
      }
      return .string(size >= 0 && text.count > size ? text[0..<size] : text)
    },
    Make.make("repeat", .int, .string) { (arguments, account) throws(TemplateFailure) in
      let (count, text) = (arguments[0].number, arguments[1].text)
      guard count >= 0 else { throw TemplateFailure("strings: negative Repeat count") }
      return .string(try repeated(text, count, account))
    },
    Make.make("replace", .string, .string, .string) {
      (arguments, account) throws(TemplateFailure) in
      .string(try replaced(arguments[2].text, arguments[0].text, arguments[1].text, account))
    },
    Make.make("indent", .int, .string) { (arguments, account) throws(TemplateFailure) in
      .string(try indented(arguments[1].text, arguments[0].number, account))
    },
    Make.make("nindent", .int, .string) { (arguments, account) throws(TemplateFailure) in
      .string("\n" + (try indented(arguments[1].text, arguments[0].number, account)))
    },
    Make.make("plural", .string, .string, .int) { arguments, _ in
      arguments[2].number == 1 ? arguments[0] : arguments[1]
    },
    Make.make("quote", rest: .any) { (arguments, account) throws(TemplateFailure) in
      var parts: [ByteString] = []
      for value in arguments where !value.isNil {
        parts.append(ByteString(GoQuote.quote(try GoCast.text(value, account))))
      }
      return .string(joined(parts, " "))
    },
    Make.make("squote", rest: .any) { (arguments, account) throws(TemplateFailure) in
      var parts: [ByteString] = []
      for value in arguments where !value.isNil {
        parts.append("'" + (try GoCast.text(value, account)) + "'")
      }
      return .string(joined(parts, " "))
    },
    Make.make("cat", rest: .any) { (arguments, account) throws(TemplateFailure) in
      var parts: [ByteString] = []
      for value in arguments where !value.isNil { parts.append(try GoCast.text(value, account)) }
      return .string(joined(parts, " "))
    },
    Make.make("toString", .any) { (arguments, account) throws(TemplateFailure) in
      .string(try GoCast.text(arguments[0], account))
    },
    Make.make("toStrings", .any) { (arguments, account) throws(TemplateFailure) in
      .strings(try GoCast.texts(arguments[0], account))
    },
    Make.make("join", .string, .any) { (arguments, account) throws(TemplateFailure) in
      let parts = try GoCast.texts(arguments[1], account)
      let size = parts.reduce(0) { $0 + $1.count + arguments[0].text.count }
      guard size <= account.room + arguments[0].text.count else { throw GoPrinter.tooLong }
      return .string(joined(parts, arguments[0].text))
    },
    Make.make("splitList", .string, .string) { (arguments, account) throws(TemplateFailure) in
      .strings(try parts(arguments[1].text, arguments[0].text, -1, &account))
    },
    Make.make("split", .string, .string) { (arguments, account) throws(TemplateFailure) in
      numbered(try parts(arguments[1].text, arguments[0].text, -1, &account))
    },
    Make.make("splitn", .string, .int, .string) { (arguments, account) throws(TemplateFailure) in
      let limit = arguments[1].number
      return numbered(try parts(arguments[2].text, arguments[0].text, limit, &account))
    },
  ]

  private static func trimAll(_ name: String) -> TemplateFunction {
    Make.make(name, .string, .string) { arguments, _ in
      let set = Set(arguments[0].text.runes.map(\.rune.scalar))
      return .string(arguments[1].text.trimmed { set.contains($0) })
    }
  }

  static func joined(_ parts: [ByteString], _ separator: ByteString) -> ByteString {
    var out: [UInt8] = []
    for (place, part) in parts.enumerated() {
      if place > 0 { out += separator.bytes }
      out += part.bytes
    }
    return ByteString(out)
  }

  private static func substring(
    _ start: Int,
    _ end: Int,
    _ text: ByteString
  ) throws(TemplateFailure) -> GoValue {
    let first = start < 0 ? 0 : start
    let isOpen = start >= 0 && (end < 0 || end > text.count)
    let last = isOpen ? text.count : end
    guard first <= last, last <= text.count else {
      throw TemplateFailure("slice bounds out of range [\(first):\(last)]")
    }
    return .string(text[first..<last])
  }

  static func repeated(
    _ text: ByteString,
    _ count: Int,
    _ account: TemplateAccount
  ) throws(TemplateFailure) -> ByteString {
    let (size, overflow) = text.count.multipliedReportingOverflow(by: count)
    guard !overflow, size <= account.room else { throw GoPrinter.tooLong }
    var out: [UInt8] = []
    out.reserveCapacity(size)
    for _ in 0..<(text.isEmpty ? 0 : count) { out += text.bytes }
    return ByteString(out)
  }

  private static func replaced(
    _ text: ByteString,
    _ old: ByteString,
    _ new: ByteString,
    _ account: TemplateAccount
  ) throws(TemplateFailure) -> ByteString {
    // At most one match a byte, and one behind the last.
    let matches = text.count / max(1, old.count) + 1
    let (growth, overflow) = matches.multipliedReportingOverflow(by: new.count)
    guard !overflow else { throw GoPrinter.tooLong }
    if growth + text.count > account.room {
      var size = text.count
      var at = 0
      while let found = text.index(of: old, from: at), at < text.count {
        size += new.count
        at = found + max(1, old.count)
      }
      guard size <= account.room else { throw GoPrinter.tooLong }
    }
    return text.replacing(old, new)
  }

  private static func indented(
    _ text: ByteString,
    _ spaces: Int,
    _ account: TemplateAccount
  ) throws(TemplateFailure) -> ByteString {
    guard spaces >= 0 else { throw TemplateFailure("strings: negative Repeat count") }
    let pad = try repeated(" ", spaces, account)
    return pad + (try replaced(text, "\n", "\n" + pad, account))
  }

  /// Counts the parts before there is memory for them.
  private static func parts(
    _ text: ByteString,
    _ separator: ByteString,
    _ limit: Int,
    _ account: inout TemplateAccount
  ) throws(TemplateFailure) -> [ByteString] {
    var count = separator.isEmpty ? text.count : 1
    var at = 0
    while !separator.isEmpty, let found = text.index(of: separator, from: at) {
      count += 1
      at = found + separator.count
    }
    try account.grow(64 * (limit < 0 ? count : min(count, limit)))
    return text.split(separator, limit: limit)
  }

  private static func numbered(_ parts: [ByteString]) -> GoValue {
    var items: [ByteString: GoValue] = [:]
    for (place, part) in parts.enumerated() { items[ByteString("_\(place)")] = .string(part) }
    return .map(GoMap(items, holdsStrings: true))
  }
}
