import Expression
import Foundation
import Testing

/// A schedule, a moment, and the moments that come next, as `2026-03-29T01:30:00Z`.
struct CronCase: CustomTestStringConvertible, Sendable {
  let text: String
  var zone = ""
  let after: String
  let next: [String]
  var mode = CompatibilityMode.fixed
  var testDescription: String { "\(text) in \(zone) after \(after), \(mode.rawValue)" }
}

private func zoneFile(_ name: String) -> [UInt8]? {
  (try? Data(contentsOf: URL(filePath: "/usr/share/zoneinfo/" + name))).map { [UInt8]($0) }
}

private func seconds(_ text: String) throws -> Int {
  Int(try Date(text, strategy: .iso8601).timeIntervalSince1970)
}

private func shown(_ seconds: Int) -> String {
  Date(timeIntervalSince1970: Double(seconds)).formatted(.iso8601)
}

@Suite struct CronTests {
  @Test("a schedule comes when its fields say", arguments: plain + clocks)
  func next(_ one: CronCase) throws {
    let cron = try Cron(one.text, timezone: one.zone, zoneFile: zoneFile, mode: one.mode)
    var now = try seconds(one.after)
    for expected in one.next {
      now = try #require(cron.next(after: now))
      #expect(shown(now) == expected)
    }
  }

  static let plain: [CronCase] = [
    CronCase(text: "* * * * *", after: "2026-01-01T00:00:00Z", next: ["2026-01-01T00:01:00Z"]),
    CronCase(text: "* * * * *", after: "2025-12-31T23:59:59Z", next: ["2026-01-01T00:00:00Z"]),
    CronCase(text: "*/15 * * * *", after: "2026-01-01T14:45:00Z", next: ["2026-01-01T15:00:00Z"]),
    CronCase(text: "5/20 8 * * *", after: "2026-01-01T08:06:00Z", next: ["2026-01-01T08:25:00Z"]),
    CronCase(
      text: "30 4 1,15 * 5",
      after: "2026-01-01T04:30:00Z",
      next: ["2026-01-02T04:30:00Z", "2026-01-09T04:30:00Z", "2026-01-15T04:30:00Z"]
    ),
    CronCase(
      text: "0 0 */10 * mon",
      after: "2026-01-01T00:00:00Z",
      next: ["2026-01-05T00:00:00Z", "2026-01-11T00:00:00Z", "2026-01-12T00:00:00Z"]
    ),
    CronCase(
      text: "0 9 ? * TUE-thu",
      after: "2026-01-01T09:00:00Z",
      next: ["2026-01-06T09:00:00Z"]
    ),
    CronCase(text: "0 0 29 2 *", after: "2024-03-01T00:00:00Z", next: ["2028-02-29T00:00:00Z"]),
    // 2100 is no leap year.
    CronCase(text: "0 0 29 Feb *", after: "2096-03-01T00:00:00Z", next: ["2104-02-29T00:00:00Z"]),
    CronCase(
      text: "10,40 59 23 31 DEC ?",
      after: "2026-12-31T23:59:10Z",
      next: ["2026-12-31T23:59:40Z", "2027-12-31T23:59:10Z"]
    ),
    CronCase(text: "@hourly", after: "2026-01-01T00:00:01Z", next: ["2026-01-01T01:00:00Z"]),
    CronCase(text: "@weekly", after: "2026-01-01T00:00:00Z", next: ["2026-01-04T00:00:00Z"]),
    CronCase(text: "@Monthly", after: "2026-01-01T00:00:00Z", next: ["2026-02-01T00:00:00Z"]),
    CronCase(text: "@annually", after: "2026-01-01T00:00:00Z", next: ["2027-01-01T00:00:00Z"]),
    CronCase(
      text: "@every 1m30.9s",
      after: "2026-01-01T00:00:07Z",
      next: ["2026-01-01T00:01:37Z", "2026-01-01T00:03:07Z"]
    ),
    CronCase(
      text: "TZ=Asia/Tokyo 0 9 * * *",
      zone: "Europe/Berlin",
      after: "2026-01-01T00:00:00Z",
      next: ["2026-01-02T00:00:00Z"]
    ),
    CronCase(
      text: "CRON_TZ=Asia/Kolkata 0 0 * * *",
      after: "2026-01-01T00:00:00Z",
      next: ["2026-01-01T18:30:00Z"]
    ),
  ]

