import Glibc

/// `fmt.Sprintf`: a format with verbs, and the values they stand for.
struct GoFormat {
  private let format: ArraySlice<UInt8>
  private let values: [GoValue]
  private let adapt: Adapter?
  private var printer: GoPrinter
  private var at: Int
  private var next = 0
  private var usedIndex = false
  private var goodIndex = true

  /// What stands between `%` and the verb.
  struct Flags {
    var plus = false
    var minus = false
    var sharp = false
    var space = false
    var zero = false
    var width: Int?
    var precision: Int?
  }

  /// Larger widths and precisions are refused, as in the original.
  private static let sizeMax = 1_000_000

  /// What a value with a way of its own has printed instead, by which verb.
  typealias Adapter = (GoValue, Unicode.Scalar) -> (GoValue, Unicode.Scalar)

  static func text(
    _ format: ByteString,
    _ values: [GoValue],
    limit: Int,
    adapt: Adapter? = nil
  ) throws(TemplateFailure) -> [UInt8] {
    var run = GoFormat(format: format.bytes, values: values, limit: limit, adapt: adapt)
    try run.run()
    return run.printer.out
  }

  private init(
    format: ArraySlice<UInt8>,
    values: [GoValue],
    limit: Int,
    adapt: Adapter?
  ) {
    self.format = format
    self.values = values
    self.adapt = adapt
    printer = GoPrinter(limit: limit)
    at = format.startIndex
  }

  private mutating func run() throws(TemplateFailure) {
    while at < format.endIndex {
      let literal = format[at...].prefix { $0 != 0x25 }
      try printer.append(literal)
      at += literal.count
      guard at < format.endIndex else { break }
      at += 1
      try verb()
    }
    guard !usedIndex, next < values.count else { return }
    try printer.append("%!(EXTRA ".utf8)
    for (place, value) in values[next...].enumerated() {
      if place > 0 { try printer.append(", ".utf8) }
      try printer.append(value.typeName.utf8)
      if !value.isNil {
        try printer.append(0x3d)
        try printer.value(value)
      }
    }
    try printer.append(0x29)
  }

  private mutating func verb() throws(TemplateFailure) {
    var flags = Flags()
    goodIndex = true
    flagLoop: while at < format.endIndex {
      switch format[at] {
      case 0x23: flags.sharp = true
      case 0x30: flags.zero = true
      case 0x2b: flags.plus = true
      case 0x2d: flags.minus = true
      case 0x20: flags.space = true
      default: break flagLoop
      }
      at += 1
    }
    var indexed = index()
    if try star({ flags.width = $0 }, "WIDTH") {
      indexed = false
      if let width = flags.width, width < 0 {
        flags.width = -width
        flags.minus = true
      }
    } else if let width = number() {
      flags.width = width
      if indexed { goodIndex = false }
    }
    if at + 1 < format.endIndex, format[at] == 0x2e {
      at += 1
      if indexed { goodIndex = false }
      indexed = index()
      if try star({ flags.precision = $0 }, "PREC") {
        indexed = false
        if let precision = flags.precision, precision < 0 { flags.precision = nil }
      } else {
        flags.precision = number() ?? 0
      }
    }
    if !indexed { indexed = index() }
    guard at < format.endIndex else {
      try printer.append("%!(NOVERB)".utf8)
      return
    }
    let rune = Rune(format, at: at)
    let name = format[at..<at + rune.width]
    at += rune.width
    if rune.scalar == "%" {
      try printer.append(0x25)
    } else if !goodIndex {
      try printer.append("%!".utf8)
      try printer.append(name)
      try printer.append("(BADINDEX)".utf8)
    } else if next >= values.count {
      try printer.append("%!".utf8)
      try printer.append(name)
      try printer.append("(MISSING)".utf8)
    } else {
      let value: GoValue
      let verb: Unicode.Scalar
      if let adapt {
        (value, verb) = adapt(values[next], rune.scalar)
      } else {
        (value, verb) = (values[next], rune.scalar)
      }
      next += 1
      var formatter = GoVerb(verb: verb, flags: flags, printer: printer)
      try formatter.value(value)
      printer = formatter.printer
    }
  }

  /// Digits; nil where there are none or the number is too large.
  private mutating func number() -> Int? {
    let digits = format[at...].prefix { (0x30...0x39).contains($0) }
    guard !digits.isEmpty else { return nil }
    at += digits.count
    guard let value = Int(String(decoding: digits, as: UTF8.self)), value <= Self.sizeMax else {
      return nil
    }
    return value
  }

  /// `*`: the size is a value itself.
  private mutating func star(
    _ set: (Int?) -> Void,
    _ what: String
  ) throws(TemplateFailure) -> Bool {
    guard at < format.endIndex, format[at] == 0x2a else { return false }
    at += 1
    var size: Int?
    if next < values.count {
      switch values[next] {
      case .int(let value), .int64(let value): size = value
      case .byte(let value): size = Int(value)
      default: break
      }
      next += 1
    }
    if let found = size, found.magnitude > UInt(Self.sizeMax) { size = nil }
    if size == nil || (what == "PREC" && size.map { $0 < 0 } == true) {
      try printer.append("%!(BAD\(what))".utf8)
    }
    set(size)
    return true
  }

  /// `[n]`: the value to take next, from 1.
  private mutating func index() -> Bool {
    guard at < format.endIndex, format[at] == 0x5b else { return false }
    usedIndex = true
    guard let close = format[at...].firstIndex(of: 0x5d) else {
      goodIndex = false
      at += 1
      return false
    }
    let digits = format[at + 1..<close]
    at = close + 1
    guard let value = Int(String(decoding: digits, as: UTF8.self)), value >= 1,
      value <= values.count
    else {
      goodIndex = false
      return true
    }
    next = value - 1
    return true
  }
}
