/// A wall-clock instant: nanoseconds since 1970-01-01T00:00:00Z.
package struct Timestamp: Comparable, Hashable, Sendable, CustomStringConvertible {
  package let nanoseconds: Int64

  package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  package static func < (a: Timestamp, b: Timestamp) -> Bool { a.nanoseconds < b.nanoseconds }

  /// Full precision without trailing zeros, such as `2024-05-06T07:08:09.123Z` (RFC 3339).
  package var description: String {
    var fraction = String(1_000_000_000 + Int(parts.nanosecond)).dropFirst()
    while fraction.last == "0" { fraction.removeLast() }
    return stem + (fraction.isEmpty ? "Z" : ".\(fraction)Z")
  }

  /// Cut to whole seconds, as sensors see it: `2024-05-06T07:08:09Z` (spec section 1.2).
  package var wholeSeconds: String { stem + "Z" }

  private var parts: (second: Int64, nanosecond: Int64) {
    let second = nanoseconds.floored(by: 1_000_000_000)
    return (second, nanoseconds - second * 1_000_000_000)
  }

  private var stem: String {
    let second = parts.second
    let day = second.floored(by: 86_400)
    let ofDay = second - day * 86_400
    let date = civilDate(daysSince1970: day)
    return "\(padded(date.year, 4))-\(padded(date.month))-\(padded(date.day))T"
      + "\(padded(ofDay / 3600)):\(padded(ofDay / 60 % 60)):\(padded(ofDay % 60))"
  }
}

private func padded(_ number: Int64, _ width: Int = 2) -> String {
  let text = String(number)
  return String(repeating: "0", count: max(0, width - text.count)) + text
}

/// The proleptic Gregorian date of a day number; years start in March so that the leap day is
/// the last of its year.
private func civilDate(daysSince1970 days: Int64) -> (year: Int64, month: Int64, day: Int64) {
  let shifted = days + 719_468
  let era = shifted.floored(by: 146_097)
  let dayOfEra = shifted - era * 146_097
  let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
  let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
  let marchMonth = (5 * dayOfYear + 2) / 153
  let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
  let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  return (year, month, dayOfYear - (153 * marchMonth + 2) / 5 + 1)
}

extension Int64 {
  fileprivate func floored(by divisor: Int64) -> Int64 {
    let quotient = self / divisor
    return self % divisor < 0 ? quotient - 1 : quotient
  }
}
