/// Numbers and texts out of any value, as spf13/cast and sprig see them.
enum GoCast {
  /// A whole number; fractions are cut, what is no number is 0.
  static func integer(_ value: GoValue) -> Int {
    switch value {
    case .bool(let value): value ? 1 : 0
    case .int(let value), .int64(let value), .duration(let value), .month(let value),
      .weekday(let value):
      value
    case .byte(let value): Int(value)
    case .uint64(let value): Int(truncatingIfNeeded: value)
    case .float(let value): GoNumber.truncated(value)
    case .string(let text): integer(text.description)
    default: 0
    }
  }

  private static func integer(_ text: String) -> Int {
    switch TemplateNumber.integer(withoutFraction(text)) {
    case .signed(let value)?: value
    default: 0
    }
  }

  /// `3.7` is 3 and `-.5` is 0; anything but digits with a point stays as it is.
  private static func withoutFraction(_ text: String) -> String {
    guard let point = text.firstIndex(of: ".") else { return text }
    let whole = text[..<point]
    let digits = whole.first == "-" || whole.first == "+" ? whole.dropFirst() : whole
    guard digits.allSatisfy(\.isASCIIDigit),
      text[text.index(after: point)...].allSatisfy(\.isASCIIDigit)
    else { return text }
    return digits.isEmpty ? "0" : String(whole)
  }

  static func float(_ value: GoValue) -> Double {
    switch value {
    case .float(let value): value
    case .uint64(let value): Double(value)
    case .string(let text): GoNumber.float(text.description) ?? 0
    default: Double(integer(value))
    }
  }

  /// The text of a value: a string as it is, everything else as `%v`.
  static func text(
    _ value: GoValue,
    _ account: TemplateAccount
  ) throws(TemplateFailure) -> ByteString {
    if case .string(let text) = value { return text }
    var printer = GoPrinter(limit: account.room)
    try printer.value(value)
    return ByteString(printer.out)
  }

  /// A list as texts without its nils; anything else is a list of itself.
  static func texts(
    _ value: GoValue,
    _ account: TemplateAccount
  ) throws(TemplateFailure) -> [ByteString] {
    switch value {
    case .absent, .null: return []
    case .list(let list):
      var texts: [ByteString] = []
      for item in list.items where !item.isNil { texts.append(try text(item, account)) }
      return texts
    default: return [try text(value, account)]
    }
  }
}

extension GoValue {
  static func strings(_ texts: [ByteString]) -> GoValue {
    .list(GoList(texts.map { .string($0) }, .string))
  }
}
