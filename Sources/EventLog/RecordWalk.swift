import Posix

/// Steps through the records of a segment, over damage as well.
///
/// It reads the file in pieces, so that a large segment costs no memory.
struct RecordWalk {
  enum Step {
    /// A record that begins at `at`; the frame's ranges are within `bytes`.
    case record(Format.Frame, at: Int)
    /// Bytes that are no record with a record behind them, and the offsets that are missing.
    case gap(bytes: Range<Int>, offsets: Range<UInt64>)
    /// Nothing that counts follows.
    case end(at: Int)
  }

  private let file: any LogFile
  private let call: LogCall
  private let header: Format.Header
  /// Bytes of the file from here on are not looked at.
  private let end: Int
  /// Records with this offset or a larger one do not count.
  private let limit: UInt64
  private let pieceBytes: Int
  private(set) var at: Int
  private(set) var expected: UInt64
  private(set) var bytes: [UInt8] = []
  private var base = 0

  init(
    _ file: any LogFile,
    _ call: LogCall,
    _ header: Format.Header,
    from start: Int,
    to end: Int,
    expected: UInt64,
    limit: UInt64,
    pieceBytes: Int = 256 << 10
  ) {
    self.file = file
    self.call = call
    self.header = header
    self.end = end
    self.limit = limit
    self.pieceBytes = pieceBytes
    at = start
    base = start
    self.expected = expected
  }

  mutating func next() throws(SystemError) -> Step {
    if at >= end { return .end(at: at) }
    if let frame = try frame(at), frame.offset >= expected {
      if frame.offset >= limit { return .end(at: at) }
      let start = at
      at += frame.length
      expected = frame.offset + 1
      return .record(frame, at: start)
    }
    guard let found = try search() else { return .end(at: at) }
    let gap = at..<found.start
    let missing = expected..<found.offset
    (at, expected) = (found.start, found.offset)
    return .gap(bytes: gap, offsets: missing)
  }

  /// How many of the bytes from `at` to the end are there before the zeros that end it.
  mutating func bytesBeforeZeros() throws(SystemError) -> Int {
    var start = at
    var last = at
    while start < end {
      let place = try load(start, 1)
      guard place < bytes.count else { break }
      if let found = bytes[place...].lastIndex(where: { $0 != 0 }) { last = base + found + 1 }
      start = base + bytes.count
    }
    return last - at
  }

  /// Makes `count` bytes at `start` available if the file has them; their place in `bytes`.
  private mutating func load(_ start: Int, _ count: Int) throws(SystemError) -> Int {
    let count = min(count, end - start)
    if start < base || start + count > base + bytes.count {
      bytes = try file.read(at: start, count: min(max(count, pieceBytes), end - start), call)
      base = start
    }
    return start - base
  }

  private mutating func frame(_ start: Int) throws(SystemError) -> Format.Frame? {
    let head = try load(start, Format.headBytes)
    guard let claim = Format.head(bytes, at: head, seed: header.seed),
      claim.body <= end - start - Format.headBytes
    else { return nil }
    let whole = try load(start, Format.headBytes + claim.body)
    return Format.frame(bytes, at: whole, seed: header.seed)
  }

  /// The next record behind `at` with an offset that may follow.
  private mutating func search() throws(SystemError) -> (start: Int, offset: UInt64)? {
    let smallest = Format.headBytes + Format.smallestBody
    var start = at + 1
    while end - start >= smallest {
      let place = try load(start, Format.headBytes)
      let zeros = Self.zeros(bytes, place)
      if zeros >= Format.headBytes {
        // No head begins with four zeros: its length is not zero.
        start += zeros - 3
        continue
      }
      // What fits into the bytes that were skipped; the offset is right by chance very seldom.
      let most = header.isKept ? .max : expected &+ UInt64((start - at) / smallest + 1)
      if let offset = Self.offset(bytes, place), offset >= expected, offset <= most,
        offset < limit, try frame(start) != nil
      {
        return (start, offset)
      }
      start += 1
    }
    return nil
  }

  /// How many bytes from `place` on are zero.
  private static func zeros(_ bytes: [UInt8], _ place: Int) -> Int {
    guard place < bytes.count, bytes[place] == 0 else { return 0 }
    return bytes[place...].prefix { $0 == 0 }.count
  }

  private static func offset(_ bytes: [UInt8], _ place: Int) -> UInt64? {
    bytes.count - place >= Format.headBytes ? Format.number(bytes, place + 4, 8) : nil
  }
}
