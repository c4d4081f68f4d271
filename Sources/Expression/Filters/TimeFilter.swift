/// `filters.time` (spec section 7.5): a span of the day, the start in it, the stop not.
package struct TimeFilter: Sendable, CustomStringConvertible {
  /// Nanoseconds since midnight by the clock on the wall.
  private let start: Int
  private let stop: Int
  private let zone: GoZone
  /// As it was written.
  package let description: String

  /// - Parameters:
  ///   - start: `HH:MM:SS`; a stop that is not later is one of the next day.
  ///   - timezone: a name of the time zone database; empty is UTC.
  ///   - zoneFile: that database's files by name.
  /// - Throws: `FilterError` for a time or zone there is none of, and, but for mode `argo-1.9`,
  ///   for a span without length, which would be the whole day.
  package init(
    start: String,
    stop: String,
    timezone: String,
    zoneFile: (String) -> [UInt8]?,
    mode: CompatibilityMode = .fixed
  ) throws(FilterError) {
    guard let zone = GoZone(named: timezone, zoneFile) else {
      throw FilterError(description: "timezone: unknown time zone '\(timezone)'")
    }
    guard let from = timeOfDay(start) else { throw Self.fault("start", start) }
    guard let to = timeOfDay(stop) else { throw Self.fault("stop", stop) }
    if mode == .fixed, from == to {
      throw FilterError(description: "stop: found '\(stop)', which is equal to start")
    }
    (self.start, self.stop, self.zone) = (from, to, zone)
    description = "from \(start) to \(stop)" + (timezone.isEmpty ? " UTC" : " " + timezone)
  }

  private static func fault(_ field: String, _ text: String) -> FilterError {
    FilterError(description: "\(field): found '\(text)', expected a time of day such as 09:30:00")
  }

  func evaluate(_ time: FilterTime) -> FilterVerdict {
    let wall = time.seconds + zone.offset(at: time.seconds).seconds
    let midnight = wall - (wall % 86_400 + 86_400) % 86_400
    let from = moment(midnight, start)
    let to = moment(midnight, stop)
    let isInside = from < to ? from <= time && time < to : from <= time || time < to
    return isInside
      ? .pass : .refused("the time of day is outside of the span: \(clockText(wall - midnight))")
  }

  /// A time of the day that begins at `midnight`, clocks being changed in between or not.
  private func moment(_ midnight: Int, _ ofDay: Int) -> FilterTime {
    FilterTime(
      seconds: zone.seconds(ofWall: midnight + ofDay / 1_000_000_000),
      nanoseconds: ofDay % 1_000_000_000
    )
  }
}

/// `15:04:05`, of seconds since midnight.
private func clockText(_ seconds: Int) -> String {
  [seconds / 3600, seconds / 60 % 60, seconds % 60]
    .map { $0 < 10 ? "0\($0)" : "\($0)" }.joined(separator: ":")
}

/// An instant.
package struct FilterTime: Comparable, Sendable {
  /// Since 1970-01-01T00:00:00Z.
  package let seconds: Int
  package let nanoseconds: Int

  package init(seconds: Int, nanoseconds: Int) {
    self.seconds = seconds
    self.nanoseconds = nanoseconds
  }

  package static func < (a: FilterTime, b: FilterTime) -> Bool {
    (a.seconds, a.nanoseconds) < (b.seconds, b.nanoseconds)
  }
}

/// `15:04:05` as Go reads it: spaces before it, an hour of one digit and a fraction are fine.
private func timeOfDay(_ text: String) -> Int? {
  var rest = Array(text.utf8)[...].drop { $0 == 0x20 }
  func number(_ widths: ClosedRange<Int>) -> Int? {
    let digits = rest.prefix(widths.upperBound).prefix { (0x30...0x39).contains($0) }
    guard widths.contains(digits.count) else { return nil }
    rest = rest.dropFirst(digits.count)
    return digits.reduce(0) { $0 * 10 + Int($1 - 0x30) }
  }
  func colon() -> Bool { rest.popFirst() == 0x3a }
  guard let hour = number(1...2), hour < 24, colon(), let minute = number(2...2), minute < 60,
    colon(), let second = number(2...2), second < 60
  else { return nil }
  var fraction = 0
  if let point = rest.first, point == 0x2e || point == 0x2c {
    let digits = rest.dropFirst().prefix { (0x30...0x39).contains($0) }
    guard !digits.isEmpty else { return nil }
    rest = rest.dropFirst(1 + digits.count)
    for place in 0..<9 {
      let digit = digits.dropFirst(place).first.map { Int($0 - 0x30) } ?? 0
      fraction = fraction * 10 + digit
    }
  }
  guard rest.isEmpty else { return nil }
  return (hour * 3600 + minute * 60 + second) * 1_000_000_000 + fraction
}
