/// Why a jq program is refused, or why it gave nothing.
package struct JQError: Error, Equatable, CustomStringConvertible {
  package enum Kind: Sendable {
    case syntax
    /// The program raised an error, or gave nothing or no object.
    case execution
    /// More time, memory or output than one call may have.
    case limit
    /// There is no worker to run it.
    case worker
  }

  package let kind: Kind
  package let message: String
  /// The line of the program, and below it a caret.
  package let excerpt: String?

  init(_ kind: Kind, _ message: String, excerpt: String? = nil) {
    (self.kind, self.message, self.excerpt) = (kind, message, excerpt)
  }

  package var description: String { message + (excerpt.map { "\n" + $0 } ?? "") }
}

/// A program in the language of jq as a worker gets it: what reads anything but its input is
/// refused, and what newer releases have is spelled so that jq 1.6 understands it.
package struct JQProgram: Hashable, Sendable {
  /// As written.
  package let text: String
  let code: String

  /// Longer programs are refused, in bytes.
  package static let bytesMax = 64 << 10

  /// What jq 1.6 does in another way than gojq, which Argo Events has: the deliberate differences.
  package static let differences = [
    "whole numbers beyond 2^53 lose digits, also those written in the program",
    "the members of an object that the program made are visited in the order it made them, except "
      + "by keys, to_entries, tojson and tostring",
    "a text is not indexed by a number (`.[0]`), except by first, last and nth",
    "a fraction is no index of a list: the answer is null",
    "data nested deeper than 256 levels are refused",
    "error(null) cannot be caught",
    "the words of errors are those of jq 1.6",
    "exp, cbrt and their like may differ in the last digits",
    "a format stands before a key of an object, strptime fills in the day of the year, an empty "
      + "list is no date, @urid is not there, and toarray is",
    "input, debug, stderr, halt and modules do not compile, even if the program defines them",
  ]

  private static let refused: Set<String> = [
    "input", "inputs", "input_filename", "input_line_number", "debug", "stderr", "halt",
    "halt_error", "include", "import", "modulemeta", "get_search_list", "get_prog_origin",
    "get_jq_origin",
  ]

  /// - Throws: `JQError` of kind `syntax` for what can be told without a worker.
  package init(_ text: String) throws(JQError) {
    guard text.utf8.count <= Self.bytesMax else {
      throw JQError(.syntax, "longer than \(Self.bytesMax) bytes")
    }
    guard !text.utf8.contains(0) else { throw JQError(.syntax, "NUL has no place in a program") }
    self.text = text
    var lexer = JQLexer(Array(text.utf8))
    var code: [UInt8] = []
    var isEmpty = true
    var defined: Set<String> = []
    var missing: (name: String, offset: Int)?
    var previous = ""
    /// Open `if`s: whether their `else` was seen.
    var conditionals: [Bool] = []
    while let token = lexer.next() {
      if token.isCode { isEmpty = false }
      if token.isName {
        let name = String(decoding: token.bytes, as: UTF8.self)
        if Self.refused.contains(name) {
          throw JQError(
            .syntax,
            "'\(name)' is not available here",
            excerpt: Self.excerpt(text, token.bytes.startIndex)
          )
        }
        if previous == "def" { defined.insert(name) }
        previous = name
        switch name {
        case "if": conditionals.append(false)
        case "else" where !conditionals.isEmpty: conditionals[conditionals.count - 1] = true
        case "end":
          if conditionals.popLast() == false { code += "else . ".utf8 }
        default: break
        }
      }
      if missing == nil {
        let name = String(decoding: token.bytes, as: UTF8.self)
        if JQPrelude.absent.contains(name), !token.isMember {
          missing = (name, token.bytes.startIndex)
        }
      }
      code += token.bytes
    }
    if let missing, !defined.contains(missing.name) {
      throw JQError(
        .syntax,
        "'\(missing.name)' is not defined",
        excerpt: Self.excerpt(text, missing.offset)
      )
    }
    // Only the first output counts, and `first` leaves the program clean: libjq 1.6 cannot take up
    // or let go of one that stands in the middle of a path.
    self.code =
      JQPrelude.text + (isEmpty ? "." : "first(" + String(decoding: code, as: UTF8.self) + "\n)")
  }

  private static func excerpt(_ text: String, _ offset: Int) -> String {
    TemplateError(.parse, "", at: offset, in: Array(text.utf8)).excerpt
  }
}

