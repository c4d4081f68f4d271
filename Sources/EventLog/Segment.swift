import Bus
import Event
import Posix

/// Bytes of a segment that are no record although records follow.
package struct Damage: Equatable, Sendable, CustomStringConvertible {
  package let file: String
  package let bytes: Range<Int>
  /// The offsets of the records that are lost, at the most.
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
    return "\(file): bytes \(bytes.lowerBound) to \(bytes.upperBound - 1) are damaged, \(lost)"
  }
}

/// One file of the log.
struct Segment: Sendable {
  let name: String
  let firstOffset: UInt64
  let file: any LogFile
  /// Bytes up to here are whole records and durable.
  var length: Int
  /// Where records begin, one about every `spacing` bytes, ascending.
  var marks: [Mark] = []
  /// Damaged ranges to step over, ascending.
  var gaps: [Range<Int>] = []

  struct Mark: Sendable {
    let offset: UInt64
    let start: Int
  }

  static let spacing = 16 << 10

  mutating func note(_ offset: UInt64, at start: Int) {
    if let last = marks.last, start - last.start < Self.spacing { return }
    marks.append(Mark(offset: offset, start: start))
  }

  /// Where to begin reading for records after `offset`.
  func start(after offset: UInt64?) -> Int {
    guard let offset else { return Format.headerBytes }
    var low = 0
    var high = marks.count
    while low < high {
      let middle = (low + high) / 2
      if marks[middle].offset <= offset { low = middle + 1 } else { high = middle }
    }
    return low == 0 ? Format.headerBytes : marks[low - 1].start
  }

  /// Calls `visit` for the whole records from `start`, until it answers false.
  func walk(
    from start: Int,
    _ visit: (Format.Frame, [UInt8]) throws(LogError) -> Bool
  ) throws(LogError) {
    var at = start
    var chunk: [UInt8] = []
    var base = start
    while at < length {
      if let gap = gaps.first(where: { $0.contains(at) }) {
        at = gap.upperBound
        continue
      }
      if let frame = Format.frame(chunk, at: at - base), at >= base {
        if try !visit(frame, chunk) { return }
        at = base + frame.end
        continue
      }
      // Not whole in this chunk: read on from here, doubling for a record that is larger.
      let want = base == at ? max(chunk.count * 2, 64 << 10) : 64 << 10
      let count = min(want, length - at)
      if base == at && count <= chunk.count { return }
      do throws(SystemError) { chunk = try file.read(at: at, count: count) } catch {
        throw .system("\(name): \(error)")
      }
      base = at
    }
  }
}

/// What a scan of one segment found.
struct SegmentScan {
  var segment: Segment
  /// What follows `segment.length`: bytes that are no record and have none behind them.
  var tail = 0
  var damages: [Damage] = []
  var lastOffset: UInt64?
  var lastTime: Int64 = .min
  var records = 0

  /// Reads a whole segment. `visit` sees every record.
  /// - Parameter expected: the offset its first record should have.
  init(
    _ name: String,
    _ file: any LogFile,
    firstOffset: UInt64,
    expected: UInt64,
    visit: (Record) throws(LogError) -> Void
  ) throws(LogError) {
    let bytes: [UInt8]
    do throws(SystemError) { bytes = try file.read(at: 0, count: try file.size()) } catch {
      throw .system("\(name): \(error)")
    }
    segment = Segment(name: name, firstOffset: firstOffset, file: file, length: 0)
    guard try Self.hasHeader(bytes, name, firstOffset) else {
      tail = bytes.count
      return
    }
    var at = Format.headerBytes
    var next = expected
    while at < bytes.count {
      guard let frame = Self.find(bytes, from: at, expected: next) else { break }
      if frame.start > at {
        damages.append(
          Damage(file: name, bytes: at..<frame.start, offsets: next..<frame.frame.offset)
        )
        segment.gaps.append(at..<frame.start)
      }
      try visit(try Format.record(frame.frame, in: bytes))
      segment.note(frame.frame.offset, at: frame.start)
      lastOffset = frame.frame.offset
      lastTime = max(lastTime, frame.frame.time)
      next = frame.frame.offset + 1
      records += 1
      at = frame.frame.end
    }
    segment.length = at
    tail = bytes.count - at
  }

  /// False for a header that was torn; a newer version is an error.
  private static func hasHeader(
    _ bytes: [UInt8],
    _ name: String,
    _ firstOffset: UInt64
  ) throws(LogError) -> Bool {
    guard bytes.count >= Format.headerBytes, bytes.starts(with: Format.magic) else { return false }
    let sum = UInt32(Format.number(bytes, 16, 4))
    guard sum == Format.checksum(bytes[..<16]) else { return false }
    let version = Format.number(bytes, 6, 2)
    guard version == Format.version else {
      throw .newerVersion("\(name) has format \(version), this program knows \(Format.version)")
    }
    return Format.number(bytes, 8, 8) == firstOffset
  }

  /// The first record at or behind `start` with an offset that may follow.
  private static func find(
    _ bytes: [UInt8],
    from start: Int,
    expected: UInt64
  ) -> (frame: Format.Frame, start: Int)? {
    if let frame = Format.frame(bytes, at: start), frame.offset >= expected {
      return (frame, start)
    }
    let smallest = Format.recordHeaderBytes + Format.smallestLength
    guard bytes.count - start >= smallest else { return nil }
    for at in start + 1..<max(start + 2, bytes.count - smallest + 1) {
      guard bytes.count - at >= smallest else { break }
      // The offset first: it is right by chance far less often than the length.
      let offset = Format.number(bytes, at + Format.recordHeaderBytes, 8)
      let most = expected + UInt64((at - start) / smallest + 1)
      guard offset >= expected, offset <= most, let frame = Format.frame(bytes, at: at) else {
        continue
      }
      return (frame, at)
    }
    return nil
  }
}
