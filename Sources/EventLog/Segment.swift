import Bus
import Event
import Posix

/// Bytes of a segment that are no record although they should be.
package struct Damage: Hashable, Sendable, CustomStringConvertible {
  package let file: String
  package let bytes: Range<Int>
  /// The offsets of the records that are lost.
  package let offsets: Range<UInt64>

  package init(file: String, bytes: Range<Int>, offsets: Range<UInt64>) {
    self.file = file
    self.bytes = bytes
    self.offsets = offsets
  }

  package var description: String {
    let lost =
      offsets.isEmpty
      ? "no record lost" : "offsets \(offsets.lowerBound) to \(offsets.upperBound - 1) lost"
    if bytes.isEmpty { return "\(file): records are missing at byte \(bytes.lowerBound), \(lost)" }
    return "\(file): bytes \(bytes.lowerBound) to \(bytes.upperBound - 1) are damaged, \(lost)"
  }
}

/// One file of the log.
struct Segment: Sendable {
  let name: String
  let header: Format.Header
  let file: any LogFile
  /// Bytes up to here are whole records and durable.
  var length = Format.headerBytes
  var summary = Summary()

  var firstOffset: UInt64 { header.firstOffset }

  /// What is known of the records without reading them.
  struct Summary: Equatable, Sendable {
    var records = 0
    var events = 0
    var lastOffset: UInt64?
    var firstTime: Int64?
    var lastTime = Int64.min
    /// The last note that lets a reader begin there.
    var snapshot: UInt64?
    /// Where records begin, one about every `spacing` bytes, ascending.
    var marks: [Mark] = []

    static let spacing = 64 << 10

    mutating func note(_ entry: Entry) {
      records += 1
      if entry.identity != nil { events += 1 }
      lastOffset = entry.offset
      firstTime = firstTime ?? entry.time
      lastTime = max(lastTime, entry.time)
      if entry.isSnapshot { snapshot = entry.offset }
      if let last = marks.last, entry.start - last.start < Self.spacing { return }
      marks.append(Mark(offset: entry.offset, start: entry.start, time: entry.time))
    }
  }

  struct Mark: Equatable, Sendable {
    let offset: UInt64
    let start: Int
    let time: Int64
  }

  /// One record, as the indexes see it.
  struct Entry: Sendable {
    let offset: UInt64
    let start: Int
    let time: Int64
    /// nil for a note.
    let identity: Event.Identity?
    let isSnapshot: Bool
  }

  /// The place of its first record.
  static func beginning(_ header: Format.Header) -> Mark {
    Mark(offset: header.firstOffset, start: Format.headerBytes, time: .min)
  }

  /// Where to begin reading for records after `offset`.
  func mark(after offset: UInt64?) -> Mark {
    let first = Self.beginning(header)
    guard let offset else { return first }
    return lastMark { $0.offset <= offset } ?? first
  }

  /// The last mark for which `isBefore`, which holds for a part at the beginning.
  func lastMark(_ isBefore: (Mark) -> Bool) -> Mark? {
    var low = 0
    var high = summary.marks.count
    while low < high {
      let middle = (low + high) / 2
      if isBefore(summary.marks[middle]) { low = middle + 1 } else { high = middle }
    }
    return low == 0 ? nil : summary.marks[low - 1]
  }

  /// Calls `visit` for the records after `offset`, until it answers false.
  /// - Parameters:
  ///   - limit: the first offset that is not this segment's.
  ///   - damaged: takes what is stepped over.
  /// - Returns: whether it came to the end.
  func walk(
    after offset: UInt64?,
    limit: UInt64,
    _ call: LogCall,
    damaged: (Damage) -> Void,
    _ visit: (Format.Frame, [UInt8]) throws(LogError) -> Bool
  ) throws(LogError) -> Bool {
    let mark = mark(after: offset)
    var walk = RecordWalk(
      file,
      call,
      header,
      from: mark.start,
      to: length,
      expected: mark.offset,
      limit: limit,
      pieceBytes: 64 << 10
    )
    while true {
      let step: RecordWalk.Step
      do throws(SystemError) { step = try walk.next() } catch { throw LogError(error, name) }
      switch step {
      case .record(let frame, _):
        if let offset, frame.offset <= offset { continue }
        if try !visit(frame, walk.bytes) { return false }
      case .gap(let bytes, let offsets):
        damaged(Damage(file: name, bytes: bytes, offsets: offsets))
      case .end(let at):
        if at < length {
          let last = max(summary.lastOffset ?? 0, walk.expected - 1)
          damaged(Damage(file: name, bytes: at..<length, offsets: walk.expected..<last + 1))
        }
        return true
      }
    }
  }
}
