/// A piece of a template's text.
struct TemplateToken {
  enum Kind: Equatable {
    case text
    case leftDelimiter, rightDelimiter, leftParenthesis, rightParenthesis
    case space, pipe, declare, assign
    case number, character, string, rawString, bool
    case field, variable, identifier
    case keyword(Keyword)
    /// Any other printable character.
    case other
    /// What is wrong with the text; nothing follows.
    case error(String)
    case end
  }

  enum Keyword: String {
    case dot = "."
    case block, `break`, `continue`, define, `else`, end, `if`, range, null = "nil", template, with
  }

  let kind: Kind
  let bytes: ArraySlice<UInt8>
  let offset: Int

  var description: String {
    switch kind {
    case .end: "EOF"
    case .error(let message): message
    case .keyword: "<\(String(decoding: bytes, as: UTF8.self))>"
    default: "\"" + String(decoding: bytes.prefix(40), as: UTF8.self) + "\""
    }
  }
}

/// Cuts a template into tokens.
struct TemplateLexer {
  private let text: [UInt8]
  private var at = 0
  private var start = 0
  private var parentheses = 0
  private var tokens: [TemplateToken] = []
  /// A token that cannot be was found.
  private var isBroken = false

  static func tokens(_ text: [UInt8]) -> [TemplateToken] {
    var lexer = TemplateLexer(text: text)
    lexer.run()
    return lexer.tokens
  }

  private init(text: [UInt8]) { self.text = text }

  private mutating func run() {
    while !isBroken {
      guard let open = find("{{", from: at) else {
        add(.text, text[at...])
        at = text.count
        start = at
        emit(.end)
        return
      }
      var literal = text[at..<open]
      let trims = isTrimMarkerLeft(open + 2)
      if trims { while let byte = literal.last, Self.isSpace(byte) { literal.removeLast() } }
      add(.text, literal)
      let content = open + (trims ? 4 : 2)
      if starts("/*", at: content) {
        comment(open, content)
        continue
      }
      tokens.append(
        TemplateToken(kind: .leftDelimiter, bytes: text[open..<open + 2], offset: open)
      )
      at = content
      parentheses = 0
      action()
    }
  }

  private mutating func comment(_ open: Int, _ content: Int) {
    start = open
    guard let close = find("*/", from: content + 2) else { return fail("unclosed comment") }
    at = close + 2
    guard let trims = rightDelimiter else {
      return fail("comment ends before closing delimiter")
    }
    passClose(trims)
  }

  /// Passes over the right delimiter and the space it trims.
  private mutating func passClose(_ trims: Bool) {
    at += trims ? 4 : 2
    if trims { while at < text.count, Self.isSpace(text[at]) { at += 1 } }
    start = at
  }

  /// nil: there is none here; else whether it trims.
  private var rightDelimiter: Bool? {
    if at + 1 < text.count, Self.isSpace(text[at]), text[at + 1] == 0x2d, starts("}}", at: at + 2) {
      return true
    }
    return starts("}}", at: at) ? false : nil
  }

  private func isTrimMarkerLeft(_ place: Int) -> Bool {
    place + 1 < text.count && text[place] == 0x2d && Self.isSpace(text[place + 1])
  }

  private mutating func action() {
    while !isBroken {
      start = at
      if let trims = rightDelimiter {
        if parentheses > 0 { return fail("unclosed left paren") }
        let width = trims ? 4 : 2
        tokens.append(
          TemplateToken(kind: .rightDelimiter, bytes: text[at..<at + width], offset: at)
        )
        passClose(trims)
        return
      }
      guard at < text.count else { return fail("unclosed action") }
      token(text[at])
    }
  }

  private mutating func token(_ byte: UInt8) {
    switch byte {
    case _ where Self.isSpace(byte): space()
    case 0x3d: single(.assign)
    case 0x3a:
      guard starts(":=", at: at) else { return fail("expected :=") }
      at += 2
      emit(.declare)
    case 0x7c: single(.pipe)
    case 0x22: quoted(byte, .string, "quoted string")
    case 0x27: quoted(byte, .character, "character constant")
    case 0x60:
      guard let close = text[(at + 1)...].firstIndex(of: 0x60) else {
        return fail("unterminated raw quoted string")
      }
      at = close + 1
      emit(.rawString)
    case 0x24:
      at += 1
      word(.variable)
    case 0x2e where at + 1 >= text.count || !(0x30...0x39).contains(text[at + 1]):
      at += 1
      word(.field)
    case 0x2e, 0x2b, 0x2d, 0x30...0x39: number()
    case 0x28:
      parentheses += 1
      single(.leftParenthesis)
    case 0x29:
      parentheses -= 1
      if parentheses < 0 { return fail("unexpected right paren") }
      single(.rightParenthesis)
    default:
      if isAlphanumeric(at) {
        word(.identifier)
      } else if (0x21..<0x7f).contains(byte) {
        single(.other)
      } else {
        fail("unrecognized character in action")
      }
    }
  }

