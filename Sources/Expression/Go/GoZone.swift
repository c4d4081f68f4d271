/// A time zone.
package final class GoZone: Sendable {
  struct Period: Sendable {
    /// The first second it is in force.
    let start: Int
    let offset: Offset
  }

  package struct Offset: Equatable, Sendable {
    /// East of Greenwich.
    package let seconds: Int
    package let name: String
    package let isDaylight: Bool
  }

  package let name: String
  private let first: Offset
  private let periods: [Period]
  /// What holds behind the last period.
  private let rule: ZoneRule?

  package static let utc = GoZone(fixed: 0, name: "UTC")

  /// A zone of one offset.
  package init(fixed seconds: Int, name: String) {
    self.name = name
    first = Offset(seconds: seconds, name: name, isDaylight: false)
    periods = []
    rule = nil
  }

  /// A zone of the time zone database (RFC 8536); nil for bytes that are none.
  package init?(name: String, file: [UInt8]) {
    guard let parsed = ZoneFile(file) else { return nil }
    self.name = name
    first = parsed.first
    periods = parsed.periods
    rule = parsed.rule
  }

  package func offset(at seconds: Int) -> Offset {
    guard let last = periods.last else { return rule?.offset(at: seconds) ?? first }
    if seconds >= last.start { return rule?.offset(at: seconds) ?? last.offset }
    let place = periods.partitioningIndex { $0.start > seconds }
    return place == 0 ? first : periods[place - 1].offset
  }

  /// The moment at which clocks show `wall` (seconds since 1970 as if in UTC).
  func seconds(ofWall wall: Int) -> Int {
    let guess = offset(at: wall).seconds
    // Around a change of clocks the second look decides, as in the original.
    return guess == 0 ? wall : wall &- offset(at: wall &- guess).seconds
  }

  /// The first moment at which clocks show `wall`, or the change of clocks that skips it.
  func firstSeconds(ofWall wall: Int) -> Int {
    // No offset is larger than a day, and clocks change seldom.
    var from = wall &- 2 * 86400
    while true {
      let moment = wall &- offset(at: from).seconds
      guard let change = nextChange(after: from), change <= moment else { return max(moment, from) }
      from = change
    }
  }

  /// Whether clocks go on being changed there.
  var changesClocks: Bool { rule?.nextChange(after: 0) != nil }

  /// When the clocks are changed next, if they ever are.
  func nextChange(after seconds: Int) -> Int? {
    let now = offset(at: seconds).seconds
    let place = periods.partitioningIndex { $0.start > seconds }
    if let next = periods[place...].first(where: { $0.offset.seconds != now }) { return next.start }
    let last = max(seconds, periods.last.map { $0.start &- 1 } ?? seconds)
    return rule?.nextChange(after: last)
  }
}

