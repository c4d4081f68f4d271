extension GoLayout {
  /// What a text said.
  private struct Fields {
    var year = 0
    var month: Int?
    var day: Int?
    var yearDay: Int?
    var hour = 0
    var minute = 0
    var second = 0
    var nanoseconds = 0
    var isPM: Bool?
    var offset: Int?
    var zoneName = ""
    var isUTC = false
  }

  /// `time.ParseInLocation`: nil for a text that does not fit.
  /// - Parameter zone: of a text that names none.
  package func parse(_ text: String, in zone: GoZone = .utc) -> GoTime? {
    parse(ByteString(text), in: zone)
  }

  func parse(_ text: ByteString, in zone: GoZone = .utc) -> GoTime? {
    var rest = text.bytes
    var fields = Fields()
    for (place, part) in parts.enumerated() {
      let next = place + 1 < parts.count ? parts[place + 1] : nil
      guard Self.read(part, next: next, &rest, &fields) else { return nil }
    }
    return rest.isEmpty ? Self.time(fields, zone) : nil
  }

  private static func time(_ fields: Fields, _ zone: GoZone) -> GoTime? {
    var fields = fields
    if let isPM = fields.isPM {
      if isPM, fields.hour < 12 { fields.hour += 12 }
      if !isPM, fields.hour == 12 { fields.hour = 0 }
    }
    var month = fields.month ?? 1
    var day = fields.day ?? 1
    if let yearDay = fields.yearDay {
      guard yearDay >= 1, yearDay <= (isLeapYear(fields.year) ? 366 : 365) else { return nil }
      let date = civilFromDays(daysFromCivil(fields.year, 1, 1) + yearDay - 1)
      if let given = fields.month, given != date.month { return nil }
      if let given = fields.day, given != date.day { return nil }
      (month, day) = (date.month, date.day)
    }
    guard day >= 1, day <= daysIn(month: month, year: fields.year) else { return nil }
    func moment(_ zone: GoZone) -> GoTime {
      GoTime(
        year: fields.year,
        month: month,
        day: day,
        hour: fields.hour,
        minute: fields.minute,
        second: fields.second,
        nanoseconds: fields.nanoseconds,
        zone: zone
      )
    }
    if fields.isUTC { return moment(.utc) }
    if let offset = fields.offset {
      let time = moment(GoZone(fixed: offset, name: fields.zoneName))
      let own = zone.offset(at: time.seconds)
      let isOwn = own.seconds == offset && (fields.zoneName.isEmpty || own.name == fields.zoneName)
      return isOwn ? time.shown(in: zone) : time
    }
    if !fields.zoneName.isEmpty {
      let time = moment(zone)
      if zone.offset(at: time.seconds).name == fields.zoneName { return time }
      // A name that is not of the zone stands for no offset, but GMT+3 says one.
      var offset = 0
      if fields.zoneName.hasPrefix("GMT") {
        offset = (Int(fields.zoneName.dropFirst(3)) ?? 0) * 3600
      }
      return moment(GoZone(fixed: offset, name: fields.zoneName))
    }
    return moment(zone)
  }

  private static func read(
    _ part: Part,
    next: Part?,
    _ rest: inout ArraySlice<UInt8>,
    _ fields: inout Fields
  ) -> Bool {
    func number(_ digits: ClosedRange<Int>, _ range: ClosedRange<Int>) -> Int? {
      guard let value = Self.number(&rest, digits), range.contains(value) else { return nil }
      return value
    }
    switch part {
    case .text(let text): return passText(text, &rest)
    case .longYear:
      guard let year = number(4...4, 0...9999) else { return false }
      fields.year = year
    case .year:
      guard let year = number(2...2, 0...99) else { return false }
      fields.year = year >= 69 ? 1900 + year : 2000 + year
    case .longMonth, .month:
      guard let month = name(months, isShort: part == .month, &rest) else { return false }
      fields.month = month + 1
    case .numMonth, .zeroMonth:
      guard let month = number(part == .zeroMonth ? 2...2 : 1...2, 1...12) else { return false }
      fields.month = month
    case .longWeekday, .weekday:
      return name(weekdays, isShort: part == .weekday, &rest) != nil
    case .day, .underDay, .zeroDay:
      if part == .underDay, rest.first == 0x20 { rest.removeFirst() }
      guard let day = number(part == .zeroDay ? 2...2 : 1...2, 0...99) else { return false }
      fields.day = day
    case .underYearDay, .zeroYearDay:
      while part == .underYearDay, rest.first == 0x20 { rest.removeFirst() }
      guard let day = number(part == .zeroYearDay ? 3...3 : 1...3, 0...999) else { return false }
      fields.yearDay = day
    default: return readClock(part, next: next, &rest, &fields)
    }
    return true
  }

  private static func readClock(
    _ part: Part,
    next: Part?,
    _ rest: inout ArraySlice<UInt8>,
    _ fields: inout Fields
  ) -> Bool {
    func number(_ digits: ClosedRange<Int>, _ range: ClosedRange<Int>) -> Int? {
      guard let value = Self.number(&rest, digits), range.contains(value) else { return nil }
      return value
    }
    switch part {
    case .hour:
      guard let hour = number(1...2, 0...23) else { return false }
      fields.hour = hour
    case .hour12, .zeroHour12:
      guard let hour = number(part == .zeroHour12 ? 2...2 : 1...2, 0...12) else { return false }
      fields.hour = hour
    case .minute, .zeroMinute:
      guard let minute = number(part == .zeroMinute ? 2...2 : 1...2, 0...59) else { return false }
      fields.minute = minute
    case .second, .zeroSecond:
      guard let second = number(part == .zeroSecond ? 2...2 : 1...2, 0...59) else { return false }
      fields.second = second
      // A fraction may follow even where the layout has none.
      if case .fraction? = next { break }
      guard let mark = rest.first, mark == 0x2e || mark == 0x2c,
        let digit = rest.dropFirst().first, isDigit(digit)
      else { break }
      return fraction(rest.dropFirst().prefix(while: isDigit).count, &rest, &fields)
    case .upperPM, .lowerPM:
      let text = String(decoding: rest.prefix(2), as: UTF8.self)
      let words = part == .upperPM ? ["AM", "PM"] : ["am", "pm"]
      guard let place = words.firstIndex(of: text) else { return false }
      fields.isPM = place == 1
      rest = rest.dropFirst(2)
    case .offset(let isISO, let hasColon, let parts):
      return offset(isISO, hasColon, parts, &rest, &fields)
    case .zoneName: return zoneName(&rest, &fields)
    case .fraction(let digits, let isShort, _):
      guard isShort else { return fraction(digits, &rest, &fields) }
      guard let mark = rest.first, mark == 0x2e || mark == 0x2c,
        let digit = rest.dropFirst().first, isDigit(digit)
      else { break }
      return fraction(min(9, rest.dropFirst().prefix(while: isDigit).count), &rest, &fields)
    default: return false
    }
    return true
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

  private static func number(_ rest: inout ArraySlice<UInt8>, _ digits: ClosedRange<Int>) -> Int? {
    let found = rest.prefix(digits.upperBound).prefix(while: isDigit)
    guard digits.contains(found.count) else { return nil }
    rest = rest.dropFirst(found.count)
    return found.reduce(0) { $0 * 10 + Int($1 - 0x30) }
  }

  /// Text as in the layout; a space of it stands for any number of them.
  private static func passText(_ text: [UInt8], _ rest: inout ArraySlice<UInt8>) -> Bool {
    var wanted = text[...]
    while let byte = wanted.first {
      if byte == 0x20 {
        if let other = rest.first, other != 0x20 { return false }
        wanted = wanted.drop { $0 == 0x20 }
        rest = rest.drop { $0 == 0x20 }
        continue
      }
      guard rest.first == byte else { return false }
      wanted.removeFirst()
      rest.removeFirst()
    }
    return true
  }

  private static func name(
    _ names: [String],
    isShort: Bool,
    _ rest: inout ArraySlice<UInt8>
  ) -> Int? {
    for (place, name) in names.enumerated() {
      let wanted = isShort ? name.prefix(3).lowercased() : name.lowercased()
      let found = String(decoding: rest.prefix(wanted.utf8.count), as: UTF8.self).lowercased()
      guard found == wanted else { continue }
      rest = rest.dropFirst(wanted.utf8.count)
      return place
    }
    return nil
  }

  private static func fraction(
    _ count: Int,
    _ rest: inout ArraySlice<UInt8>,
    _ fields: inout Fields
  ) -> Bool {
    guard let mark = rest.first, mark == 0x2e || mark == 0x2c else { return false }
    let digits = rest.dropFirst().prefix(count)
    guard digits.count == count, digits.allSatisfy(isDigit) else { return false }
    var value = digits.prefix(9).reduce(0) { $0 * 10 + Int($1 - 0x30) }
    for _ in 0..<max(0, 9 - count) { value *= 10 }
    fields.nanoseconds = value
    rest = rest.dropFirst(count + 1)
    return true
  }

  private static func offset(
    _ isISO: Bool,
    _ hasColon: Bool,
    _ parts: Int,
    _ rest: inout ArraySlice<UInt8>,
    _ fields: inout Fields
  ) -> Bool {
    if isISO, rest.first == 0x5a {
      rest.removeFirst()
      fields.isUTC = true
      return true
    }
    guard let sign = rest.first, sign == 0x2b || sign == 0x2d else { return false }
    rest.removeFirst()
    var total = 0
    for (place, unit) in [3600, 60, 1].prefix(parts).enumerated() {
      if hasColon, place > 0 {
        guard rest.first == 0x3a else { return false }
        rest.removeFirst()
      }
      guard let value = number(&rest, 2...2), value <= (place == 0 ? 24 : 60) else { return false }
      total += value * unit
    }
    fields.offset = sign == 0x2d ? -total : total
    return true
  }

  private static func zoneName(_ rest: inout ArraySlice<UInt8>, _ fields: inout Fields) -> Bool {
    if rest.starts(with: "UTC".utf8) {
      fields.isUTC = true
      rest = rest.dropFirst(3)
      return true
    }
    var length = rest.prefix { (0x41...0x5a).contains($0) }.count
    if rest.starts(with: "ChST".utf8) || rest.starts(with: "MeST".utf8) { length = 4 }
    if rest.starts(with: "GMT".utf8) {
      length = 3
      let tail = rest.dropFirst(3)
      if let sign = tail.first, sign == 0x2b || sign == 0x2d {
        let digits = tail.dropFirst().prefix(while: isDigit)
        let value = digits.prefix(3).reduce(0) { $0 * 10 + Int($1 - 0x30) }
        if !digits.isEmpty, value < 24 { length = 4 + digits.count }
      }
    } else if let sign = rest.first, sign == 0x2b || sign == 0x2d {
      let digits = rest.dropFirst().prefix(while: isDigit)
      guard digits.count >= 1, digits.prefix(3).reduce(0, { $0 * 10 + Int($1 - 0x30) }) < 24 else {
        return false
      }
      length = 1 + digits.count
    } else if length == 5 {
      guard rest[rest.startIndex + 4] == 0x54 else { return false }
    } else if length == 4 {
      let isKnown = rest[rest.startIndex + 3] == 0x54 || rest.starts(with: "WITA".utf8)
      guard isKnown || rest.starts(with: "ChST".utf8) || rest.starts(with: "MeST".utf8) else {
        return false
      }
    } else {
      guard length == 3 else { return false }
    }
    fields.zoneName = String(decoding: rest.prefix(length), as: UTF8.self)
    rest = rest.dropFirst(length)
    return true
  }
}
