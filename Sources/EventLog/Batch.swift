import Bus
import Event

/// Records on their way to the disk, and what to answer those who sent them.
struct Batch {
  private(set) var bytes: [UInt8] = []
  /// Their places begin with 0.
  private(set) var entries: [Segment.Entry] = []
  /// Events by identity: a second one in the same batch waits for the same sync.
  private(set) var events: [Event.Identity: (offset: UInt64, event: Event)] = [:]
  private(set) var nextOffset: UInt64
  var time: Int64
  private let seed: UInt32

  init(nextOffset: UInt64, time: Int64, seed: UInt32) {
    self.nextOffset = nextOffset
    self.time = time
    self.seed = seed
  }

  mutating func reserve(_ count: Int) { bytes.reserveCapacity(count) }

  /// Leaves positions out: the next record gets `offset`.
  mutating func skip(to offset: UInt64) { nextOffset = max(nextOffset, offset) }

  /// - Returns: the offset of the record.
  mutating func add(_ draft: Draft, _ identity: Event.Identity?) -> UInt64 {
    let offset = nextOffset
    var isSnapshot = false
    switch draft {
    case .event(let event): if let identity { events[identity] = (offset, event) }
    case .note(let note): isSnapshot = note.kind == Note.snapshotKind
    }
    entries.append(
      Segment.Entry(
        offset: offset,
        start: bytes.count,
        time: time,
        identity: identity,
        isSnapshot: isSnapshot
      )
    )
    Format.appendRecord(draft, offset: offset, time: time, seed: seed, to: &bytes)
    nextOffset += 1
    return offset
  }
}

extension Batch {
  /// Whether its records do not follow one another, or do not follow what is before `offset`.
  func hasGap(behind offset: UInt64) -> Bool { nextOffset - offset != UInt64(entries.count) }
}

extension Segment.Entry {
  func moved(by bytes: Int) -> Segment.Entry {
    Segment.Entry(
      offset: offset,
      start: start + bytes,
      time: time,
      identity: identity,
      isSnapshot: isSnapshot
    )
  }
}