extension Array {
  /// The first index behind which `isBehind` holds; it holds for no element before it.
  fileprivate func partitioningIndex(_ isBehind: (Element) -> Bool) -> Int {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if isBehind(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}

extension GoZone {
  /// A zone by its name; nil where the database has none. Empty is UTC.
  convenience init?(named name: String, _ zoneFile: (String) -> [UInt8]?) {
    if name.isEmpty || name == "UTC" || name == "Local" {
      self.init(fixed: 0, name: "UTC")
      return
    }
    let isName = name.utf8.allSatisfy { byte in
      switch byte {
      case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2f, 0x2d, 0x2b, 0x5f: true
      default: false
      }
    }
    guard isName, !name.hasPrefix("/"), let file = zoneFile(name) else { return nil }
    self.init(name: name, file: file)
  }
}

/// The two offsets of a year that repeat for ever (POSIX `TZ`, as in RFC 8536 section 3.3).
struct ZoneRule: Sendable {
  private enum Day: Sendable {
    /// Month, week (5 is the last), weekday.
    case weekday(Int, Int, Int)
    /// From 1, 29 February never counted.
    case julian(Int)
    /// From 0.
    case zeroBased(Int)
  }

  private let standard: GoZone.Offset
  private let daylight: GoZone.Offset?
  private var start: (day: Day, time: Int) = (.zeroBased(0), 7200)
  private var end: (day: Day, time: Int) = (.zeroBased(0), 7200)

  init?(_ text: String) {
    var rest = Substring(text)
    guard let name = Self.name(&rest), let west = Self.time(&rest) else { return nil }
    standard = GoZone.Offset(seconds: -west, name: name, isDaylight: false)
    guard !rest.isEmpty else {
      daylight = nil
      return
    }
    guard let other = Self.name(&rest) else { return nil }
    var offset = -west + 3600
    if rest.first != "," {
      guard let west = Self.time(&rest) else { return nil }
      offset = -west
    }
    daylight = GoZone.Offset(seconds: offset, name: other, isDaylight: true)
    guard let start = Self.change(&rest), let end = Self.change(&rest) else { return nil }
    (self.start, self.end) = (start, end)
  }

  func offset(at seconds: Int) -> GoZone.Offset {
    guard let daylight else { return standard }
    let year = civilFromDays(floorDivision(seconds &+ standard.seconds, 86400)).year
    let begins = moment(start, year) - standard.seconds
    let ends = moment(end, year) - daylight.seconds
    let isInside =
      begins < ends
      ? begins <= seconds && seconds < ends : !(ends <= seconds && seconds < begins)
    return isInside ? daylight : standard
  }

  /// The first change later than `seconds`.
  func nextChange(after seconds: Int) -> Int? {
    guard let daylight, daylight.seconds != standard.seconds else { return nil }
    let year = civilFromDays(floorDivision(seconds &+ standard.seconds, 86400)).year
    return (year - 1...year + 2).flatMap { year in
      [moment(start, year) - standard.seconds, moment(end, year) - daylight.seconds]
    }.filter { $0 > seconds }.min()
  }

  private func moment(_ change: (day: Day, time: Int), _ year: Int) -> Int {
    let day: Int
    switch change.day {
    case .julian(let number):
      day = daysFromCivil(year, 1, 1) + number - 1 + (isLeapYear(year) && number >= 60 ? 1 : 0)
    case .zeroBased(let number): day = daysFromCivil(year, 1, 1) + number
    case .weekday(let month, let week, let weekday):
      let first = daysFromCivil(year, month, 1)
      let lead = floorRemainder(weekday - floorRemainder(first + 4, 7), 7)
      var found = first + lead + (week - 1) * 7
      if found >= first + daysIn(month: month, year: year) { found -= 7 }
      day = found
    }
    return day * 86400 + change.time
  }

  private static func name(_ rest: inout Substring) -> String? {
    if rest.first == "<" {
      guard let close = rest.firstIndex(of: ">") else { return nil }
      let name = rest[rest.index(after: rest.startIndex)..<close]
      rest = rest[rest.index(after: close)...]
      return String(name)
    }
    let name = rest.prefix { $0.isLetter }
    rest = rest.dropFirst(name.count)
    return name.isEmpty ? nil : String(name)
  }

  private static func number(_ rest: inout Substring) -> Int? {
    let digits = rest.prefix { ("0"..."9").contains($0) }
    rest = rest.dropFirst(digits.count)
    return digits.count <= 4 ? Int(digits) : nil
  }

  /// `[+-]hh[:mm[:ss]]` in seconds.
  private static func time(_ rest: inout Substring) -> Int? {
    let isNegative = rest.first == "-"
    if isNegative || rest.first == "+" { rest.removeFirst() }
    guard var total = number(&rest).map({ $0 * 3600 }) else { return nil }
    for unit in [60, 1] where rest.first == ":" {
      rest.removeFirst()
      guard let value = number(&rest) else { return nil }
      total += value * unit
    }
    return isNegative ? -total : total
  }

  /// `,M3.2.0/2` and its other forms.
  private static func change(_ rest: inout Substring) -> (day: Day, time: Int)? {
    guard rest.first == "," else { return nil }
    rest.removeFirst()
    var day: Day
    switch rest.first {
    case "M":
      rest.removeFirst()
      guard let month = number(&rest), (1...12).contains(month), rest.popFirst() == ".",
        let week = number(&rest), (1...5).contains(week), rest.popFirst() == ".",
        let weekday = number(&rest), (0...6).contains(weekday)
      else { return nil }
      day = .weekday(month, week, weekday)
    case "J":
      rest.removeFirst()
      guard let number = number(&rest), (1...365).contains(number) else { return nil }
      day = .julian(number)
    default:
      guard let number = number(&rest), (0...365).contains(number) else { return nil }
      day = .zeroBased(number)
    }
    guard rest.first == "/" else { return (day, 7200) }
    rest.removeFirst()
    return time(&rest).map { (day, $0) }
  }
}
