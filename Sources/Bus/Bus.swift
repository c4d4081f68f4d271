package import Event

/// A place on a bus. Opaque: it can be compared with positions of the same partition, printed and
/// read back; nothing else may be made of it. The embedded log has one partition, 0.
package struct Position: Hashable, Comparable, Sendable, CustomStringConvertible {
  package let partition: UInt32
  package let offset: UInt64

  package init(partition: UInt32 = 0, offset: UInt64) {
    self.partition = partition
    self.offset = offset
  }

  /// Reads what `description` printed.
  package init?(_ text: String) {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    switch parts.count {
    case 1:
      guard let offset = UInt64(parts[0]) else { return nil }
      self.init(offset: offset)
    case 2:
      guard let partition = UInt32(parts[0]), let offset = UInt64(parts[1]) else { return nil }
      self.init(partition: partition, offset: offset)
    default: return nil
    }
  }

  /// `<offset>`, with `<partition>.` before it where the partition is not 0.
  package var description: String { partition == 0 ? "\(offset)" : "\(partition).\(offset)" }

  package static func < (a: Position, b: Position) -> Bool {
    (a.partition, a.offset) < (b.partition, b.offset)
  }
}

/// Something to be stored.
package enum Draft: Equatable, Sendable {
  /// An event. One with the identity of a stored event is a duplicate and is not stored again.
  case event(Event)
  /// Bookkeeping of the program itself: decisions, cursors, notices. Readers of events skip it.
  case note(Note)
}

/// A bookkeeping record whose content only its writer understands.
package struct Note: Equatable, Sendable {
  /// Who wrote it and how to read it; the writers' modules define the values.
  package let kind: UInt8
  package let bytes: [UInt8]

  /// The kind of a note from which its writer can begin to read: it stands for all before.
  package static let snapshotKind: UInt8 = 3

  package init(kind: UInt8, bytes: [UInt8]) {
    self.kind = kind
    self.bytes = bytes
  }
}

/// Something stored.
package struct Record: Equatable, Sendable {
  package let position: Position
  /// Log time: never before that of an earlier record of the partition.
  package let time: Timestamp
  package let content: Draft

  package init(position: Position, time: Timestamp, content: Draft) {
    self.position = position
    self.time = time
    self.content = content
  }
}

/// The answer to one appended draft.
package struct Appended: Equatable, Sendable {
  /// Where the draft, or for a duplicate the first event of that identity, is stored.
  package let position: Position
  package let isDuplicate: Bool
  /// The id under which an event is stored whose own id another event has; nil otherwise.
  package let otherID: String?

  package init(position: Position, isDuplicate: Bool, otherID: String? = nil) {
    self.position = position
    self.isDuplicate = isDuplicate
    self.otherID = otherID
  }
}

/// What must stay on a bus although it is old.
package struct Holds: Equatable, Sendable {
  /// By the name of who holds: everything from a position on.
  package var ranges: [String: Position]
  /// By the name of who holds: single records.
  package var records: [String: Set<Position>]

  package init(ranges: [String: Position] = [:], records: [String: Set<Position>] = [:]) {
    self.ranges = ranges
    self.records = records
  }
}

package enum BusError: Error, Equatable, CustomStringConvertible {
  /// A draft is larger than the bus takes, in bytes.
  case tooLarge(limit: Int)
  /// No space is left; it may come free again. Nothing of the call was stored.
  case full(String)
  /// The bus cannot store any more until an operator has looked. What was stored can be read.
  case failed(String)
  /// The bus is shutting down.
  case closed

  package var description: String {
    switch self {
    case .tooLarge(let limit): "larger than the limit of \(limit) bytes"
    case .full(let why): "no space left: \(why)"
    case .failed(let why): "the event bus failed: \(why)"
    case .closed: "the event bus is shutting down"
    }
  }
}

/// The durable, ordered store between event sources and sensors. The embedded log and Kafka
/// implement it; `TestKit` holds the suite both must pass.
///
/// A bus that was told nothing keeps everything.
///
/// Promises: `append` returns only when its drafts survive a crash of the process and of the
/// machine; a reader never sees what a crash can unsay; each record is stored whole or not at
/// all; drafts of one call keep their order but may be torn apart by a crash; an event identity
/// is stored once.
package protocol Bus: Sendable {
  /// Stores drafts and waits until they are durable; one answer per draft, in order.
  /// - Throws: `BusError`; then none of the drafts was acknowledged, and each may be tried again
  ///   (events deduplicate, notes must bear repetition).
  func append(_ drafts: [Draft]) async throws(BusError) -> [Appended]

  /// Durable records after `position` (nil: from the first that is left), in order, at most
  /// `limit` of them and about `bytes` bytes, but at least one if there is one.
  func read(after position: Position?, limit: Int, bytes: Int) throws(BusError) -> [Record]

  /// The durable record at `position`; nil when it is gone or not there yet.
  func record(at position: Position) throws(BusError) -> Record?

  /// Durable records from `position` on, the one there first, within the bounds of
  /// `read(after:limit:bytes:)`; none when that one is gone or not there yet. It may answer the
  /// first alone.
  func read(from position: Position, limit: Int, bytes: Int) throws(BusError) -> [Record]

  /// A position after which all records are that are not older than `time`, and maybe some that
  /// are; nil: all there are.
  func position(before time: Timestamp) -> Position?

  /// Where the event of an identity is stored; nil when none is.
  func position(of identity: Event.Identity) -> Position?

  /// The last durable position; nil while the bus is empty.
  var committed: Position? { get }

  /// Returns when `committed` is after `position`: true; or when the bus closes or the task is
  /// cancelled: false.
  func waitForRecords(after position: Position?) async -> Bool

  /// The last note of `Note.snapshotKind`; nil when there is none.
  var snapshot: Position? { get }

  /// Says what is still needed; the rest may go when it is older than the retention. Until the
  /// next call everything after `committed` at the time of this one is held as well.
  func hold(_ holds: Holds)

  /// Finishes appends that were accepted, refuses new ones, releases files and connections.
  func close() async
}

extension Bus {
  package var snapshot: Position? { nil }

  package func read(
    from position: Position,
    limit: Int,
    bytes: Int
  ) throws(BusError) -> [Record] {
    try record(at: position).map { [$0] } ?? []
  }

  package func position(before time: Timestamp) -> Position? { nil }

  package func hold(_ holds: Holds) {}
}
