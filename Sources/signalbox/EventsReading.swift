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
  /// The latest log time that was read.
  private var reached: Timestamp?
  /// Those that were read before, or are now.
  private var known: Set<Int?> = []
  /// Where partitions came to this machine meanwhile: the log times from which on they are shown.
  private var floors: [Int?: Timestamp] = [:]

  /// Records that are read ahead of those that are shown.
  private static let leadMax = 250_000

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
    begin(parts)
    // Also where one partition alone is here.
    let isShared = parts.contains { $0.partition != nil }
    var pass = try MergedPass(parts) { part in
      ends[part.partition].map { .goingOn($0) } ?? start
    }
    var ahead: MergedPass?
    if isShared, lineage == nil { ahead = pass }
    if isShared, lineage != nil { try findLineage(pass, &lineage) }
    var lead = 0
    while let (part, record) = try pass.next() {
      while lead < Self.leadMax, let (part, record) = try ahead?.next() {
        lead += 1
        if let event = event(of: record, in: part) { note(event, in: part) }
      }
      lead -= 1
      reached = max(reached ?? record.time, record.time)
      guard let event = event(of: record, in: part) else { continue }
      // Also of what is not shown: something that is may be behind it.
      let depth = lineage?.depth(of: event)
      if lineage != nil && depth == nil { continue }
      if let source, event.source != source { continue }
      var partitions: [Int]?
      if let partition = part.partition {
        partitions = copies.show(event.identity, from: partition)
        if lineage == nil { copies.age() }
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

  private mutating func begin(_ parts: [DataFolder.Part]) {
    if let reached {
      for part in parts where !known.contains(part.partition) { floors[part.partition] = reached }
    }
    known.formUnion(parts.map(\.partition))
  }

  /// The event of a record, where it may be shown.
  private func event(of record: Record, in part: DataFolder.Part) -> Event? {
    if let floor = floors[part.partition], record.time < floor { return nil }
    guard case .event(let event) = record.content else { return nil }
    return event
  }

  /// Keeps where copies are.
  private mutating func note(_ event: Event, in part: DataFolder.Part) {
    guard let partition = part.partition, source.map({ $0 == event.source }) ?? true else { return }
    copies.note(event.identity, in: partition)
  }

  /// Finds out what belongs to a lineage: clocks of different machines may put the copy of an
  /// outcome before what caused it.
  private mutating func findLineage(_ first: MergedPass, _ lineage: inout Lineage?) throws {
    var known: Int
    repeat {
      known = lineage?.count ?? 0
      var pass = first
      while let (part, record) = try pass.next() {
        guard let event = event(of: record, in: part), lineage?.depth(of: event) != nil else {
          continue
        }
        note(event, in: part)
      }
    } while lineage?.count ?? 0 > known
  }
}

/// Which partitions have an event, and in which of them it was come by.
private struct Copies {
  /// A bit for each of at most 64 partitions.
  private struct Places {
    var having: UInt64 = 0
    /// Those where it was come by since it was shown last; 0: it was not shown yet.
    var passed: UInt64 = 0
  }

  private var recent: [Event.Identity: Places] = [:]
  /// Those before: nobody must remember every event of a log.
  private var older: [Event.Identity: Places] = [:]

  private static let recentMax = 500_000

  mutating func note(_ event: Event.Identity, in partition: Int) {
    recent[event, default: older[event] ?? Places()].having |= 1 << UInt64(partition)
  }

  /// - Returns: the partitions that have it; nil when it was shown already and the same partition
  ///   does not have it once more, since duplicates are known for some time only.
  mutating func show(_ event: Event.Identity, from partition: Int) -> [Int]? {
    let bit: UInt64 = 1 << UInt64(partition)
    var places = recent[event] ?? older[event] ?? Places()
    let isNew = places.passed == 0 || places.passed & bit != 0
    places.having |= bit
    places.passed = isNew ? bit : places.passed | bit
    recent[event] = places
    return isNew ? (0..<64).filter { places.having & 1 << UInt64($0) != 0 } : nil
  }

  mutating func age() {
    guard recent.count > Self.recentMax else { return }
    (older, recent) = (recent, [:])
  }
}
