/// A word of an expression.
struct ExprToken: Equatable {
  enum Kind: Equatable { case name, number, string, bytes, symbol, bracket, end }

  let kind: Kind
  /// The text, for strings with escapes undone.
  let text: ByteString
  let offset: Int

  func isSymbol(_ symbol: ByteString) -> Bool { kind == .symbol && text == symbol }
  func isBracket(_ bracket: ByteString) -> Bool { kind == .bracket && text == bracket }

  var shown: String {
    switch kind {
    case .end: "the end"
    case .string, .bytes: "a string"
    default: "'\(text)'"
    }
  }
}

/// Cuts an expression into tokens (spec section 1.1).
struct ExprLexer {
  let source: ByteString
  var at: Int
  private(set) var tokens: [ExprToken] = []

  init(_ source: ByteString) {
    self.source = source
    at = source.bytes.startIndex
  }

  static func tokens(_ source: ByteString) throws(ExprFault) -> [ExprToken] {
    var lexer = ExprLexer(source)
    while try lexer.step() {}
    return lexer.tokens
  }

  var offset: Int { at - source.bytes.startIndex }

  func fail(_ message: String, back: Int = 0) -> ExprFault {
    ExprFault(message, at: max(0, offset - back), phase: .parse)
  }

  /// The code point ahead; nil at the end.
  var rune: Rune? {
    at < source.bytes.endIndex ? Rune(source.bytes, at: at) : nil
  }

  func isNext(_ byte: UInt8, after distance: Int = 0) -> Bool {
    at + distance < source.bytes.endIndex && source.bytes[at + distance] == byte
  }

  mutating func take(_ characters: StaticString) -> Bool {
    guard at < source.bytes.endIndex else { return false }
    let byte = source.bytes[at]
    guard "\(characters)".utf8.contains(byte) else { return false }
    at += 1
    return true
  }

  mutating func emit(_ kind: ExprToken.Kind, from start: Int, _ value: ByteString? = nil) {
    let text = value ?? ByteString(source.bytes[start..<at])
    tokens.append(ExprToken(kind: kind, text: text, offset: start - source.bytes.startIndex))
  }

  /// One token or stretch of white space; false behind the last.
  private mutating func step() throws(ExprFault) -> Bool {
    guard let rune else {
      emit(.end, from: max(source.bytes.startIndex, at - 1), "")
      return false
    }
    let start = at
    if rune.scalar.properties.isWhitespace {
      at += rune.width
      return true
    }
    switch rune.scalar {
    case "'", "\"":
      at += 1
      emit(.string, from: start, try quoted(UInt8(rune.scalar.value), isBytes: false))
    case "`": emit(.string, from: start, try raw())
    case "b" where isNext(0x22, after: 1) || isNext(0x27, after: 1),
      "B" where isNext(0x22, after: 1) || isNext(0x27, after: 1):
      at += 2
      emit(.bytes, from: start, try quoted(source.bytes[at - 1], isBytes: true))
    case "0"..."9": try number(start)
    case ".":
      at += 1
      if let next = self.rune?.scalar, ("0"..."9").contains(next) {
        at = start
        try number(start)
      } else {
        _ = take(".")
        emit(.symbol, from: start)
      }
    case "(", "[", "{", ")", "]", "}":
      at += 1
      emit(.bracket, from: start)
    case "#":
      at += 1
      _ = take("#")
      emit(.symbol, from: start)
      if self.rune.map({ Self.isWordPart($0.scalar) }) == true { word() }
    default: try other(rune, start)
    }
    return true
  }

  private mutating func other(_ rune: Rune, _ start: Int) throws(ExprFault) {
    switch rune.scalar {
    case "?":
      at += 1
      _ = take(".?")
      emit(.symbol, from: start)
    case "|", ":":
      at += 1
      _ = rune.scalar == "|" ? take("|") : take(":")
      emit(.symbol, from: start)
    case ",", ";", "%", "+", "-", "^":
      at += 1
      emit(.symbol, from: start)
    case "&", "!", "=", "*", "<", ">":
      at += 1
      _ = take("&=*")
      emit(.symbol, from: start)
    case "/": try slash(start)
    case let scalar where Self.isWordPart(scalar): word()
    default:
      throw fail("unrecognized character '\(Character(rune.scalar))'")
    }
  }

  private mutating func slash(_ start: Int) throws(ExprFault) {
    at += 1
    if take("/") {
      while let rune, rune.scalar != "\n" { at += rune.width }
    } else if take("*") {
      while !(isNext(0x2a) && isNext(0x2f, after: 1)) {
        guard at < source.bytes.endIndex else { throw fail("unclosed comment") }
        at += 1
      }
      at += 2
    } else {
      emit(.symbol, from: start)
    }
  }

  static func isWordPart(_ scalar: Unicode.Scalar) -> Bool {
    if scalar == "_" || scalar == "$" { return true }
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter,
      .decimalNumber:
      return true
    default: return false
    }
  }

  private static let operators: Set<ByteString> = [
    "not", "in", "or", "and", "matches", "contains", "startsWith", "endsWith", "let", "if", "else",
  ]
  private static let negatable: Set<ByteString> = [
    "in", "matches", "contains", "startsWith", "endsWith",
  ]

  private mutating func passWord() -> ByteString {
    let start = at
    while let rune, Self.isWordPart(rune.scalar) { at += rune.width }
    return ByteString(source.bytes[start..<at])
  }

  private mutating func word() {
    let start = at
    let isPointerName = tokens.last?.isSymbol("#") == true && tokens.last?.offset == offset - 1
    let text = passWord()
    guard Self.operators.contains(text), !isPointerName else {
      emit(.name, from: start)
      return
    }
    emit(.symbol, from: start)
    guard text == "not" else { return }
    // After `not` the words it can negate are operators even where a name would be expected.
    let behind = at
    while take(" ") {}
    let next = at
    if Self.negatable.contains(passWord()) { emit(.symbol, from: next) } else { at = behind }
  }

  private mutating func number(_ start: Int) throws(ExprFault) {
    var digits: StaticString = "0123456789_"
    if take("0") {
      if take("xX") {
        digits = "0123456789abcdefABCDEF_"
      } else if take("oO") {
        digits = "01234567_"
      } else if take("bB") {
        digits = "01_"
      }
    }
    while take(digits) {}
    let whole = at
    if take(".") {
      if isNext(0x2e) {
        at = whole
        emit(.number, from: start)
        return
      }
      while take(digits) {}
    }
    if take("eE") {
      _ = take("+-")
      while take(digits) {}
    }
    if let rune, Self.isWordPart(rune.scalar) { throw fail("bad number") }
    emit(.number, from: start)
  }
}
