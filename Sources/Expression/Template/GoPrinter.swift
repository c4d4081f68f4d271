/// Text the way Go's `fmt` writes it, bounded in size and depth.
struct GoPrinter {
  private(set) var out: [UInt8] = []
  let limit: Int
  private var depth = 0

  /// Lists and maps within each other.
  static let depthMax = 200

  init(limit: Int) { self.limit = limit }

  mutating func append(_ bytes: some Collection<UInt8>) throws(TemplateFailure) {
    guard out.count + bytes.count <= limit else { throw Self.tooLong }
    out += bytes
  }

  mutating func append(_ byte: UInt8) throws(TemplateFailure) {
    guard out.count < limit else { throw Self.tooLong }
    out.append(byte)
  }

  static let tooLong = TemplateFailure("the text grows too long", isLimit: true)

  /// `%v`.
  mutating func value(_ value: GoValue) throws(TemplateFailure) {
    switch value {
    case .string(let text): try append(text.bytes)
    case .list(let list):
      try enter()
      try append(0x5b)
      for (place, item) in list.items.enumerated() {
        if place > 0 { try append(0x20) }
        try self.value(item)
      }
      try append(0x5d)
      depth -= 1
    case .map(let map):
      try enter()
      try append("map[".utf8)
      for (place, entry) in map.sorted.enumerated() {
        if place > 0 { try append(0x20) }
        try append(entry.key.bytes)
        try append(0x3a)
        try self.value(entry.value)
      }
      try append(0x5d)
      depth -= 1
    default: try append(value.scalarText.utf8)
    }
  }

  mutating func enter() throws(TemplateFailure) {
    depth += 1
    if depth > Self.depthMax {
      throw TemplateFailure("lists and maps are nested too deep to print", isLimit: true)
    }
  }

  mutating func leave() { depth -= 1 }

  /// `fmt.Sprint`: spaces between operands when neither is a string.
  mutating func print(_ values: [GoValue]) throws(TemplateFailure) {
    var previousIsText = true
    for (place, value) in values.enumerated() {
      var isText = false
      if case .string = value { isText = true }
      if place > 0, !isText, !previousIsText { try append(0x20) }
      try self.value(value)
      previousIsText = isText
    }
  }

  mutating func printLine(_ values: [GoValue]) throws(TemplateFailure) {
    for (place, value) in values.enumerated() {
      if place > 0 { try append(0x20) }
      try self.value(value)
    }
    try append(0x0a)
  }
}

extension GoValue {
  /// `%v` of everything but strings, lists and maps.
  var scalarText: String {
    switch self {
    case .absent, .null: "<nil>"
    case .bool(let value): value ? "true" : "false"
    case .int(let value), .int64(let value): String(value)
    case .byte(let value): String(value)
    case .uint64(let value): String(value)
    case .float(let value): GoNumber.text(value)
    case .complex(let real, let imaginary):
      "(" + GoNumber.text(real) + (imaginary.sign == .minus || imaginary.isNaN ? "" : "+")
        + GoNumber.text(imaginary).drop { $0 == "+" } + "i)"
    case .time(let time): time.text
    case .duration(let value): GoDuration.text(value)
    case .month(let month):
      (1...12).contains(month) ? GoLayout.months[month - 1] : "%!Month(\(month))"
    case .weekday(let day): (0...6).contains(day) ? GoLayout.weekdays[day] : "%!Weekday(\(day))"
    case .zone(let zone): zone.name
    case .version(let version): version.text
    case .string(let text): text.description
    case .list, .map: ""
    }
  }

  /// The text of a value with a `String` method of its own.
  var stringerText: String? {
    switch self {
    case .time, .duration, .month, .weekday, .zone, .version: scalarText
    default: nil
    }
  }
}
