extension Sprig {
  private typealias Make = TemplateFunctions
  private typealias PatternBody =
    @Sendable (GoPattern, [GoValue], inout TemplateAccount) throws(TemplateFailure) -> GoValue

  /// Regular expressions. Without `must` a bad one fails as well, except in `regexMatch`.
  static let patterns: [TemplateFunction] =
    [
      Make.make("regexMatch", .string, .string) { arguments, account in
        do throws(TemplateFailure) {
          let pattern = try account.pattern(arguments[0].text)
          return .bool(pattern.isMatch(arguments[1].text.bytes))
        } catch { return .bool(false) }
      },
      Make.make("mustRegexMatch", .string, .string) {
        (arguments, account) throws(TemplateFailure) in
        .bool(try account.pattern(arguments[0].text).isMatch(arguments[1].text.bytes))
      },
      Make.make("regexQuoteMeta", .string) { arguments, _ in
        var out: [UInt8] = []
        for byte in arguments[0].text.bytes {
          if "\\.+*?()|[]{}^$".utf8.contains(byte) { out.append(0x5c) }
          out.append(byte)
        }
        return .string(ByteString(out))
      },
    ]
    + both("egexFind", []) { (pattern, arguments, _) throws(TemplateFailure) in
      let found = try pattern.matches(limit: 1).first?.first ?? nil
      return .string(found.map { pattern.part($0) } ?? "")
    }
    + both("egexFindAll", [.int]) { (pattern, arguments, account) throws(TemplateFailure) in
      let found = try pattern.matches(limit: arguments[2].number)
      try account.work(found.count)
      let texts = found.compactMap { $0[0] }.map { pattern.part($0) }
      return .list(GoList(texts.map { .string($0) }, .string, isNil: texts.isEmpty))
    }
    + both("egexReplaceAll", [.string]) { (pattern, arguments, account) throws(TemplateFailure) in
      try pattern.replaced(account) { (match, out) in
        pattern.expand(arguments[2].text, match, &out)
      }
    }
    + both("egexReplaceAllLiteral", [.string]) {
      (pattern, arguments, account) throws(TemplateFailure) in
      try pattern.replaced(account) { (_, out) in out += arguments[2].text.bytes }
    }
    + both("egexSplit", [.int]) { (pattern, arguments, account) throws(TemplateFailure) in
      let parts = try pattern.split(arguments[0].text, limit: arguments[2].number)
      try account.work(parts?.count ?? 0)
      return .list(
        GoList((parts ?? []).map { .string($0) }, .string, isNil: parts == nil)
      )
    }

  /// The function under its two names.
  private static func both(
    _ name: String,
    _ others: [TemplateFunction.Parameter],
    _ body: @escaping PatternBody
  ) -> [TemplateFunction] {
    ["r" + name, "mustR" + name].map { name in
      TemplateFunction(name: name, parameters: [.string, .string] + others, rest: nil) {
        (arguments, account) throws(TemplateFailure) in
        let pattern = try account.pattern(arguments[0].text)
        try account.work(arguments[1].text.count / 64)
        return try body(
          GoPattern(pattern: pattern, text: Array(arguments[1].text.bytes)),
          arguments,
          &account
        )
      }
    }
  }
}

/// A pattern and the text it is looked for in, with the rules of Go's `regexp`.
struct GoPattern {
  let pattern: RE2
  let text: [UInt8]

  private static let matchesMax = 100_000

  func part(_ range: Range<Int>) -> ByteString { ByteString(text[range]) }

  private func width(_ place: Int) -> Int {
    place < text.count ? Rune(text[...], at: place).width : 0
  }

  /// The matches from the left that do not overlap; below 0 all of them. An empty one right
  /// behind another does not count.
  func matches(limit: Int) throws(TemplateFailure) -> [[Range<Int>?]] {
    var found: [[Range<Int>?]] = []
    var at = 0
    var previousEnd = -1
    while at <= text.count, limit < 0 || found.count < limit,
      let match = pattern.firstMatch(in: text, from: at), let whole = match[0]
    {
      var counts = true
      if whole.upperBound == at {
        if whole.lowerBound == previousEnd { counts = false }
        at += max(1, width(at))
      } else {
        at = whole.upperBound
      }
      previousEnd = whole.upperBound
      if counts { found.append(match) }
      guard found.count <= Self.matchesMax else {
        throw TemplateFailure("the pattern matches too often", isLimit: true)
      }
    }
    return found
  }

  func replaced(
    _ account: TemplateAccount,
    _ replacement: ([Range<Int>?], inout [UInt8]) -> Void
  ) throws(TemplateFailure) -> GoValue {
    var out: [UInt8] = []
    var lastEnd = 0
    var at = 0
    while at <= text.count, let match = pattern.firstMatch(in: text, from: at),
      let whole = match[0]
    {
      out += text[lastEnd..<whole.lowerBound]
      if whole.upperBound > lastEnd || whole.lowerBound == 0 { replacement(match, &out) }
      guard out.count <= account.room else { throw GoPrinter.tooLong }
      lastEnd = whole.upperBound
      at = max(at + max(1, width(at)), whole.upperBound)
    }
    return .string(ByteString(out + text[lastEnd...]))
  }

  /// nil where the original gives a list that was never made.
  func split(_ expression: ByteString, limit: Int) throws(TemplateFailure) -> [ByteString]? {
    if limit == 0 { return nil }
    if !expression.isEmpty, text.isEmpty { return [""] }
    var parts: [ByteString] = []
    var start = 0
    var end = 0
    for case let whole? in try matches(limit: limit).map({ $0[0] }) {
      if limit > 0, parts.count == limit - 1 { break }
      end = whole.lowerBound
      if whole.upperBound != 0 { parts.append(part(start..<end)) }
      start = whole.upperBound
    }
    if end != text.count { parts.append(part(start..<text.count)) }
    return parts
  }

  /// `$1` and `${name}` are groups, the longest name counts; `$$` is a dollar.
  func expand(_ template: ByteString, _ match: [Range<Int>?], _ out: inout [UInt8]) {
    var rest = template.bytes
    while let byte = rest.first {
      guard byte == 0x24 else {
        out.append(byte)
        rest.removeFirst()
        continue
      }
      rest.removeFirst()
      if rest.first == 0x24 {
        out.append(0x24)
        rest.removeFirst()
        continue
      }
      guard let (name, width) = Self.name(rest) else {
        out.append(0x24)
        continue
      }
      rest = rest.dropFirst(width)
      if let group = group(name), group < match.count, let range = match[group] {
        out += text[range]
      }
    }
  }

  private func group(_ name: String) -> Int? {
    let isNumber = name.allSatisfy(\.isASCIIDigit) && !(name.count > 1 && name.first == "0")
    if isNumber { return Int(name) }
    return pattern.groupNames.firstIndex(of: name).map { $0 + 1 }
  }

  private static func name(_ text: ArraySlice<UInt8>) -> (String, width: Int)? {
    let isBraced = text.first == 0x7b
    let body = isBraced ? text.dropFirst() : text
    var end = body.startIndex
    while end < body.endIndex, Rune(body, at: end).scalar.isWordPart {
      end += Rune(body, at: end).width
    }
    guard end > body.startIndex, !isBraced || (end < body.endIndex && body[end] == 0x7d) else {
      return nil
    }
    let name = String(decoding: body[..<end], as: UTF8.self)
    return (name, name.utf8.count + (isBraced ? 2 : 0))
  }
}
