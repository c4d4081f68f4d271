/// How long a target asks to be left alone: whole seconds or a date (RFC 9110 section 10.2.3);
/// nil for anything else.
/// - Parameter now: seconds since 1970.
package func retryAfter(_ text: String, now: Int64) -> Duration? {
  if !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
    return .seconds(Int64(text) ?? Int64(Int32.max))
  }
  return httpDate(text).map { .seconds(max(0, $0 - now)) }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (IMF-fixdate, RFC 9110 section 5.6.7) in seconds since 1970.
private func httpDate(_ text: String) -> Int64? {
  let parts = text.split(separator: " ")
  let months = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
  ]
  guard parts.count == 6, parts[5] == "GMT", let day = Int64(parts[1]), (1...31).contains(day),
    let month = months.firstIndex(of: String(parts[2])), let year = Int64(parts[3]),
    (1970...9999).contains(year)
  else { return nil }
  let clock = parts[4].split(separator: ":").compactMap { Int64($0) }
  guard clock.count == 3, (0...23).contains(clock[0]), (0...59).contains(clock[1]),
    (0...60).contains(clock[2])
  else { return nil }
  // Days since 1970 by counting from March, so that the leap day is a year's last.
  let number = Int64(month) + 1
  let shifted = number <= 2 ? year - 1 : year
  let yearOfEra = shifted % 400
  let dayOfYear = (153 * (number + (number > 2 ? -3 : 9)) + 2) / 5 + day - 1
  let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
  let days = shifted / 400 * 146_097 + dayOfEra - 719_468
  return days * 86_400 + clock[0] * 3600 + clock[1] * 60 + clock[2]
}
