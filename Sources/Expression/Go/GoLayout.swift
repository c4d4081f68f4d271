/// A Go time layout: an example of how the moment 2006-01-02 15:04:05 -0700 MST is written.
package struct GoLayout: Sendable {
  enum Part: Equatable, Sendable {
    case text([UInt8])
    case longMonth, month, numMonth, zeroMonth
    case longWeekday, weekday
    case day, underDay, zeroDay, underYearDay, zeroYearDay
    case hour, hour12, zeroHour12
    case minute, zeroMinute, second, zeroSecond
    case longYear, year
    /// `PM` or `pm`.
    case upperPM, lowerPM
    case zoneName
    /// An offset: with `Z` for zero, with colons, with how many of hours, minutes and seconds.
    case offset(isISO: Bool, hasColon: Bool, parts: Int)
    /// A fraction of a second: its digits, whether zeros at the end are left out, and the
    /// separator before it.
    case fraction(digits: Int, isShort: Bool, separator: UInt8)
  }

  let parts: [Part]

  package init(_ layout: String) { self.init(ByteString(layout)) }

  init(_ layout: ByteString) {
    var parts: [Part] = []
    var literal: [UInt8] = []
    var rest = layout.bytes
    while !rest.isEmpty {
      if let (part, width) = Self.part(rest, behind: literal.last) {
        if !literal.isEmpty { parts.append(.text(literal)) }
        literal = []
        parts.append(part)
        rest = rest.dropFirst(width)
      } else {
        literal.append(rest.removeFirst())
      }
    }
    if !literal.isEmpty { parts.append(.text(literal)) }
    self.parts = parts
  }

  private static let names: [(String, Part)] = [
    ("MST", .zoneName), ("PM", .upperPM), ("pm", .lowerPM),
    ("002", .zeroYearDay), ("01", .zeroMonth), ("02", .zeroDay), ("03", .zeroHour12),
    ("04", .zeroMinute), ("05", .zeroSecond), ("06", .year),
    ("2006", .longYear), ("__2", .underYearDay), ("_2", .underDay), ("15", .hour),
    ("1", .numMonth), ("2", .day), ("3", .hour12), ("4", .minute), ("5", .second),
  ]

  /// With 3, 2 and 1 parts; the longest first.
  private static let offsets: [(String, Bool, Int)] = [
    ("07:00:00", true, 3), ("070000", false, 3), ("07:00", true, 2), ("0700", false, 2),
    ("07", false, 1),
  ]

  private static let words: [(text: [UInt8], part: Part)] = {
    var words = names.map { (Array($0.0.utf8), $0.1) }
    for (text, hasColon, parts) in offsets {
      for (sign, isISO) in [("-", false), ("Z", true)] {
        let part = Part.offset(isISO: isISO, hasColon: hasColon, parts: parts)
        words.append((Array((sign + text).utf8), part))
      }
    }
    return words
  }()

  /// The part that begins here, and how many bytes of the layout it takes.
  private static func part(_ rest: ArraySlice<UInt8>, behind last: UInt8?) -> (Part, Int)? {
    // A year after an underscore is a year, not a padded day.
    if rest.starts(with: "_2006".utf8) { return nil }
    for (word, short, long, brief) in [
      ("Jan", 3, Part.longMonth, Part.month), ("Mon", 3, Part.longWeekday, Part.weekday),
    ] where rest.starts(with: word.utf8) {
      let whole = word == "Jan" ? "January" : "Monday"
      if rest.starts(with: whole.utf8) { return (long, whole.utf8.count) }
      // "Jane" is a name, "Jan" a month.
      let next = rest.dropFirst(short).first
      return next.map { (0x61...0x7a).contains($0) } == true ? nil : (brief, short)
    }
    if let first = rest.first, first == 0x2e || first == 0x2c, let fraction = fraction(rest) {
      return fraction
    }
    for (word, part) in words where rest.starts(with: word) { return (part, word.count) }
    return nil
  }

  private static func fraction(_ rest: ArraySlice<UInt8>) -> (Part, Int)? {
    let body = rest.dropFirst()
    guard let digit = body.first, digit == 0x30 || digit == 0x39 else { return nil }
    let digits = body.prefix { $0 == digit }.count
    // Digits behind make it something else, such as a number in the text.
    if let next = body.dropFirst(digits).first, (0x30...0x39).contains(next) { return nil }
    let separator = rest[rest.startIndex]
    return (.fraction(digits: digits, isShort: digit == 0x39, separator: separator), digits + 1)
  }

  static let months = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
  ]
  static let weekdays = [
    "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
  ]

  /// `Time.Format`.
  package func format(_ time: GoTime) -> String {
    var out: [UInt8] = []
    for part in parts { Self.append(part, time, &out) }
    return String(decoding: out, as: UTF8.self)
  }

  private static func append(_ part: Part, _ time: GoTime, _ out: inout [UInt8]) {
    func pad(_ value: Int, _ width: Int, _ fill: UInt8 = 0x30) {
      let digits = Array(String(value.magnitude).utf8)
      if value < 0 { out.append(0x2d) }
      out += [UInt8](repeating: fill, count: max(0, width - digits.count)) + digits
    }
    let hour12 = (time.hour + 11) % 12 + 1
    switch part {
    case .text(let text): out += text
    case .longMonth: out += months[time.date.month - 1].utf8
    case .month: out += months[time.date.month - 1].utf8.prefix(3)
    case .numMonth: pad(time.date.month, 1)
    case .zeroMonth: pad(time.date.month, 2)
    case .longWeekday: out += weekdays[time.weekday].utf8
    case .weekday: out += weekdays[time.weekday].utf8.prefix(3)
    case .day: pad(time.date.day, 1)
    case .underDay: pad(time.date.day, 2, 0x20)
    case .zeroDay: pad(time.date.day, 2)
    case .underYearDay: pad(time.yearDay, 3, 0x20)
    case .zeroYearDay: pad(time.yearDay, 3)
    case .hour: pad(time.hour, 2)
    case .hour12: pad(hour12, 1)
    case .zeroHour12: pad(hour12, 2)
    case .minute: pad(time.minute, 1)
    case .zeroMinute: pad(time.minute, 2)
    case .second: pad(time.second, 1)
    case .zeroSecond: pad(time.second, 2)
    case .longYear: pad(time.date.year, 4)
    case .year: pad(floorRemainder(time.date.year, 100), 2)
    case .upperPM: out += (time.hour >= 12 ? "PM" : "AM").utf8
    case .lowerPM: out += (time.hour >= 12 ? "pm" : "am").utf8
    case .zoneName: appendZoneName(time, &out)
    case .offset(let isISO, let hasColon, let parts):
      appendOffset(time.offset, isISO, hasColon, parts, &out)
    case .fraction(let digits, let isShort, let separator):
      appendFraction(time.nanoseconds, digits, isShort, separator, &out)
    }
  }

  private static func appendZoneName(_ time: GoTime, _ out: inout [UInt8]) {
    if !time.zoneName.isEmpty {
      out += time.zoneName.utf8
    } else {
      // An offset without a name.
      appendOffset(time.offset, false, false, 2, &out)
    }
  }

  private static func appendOffset(
    _ offset: Int,
    _ isISO: Bool,
    _ hasColon: Bool,
    _ parts: Int,
    _ out: inout [UInt8]
  ) {
    if isISO, offset == 0 {
      out.append(0x5a)
      return
    }
    out.append(offset < 0 ? 0x2d : 0x2b)
    let size = Int(offset.magnitude)
    for (place, value) in [size / 3600, size / 60 % 60, size % 60].prefix(parts).enumerated() {
      if hasColon, place > 0 { out.append(0x3a) }
      out += [UInt8(0x30 + value / 10 % 10), UInt8(0x30 + value % 10)]
    }
  }

  private static func appendFraction(
    _ nanoseconds: Int,
    _ count: Int,
    _ isShort: Bool,
    _ separator: UInt8,
    _ out: inout [UInt8]
  ) {
    var digits = Array(String(nanoseconds + 1_000_000_000).utf8.dropFirst())
    digits += [UInt8](repeating: 0x30, count: max(0, count - 9))
    digits = Array(digits.prefix(count))
    if isShort {
      while digits.last == 0x30 { digits.removeLast() }
      if digits.isEmpty { return }
    }
    out.append(separator)
    out += digits
  }
}