  /// Berlin: 02:00 to 03:00 is skipped on 29 March 2026 and shown twice on 25 October.
  static let clocks: [CronCase] = [
    CronCase(
      text: "30 2 * * *",
      zone: "Europe/Berlin",
      after: "2026-03-28T01:30:00Z",
      next: ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
    ),
    CronCase(
      text: "30 2 * * *",
      zone: "Europe/Berlin",
      after: "2026-03-28T01:30:00Z",
      next: ["2026-03-30T00:30:00Z"],
      mode: .argo19
    ),
    // Two moments of the hour that is skipped are one.
    CronCase(
      text: "0,30 2,3 * * *",
      zone: "Europe/Berlin",
      after: "2026-03-29T00:59:59Z",
      next: ["2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:00:00Z"]
    ),
    CronCase(
      text: "30 2 * * *",
      zone: "Europe/Berlin",
      after: "2026-10-24T00:30:00Z",
      next: ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
    ),
    CronCase(
      text: "30 2 * * *",
      zone: "Europe/Berlin",
      after: "2026-10-24T00:30:00Z",
      next: ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"],
      mode: .argo19
    ),
    // Every second of the repeated hour passes before the next moment is found.
    CronCase(
      text: "* * 2 * * *",
      zone: "Europe/Berlin",
      after: "2026-10-25T00:59:59Z",
      next: ["2026-10-26T01:00:00Z"]
    ),
    CronCase(
      text: "*/30 * * * *",
      zone: "Europe/Berlin",
      after: "2026-03-29T00:30:00Z",
      next: ["2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"]
    ),
    CronCase(
      text: "0 */1 * * *",
      zone: "Europe/Berlin",
      after: "2026-10-24T23:00:00Z",
      next: ["2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"]
    ),
    // Midnight is skipped, in a zone west of Greenwich, and by half an hour at the other end.
    CronCase(
      text: "0 0 * * *",
      zone: "America/Sao_Paulo",
      after: "2018-11-03T03:00:00Z",
      next: ["2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"]
    ),
    CronCase(
      text: "15 2 * * *",
      zone: "Australia/Lord_Howe",
      after: "2026-10-03T00:00:00Z",
      next: ["2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"]
    ),
    // Far beyond what the database lists one by one.
    CronCase(
      text: "30 2 * * *",
      zone: "America/New_York",
      after: "2090-03-11T08:00:00Z",
      next: ["2090-03-12T07:00:00Z", "2090-03-13T06:30:00Z"]
    ),
  ]