  private mutating func single(_ kind: TemplateToken.Kind) {
    at += 1
    emit(kind)
  }

  private mutating func space() {
    while at < text.count, Self.isSpace(text[at]), rightDelimiter == nil { at += 1 }
    if at > start { emit(.space) }
  }

  private mutating func quoted(_ mark: UInt8, _ kind: TemplateToken.Kind, _ what: String) {
    at += 1
    while at < text.count, text[at] != mark, text[at] != 0x0a {
      at += text[at] == 0x5c && at + 1 < text.count && text[at + 1] != 0x0a ? 2 : 1
    }
    guard at < text.count, text[at] == mark else { return fail("unterminated \(what)") }
    at += 1
    emit(kind)
  }

  /// A name, behind its `.` or `$` where it has one.
  private mutating func word(_ kind: TemplateToken.Kind) {
    while isAlphanumeric(at) { at += Rune(text[...], at: at).width }
    guard isTerminator else { return fail("bad character \(characterName)") }
    let word = String(decoding: text[start..<at], as: UTF8.self)
    switch kind {
    case .field where word == ".": emit(.keyword(.dot))
    case .identifier where word == "true" || word == "false": emit(.bool)
    case .identifier:
      if let keyword = TemplateToken.Keyword(rawValue: word) {
        emit(.keyword(keyword))
      } else {
        emit(.identifier)
      }
    default: emit(kind)
    }
  }

  private var characterName: String {
    guard at < text.count else { return "at the end" }
    return "'\(Rune(text[...], at: at).scalar)'"
  }

  private var isTerminator: Bool {
    guard at < text.count else { return true }
    return Self.isSpace(text[at]) || [0x2e, 0x2c, 0x7c, 0x3a, 0x29, 0x28].contains(text[at])
      || starts("}}", at: at)
  }

  private mutating func number() {
    var isGood = scanNumber()
    if isGood, at < text.count, text[at] == 0x2b || text[at] == 0x2d {
      isGood = scanNumber() && text[at - 1] == 0x69
    }
    guard isGood else {
      return fail("bad number syntax: \"\(String(decoding: text[start..<at], as: UTF8.self))\"")
    }
    emit(.number)
  }

  private mutating func scanNumber() -> Bool {
    func isOne(_ characters: String) -> Bool {
      at < text.count && characters.utf8.contains(text[at])
    }
    if isOne("+-") { at += 1 }
    var digits = "0123456789_"
    if isOne("0") {
      at += 1
      for (letters, set) in [("xX", "0123456789abcdefABCDEF_"), ("oO", "01234567_"), ("bB", "01_")]
      where isOne(letters) {
        at += 1
        digits = set
        break
      }
    }
    while isOne(digits) { at += 1 }
    if isOne(".") {
      at += 1
      while isOne(digits) { at += 1 }
    }
    if digits.utf8.count == 11 && isOne("eE") || digits.utf8.count == 23 && isOne("pP") {
      at += 1
      if isOne("+-") { at += 1 }
      while isOne("0123456789_") { at += 1 }
    }
    if isOne("i") { at += 1 }
    guard !isAlphanumeric(at) else {
      at += Rune(text[...], at: at).width
      return false
    }
    return true
  }

  private func isAlphanumeric(_ place: Int) -> Bool {
    guard place < text.count else { return false }
    return Rune(text[...], at: place).scalar.isWordPart
  }

  private static func isSpace(_ byte: UInt8) -> Bool {
    byte == 0x20 || byte == 0x09 || byte == 0x0a || byte == 0x0d
  }

  private func starts(_ word: String, at place: Int) -> Bool {
    place <= text.count && text[place...].starts(with: word.utf8)
  }

  /// Where two bytes stand next to each other.
  private func find(_ pair: String, from place: Int) -> Int? {
    let pair = Array(pair.utf8)
    var place = place
    while place + 1 < text.count {
      if text[place] == pair[0], text[place + 1] == pair[1] { return place }
      place += 1
    }
    return nil
  }

  private mutating func add(_ kind: TemplateToken.Kind, _ bytes: ArraySlice<UInt8>) {
    guard !bytes.isEmpty else { return }
    tokens.append(TemplateToken(kind: kind, bytes: bytes, offset: bytes.startIndex))
  }

  private mutating func emit(_ kind: TemplateToken.Kind) {
    tokens.append(TemplateToken(kind: kind, bytes: text[start..<at], offset: start))
    start = at
  }

  private mutating func fail(_ message: String) {
    isBroken = true
    let offset = max(start, min(at, text.count))
    tokens.append(
      TemplateToken(kind: .error(message), bytes: text[start..<offset], offset: start)
    )
  }
}

extension Unicode.Scalar {
  /// A letter, a digit or `_`, as Go's `unicode` sees it.
  var isWordPart: Bool {
    if isASCII {
      return self == "_" || (0x30...0x39).contains(value) || (0x41...0x5a).contains(value & 0xdf)
    }
    switch properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter,
      .decimalNumber:
      return true
    default: return false
    }
  }
}
