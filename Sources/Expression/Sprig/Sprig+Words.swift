extension Sprig {
  private typealias Make = TemplateFunctions

  /// What changes the case of words, or shortens them.
  static let words: [TemplateFunction] = [
    Make.make("upper", .string) { arguments, _ in .string(arguments[0].text.uppercased) },
    Make.make("lower", .string) { arguments, _ in .string(arguments[0].text.lowercased) },
    Make.make("title", .string) { arguments, _ in .string(title(arguments[0].text)) },
    Make.make("untitle", .string) { arguments, _ in .string(untitle(arguments[0].text)) },
    Make.make("swapcase", .string) { arguments, _ in .string(swapCase(arguments[0].text)) },
    Make.make("nospace", .string) { arguments, _ in .string(withoutSpace(arguments[0].text)) },
    Make.make("initials", .string) { arguments, _ in .string(initials(arguments[0].text)) },
    Make.make("camelcase", .string) { arguments, _ in
      .string(WordCase.pascal(arguments[0].text))
    },
    Make.make("snakecase", .string) { arguments, _ in
      .string(WordCase.connected(arguments[0].text, by: "_"))
    },
    Make.make("kebabcase", .string) { arguments, _ in
      .string(WordCase.connected(arguments[0].text, by: "-"))
    },
    Make.make("abbrev", .int, .string) { arguments, _ in
      let (width, text) = (arguments[0].number, arguments[1].text)
      return .string(width < 4 ? text : abbreviated(text, 0, width))
    },
    Make.make("abbrevboth", .int, .int, .string) { (arguments, _) throws(TemplateFailure) in
      let (left, right, text) = (arguments[0].number, arguments[1].number, arguments[2].text)
      if right < 4 || left > 0 && right < 7 { return .string(text) }
      return .string(abbreviated(text, left, right))
    },
    Make.make("wrap", .int, .string) { (arguments, account) throws(TemplateFailure) in
      .string(try wrapped(arguments[1].text, arguments[0].number, "\n", cuts: false, account))
    },
    Make.make("wrapWith", .int, .string, .string) { (arguments, account) throws(TemplateFailure) in
      let separator = arguments[1].text
      return .string(
        try wrapped(
          arguments[2].text,
          arguments[0].number,
          separator.isEmpty ? "\n" : separator,
          cuts: true,
          account
        )
      )
    },
  ]

  private static func title(_ text: ByteString) -> ByteString {
    var previous: Unicode.Scalar = " "
    return text.mapped { scalar in
      let isStart =
        previous.isASCII ? !previous.isWordPart : !previous.isWordPart && previous.isSpace
      previous = scalar
      return isStart ? scalar.titled : scalar
    }
  }

  private static func untitle(_ text: ByteString) -> ByteString {
    var isStart = true
    return text.mapped { scalar in
      if scalar.isSpace {
        isStart = true
      } else if isStart {
        isStart = false
        return scalar.lowered
      }
      return scalar
    }
  }

  private static func swapCase(_ text: ByteString) -> ByteString {
    var isStart = true
    return text.mapped { scalar in
      switch scalar.properties.generalCategory {
      case .uppercaseLetter, .titlecaseLetter:
        isStart = false
        return scalar.lowered
      case .lowercaseLetter:
        defer { isStart = false }
        return isStart ? scalar.titled : scalar.uppered
      default:
        isStart = scalar.isSpace
        return scalar
      }
    }
  }

  /// The original goes byte by byte: each byte of a longer code point becomes one of its own.
  private static func withoutSpace(_ text: ByteString) -> ByteString {
    let kept = text.bytes.filter { !Unicode.Scalar($0).isSpace }
    if kept.count == text.count { return text }
    var out: [UInt8] = []
    for byte in kept { out.append(Unicode.Scalar(byte)) }
    return ByteString(out)
  }

  /// Byte by byte as well.
  private static func initials(_ text: ByteString) -> ByteString {
    var out: [UInt8] = []
    var isStart = true
    for byte in text.bytes {
      if Unicode.Scalar(byte).isSpace {
        isStart = true
      } else if isStart {
        out.append(Unicode.Scalar(byte))
        isStart = false
      }
    }
    return ByteString(out)
  }

  /// At most `width` bytes, at least 4; what is left out is marked with three dots.
  private static func abbreviated(_ text: ByteString, _ left: Int, _ width: Int) -> ByteString {
    guard text.count > width else { return text }
    var offset = min(max(left, 0), text.count)
    if text.count - offset < width - 3 { offset = text.count - (width - 3) }
    if offset <= 4 { return text[0..<width - 3] + "..." }
    guard width >= 7 else { return "" }
    if offset + width - 3 < text.count {
      return "..." + abbreviated(text[offset..<text.count], 0, width - 3)
    }
    return "..." + text[text.count - (width - 3)..<text.count]
  }

  /// Lines of at most `width` bytes, broken at spaces; longer words are cut or stay whole.
  private static func wrapped(
    _ text: ByteString,
    _ width: Int,
    _ separator: ByteString,
    cuts: Bool,
    _ account: TemplateAccount
  ) throws(TemplateFailure) -> ByteString {
    let width = max(1, width)
    var out: [UInt8] = []
    var at = 0
    func byte(_ place: Int) -> UInt8 { text.bytes[text.bytes.startIndex + place] }
    while text.count - at > width {
      if byte(at) == 0x20 {
        at += 1
        continue
      }
      guard out.count + text.count + separator.count <= account.room else {
        throw GoPrinter.tooLong
      }
      if let space = (at...at + width).last(where: { byte($0) == 0x20 }) {
        out += text[at..<space].bytes + separator.bytes
        at = space + 1
      } else if cuts {
        out += text[at..<at + width].bytes + separator.bytes
        at += width
      } else if let space = (at + width..<text.count).first(where: { byte($0) == 0x20 }) {
        out += text[at..<space].bytes + separator.bytes
        at = space + 1
      } else {
        out += text[at..<text.count].bytes
        at = text.count
      }
    }
    return ByteString(out + text[at..<text.count].bytes)
  }
}

extension Unicode.Scalar {
  var isSpace: Bool { properties.isWhitespace }

  var lowered: Unicode.Scalar { properties.lowercaseMapping.unicodeScalars.first ?? self }

  /// In simple upper case: one code point stays one.
  var uppered: Unicode.Scalar {
    let upper = properties.uppercaseMapping.unicodeScalars
    return upper.count == 1 ? upper.first ?? self : self
  }

  var titled: Unicode.Scalar {
    let title = properties.titlecaseMapping.unicodeScalars
    return title.count == 1 ? title.first ?? self : self
  }

  var isUpper: Bool { properties.generalCategory == .uppercaseLetter }
}
