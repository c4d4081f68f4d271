/// One verb of a format applied to one value.
struct GoVerb {
  private let verb: Unicode.Scalar
  private let flags: GoFormat.Flags
  /// `%#v`.
  private let isGoSyntax: Bool
  private(set) var printer: GoPrinter

  /// - Parameter isWritten: whether the verb stands in the format; `v` within a complaint does
  ///   not, and keeps the flags of the other verb as they are.
  init(
    verb: Unicode.Scalar,
    flags: GoFormat.Flags,
    isWritten: Bool = true,
    printer: GoPrinter
  ) {
    let hasOwnFlags = isWritten && (verb == "v" || verb == "w")
    var own = flags
    // `%+v` adds the names of fields, not signs.
    if hasOwnFlags { (own.plus, own.sharp) = (false, false) }
    (self.verb, self.flags, self.printer) = (verb, own, printer)
    isGoSyntax = hasOwnFlags && flags.sharp
  }

  mutating func value(_ value: GoValue) throws(TemplateFailure) {
    if value.isNil {
      // Only %T and %v have words for nil.
      if verb == "T" || verb == "v" { return try pad("<nil>".utf8) }
      return try bad(value)
    }
    if verb == "T" { return try pad(truncated(ByteString(value.typeName)).bytes) }
    // It is for errors alone.
    if verb == "w" { return try bad(value) }
    if let text = value.stringerText, "vsxXq".unicodeScalars.contains(verb) {
      return try string(ByteString(text), value)
    }
    switch value {
    case .absent, .null: try pad("<nil>".utf8)
    case .bool(let truth):
      if verb == "t" || verb == "v" {
        try pad((truth ? "true" : "false").utf8)
      } else {
        try bad(value)
      }
    case .int(let number), .int64(let number), .duration(let number), .month(let number),
      .weekday(let number):
      try integer(number.magnitude, isNegative: number < 0, value)
    case .byte(let number): try integer(UInt(number), isNegative: false, value)
    case .uint64(let number): try integer(UInt(number), isNegative: false, value)
    case .float(let number): try float(number, value)
    case .string(let text): try string(text, value)
    case .list(let list):
      if isGoSyntax { try printer.append(value.typeName.utf8) }
      let (open, separator, close) = isGoSyntax ? ("{", ", ", "}") : ("[", " ", "]")
      try printer.enter()
      try printer.append(open.utf8)
      for (place, item) in list.items.enumerated() {
        if place > 0 { try printer.append(separator.utf8) }
        try nested(item)
      }
      try printer.append(close.utf8)
      printer.leave()
    case .map(let map): try self.map(map, value)
    case .complex, .time, .zone, .version:
      if verb == "v" { try pad(value.scalarText.utf8) } else { try bad(value) }
    }
  }

  /// nil within a list or map, whatever the verb.
  private mutating func nested(_ value: GoValue) throws(TemplateFailure) {
    if value.isNil { try printer.append("<nil>".utf8) } else { try self.value(value) }
  }

  private mutating func map(_ map: GoMap, _ value: GoValue) throws(TemplateFailure) {
    let (open, separator, close) =
      isGoSyntax ? (value.typeName + "{", ", ", "}") : ("map[", " ", "]")
    try printer.enter()
    try printer.append(open.utf8)
    for (place, entry) in map.sorted.enumerated() {
      if place > 0 { try printer.append(separator.utf8) }
      try self.value(.string(entry.key))
      try printer.append(0x3a)
      try nested(entry.value)
    }
    try printer.append(close.utf8)
    printer.leave()
  }

  /// `%!d(string=x)`, the value with the flags of the verb.
  private mutating func bad(_ value: GoValue) throws(TemplateFailure) {
    try printer.append("%!".utf8)
    try printer.append(String(Character(verb)).utf8)
    try printer.append(0x28)
    try printer.append(value.typeName.utf8)
    if !value.isNil {
      try printer.append(0x3d)
      var plain = GoVerb(verb: "v", flags: flags, isWritten: false, printer: printer)
      try plain.value(value)
      printer = plain.printer
    }
    try printer.append(0x29)
  }

  private mutating func pad(
    _ text: some Collection<UInt8>,
    zeros: Bool = true
  ) throws(TemplateFailure) {
    let missing = max(0, (flags.width ?? 0) - ByteString(Array(text)).runeCount)
    guard missing <= printer.limit else { throw GoPrinter.tooLong }
    let isZero = zeros && flags.zero && !flags.minus
    let padding = [UInt8](repeating: isZero ? 0x30 : 0x20, count: missing)
    if !flags.minus { try printer.append(padding) }
    try printer.append(text)
    if flags.minus { try printer.append(padding) }
  }