/// A piece of a jq program.
struct JQToken {
  let bytes: ArraySlice<UInt8>
  /// A word that is a keyword or calls a function: no key, member, variable or format.
  let isName: Bool
  /// Neither space nor comment.
  let isCode: Bool
  /// The name of a member, or a key of an object.
  var isMember = false
}

/// Cuts a jq program into tokens, as far as telling names from texts needs.
struct JQLexer {
  private let text: [UInt8]
  private var at = 0
  /// The brackets around; `"` stands for a string that an interpolation is in.
  private var open: [UInt8] = []
  /// The last byte of code.
  private var last: UInt8 = 0

  init(_ text: [UInt8]) { self.text = text }

  mutating func next() -> JQToken? {
    guard at < text.count else { return nil }
    let start = at
    let byte = text[at]
    switch byte {
    case 0x20, 0x09, 0x0a, 0x0d:
      at += 1
      return JQToken(bytes: text[start..<at], isName: false, isCode: false)
    case 0x23:
      while at < text.count, text[at] != 0x0a { at += 1 }
      return JQToken(bytes: text[start..<at], isName: false, isCode: false)
    case 0x22:
      at += 1
      return string(from: start)
    case 0x29 where open.last == 0x22:
      // The interpolation ends; the string goes on.
      open.removeLast()
      at += 1
      return string(from: start)
    case 0x28, 0x5b, 0x7b:
      open.append(byte)
      at += 1
    case 0x29, 0x5d, 0x7d:
      if !open.isEmpty { open.removeLast() }
      at += 1
    case _ where Self.isWord(byte): return word()
    default: at += 1
    }
    last = byte
    return JQToken(bytes: text[start..<at], isName: false, isCode: true)
  }

  /// Up to the closing quote or the next interpolation.
  private mutating func string(from start: Int) -> JQToken {
    while at < text.count {
      if text[at] == 0x5c, at + 1 < text.count {
        at += 2
        if text[at - 1] == 0x28 {
          open.append(0x22)
          break
        }
      } else {
        at += 1
        if text[at - 1] == 0x22 { break }
      }
    }
    last = text[at - 1]
    return JQToken(bytes: text[start..<at], isName: false, isCode: true)
  }

  private mutating func word() -> JQToken {
    let start = at
    let before = last
    while at < text.count, Self.isWord(text[at]) || isModuleMark { at += 1 }
    // `.name` without a space, `$name` and `@name`, and a key: behind `{` or, in an object, behind
    // a comma.
    func byte(_ place: Int) -> UInt8 { place >= 0 ? text[place] : 0 }
    let isField = byte(start - 1) == 0x2e && byte(start - 2) != 0x2e
    let isMember = isField || before == 0x24 || byte(start - 1) == 0x40
    let isKey = open.last == 0x7b && (before == 0x7b || before == 0x2c)
    let isNumber = (0x30...0x39).contains(text[start])
    last = text[at - 1]
    return JQToken(
      bytes: text[start..<at],
      isName: !isMember && !isKey && !isNumber,
      isCode: true,
      isMember: isField || isKey
    )
  }

  private var isModuleMark: Bool {
    at + 2 < text.count && text[at] == 0x3a && text[at + 1] == 0x3a && Self.isWord(text[at + 2])
  }

  private static func isWord(_ byte: UInt8) -> Bool {
    byte == 0x5f || (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte & 0xdf)
  }
}
