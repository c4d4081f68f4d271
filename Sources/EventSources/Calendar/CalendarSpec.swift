import Expression
import JSON
package import Manifest

/// The fields of a `calendar` event source (spec section 2.7).
package struct CalendarSpec: ManifestBlock, Sendable {
  /// Both as written; the schedule wins.
  let schedule: String?
  let interval: Duration?
  let timezone: String
  let excluded: Set<CalendarDay>
  let metadata: [JSON.Member]
  /// How far back moments are made up for that passed while nothing ran; zero: not at all.
  let catchUp: Duration

  /// A day by itself; a longer time without the program is reported and not made up for.
  private static let defaultCatchUp = Duration.seconds(86_400)
  private static let longestCatchUp = Duration.seconds(31 * 86_400)

  package init(from block: Block) {
    let schedule = block.string("schedule") ?? ""
    self.schedule = schedule.isEmpty ? nil : schedule
    interval = Self.interval(block)
    if schedule.isEmpty, interval == nil, !block.contains("interval") {
      block.error(nil, "found neither schedule nor interval, expected one of them")
    }
    if !schedule.isEmpty, interval != nil {
      block.warning("interval", "has no effect beside schedule")
    }
    timezone = block.string("timezone") ?? ""
    excluded = Self.excluded(block)
    metadata = webhookMetadata(block)
    catchUp = Self.catchUp(block)
    block.finish()
  }

  private static func interval(_ block: Block) -> Duration? {
    guard block.contains("interval"), block.string("interval") != "" else { return nil }
    guard let interval = block.duration("interval") else { return nil }
    if interval < .seconds(1) {
      block.error("interval", "found \(interval), expected a second at least")
    }
    return interval
  }

  private static func excluded(_ block: Block) -> Set<CalendarDay> {
    var days: Set<CalendarDay> = []
    for (index, text) in (block.strings("exclusionDates") ?? []).enumerated() {
      let parts = text.split(separator: ":", maxSplits: 1)
      let dates = parts.count == 2 && parts[0] == "EXDATE" ? parts[1].split(separator: ",") : []
      let found = dates.compactMap { CalendarDay(stamp: $0) }
      if found.isEmpty || found.count != dates.count {
        block.error(
          "exclusionDates[\(index)]",
          "found '\(text)', expected EXDATE: and times such as 20060102T150405Z with commas"
        )
      }
      days.formUnion(found)
    }
    return days
  }

  private static func catchUp(_ block: Block) -> Duration {
    guard let persistence = block.block("persistence") else { return defaultCatchUp }
    if persistence.contains("configMap") {
      persistence.report(.info, "configMap", "is not needed: the place is kept on the log")
    }
    defer { persistence.finish() }
    guard let catchUp = persistence.block("catchup") else { return defaultCatchUp }
    let isOn = catchUp.bool("enabled")
    let longest = catchUp.duration("maxDuration")
    if let longest, longest > longestCatchUp {
      catchUp.error("maxDuration", "found \(longest), expected 744h at most")
    }
    catchUp.finish()
    if isOn == false { return .zero }
    return longest.flatMap { $0 == .zero ? nil : $0 } ?? defaultCatchUp
  }
}

/// A day of a calendar.
struct CalendarDay: Hashable, Sendable {
  let year: Int
  let month: Int
  let day: Int

  init(_ date: (year: Int, month: Int, day: Int)) {
    (year, month, day) = (date.year, date.month, date.day)
  }

  /// `20060102T150405Z`; the day counts, the time of day does not.
  init?(stamp: Substring) {
    let bytes = Array(stamp.utf8)
    let pattern = Array("00000000T000000Z".utf8)
    let fits = zip(bytes, pattern).allSatisfy { byte, wanted in
      wanted == 0x30 ? (0x30...0x39).contains(byte) : byte == wanted
    }
    guard bytes.count == pattern.count, fits else { return nil }
    func number(_ range: Range<Int>) -> Int { bytes[range].reduce(0) { $0 * 10 + Int($1 - 0x30) } }
    (year, month, day) = (number(0..<4), number(4..<6), number(6..<8))
    guard (1...12).contains(month), (1...31).contains(day), number(9..<11) < 24,
      number(11..<13) < 60, number(13..<15) < 60
    else { return nil }
  }
}
