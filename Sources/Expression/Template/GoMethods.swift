/// The methods that values of Go types have in templates.
enum GoMethods {
  private typealias Make = TemplateFunctions

  /// The method of that name, bound to its receiver.
  static func method(_ receiver: GoValue, _ name: String) -> TemplateFunction? {
    switch receiver {
    case .time(let time): clock(time, name) ?? calendar(time, name) ?? comparison(time, name)
    case .duration(let duration): self.duration(duration, name)
    case .month, .weekday, .zone:
      name == "String" ? plain(name, .string(receiver.scalarText)) : nil
    case .version(let version): self.version(version, name)
    default: nil
    }
  }

  private static func plain(_ name: String, _ value: GoValue) -> TemplateFunction {
    // The value does not change, but GoValue cannot be shared between threads: it is made anew.
    let text = value.stringerText ?? value.text.description
    switch value {
    case .int(let number): return Make.make(name) { _, _ in .int(number) }
    case .int64(let number): return Make.make(name) { _, _ in .int64(number) }
    case .uint64(let number): return Make.make(name) { _, _ in .uint64(number) }
    case .float(let number): return Make.make(name) { _, _ in .float(number) }
    case .bool(let truth): return Make.make(name) { _, _ in .bool(truth) }
    case .month(let month): return Make.make(name) { _, _ in .month(month) }
    case .weekday(let day): return Make.make(name) { _, _ in .weekday(day) }
    case .time(let time): return Make.make(name) { _, _ in .time(time) }
    case .zone(let zone): return Make.make(name) { _, _ in .zone(zone) }
    default: return Make.make(name) { _, _ in .string(text) }
    }
  }

  private static func calendar(_ time: GoTime, _ name: String) -> TemplateFunction? {
    switch name {
    case "Year": plain(name, .int(time.date.year))
    case "Month": plain(name, .month(time.date.month))
    case "Day": plain(name, .int(time.date.day))
    case "Weekday": plain(name, .weekday(time.weekday))
    case "YearDay": plain(name, .int(time.yearDay))
    case "AddDate":
      Make.make(name, .int, .int, .int) { arguments, _ in
        .time(
          time.adding(
            years: arguments[0].number,
            months: arguments[1].number,
            days: arguments[2].number
          )
        )
      }
    case "UTC", "Local": plain(name, .time(time.shown(in: .utc)))
    case "Location": plain(name, .zone(time.zone))
    case "In":
      Make.make(name, .any) { (arguments, _) throws(TemplateFailure) in
        guard case .zone(let zone) = arguments[0] else { throw wrong(arguments[0]) }
        return .time(time.shown(in: zone))
      }
    default: nil
    }
  }

  private static func clock(_ time: GoTime, _ name: String) -> TemplateFunction? {
    let nanoseconds = time.seconds &* 1_000_000_000 &+ time.nanoseconds
    return switch name {
    case "Hour": plain(name, .int(time.hour))
    case "Minute": plain(name, .int(time.minute))
    case "Second": plain(name, .int(time.second))
    case "Nanosecond": plain(name, .int(time.nanoseconds))
    case "Unix": plain(name, .int64(time.seconds))
    case "UnixMilli": plain(name, .int64(time.seconds &* 1000 &+ time.nanoseconds / 1_000_000))
    case "UnixMicro": plain(name, .int64(time.seconds &* 1_000_000 &+ time.nanoseconds / 1000))
    case "UnixNano": plain(name, .int64(nanoseconds))
    case "String": plain(name, .string(time.text))
    case "IsDST": plain(name, .bool(time.zone.offset(at: time.seconds).isDaylight))
    case "Format":
      Make.make(name, .string) { arguments, _ in
        .string(GoLayout(arguments[0].text).format(time))
      }
    case "Truncate", "Round":
      Make.make(name, .any) { (arguments, _) throws(TemplateFailure) in
        guard case .duration(let unit) = arguments[0] else { throw wrong(arguments[0]) }
        return .time(rounded(time, unit, up: name == "Round"))
      }
    default: nil
    }
  }

