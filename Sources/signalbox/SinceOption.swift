import ArgumentParser
import Event
import EventLog
import Expression
import Manifest
import Posix

/// From when on records are shown.
struct SinceOption: ParsableArguments {
  @Option(
    help:
      "Only what was stored since: a time such as 2026-01-02T15:04:05Z, or how long ago: 90m, 7d."
  )
  var since: String?

  func validate() throws {
    if let since, Self.time(since, now: 0) == nil {
      throw ValidationError(
        "--since: found '\(since)', expected a time such as 2026-01-02T15:04:05Z or how long ago, "
          + "such as 90m or 7d"
      )
    }
  }

  /// nil: from the first record on.
  func start() throws -> EventLogReader.Start? {
    guard let since, let time = Self.time(since, now: wallClockNanoseconds()) else { return nil }
    return .since(Timestamp(nanoseconds: time))
  }

  private static func time(_ text: String, now: Int64) -> Int64? {
    if let time = GoLayout("2006-01-02T15:04:05.999999999Z07:00").parse(text) {
      let (whole, isTooLarge) = Int64(time.seconds).multipliedReportingOverflow(by: 1_000_000_000)
      return isTooLarge ? nil : whole.addingReportingOverflow(Int64(time.nanoseconds)).partialValue
    }
    if text.last == "d", let days = Int64(text.dropLast()), (0...36_500).contains(days) {
      return now - days * 86_400_000_000_000
    }
    return Duration(goDuration: text).map { now - $0.wholeNanoseconds }
  }
}
