extension ExprFunctions {
  /// What `date` tries for a text without a layout.
  private static let layouts = [
    "2006-01-02", "15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04:05Z07:00",
    "02 Jan 06 15:04 MST", "Monday, 02-Jan-06 15:04:05 MST", "Mon, 02 Jan 2006 15:04:05 MST",
  ].map { GoLayout($0) }

  static let times: [ByteString: Call] = [
    "now": { (arguments, run) throws(ExprFailure) in
      if arguments.isEmpty { return .time(run.world.now()) }
      if arguments.count == 1, case .zone(let zone) = arguments[0] {
        return .time(run.world.now().shown(in: zone))
      }
      throw ExprFailure("now takes nothing or a time zone")
    },
    "duration": { (arguments, _) throws(ExprFailure) in
      let text = try argument(arguments, 0).text()
      guard let duration = GoDuration.parse(text.description) else {
        throw ExprFailure("invalid duration '\(text)'")
      }
      return .duration(duration)
    },
    "timezone": { (arguments, run) throws(ExprFailure) in
      .zone(try run.zone(try argument(arguments, 0).text()))
    },
    "date": { (arguments, run) throws(ExprFailure) in
      let text = try argument(arguments, 0).text()
      if arguments.count == 2 || arguments.count == 3 {
        let layout = GoLayout(try arguments[1].text())
        let zone = arguments.count == 3 ? try run.zone(try arguments[2].text()) : .utc
        if let time = layout.parse(text, in: zone) { return .time(time) }
      } else {
        for layout in layouts {
          if let time = layout.parse(text) { return .time(time) }
        }
      }
      throw ExprFailure("invalid date \(text)")
    },
  ]
}

/// The methods of times, durations and zones.
enum ExprMethods {
  private typealias Call = ExprFunction.Call

  static func method(_ value: ExprValue, _ name: ByteString) -> ExprFunction? {
    let call: Call? =
      switch value {
      case .time(let time): clock(time, name) ?? calendar(time, name)
      case .duration(let duration): self.duration(duration, name)
      case .zone, .month, .weekday:
        name == "String" ? plain { .string(ExprPrinter.text(value)) } : nil
      default: nil
      }
    return call.map { ExprFunction($0) }
  }

  private static func plain(_ value: @escaping @Sendable () -> ExprValue) -> Call {
    { (arguments, _) throws(ExprFailure) in
      try ExprFunctions.count(arguments, 0...0)
      return value()
    }
  }

  private static func taking(
    _ count: Int,
    _ call: @escaping @Sendable ([ExprValue]) -> ExprValue?
  ) -> Call {
    { (arguments, _) throws(ExprFailure) in
      try ExprFunctions.count(arguments, count...count)
      guard let result = call(arguments) else {
        throw ExprFailure("\(arguments[0].typeName) does not fit as an argument")
      }
      return result
    }
  }

  private static func clock(_ time: GoTime, _ name: ByteString) -> Call? {
    switch name {
    case "Unix": plain { .int(time.seconds) }
    case "UnixMilli": plain { .int(time.seconds &* 1000 &+ time.nanoseconds / 1_000_000) }
    case "UnixMicro": plain { .int(time.seconds &* 1_000_000 &+ time.nanoseconds / 1000) }
    case "UnixNano": plain { .int(time.seconds &* 1_000_000_000 &+ time.nanoseconds) }
    case "Hour", "Clock": plain { .int(time.hour) }
    case "Minute": plain { .int(time.minute) }
    case "Second": plain { .int(time.second) }
    case "Nanosecond": plain { .int(time.nanoseconds) }
    case "Zone": plain { .string(time.zoneName) }
    case "Location": plain { .zone(time.zone) }
    case "IsDST": plain { .bool(time.zone.offset(at: time.seconds).isDaylight) }
    case "IsZero": plain { .bool(time.seconds == -62_135_596_800 && time.nanoseconds == 0) }
    case "UTC": plain { .time(time.shown(in: .utc)) }
    case "Local": plain { .time(time.shown(in: .utc)) }
    case "String": plain { .string(time.text) }
    case "Add": taking(1) { duration($0[0]).map { .time(time.adding($0)) } }
    case "Truncate":
      taking(1) { duration($0[0]).map { .time(truncated(time, $0, isRound: false)) } }
    case "Round": taking(1) { duration($0[0]).map { .time(truncated(time, $0, isRound: true)) } }
    case "Sub": taking(1) { other($0[0]).map { .duration(time.distance(from: $0)) } }
    case "Before": taking(1) { other($0[0]).map { .bool(GoTime.isBefore(time, $0)) } }
    case "After": taking(1) { other($0[0]).map { .bool(GoTime.isBefore($0, time)) } }
    case "Equal": taking(1) { other($0[0]).map { .bool(GoTime.isSame(time, $0)) } }
    case "Compare":
      taking(1) {
        other($0[0]).map {
          .int(GoTime.isSame(time, $0) ? 0 : GoTime.isBefore(time, $0) ? -1 : 1)
        }
      }
    default: nil
    }
  }