  @Test(
    "what is no schedule is refused with what was found",
    arguments: [
      ("", "found nothing, expected five fields such as '30 4 * * MON-FRI'"),
      ("TZ=UTC", "found nothing, expected five fields such as '30 4 * * MON-FRI'"),
      (
        "TZ=Mars/Base * * * * *",
        "found the time zone 'Mars/Base', expected a name such as Europe/Berlin"
      ),
      (
        "TZ=../UTC * * * * *", "found the time zone '../UTC', expected a name such as Europe/Berlin"
      ),
      (
        "* * *",
        "found 3 fields, expected five: minute, hour, day of the month, month, day of the week; or six with seconds first"
      ),
      ("a * * * *", "found 'a', expected a minute from 0 to 59"),
      ("60 * * * *", "found '60', expected a minute from 0 to 59"),
      ("-1 * * * *", "found '', expected a minute from 0 to 59"),
      (
        "99999999999999999999 * * * *",
        "found '99999999999999999999', expected a minute from 0 to 59"
      ),
      ("* * 0 * *", "found '0', expected a day of the month from 1 to 31"),
      ("* * * * 7", "found '7', expected a day of the week from 0 to 6 or a name such as SUN"),
      ("* * * foo *", "found 'foo', expected a month from 1 to 12 or a name such as JAN"),
      ("5-3 * * * *", "found '5-3', expected the lower minute before the higher"),
      ("1-2-3 * * * *", "found '1-2-3', expected a minute as 5, 1-5, */5 or 1-5/2"),
      ("*/0 * * * *", "found the step '0', expected a number from 1 on"),
      ("*/x * * * *", "found the step 'x', expected a number from 1 on"),
      (", * * * *", "found ',', expected a minute"),
      ("0 0 30 2 *", "found a day of the month that none of its months has, so it never comes"),
      ("0 0 31 4,6 *", "found a day of the month that none of its months has, so it never comes"),
      (
        "@reboot",
        "found '@reboot', expected one of @every, @annually, @daily, @hourly, @midnight, @monthly, @weekly, @yearly"
      ),
      (
        "@every 500ms",
        "found '@every 500ms', expected a duration of at least a second such as 90s or 1h30m"
      ),
      ("@every", "found '@every ', expected a duration of at least a second such as 90s or 1h30m"),
    ]
  )
  func refused(_ text: String, _ why: String) {
    let error = #expect(throws: CronError.self) { try Cron(text, zoneFile: zoneFile) }
    #expect(error?.description == why)
  }

  @Test("searching agrees with looking at every minute", arguments: 0..<40)
  func brute(_ seed: Int) throws {
    var state = UInt64(seed) &* 0x9e37_79b9_7f4a_7c15 | 1
    func pick(_ choices: [String]) -> String {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return choices[Int(state >> 33) % choices.count]
    }
    let zone = pick(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
    let text = [
      pick(["*", "0", "*/7", "5,50", "10-20/3"]), pick(["*", "*/3"]),
      pick(["*", "1", "31", "*/9"]),
      pick(["*", "3", "10", "*/5"]), pick(["*", "0", "MON-FRI"]),
    ].joined(separator: " ")
    let cron = try Cron(text, timezone: zone, zoneFile: zoneFile)
    let wallZone = try #require(TimeZone(identifier: zone))
    var calendar = Calendar(identifier: .gregorian)
    calendar.timeZone = wallZone
    let fields = text.split(separator: " ").map(String.init)
    let start = try seconds("2026-03-28T12:00:00Z")
    var now = start
    var found: [Int] = []
    while let next = cron.next(after: now), next < start + 3 * 86400 {
      found.append(next)
      now = next
    }
    let expected = stride(from: start + 60, to: start + 3 * 86400, by: 60).filter { moment in
      let date = Date(timeIntervalSince1970: Double(moment))
      let parts = calendar.dateComponents([.minute, .hour, .day, .month, .weekday], from: date)
      guard let minute = parts.minute, let hour = parts.hour, let day = parts.day,
        let month = parts.month, let weekday = parts.weekday
      else { return false }
      let isDay = matches(fields[2], day, 1...31)
      let isWeekday =
        fields[4] == "MON-FRI" ? (2...6).contains(weekday) : fields[4] == "*" || weekday == 1
      let days = fields[2] == "*" || fields[4] == "*" ? isDay && isWeekday : isDay || isWeekday
      return matches(fields[0], minute, 0...59) && matches(fields[1], hour, 0...23)
        && matches(fields[3], month, 1...12) && days
    }
    #expect(found == expected, "\(text) in \(zone)")
  }

  /// One field of the few forms above, the slow way.
  private func matches(_ field: String, _ number: Int, _ range: ClosedRange<Int>) -> Bool {
    switch field {
    case "*": true
    case "5,50": [5, 50].contains(number)
    case "10-20/3": [10, 13, 16, 19].contains(number)
    default:
      field.hasPrefix("*/")
        ? (number - range.lowerBound) % (Int(field.dropFirst(2)) ?? 1) == 0 : Int(field) == number
    }
  }
}