  private mutating func string(_ text: ByteString, _ value: GoValue) throws(TemplateFailure) {
    let text = verb == "x" || verb == "X" ? text : truncated(text)
    switch verb {
    case "v" where isGoSyntax: try quoted(text)
    case "v", "s": try pad(text.bytes)
    case "x", "X":
      var bytes = text.bytes
      if let precision = flags.precision { bytes = bytes.prefix(precision) }
      var out: [UInt8] = []
      for (place, byte) in bytes.enumerated() {
        if place > 0, flags.space { out.append(0x20) }
        if flags.sharp, place == 0 || flags.space { out += verb == "x" ? "0x".utf8 : "0X".utf8 }
        GoQuote.appendHex(UInt32(byte), 2, &out)
      }
      if verb == "X" { out = Array(String(decoding: out, as: UTF8.self).uppercased().utf8) }
      try pad(out)
    case "q": try quoted(text)
    default: try bad(value)
    }
  }

  /// No more characters than the precision says.
  private func truncated(_ text: ByteString) -> ByteString {
    guard let precision = flags.precision else { return text }
    let runes = text.runes
    return precision < runes.count ? text[0..<runes[precision].offset] : text
  }

  private mutating func quoted(_ text: ByteString) throws(TemplateFailure) {
    let isPlain = text.runes.allSatisfy { _, rune in
      rune.scalar == "\t"
        || (rune.scalar != "`" && rune.scalar != "\u{feff}" && rune.scalar.value >= 0x20
          && rune.scalar.value != 0x7f && rune.scalar != "\u{fffd}")
    }
    if flags.sharp, isPlain {
      try pad([0x60] + text.bytes + [0x60])
    } else {
      try pad(GoQuote.quote(text, ascii: flags.plus))
    }
  }

  private mutating func integer(
    _ size: UInt,
    isNegative: Bool,
    _ value: GoValue
  ) throws(TemplateFailure) {
    switch verb {
    case "v", "d": try digits(size, radix: 10, isNegative)
    case "b": try digits(size, radix: 2, isNegative)
    case "o", "O": try digits(size, radix: 8, isNegative)
    case "x", "X": try digits(size, radix: 16, isNegative)
    case "c", "q", "U":
      let scalar = isNegative ? nil : UInt32(exactly: size).flatMap { Unicode.Scalar($0) }
      let shown = scalar ?? "\u{fffd}"
      if verb == "c" { return try pad(Array(String(Character(shown)).utf8)) }
      if verb == "q" {
        let text = ByteString(String(Character(shown)))
        return try pad(GoQuote.quote(text, mark: "'", ascii: flags.plus))
      }
      var hex = String(size, radix: 16, uppercase: true)
      let least = max(4, flags.precision ?? 4)
      hex = String(repeating: "0", count: max(0, least - hex.count)) + hex
      var text = "U+" + hex
      if flags.sharp, let scalar, GoQuote.isPrintable(scalar) { text += " '\(scalar)'" }
      try pad(Array(text.utf8), zeros: false)
    default: try bad(value)
    }
  }

  private mutating func digits(
    _ size: UInt,
    radix: Int,
    _ isNegative: Bool
  ) throws(TemplateFailure) {
    if flags.precision == 0, size == 0 { return try pad([UInt8](), zeros: false) }
    var text = String(size, radix: radix, uppercase: verb == "X")
    let sign = isNegative ? "-" : flags.plus ? "+" : flags.space ? " " : ""
    var least = flags.precision ?? 0
    if flags.precision == nil, flags.zero, !flags.minus, let width = flags.width {
      least = width - sign.count
    }
    guard least <= printer.limit else { throw GoPrinter.tooLong }
    text = String(repeating: "0", count: max(0, least - text.count)) + text
    var prefix = ""
    if flags.sharp {
      switch radix {
      case 2: prefix = "0b"
      case 8: prefix = text.hasPrefix("0") ? "" : "0"
      case 16: prefix = verb == "X" ? "0X" : "0x"
      default: break
      }
    }
    if verb == "O" { prefix = "0o" }
    try pad(Array((sign + prefix + text).utf8), zeros: false)
  }

  private mutating func float(_ number: Double, _ value: GoValue) throws(TemplateFailure) {
    guard let digits = GoFloatDigits(verb, flags.precision, isSharp: flags.sharp) else {
      return try bad(value)
    }
    let isNegative = number.sign == .minus && !number.isNaN
    let sign = isNegative ? "-" : flags.plus ? "+" : flags.space ? " " : ""
    guard number.isFinite else {
      let word = number.isNaN ? "NaN" : sign.isEmpty ? "+Inf" : "Inf"
      return try pad((sign + word).utf8, zeros: false)
    }
    var text = digits.text(number.magnitude)
    if flags.zero, !flags.minus, let width = flags.width {
      let missing = max(0, width - sign.count - text.count)
      guard missing <= printer.limit else { throw GoPrinter.tooLong }
      text = String(repeating: "0", count: missing) + text
    }
    try pad((sign + text).utf8)
  }
}
