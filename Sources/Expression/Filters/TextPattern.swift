/// A regular expression of a filter. Most are plain words, whole or the beginning of what is
/// meant; those are compared without a machine, which would take thousands of bytes for each.
struct TextPattern: Sendable {
  /// What stands in every text that matches.
  let literal: Literal?
  /// nil where the literal says all.
  private let regex: RE2?

  struct Literal: Sendable, Equatable {
    var bytes: [UInt8] = []
    /// Whether the text begins with it.
    var begins = false
    /// Whether the text ends with it.
    var ends = false
  }

  init(_ pattern: String) throws(RE2Error) {
    let (literal, isAll) = Self.literal(Array(pattern.utf8))
    self.literal = literal
    regex = isAll ? nil : try RE2(pattern)
  }

  func matches(_ text: ArraySlice<UInt8>) -> Bool {
    if let regex { return regex.isMatch(text) }
    guard let literal else { return true }
    let bytes = literal.bytes
    guard text.count >= bytes.count else { return false }
    switch (literal.begins, literal.ends) {
    case (true, true): return text.count == bytes.count && text.elementsEqual(bytes)
    case (true, false): return text.starts(with: bytes)
    case (false, true): return text.suffix(bytes.count).elementsEqual(bytes)
    case (false, false): return ByteString(text).contains(ByteString(bytes))
    }
  }

  /// The literal that a pattern asks for, and whether it asks for nothing else. nil: for none that
  /// could be told so simply.
  private static func literal(_ pattern: [UInt8]) -> (Literal?, isAll: Bool) {
    var literal = Literal()
    var at = 0
    if pattern.first == 0x5e {
      literal.begins = true
      at = 1
    }
    var last = 0
    while at < pattern.count {
      let byte = pattern[at]
      if byte == 0x5c {
        guard at + 1 < pattern.count, isPunctuation(pattern[at + 1]) else { break }
        last = literal.bytes.count
        literal.bytes.append(pattern[at + 1])
        at += 2
        continue
      }
      if ".*+?()[]{}|^$".utf8.contains(byte) { break }
      // A quantifier is for a whole character.
      if byte < 0x80 || byte >= 0xc0 { last = literal.bytes.count }
      literal.bytes.append(byte)
      at += 1
    }
    if at == pattern.count { return (literal, true) }
    if pattern[at] == 0x24, at + 1 == pattern.count {
      literal.ends = true
      return (literal, true)
    }
    if hasAlternatives(pattern) { return (nil, false) }
    if "*+?{".utf8.contains(pattern[at]) { literal.bytes.removeLast(literal.bytes.count - last) }
    return (literal.bytes.isEmpty ? nil : literal, false)
  }

  /// Whether a `|` stands outside of parentheses, or might.
  private static func hasAlternatives(_ pattern: [UInt8]) -> Bool {
    guard pattern.contains(0x7c) else { return false }
    var depth = 0
    var isClass = false
    var last: UInt8 = 0
    var at = 0
    while at < pattern.count {
      let byte = pattern[at]
      switch byte {
      case 0x5c:
        // What is quoted, or classes within classes, is not looked through.
        if at + 1 < pattern.count, pattern[at + 1] == 0x51 { return true }
        at += 1
      case 0x5b where isClass: return true
      case 0x5b: isClass = true
      case 0x5d where isClass && last != 0x5b && last != 0x5e: isClass = false
      case 0x28 where !isClass: depth += 1
      case 0x29 where !isClass: depth -= 1
      case 0x7c where !isClass && depth <= 0: return true
      default: break
      }
      last = byte
      at += 1
    }
    return isClass || depth != 0
  }

  private static func isPunctuation(_ byte: UInt8) -> Bool {
    "!\"#$%&'()*+,-./:;<=>?@[\\]^`{|}~".utf8.contains(byte)
  }
}

extension FilterAtom.Test {
  /// What a pattern asks for at the least; nil where that is nothing.
  init?(_ literal: TextPattern.Literal?) {
    guard let literal, !(literal.bytes.isEmpty && !(literal.begins && literal.ends)) else {
      return nil
    }
    self = .text(literal.bytes, begins: literal.begins, ends: literal.ends)
  }
}
