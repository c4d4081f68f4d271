/// A moment, and the time zone it is shown in.
package struct GoTime: Sendable {
  /// Since 1970-01-01T00:00:00Z.
  package let seconds: Int
  package let nanoseconds: Int
  package let zone: GoZone

  package init(seconds: Int, nanoseconds: Int, zone: GoZone) {
    self.seconds = seconds
    self.nanoseconds = nanoseconds
    self.zone = zone
  }

  /// A date and time of day in a zone; values beyond their range carry over. A wall time that
  /// a change of clocks skips or repeats is read with the offset in force before the change.
  package init(
    year: Int,
    month: Int,
    day: Int,
    hour: Int = 0,
    minute: Int = 0,
    second: Int = 0,
    nanoseconds: Int = 0,
    zone: GoZone
  ) {
    let months = month &- 1
    let year = year &+ floorDivision(months, 12)
    let days = daysFromCivil(year, floorRemainder(months, 12) + 1, 1) &+ day &- 1
    let clock = hour &* 3600 &+ minute &* 60 &+ second &+ floorDivision(nanoseconds, 1_000_000_000)
    let wall = days &* 86400 &+ clock
    self.init(
      seconds: zone.seconds(ofWall: wall),
      nanoseconds: floorRemainder(nanoseconds, 1_000_000_000),
      zone: zone
    )
  }

  package var offset: Int { zone.offset(at: seconds).seconds }
  package var zoneName: String { zone.offset(at: seconds).name }

  /// The wall clock as if it were UTC.
  private var wall: Int { seconds &+ offset }
  private var dayNumber: Int { floorDivision(wall, 86400) }

  package var date: (year: Int, month: Int, day: Int) { civilFromDays(dayNumber) }
  package var secondOfDay: Int { floorRemainder(wall, 86400) }
  package var hour: Int { secondOfDay / 3600 }
  package var minute: Int { secondOfDay / 60 % 60 }
  package var second: Int { secondOfDay % 60 }
  /// From 0, a Sunday.
  package var weekday: Int { floorRemainder(dayNumber + 4, 7) }
  /// From 1.
  package var yearDay: Int { dayNumber - daysFromCivil(date.year, 1, 1) + 1 }

  /// The year and week of ISO 8601: a week belongs to the year its Thursday is in.
  package var isoWeek: (year: Int, week: Int) {
    let thursday = dayNumber - floorRemainder(weekday - 1, 7) + 3
    let year = civilFromDays(thursday).year
    return (year, (thursday - daysFromCivil(year, 1, 1)) / 7 + 1)
  }

  package func adding(_ duration: Int) -> GoTime {
    let total = nanoseconds + floorRemainder(duration, 1_000_000_000)
    return GoTime(
      seconds: seconds &+ floorDivision(duration, 1_000_000_000) &+ total / 1_000_000_000,
      nanoseconds: total % 1_000_000_000,
      zone: zone
    )
  }

  package func adding(years: Int, months: Int, days: Int) -> GoTime {
    let date = date
    return GoTime(
      year: date.year &+ years,
      month: date.month &+ months,
      day: date.day &+ days,
      hour: hour,
      minute: minute,
      second: second,
      nanoseconds: nanoseconds,
      zone: zone
    )
  }

  package func shown(in zone: GoZone) -> GoTime {
    GoTime(seconds: seconds, nanoseconds: nanoseconds, zone: zone)
  }

  /// Nanoseconds from `other` to this, at the ends of the range where it does not fit.
  package func distance(from other: GoTime) -> Int {
    let (whole, overflow) = (seconds &- other.seconds).multipliedReportingOverflow(
      by: 1_000_000_000
    )
    let (sum, overflow2) = whole.addingReportingOverflow(nanoseconds - other.nanoseconds)
    if overflow || overflow2 { return seconds < other.seconds ? Int.min : Int.max }
    return sum
  }

  /// The same moment, whatever the zone.
  package static func isSame(_ a: GoTime, _ b: GoTime) -> Bool {
    a.seconds == b.seconds && a.nanoseconds == b.nanoseconds
  }

  package static func isBefore(_ a: GoTime, _ b: GoTime) -> Bool {
    (a.seconds, a.nanoseconds) < (b.seconds, b.nanoseconds)
  }

  /// `Time.String`.
  package var text: String { GoLayout("2006-01-02 15:04:05.999999999 -0700 MST").format(self) }
}

func floorDivision(_ a: Int, _ b: Int) -> Int {
  a / b - (a % b < 0 ? 1 : 0)
}

func floorRemainder(_ a: Int, _ b: Int) -> Int {
  let rest = a % b
  return rest < 0 ? rest + b : rest
}

/// Days since 1970-01-01 of a date in the Gregorian calendar, extended to all times. Years begin
/// in March here, so that the leap day is the last of its year.
func daysFromCivil(_ year: Int, _ month: Int, _ day: Int) -> Int {
  let year = month <= 2 ? year &- 1 : year
  let era = floorDivision(year, 400)
  let yearOfEra = year &- era &* 400
  let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
  let dayOfEra = yearOfEra &* 365 &+ yearOfEra / 4 &- yearOfEra / 100 &+ dayOfYear
  return era &* 146097 &+ dayOfEra &- 719468
}

func civilFromDays(_ days: Int) -> (year: Int, month: Int, day: Int) {
  let shifted = days &+ 719468
  let era = floorDivision(shifted, 146097)
  let dayOfEra = shifted &- era &* 146097
  let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146096) / 365
  let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
  let place = (5 * dayOfYear + 2) / 153
  let month = place < 10 ? place + 3 : place - 9
  let year = yearOfEra &+ era &* 400 &+ (month <= 2 ? 1 : 0)
  return (year, month, dayOfYear - (153 * place + 2) / 5 + 1)
}

func isLeapYear(_ year: Int) -> Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }

func daysIn(month: Int, year: Int) -> Int {
  month == 2 && isLeapYear(year) ? 29 : [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
}
