import Bus
import Event
import EventLog
import Server

/// Reads the events of a data folder as far as they have come, again and again; those of several
/// partitions in the order of log time, and copies of one event as one.
struct EventsReading {
  /// An event with what is known of its place.
  struct Shown {
    let event: Event
    /// With its partition where there are partitions.
    let position: String
    /// Those that have it, as far as they are here; nil where there are none.
    let partitions: [Int]?
    /// How far behind the root of a lineage it is.
    let depth: Int
  }

  private let folder: DataFolder
  private let start: EventLogReader.Start
  private let source: String?
  /// By partition: where reading goes on.
  private var ends: [Int?: EventLogReader.Bookmark] = [:]
  private var copies = Copies()

  /// - Parameter source: the only event source whose events are shown; nil: all.
  init(_ folder: DataFolder, _ start: EventLogReader.Start, source: String?) {
    (self.folder, self.start, self.source) = (folder, start, source)
  }

  /// Shows what has come since the last call, as far as it belongs to the lineage.
  /// - Returns: the damage that was found.
  mutating func read(
    _ lineage: inout Lineage?,
    show: (Shown, inout Lineage?) -> Void
  ) throws -> [String] {
    let parts = try folder.parts()
    // Also where one partition alone is here.
    let isShared = parts.contains { $0.partition != nil }
    if isShared { try lookAhead(parts, &lineage) }
    var pass = try pass(parts)
    while let (part, record) = try pass.next() {
      guard case .event(let event) = record.content else { continue }
      // Also of what is not shown: something that is may be behind it.
      let depth = lineage?.depth(of: event)
      if lineage != nil && depth == nil { continue }
      if let source, event.source != source { continue }
      var partitions: [Int]?
      if let partition = part.partition {
        partitions = copies.show(event.identity, from: partition)
        if partitions == nil { continue }
      }
      let position = part.name(record.position)
      show(
        Shown(event: event, position: position, partitions: partitions, depth: depth ?? 0),
        &lineage
      )
    }
    copies.age()
    for (part, report) in pass.reports { ends[part.partition] = report.end ?? ends[part.partition] }
    return pass.reports.flatMap { part, report in report.damages.map { "\(part.prefix)\($0)" } }
  }

  /// Finds out where copies are, and what belongs to a lineage: clocks of different machines may
  /// put the copy of an outcome before what caused it.
  private mutating func lookAhead(
    _ parts: [DataFolder.Part],
    _ lineage: inout Lineage?
  ) throws {
    var known: Int
    var isFirst = true
    repeat {
      known = lineage?.count ?? 0
      var pass = try pass(parts)
      while let (part, record) = try pass.next() {
        guard case .event(let event) = record.content else { continue }
        _ = lineage?.depth(of: event)
        guard isFirst, let partition = part.partition, source.map({ $0 == event.source }) ?? true
        else { continue }
        copies.note(event.identity, in: partition)
      }
      isFirst = false
    } while lineage?.count ?? 0 > known
  }

  private func pass(_ parts: [DataFolder.Part]) throws(LogError) -> MergedPass {
    try MergedPass(parts) { part in ends[part.partition].map { .goingOn($0) } ?? start }
  }
}

/// Which partitions have an event that was not shown yet.
private struct Copies {
  /// A bit for each of at most 64 partitions; 0: the event was shown.
  private var recent: [Event.Identity: UInt64] = [:]
  /// Those before: who follows for weeks must not remember every event.
  private var older: [Event.Identity: UInt64] = [:]

  private static let recentMax = 500_000

  mutating func note(_ event: Event.Identity, in partition: Int) {
    let known = recent[event] ?? older[event]
    recent[event] = known == 0 ? 0 : (known ?? 0) | 1 << UInt64(partition)
  }

  /// - Returns: the partitions that have it; nil when it was shown already.
  mutating func show(_ event: Event.Identity, from partition: Int) -> [Int]? {
    // It may have come after the others were noted.
    note(event, in: partition)
    guard let known = recent[event], known != 0 else { return nil }
    recent[event] = 0
    return (0..<64).filter { known & 1 << UInt64($0) != 0 }
  }

  mutating func age() {
    guard recent.count > Self.recentMax else { return }
    (older, recent) = (recent, [:])
  }
}