  /// To a multiple of `unit` since the year 1.
  private static func rounded(_ time: GoTime, _ unit: Int, up: Bool) -> GoTime {
    guard unit > 0 else { return time }
    // 62135596800 s lie between the years 1 and 1970; each part is taken by its remainder.
    let (whole, part) = ((time.seconds &+ 62_135_596_800), time.nanoseconds)
    let perSecond = 1_000_000_000 % unit
    let scaled = (whole % unit).multipliedFullWidth(by: perSecond)
    let remainder = (unit.dividingFullWidth(scaled).remainder &+ part % unit) % unit
    if up, remainder >= unit - remainder { return time.adding(unit - remainder) }
    return time.adding(-remainder)
  }

  private static func comparison(_ time: GoTime, _ name: String) -> TemplateFunction? {
    switch name {
    case "Before":
      Make.make(name, .time) { arguments, _ in .bool(GoTime.isBefore(time, arguments[0].moment)) }
    case "After":
      Make.make(name, .time) { arguments, _ in .bool(GoTime.isBefore(arguments[0].moment, time)) }
    case "Equal":
      Make.make(name, .time) { arguments, _ in .bool(GoTime.isSame(time, arguments[0].moment)) }
    case "Compare":
      Make.make(name, .time) { arguments, _ in
        let other = arguments[0].moment
        return .int(GoTime.isBefore(time, other) ? -1 : GoTime.isSame(time, other) ? 0 : 1)
      }
    case "Sub":
      Make.make(name, .time) { arguments, _ in .duration(time.distance(from: arguments[0].moment)) }
    case "Add":
      Make.make(name, .any) { (arguments, _) throws(TemplateFailure) in
        guard case .duration(let duration) = arguments[0] else { throw wrong(arguments[0]) }
        return .time(time.adding(duration))
      }
    case "IsZero":
      plain(name, .bool(time.seconds == -62_135_596_800 && time.nanoseconds == 0))
    default: nil
    }
  }

  private static func wrong(_ value: GoValue) -> TemplateFailure {
    TemplateFailure("wrong type for value; got \(value.typeName)")
  }

  private static func duration(_ duration: Int, _ name: String) -> TemplateFunction? {
    let seconds = Double(duration / 1_000_000_000) + Double(duration % 1_000_000_000) / 1e9
    return switch name {
    case "Hours": plain(name, .float(seconds / 3600))
    case "Minutes": plain(name, .float(seconds / 60))
    case "Seconds": plain(name, .float(seconds))
    case "Milliseconds": plain(name, .int64(duration / 1_000_000))
    case "Microseconds": plain(name, .int64(duration / 1000))
    case "Nanoseconds": plain(name, .int64(duration))
    case "String": plain(name, .string(GoDuration.text(duration)))
    default: nil
    }
  }

  private static func version(_ version: SemanticVersion, _ name: String) -> TemplateFunction? {
    switch name {
    case "Major": plain(name, .uint64(version.major))
    case "Minor": plain(name, .uint64(version.minor))
    case "Patch": plain(name, .uint64(version.patch))
    case "Prerelease": plain(name, .string(version.prerelease))
    case "Metadata": plain(name, .string(version.metadata))
    case "Original": plain(name, .string(version.original))
    case "String": plain(name, .string(version.text))
    case "Compare", "Equal", "LessThan", "GreaterThan", "LessThanEqual", "GreaterThanEqual":
      Make.make(name, .any) { (arguments, _) throws(TemplateFailure) in
        guard case .version(let other) = arguments[0] else { throw wrong(arguments[0]) }
        let order = version.compare(other)
        switch name {
        case "Compare": return .int(order)
        case "Equal": return .bool(order == 0)
        case "LessThan": return .bool(order < 0)
        case "LessThanEqual": return .bool(order <= 0)
        case "GreaterThan": return .bool(order > 0)
        default: return .bool(order >= 0)
        }
      }
    case "IncMajor", "IncMinor", "IncPatch":
      Make.make(name) { _, _ in .version(version.incremented(name)) }
    default: nil
    }
  }
}

extension GoValue {
  /// The argument of a time parameter.
  var moment: GoTime {
    guard case .time(let time) = self else { return GoTime.zero }
    return time
  }
}

extension GoTime {
  /// The first moment of the year 1, which Go has for no time.
  static let zero = GoTime(seconds: -62_135_596_800, nanoseconds: 0, zone: .utc)
}
