extension Timestamp {
  /// Reads a time of RFC 3339, such as `2024-05-06T07:08:09.123+02:00`; nil for anything else and
  /// for what nanoseconds since 1970 cannot say. A leap second is the second after it.
  package init?(rfc3339 text: String) {
    var rest = Array(text.utf8)[...]
    func digits(_ count: Int) -> Int? {
      let digits = rest.prefix(count)
      guard digits.count == count, digits.allSatisfy({ (0x30...0x39).contains($0) }) else {
        return nil
      }
      rest = rest.dropFirst(count)
      return digits.reduce(0) { $0 * 10 + Int($1 - 0x30) }
    }
    func take(_ choices: UInt8...) -> Bool {
      guard let first = rest.first, choices.contains(first) else { return false }
      rest = rest.dropFirst()
      return true
    }
    let (dash, colon, letterT, letterZ): (UInt8, UInt8, UInt8, UInt8) = (0x2d, 0x3a, 0x54, 0x5a)
    guard let year = digits(4), take(dash), let month = digits(2), take(dash),
      let day = digits(2), take(letterT, 0x74, 0x20), let hour = digits(2), take(colon),
      let minute = digits(2), take(colon), let second = digits(2),
      (1...12).contains(month), (1...Self.days(in: month, of: year)).contains(day), hour < 24,
      minute < 60, second <= 60
    else { return nil }
    var fraction = 0
    if take(0x2e) {
      let all = rest.prefix { (0x30...0x39).contains($0) }
      guard !all.isEmpty else { return nil }
      rest = rest.dropFirst(all.count)
      for place in 0..<9 {
        fraction = fraction * 10 + (all.dropFirst(place).first.map { Int($0 - 0x30) } ?? 0)
      }
    }
    var offset = 0
    if !take(letterZ, 0x7a) {
      guard let sign = rest.first, take(0x2b, dash), let hours = digits(2), take(colon),
        let minutes = digits(2), hours < 24, minutes < 60
      else { return nil }
      offset = (hours * 60 + minutes) * (sign == dash ? -60 : 60)
    }
    guard rest.isEmpty else { return nil }
    let clock = hour * 3600 + minute * 60 + second - offset
    let seconds = Self.dayNumber(year, month, day) * 86400 + clock
    let (whole, overflow) = Int64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
    let (sum, tooLarge) = whole.addingReportingOverflow(Int64(fraction))
    if overflow || tooLarge { return nil }
    self.init(nanoseconds: sum)
  }

  private static func days(in month: Int, of year: Int) -> Int {
    let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    return month == 2 && isLeap ? 29 : [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
  }

  /// Days since 1970 of a date; years start in March so that the leap day is the last of its year.
  private static func dayNumber(_ year: Int, _ month: Int, _ day: Int) -> Int {
    let year = month <= 2 ? year - 1 : year
    let era = (year >= 0 ? year : year - 399) / 400
    let yearOfEra = year - era * 400
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }
}
