/// Names of one style turned into another, as huandu/xstrings 1.5 cuts words.
enum WordCase {
  private static func isConnector(_ scalar: Unicode.Scalar) -> Bool {
    scalar == "-" || scalar == "_" || scalar.isSpace
  }

  /// `http_server` becomes `HttpServer`; connectors at the ends and doubled ones stay.
  static func pascal(_ text: ByteString) -> ByteString {
    let scalars = text.runes.map(\.rune.scalar)
    var out: [UInt8] = []
    let lead = scalars.prefix(while: isConnector)
    for scalar in lead { out.append(scalar) }
    guard lead.count < scalars.count else { return ByteString(out) }
    var current = scalars[lead.count].uppered
    // A word all in capitals keeps only its first.
    var isCapitals = scalars[lead.count].isUpper
    for scalar in scalars[(lead.count + 1)...] {
      let previous = current
      current = scalar
      if isConnector(previous), isConnector(current) {
        out.append(previous)
        continue
      }
      if isConnector(previous) {
        isCapitals = current.isUpper
        current = current.uppered
        continue
      }
      if isCapitals {
        if current.isUpper { current = current.lowered } else { isCapitals = false }
      }
      out.append(previous)
    }
    out.append(current)
    return ByteString(out)
  }

  private enum Kind { case none, number, upper, letters, connector, punctuation, other }

  /// `HTTPServer2xx` becomes `http_server_2xx`.
  static func connected(_ text: ByteString, by connector: Unicode.Scalar) -> ByteString {
    var words = Words(text.runes.map(\.rune.scalar), connector)
    words.run()
    return ByteString(words.out)
  }

  private struct Words {
    private let scalars: [Unicode.Scalar]
    private let connector: Unicode.Scalar
    private var at = 0
    private(set) var out: [UInt8] = []
    private var kind = Kind.none
    private var word: ArraySlice<Unicode.Scalar> = []

    init(_ scalars: [Unicode.Scalar], _ connector: Unicode.Scalar) {
      self.scalars = scalars
      self.connector = connector
    }

    private var isAtEnd: Bool { at >= scalars.count }

    mutating func run() {
      guard !scalars.isEmpty else { return }
      next()
      while !isAtEnd {
        if kind != .connector { write(kind, word) }
        let (previous, last) = (kind, word)
        next()
        switch previous {
        case .number: continueNumber()
        case .connector: write(.connector, last)
        case .punctuation: break
        default: continueWord()
        }
      }
      write(kind, word)
    }

    /// Letters behind a number belong to it.
    private mutating func continueNumber() {
      while kind == .letters || kind == .number {
        write(kind, word)
        next()
      }
      connectUnlessSeparate()
    }

    private mutating func connectUnlessSeparate() {
      if kind != .none, kind != .connector, kind != .punctuation { out.append(connector) }
    }

    private mutating func continueWord() {
      guard kind == .number else {
        if kind != .connector, kind != .punctuation { out.append(connector) }
        return
      }
      if isAtEnd { return }
      let number = word
      next()
      guard kind == .letters else {
        // The number ends the word before it: `Bld4Floor` is `bld4_floor`.
        write(.number, number)
        if kind != .connector, kind != .punctuation { out.append(connector) }
        return
      }
      // Small letters behind make it a word of its own: `HTTP2xx` is `http_2xx`.
      out.append(connector)
      write(.number, number)
      continueNumber()
    }

    private mutating func write(_ kind: Kind, _ word: ArraySlice<Unicode.Scalar>) {
      let changes = kind == .upper || kind == .connector
      for scalar in word {
        if changes, isConnector(scalar) {
          out.append(connector)
        } else {
          out.append(changes && scalar.isUpper ? scalar.lowered : scalar)
        }
      }
    }

    private mutating func next() {
      guard !isAtEnd else {
        (kind, word) = (.none, [])
        return
      }
      let start = at
      let first = scalars[at]
      kind = Self.kind(first)
      at += 1
      switch kind {
      case .upper: capitals()
      case .letters: take { $0.isLetter && !$0.isUpper }
      case .connector: take(isConnector)
      case .punctuation: take { Self.kind($0) == .punctuation }
      case .number: take { Self.kind($0) == .number }
      default: take { Self.kind($0) == .other }
      }
      word = scalars[start..<at]
    }

    private mutating func take(_ belongs: (Unicode.Scalar) -> Bool) {
      while !isAtEnd, belongs(scalars[at]) { at += 1 }
    }

    /// `HTTPServer` ends before the `S`, `Server` behind the `r`.
    private mutating func capitals() {
      guard !isAtEnd else { return }
      if scalars[at].isUpper {
        take(\.isUpper)
        if !isAtEnd, scalars[at].isLetter { at -= 1 }
      } else if scalars[at].isLetter {
        take { $0.isLetter && !$0.isUpper }
      }
    }

    private static func kind(_ scalar: Unicode.Scalar) -> Kind {
      if isConnector(scalar) { return .connector }
      switch scalar.properties.generalCategory {
      case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation,
        .initialPunctuation, .finalPunctuation, .otherPunctuation:
        return .punctuation
      case .uppercaseLetter: return .upper
      case .decimalNumber, .letterNumber, .otherNumber: return .number
      default: return scalar.isLetter ? .letters : .other
      }
    }
  }
}

extension Unicode.Scalar {
  /// A letter, those of Chinese excepted, which have no words to cut.
  fileprivate var isLetter: Bool {
    switch properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter:
      return !properties.isIdeographic
    default: return false
    }
  }
}
