/// A number as written in a template. It has every type it can be without loss, since the
/// place where it stands decides.
struct TemplateNumber: Sendable {
  let text: String
  private(set) var int: Int?
  private(set) var uint: UInt64?
  private(set) var float: Double?
  private(set) var complex: (Double, Double)?

  /// A character constant such as `'a'`; nil for a malformed one.
  init?(character quoted: ArraySlice<UInt8>) {
    text = String(decoding: quoted, as: UTF8.self)
    guard let content = GoQuote.unquote(quoted), content.runeCount == 1,
      let rune = content.runes.first?.rune
    else { return nil }
    // An escaped byte stands for its number, not for broken UTF-8.
    let isByte = content.count == 1
    let value = isByte ? Int(content.bytes[content.bytes.startIndex]) : Int(rune.scalar.value)
    int = value
    uint = UInt64(value)
    float = Double(value)
  }

  /// nil for what is no number.
  init?(_ bytes: ArraySlice<UInt8>) {
    text = String(decoding: bytes, as: UTF8.self)
    if let body = Self.imaginary(text) {
      complex = body
      // A number without imaginary part is any other number too.
      if body.1 == 0 { setFloat(body.0) }
      return
    }
    if let value = Self.integer(text) {
      switch value {
      case .signed(let value):
        int = value
        if value >= 0 { uint = UInt64(value) }
      case .unsigned(let value): uint = value
      }
    }
    if let int {
      float = Double(int)
    } else if let uint {
      float = Double(uint)
    } else if let value = GoNumber.float(text) {
      // An integer that is written as one but does not fit is an error, not a float.
      let looksInteger = text.utf8.allSatisfy {
        (0x30...0x39).contains($0) || $0 == 0x2b || $0 == 0x2d || $0 == 0x5f
      }
      if looksInteger { return nil }
      setFloat(value)
    }
    if int == nil, uint == nil, float == nil { return nil }
  }

  private mutating func setFloat(_ value: Double) {
    float = value
    if let whole = Int(exactly: value) { int = whole }
    if let whole = UInt64(exactly: value) { uint = whole }
  }

  /// The value where nothing asks for a type; nil for an integer beyond 64 bits with sign.
  var ideal: GoValue? {
    if let complex { return .complex(complex.0, complex.1) }
    let lower = text.lowercased()
    let isHexInteger = lower.contains("0x") && !lower.contains("p")
    let isCharacter = text.hasPrefix("'")
    if let float, !isHexInteger, !isCharacter, lower.contains(where: { ".ep".contains($0) }) {
      return .float(float)
    }
    return int.map { .int($0) }
  }

  enum Integer {
    case signed(Int)
    case unsigned(UInt64)
  }

  /// `strconv.ParseInt` and `ParseUint` with base 0: prefixes, and underscores between digits.
  static func integer(_ text: String) -> Integer? {
    var body = Substring(text)
    let isNegative = body.first == "-"
    if isNegative || body.first == "+" { body.removeFirst() }
    var radix = 10
    var hasPrefix = false
    if body.first == "0", body.count > 1 {
      switch body.dropFirst().first {
      case "x", "X": radix = 16
      case "b", "B": radix = 2
      case "o", "O": radix = 8
      default:
        radix = 8
        hasPrefix = true
      }
      body = body.dropFirst(hasPrefix ? 1 : 2)
      hasPrefix = true
    }
    // An underscore stands behind a prefix or a digit and before a digit.
    var previousIsDigit = hasPrefix
    var digits = ""
    for character in body {
      if character == "_" {
        guard previousIsDigit else { return nil }
        previousIsDigit = false
      } else {
        digits.append(character)
        previousIsDigit = true
      }
    }
    guard previousIsDigit, !digits.isEmpty, digits.first != "+", digits.first != "-",
      let size = UInt64(digits, radix: radix)
    else { return nil }
    if isNegative {
      if size == 1 << 63 { return .signed(Int.min) }
      return size < 1 << 63 ? .signed(-Int(size)) : nil
    }
    return size < 1 << 63 ? .signed(Int(size)) : .unsigned(size)
  }

  /// `2i` and `1+2i`.
  private static func imaginary(_ text: String) -> (Double, Double)? {
    guard text.hasSuffix("i") else { return nil }
    let body = Array(text.dropLast())
    let split = body.indices.dropFirst().last {
      (body[$0] == "+" || body[$0] == "-") && !"eEpP".contains(body[$0 - 1])
    }
    guard let split else {
      return GoNumber.float(String(body)).map { (0, $0) }
    }
    guard let real = GoNumber.float(String(body[..<split])),
      let imaginary = GoNumber.float(String(body[split...]))
    else { return nil }
    return (real, imaginary)
  }
}
