/// A word of a govaluate expression.
struct GovaluateToken: Sendable {
  enum Kind: Sendable, Equatable {
    case prefix, number, bool, text, pattern, time, variable, accessor
    case modifier, comparator, logical, ternary, separator, open, close
  }

  var kind: Kind
  /// The symbol or name.
  let text: String
  var value = ExprValue.null
  var pattern: ExprPattern?
  /// The byte offset of its first character.
  let offset: Int
}

/// Cuts an expression into tokens (spec section 3.1).
struct GovaluateLexer {
  private let source: [Rune]
  private let offsets: [Int]
  private let zone: GoZone
  private var at = 0
  private var tokens: [GovaluateToken] = []

  static func tokens(_ source: ByteString, _ zone: GoZone) throws(ExprFault) -> [GovaluateToken] {
    var lexer = GovaluateLexer(source, zone)
    while try lexer.step() {
      guard lexer.tokens.count <= ExprLimits.levels else {
        throw lexer.fail("the expression has more than \(ExprLimits.levels) words")
      }
    }
    return lexer.tokens
  }

  private init(_ source: ByteString, _ zone: GoZone) {
    let runes = source.runes
    self.source = runes.map(\.rune)
    offsets = runes.map(\.offset) + [source.count]
    self.zone = zone
  }

  private func fail(_ message: String, at place: Int? = nil) -> ExprFault {
    ExprFault(message, at: offsets[min(place ?? at, source.count)], phase: .parse)
  }

  private static func isDigit(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.generalCategory == .decimalNumber
  }

