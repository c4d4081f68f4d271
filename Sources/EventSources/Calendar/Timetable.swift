import Expression

/// When a calendar's moments are. Seconds count from 1970-01-01T00:00:00Z.
struct Timetable: Sendable {
  private enum Rule: Sendable {
    case cron(Cron)
    /// Whole seconds, at least one.
    case every(Int)
  }

  private let rule: Rule
  let zone: GoZone
  private let excluded: Set<CalendarDay>

  /// - Throws: `CronError` for a schedule or a zone that there is none of.
  init(
    _ spec: CalendarSpec,
    _ zoneFile: (String) -> [UInt8]?,
    _ mode: CompatibilityMode = .fixed
  ) throws(CronError) {
    excluded = spec.excluded
    if let schedule = spec.schedule {
      let cron = try Cron(schedule, timezone: spec.timezone, zoneFile: zoneFile, mode: mode)
      (rule, zone) = (.cron(cron), cron.zone)
    } else {
      let seconds = max(1, Int((spec.interval ?? .seconds(1)).components.seconds))
      zone = try Cron("@every 1s", timezone: spec.timezone, zoneFile: zoneFile).zone
      rule = .every(seconds)
    }
  }

  /// The first moment later than `seconds` that is not on an excluded day; nil where there is none
  /// in the next years.
  func next(after seconds: Int) -> Int? {
    var moment = seconds
    // Each day can be excluded once, and a day has 86,400 moments at most.
    for _ in 0..<max(1, excluded.count) * 86_400 + 1 {
      switch rule {
      case .cron(let cron):
        guard let next = cron.next(after: moment) else { return nil }
        moment = next
      case .every(let interval): moment += interval
      }
      if excluded.isEmpty || !excluded.contains(CalendarDay(time(moment).date)) { return moment }
    }
    return nil
  }

  /// The moments later than `start` and not later than `end`: the last ones, at most `limit`, and
  /// how many came before them.
  func moments(after start: Int, through end: Int, limit: Int) -> (moments: [Int], skipped: Int) {
    var moments: [Int] = []
    var skipped = 0
    var last = start
    while let next = next(after: last), next <= end {
      moments.append(next)
      last = next
      // In pieces, so that a long list is not moved for every moment.
      if moments.count >= 2 * limit {
        moments.removeFirst(moments.count - limit)
        skipped += limit
      }
    }
    if moments.count > limit {
      skipped += moments.count - limit
      moments.removeFirst(moments.count - limit)
    }
    return (moments, skipped)
  }

  func time(_ seconds: Int) -> GoTime { GoTime(seconds: seconds, nanoseconds: 0, zone: zone) }
}
