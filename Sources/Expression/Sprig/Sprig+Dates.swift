extension Sprig {
  private typealias Make = TemplateFunctions

  /// The process has no zone of its own here: local time is UTC.
  static let dates: [TemplateFunction] = [
    Make.make("now") { _, account in .time(account.world.now()) },
    Make.make("date", .string, .any) { arguments, account in
      shown(arguments[1], arguments[0].text, "Local", &account)
    },
    inZone("dateInZone"), inZone("date_in_zone"),
    Make.make("htmlDate", .any) { arguments, account in
      shown(arguments[0], "2006-01-02", "Local", &account)
    },
    Make.make("htmlDateInZone", .any, .string) { arguments, account in
      shown(arguments[0], "2006-01-02", arguments[1].text, &account)
    },
    modify("dateModify", fails: false), modify("date_modify", fails: false),
    modify("mustDateModify", fails: true), modify("must_date_modify", fails: true),
    Make.make("ago", .any) { arguments, account in
      let now = account.world.now()
      let passed = now.distance(from: moment(arguments[0]) ?? now)
      let seconds = (Double(passed) / 1e9).rounded(.toNearestOrAwayFromZero)
      return .string(GoDuration.text(Int(seconds) &* GoDuration.second))
    },
    Make.make("duration", .any) { arguments, _ in
      var seconds = 0
      switch arguments[0] {
      case .string(let text): seconds = Int(text.description) ?? 0
      case .int64(let value): seconds = value
      default: break
      }
      return .string(GoDuration.text(seconds &* GoDuration.second))
    },
    Make.make("durationRound", .any) { arguments, account in
      let duration: Int
      switch arguments[0] {
      case .string(let text): duration = GoDuration.parse(text.description) ?? 0
      case .int64(let value): duration = value
      case .time(let time): duration = account.world.now().distance(from: time)
      default: duration = 0
      }
      return .string(roughly(duration.magnitude))
    },
    Make.make("toDate", .string, .string) { arguments, _ in
      .time(GoLayout(arguments[0].text).parse(arguments[1].text) ?? .zero)
    },
    Make.make("mustToDate", .string, .string) { (arguments, _) throws(TemplateFailure) in
      guard let time = GoLayout(arguments[0].text).parse(arguments[1].text) else {
        throw TemplateFailure("parsing time \"\(arguments[1].text)\" as \"\(arguments[0].text)\"")
      }
      return .time(time)
    },
    Make.make("unixEpoch", .time) { arguments, _ in .string("\(arguments[0].moment.seconds)") },
  ]

  private static func inZone(_ name: String) -> TemplateFunction {
    Make.make(name, .string, .any, .string) { arguments, account in
      shown(arguments[1], arguments[0].text, arguments[2].text, &account)
    }
  }

  private static func modify(_ name: String, fails: Bool) -> TemplateFunction {
    Make.make(name, .string, .time) { (arguments, _) throws(TemplateFailure) in
      guard let duration = GoDuration.parse(arguments[0].text.description) else {
        if fails { throw TemplateFailure("invalid duration \"\(arguments[0].text)\"") }
        return arguments[1]
      }
      return .time(arguments[1].moment.adding(duration))
    }
  }

  /// A time, or seconds since 1970 as a whole number.
  private static func moment(_ value: GoValue) -> GoTime? {
    switch value {
    case .time(let time): time
    case .int(let seconds), .int64(let seconds):
      GoTime(seconds: seconds, nanoseconds: 0, zone: .utc)
    default: nil
    }
  }

  /// What is no time stands for now, and an unknown zone for UTC.
  private static func shown(
    _ value: GoValue,
    _ layout: ByteString,
    _ zone: ByteString,
    _ account: inout TemplateAccount
  ) -> GoValue {
    let time = moment(value) ?? account.world.now()
    let zone = account.zone(zone.description) ?? .utc
    return .string(GoLayout(layout).format(time.shown(in: zone)))
  }

  private static func roughly(_ duration: UInt) -> String {
    let hour = UInt(3600 * GoDuration.second)
    let units: [(size: UInt, name: String)] = [
      (hour * 24 * 365, "y"), (hour * 24 * 30, "mo"), (hour * 24, "d"), (hour, "h"),
      (hour / 60, "m"), (hour / 3600, "s"),
    ]
    for unit in units where duration > unit.size { return "\(duration / unit.size)\(unit.name)" }
    return "0s"
  }
}