  private static func calendar(_ time: GoTime, _ name: ByteString) -> Call? {
    switch name {
    case "Year", "Date": plain { .int(time.date.year) }
    case "Month": plain { .month(time.date.month) }
    case "Day": plain { .int(time.date.day) }
    case "Weekday": plain { .weekday(time.weekday) }
    case "YearDay": plain { .int(time.yearDay) }
    case "ISOWeek": plain { .int(time.isoWeek.year) }
    case "In":
      taking(1) { arguments in
        if case .zone(let zone) = arguments[0] { .time(time.shown(in: zone)) } else { nil }
      }
    case "Format":
      taking(1) { arguments in
        guard case .string(let layout) = arguments[0] else { return nil }
        return .string(GoLayout(layout).format(time))
      }
    case "AddDate":
      taking(3) { arguments in
        guard case .int(let years) = arguments[0], case .int(let months) = arguments[1],
          case .int(let days) = arguments[2]
        else { return nil }
        return .time(time.adding(years: years, months: months, days: days))
      }
    default: nil
    }
  }

  private static func duration(_ value: ExprValue) -> Int? {
    if case .duration(let duration) = value { duration } else { nil }
  }

  private static func other(_ value: ExprValue) -> GoTime? {
    if case .time(let time) = value { time } else { nil }
  }

  /// Cut or rounded to a multiple of `unit` since the year 1.
  private static func truncated(_ time: GoTime, _ unit: Int, isRound: Bool) -> GoTime {
    guard unit > 0 else { return time }
    let seconds = time.seconds &+ 62_135_596_800
    let total = Int128(seconds) * 1_000_000_000 + Int128(time.nanoseconds)
    let rest = Int(total % Int128(unit))
    return isRound && rest >= unit - rest ? time.adding(unit - rest) : time.adding(-rest)
  }

  private static func duration(_ duration: Int, _ name: ByteString) -> Call? {
    let second = GoDuration.second
    return switch name {
    case "Hours": plain { .float(parts(duration, 3600 * second)) }
    case "Minutes": plain { .float(parts(duration, 60 * second)) }
    case "Seconds": plain { .float(parts(duration, second)) }
    case "Milliseconds": plain { .int(duration / 1_000_000) }
    case "Microseconds": plain { .int(duration / 1000) }
    case "Nanoseconds": plain { .int(duration) }
    case "String": plain { .string(GoDuration.text(duration)) }
    case "Abs": plain { .duration(Int(clamping: duration.magnitude)) }
    case "Truncate":
      taking(1) {
        self.duration($0[0]).map { .duration($0 > 0 ? duration - duration % $0 : duration) }
      }
    case "Round": taking(1) { self.duration($0[0]).map { .duration(rounded(duration, $0)) } }
    default: nil
    }
  }

  private static func parts(_ duration: Int, _ unit: Int) -> Double {
    Double(duration / unit) + Double(duration % unit) / Double(unit)
  }

  private static func rounded(_ duration: Int, _ unit: Int) -> Int {
    guard unit > 0 else { return duration }
    let rest = duration % unit
    let size = Int(rest.magnitude)
    if size < unit - size { return duration - rest }
    return duration < 0 ? duration &- rest &- unit : duration &- rest &+ unit
  }
}