  private static func isLetter(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
    default: false
    }
  }

  private static func isNumeric(_ scalar: Unicode.Scalar) -> Bool {
    isDigit(scalar) || scalar == "."
  }

  private static func isNamePart(_ scalar: Unicode.Scalar) -> Bool {
    isLetter(scalar) || isDigit(scalar) || scalar == "_" || scalar == "."
  }

  private static func isHexDigit(_ scalar: Unicode.Scalar) -> Bool {
    isDigit(scalar) || ("a"..."f").contains(scalar) || ("A"..."F").contains(scalar)
  }

  private static func isQuote(_ scalar: Unicode.Scalar) -> Bool { scalar == "'" || scalar == "\"" }

  private static func isSymbol(_ scalar: Unicode.Scalar) -> Bool {
    !isDigit(scalar) && !isLetter(scalar) && !"()[]'\"".unicodeScalars.contains(scalar)
  }

  /// Characters while they fit; white space ends them or is skipped before the first, unless it
  /// is kept; `\` takes the next character as it is. Whether something else ended them.
  private mutating func read(
    keepsSpace: Bool = false,
    while fits: (Unicode.Scalar) -> Bool
  ) throws(ExprFault) -> (text: String, isEnded: Bool) {
    var text = String.UnicodeScalarView()
    while at < source.count {
      let scalar = source[at].scalar
      at += 1
      if scalar == "\\" {
        guard at < source.count else { throw fail("nothing follows the backslash") }
        text.append(source[at].scalar)
        at += 1
        continue
      }
      if !keepsSpace, scalar.properties.isWhitespace {
        if !text.isEmpty { return (String(text), true) }
        continue
      }
      guard fits(scalar) else {
        at -= 1
        return (String(text), true)
      }
      text.append(scalar)
    }
    return (String(text), false)
  }

  private mutating func emit(
    _ kind: GovaluateToken.Kind,
    _ text: String,
    _ value: ExprValue = .null,
    from start: Int
  ) {
    tokens.append(
      GovaluateToken(kind: kind, text: text, value: value, pattern: nil, offset: offsets[start])
    )
  }

  /// One token; false at the end.
  private mutating func step() throws(ExprFault) -> Bool {
    while at < source.count, source[at].scalar.properties.isWhitespace { at += 1 }
    guard at < source.count else { return false }
    let start = at
    let scalar = source[at].scalar
    if Self.isNumeric(scalar) {
      try number(start)
    } else if Self.isLetter(scalar) {
      try word(start)
    } else if Self.isQuote(scalar) {
      at += 1
      let (text, isEnded) = try read(keepsSpace: true) { !Self.isQuote($0) }
      guard isEnded else { throw fail("the string is not closed", at: start) }
      at += 1
      if let time = time(text) {
        emit(.time, text, .float(Double(time)), from: start)
      } else {
        emit(.text, text, .string(text), from: start)
      }
    } else if scalar == "[" {
      at += 1
      let (name, isEnded) = try read(keepsSpace: true) { $0 != "]" }
      guard isEnded else { throw fail("the bracket is not closed", at: start) }
      at += 1
      emit(.variable, name, from: start)
    } else if let kind = [",": GovaluateToken.Kind.separator, "(": .open, ")": .close][
      Character(scalar)
    ] {
      at += 1
      emit(kind, String(Character(scalar)), from: start)
    } else {
      try symbol(start)
    }
    return true
  }

  private mutating func number(_ start: Int) throws(ExprFault) {
    if source[at].scalar == "0", at + 2 < source.count, source[at + 1].scalar == "x" {
      at += 2
      let digits = try read(while: Self.isHexDigit).text
      guard let value = UInt64(digits, radix: 16), digits.first != "+" else {
        throw fail("'\(digits)' is no hexadecimal number", at: start)
      }
      emit(.number, digits, .float(Double(value)), from: start)
      return
    }
    let text = try read(while: Self.isNumeric).text
    guard let value = GoNumber.float(text) else { throw fail("'\(text)' is no number", at: start) }
    emit(.number, text, .float(value), from: start)
  }

  private mutating func word(_ start: Int) throws(ExprFault) {
    let text = try read(while: Self.isNamePart).text
    switch text {
    case "true", "false": emit(.bool, text, .bool(text == "true"), from: start)
    case "in", "IN": emit(.comparator, "in", from: start)
    default:
      guard let dot = text.firstIndex(of: "."), dot != text.startIndex else {
        emit(.variable, text, from: start)
        return
      }
      if text.last == "." { throw fail("'\(text)' ends in a dot", at: start) }
      for part in text.split(separator: ".", omittingEmptySubsequences: false).dropFirst() {
        let first = part.unicodeScalars.first
        if let first,
          ByteString(String(Character(first))).uppercased.runes.first?.rune.scalar == first
        {
          continue
        }
        if first == nil { continue }
        throw fail(
          "'\(text)' is a field access, which data has not; write [\(text)]",
          at: start
        )
      }
      emit(.accessor, text, from: start)
    }
  }

  private static let prefixes: Set<String> = ["-", "!", "~"]
  private static let symbols: [String: GovaluateToken.Kind] = {
    let kinds: [(GovaluateToken.Kind, [String])] = [
      (.modifier, ["+", "-", "*", "/", "%", "**", "&", "|", "^", ">>", "<<"]),
      (.logical, ["&&", "||"]), (.comparator, ["==", "!=", ">", ">=", "<", "<=", "=~", "!~"]),
      (.ternary, ["?", ":", "??"]),
    ]
    var symbols: [String: GovaluateToken.Kind] = [:]
    for (kind, texts) in kinds { for text in texts { symbols[text] = kind } }
    return symbols
  }()

  private mutating func symbol(_ start: Int) throws(ExprFault) {
    let text = try read(while: Self.isSymbol).text
    if Self.prefixes.contains(text), GovaluateGrammar.isAllowed(.prefix, behind: tokens.last?.kind)
    {
      emit(.prefix, text, from: start)
    } else if let kind = Self.symbols[text] {
      emit(kind, text, from: start)
    } else {
      throw fail("unknown operator '\(text)'; a space separates two operators", at: start)
    }
  }

  private static let layouts = [
    "Mon Jan _2 15:04:05 2006", "Mon Jan _2 15:04:05 MST 2006", "Mon Jan 02 15:04:05 -0700 2006",
    "3:04PM", "2006-01-02T15:04:05Z07:00", "2006-01-02", "2006-01-02 15:04",
    "2006-01-02 15:04:05", "2006-01-02 15:04:05-07:00", "2006-01-02T15Z0700",
    "2006-01-02T15:04Z0700", "2006-01-02T15:04:05Z0700",
  ].map { GoLayout($0) }

  /// The Unix time of a text that is a date.
  private func time(_ text: String) -> Int? {
    for layout in Self.layouts {
      if let time = layout.parse(text, in: zone) { return time.seconds }
    }
    return nil
  }
}
