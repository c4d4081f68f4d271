/// A schedule that cannot be read.
package struct CronError: Error, Equatable, CustomStringConvertible {
  package let description: String

  init(_ description: String) { self.description = description }
}

/// A recurring moment (spec sections 2.7 and 3.8): minute, hour, day of the month, month, day of
/// the week, with a field of seconds before them or without; `@daily` and its like; `@every 90s`.
///
/// Where clocks change, a schedule that names its hours keeps its promise of once a day: a moment
/// that is skipped comes when the clocks change, one that is repeated comes the first time. One
/// whose hours begin with `*` counts hours as they pass. In mode `argo-1.9` all count that way,
/// so that a daily moment may be left out, or come twice.
package struct Cron: Sendable {
  private enum Form: Sendable {
    case fields(CronFields)
    /// Whole seconds, at least one.
    case every(Int)
  }

  /// The time zone it is read in.
  package let zone: GoZone
  private let form: Form
  private let hasPlainHours: Bool

  /// Whether it keeps its hours in a zone that changes its clocks.
  package var keepsHours: Bool { !hasPlainHours && zone.changesClocks }

  /// - Parameters:
  ///   - timezone: a name of the time zone database; empty is UTC. `TZ=NAME` or `CRON_TZ=NAME` at
  ///     the beginning of `text` wins.
  ///   - zoneFile: that database's files by name.
  /// - Throws: `CronError` for what is no schedule, and for one that never comes.
  package init(
    _ text: String,
    timezone: String = "",
    zoneFile: (String) -> [UInt8]?,
    mode: CompatibilityMode = .fixed
  ) throws(CronError) {
    var rest = text.split { $0 == " " || $0 == "\t" || $0.isNewline }
    var name = timezone
    if let first = rest.first, first.hasPrefix("TZ=") || first.hasPrefix("CRON_TZ=") {
      name = String(first.drop { $0 != "=" }.dropFirst())
      rest.removeFirst()
    }
    guard let zone = GoZone(named: name, zoneFile) else {
      throw CronError("found the time zone '\(name)', expected a name such as Europe/Berlin")
    }
    self.zone = zone
    guard let first = rest.first else {
      throw CronError("found nothing, expected five fields such as '30 4 * * MON-FRI'")
    }
    if first == "@every" {
      form = .every(try Self.interval(rest.dropFirst()))
      hasPlainHours = true
      return
    }
    if first.hasPrefix("@") {
      guard rest.count == 1, let fields = Self.descriptors[first.lowercased()] else {
        let names = Self.descriptors.keys.sorted().joined(separator: ", ")
        throw CronError("found '\(rest.joined(separator: " "))', expected one of @every, \(names)")
      }
      rest = fields.split(separator: " ")
    }
    let fields = try CronFields(rest)
    form = .fields(fields)
    hasPlainHours = mode == .argo19 || fields.hour.beginsWithStar
  }

  private static let descriptors = [
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0", "@daily": "0 0 * * *", "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
  ]

  private static func interval(_ words: ArraySlice<Substring>) throws(CronError) -> Int {
    guard words.count == 1, let text = words.first, let size = GoDuration.parse(String(text)),
      size >= GoDuration.second
    else {
      throw CronError(
        "found '@every \(words.joined(separator: " "))', expected a duration of at least a second "
          + "such as 90s or 1h30m"
      )
    }
    return size / GoDuration.second
  }

  /// The first moment later than `seconds`, both since 1970-01-01T00:00:00Z; nil where there is
  /// none in the next years.
  package func next(after seconds: Int) -> Int? {
    switch form {
    case .every(let interval): return seconds &+ interval
    case .fields(let fields):
      return hasPlainHours ? passing(fields, seconds) : onceADay(fields, seconds)
    }
  }

  /// By the clocks as they run: every second has one reading, and some readings come twice or not
  /// at all.
  private func passing(_ fields: CronFields, _ start: Int) -> Int? {
    var from = start
    // A year has a few changes of clocks at most.
    for _ in 0..<1000 {
      let offset = zone.offset(at: from &+ 1).seconds
      guard let wall = fields.next(after: from &+ offset) else { return nil }
      guard let change = zone.nextChange(after: from &+ 1), change <= wall &- offset else {
        return wall &- offset
      }
      from = change &- 1
    }
    return nil
  }

  /// Readings in their order, each at the first moment that shows it, or at the change of clocks
  /// that skips it.
  private func onceADay(_ fields: CronFields, _ start: Int) -> Int? {
    var wall = start &+ zone.offset(at: start).seconds
    // While clocks show an hour again, all its readings are over; an hour has 3600 of them.
    for _ in 0..<100_000 {
      guard let next = fields.next(after: wall) else { return nil }
      let moment = zone.firstSeconds(ofWall: next)
      if moment > start { return moment }
      wall = next
    }
    return nil
  }
}

/// The fields of a schedule, over readings of a clock (seconds since 1970 as if in UTC).
struct CronFields: Sendable {
  let second: CronField
  let minute: CronField
  let hour: CronField
  let day: CronField
  let month: CronField
  let weekday: CronField

  /// The longest time between two leap days.
  private static let yearsAhead = 8

  init(_ texts: [Substring]) throws(CronError) {
    guard texts.count == 5 || texts.count == 6 else {
      throw CronError(
        "found \(texts.count) fields, expected five: minute, hour, day of the month, month, day of "
          + "the week; or six with seconds first"
      )
    }
    let fields = texts.count == 5 ? ["0"] + texts : texts
    second = try CronField(fields[0], CronField.second)
    minute = try CronField(fields[1], CronField.minute)
    hour = try CronField(fields[2], CronField.hour)
    day = try CronField(fields[3], CronField.day)
    month = try CronField(fields[4], CronField.month)
    weekday = try CronField(fields[5], CronField.weekday)
    let longest = month.numbers.map { daysIn(month: $0, year: 2000) }.max() ?? 31
    if weekday.isAny, day.numbers[0] > longest {
      throw CronError("found a day of the month that none of its months has, so it never comes")
    }
  }

  /// The first reading later than `wall`.
  func next(after wall: Int) -> Int? {
    let start = wall &+ 1
    let firstDay = floorDivision(start, 86400)
    if matches(day: firstDay), let time = time(from: floorRemainder(start, 86400)) {
      return firstDay * 86400 + time
    }
    let firstYear = civilFromDays(firstDay).year
    var number = firstDay + 1
    while true {
      let (year, month, day) = civilFromDays(number)
      if year > firstYear + Self.yearsAhead { return nil }
      if !self.month.contains(month) {
        number += daysIn(month: month, year: year) - day + 1
      } else if matches(day: number), let time = time(from: 0) {
        return number * 86400 + time
      } else {
        number += 1
      }
    }
  }

  /// Where both kinds of days are restricted, either will do.
  private func matches(day number: Int) -> Bool {
    let date = civilFromDays(number)
    guard month.contains(date.month) else { return false }
    let isDay = day.contains(date.day)
    let isWeekday = weekday.contains(floorRemainder(number + 4, 7))
    return day.isAny || weekday.isAny ? isDay && isWeekday : isDay || isWeekday
  }

  /// The first second of the day from `start` on.
  private func time(from start: Int) -> Int? {
    var (hour, minute, second) = (start / 3600, start / 60 % 60, start % 60)
    guard let foundHour = self.hour.next(from: hour) else { return nil }
    if foundHour > hour { (minute, second) = (0, 0) }
    hour = foundHour
    if let foundMinute = self.minute.next(from: minute) {
      if foundMinute > minute { second = 0 }
      if let found = self.second.next(from: second) {
        return hour * 3600 + foundMinute * 60 + found
      }
      if let later = self.minute.next(from: foundMinute + 1) {
        return hour * 3600 + later * 60 + self.second.numbers[0]
      }
    }
    guard let later = self.hour.next(from: hour + 1) else { return nil }
    return later * 3600 + self.minute.numbers[0] * 60 + self.second.numbers[0]
  }
}
