import Event
import Posix

/// What a sealed segment holds, in a file beside it, so that opening does not read the segment.
///
///     magic "SBXIDX" (6), version (2), then numbers of 8 bytes:
///     length of the segment, seed, records, events, last offset, first time, last time, snapshot
///     (0 where there is none), then three lists, each led by its count:
///     marks (offset, start, time), damages (start, end, first and last missing offset, the last
///     not included), identities (high, low, offset); CRC-32C of all of it (4)
///
/// It is never synced: one that does not hold is made again from its segment.
struct SegmentIndex: Equatable {
  var length: Int
  var seed: UInt32
  var summary: Segment.Summary
  var damages: [Damage]
  var identities: [(identity: Event.Identity, offset: UInt64)]

  private static let magic = Array("SBXIDX".utf8)
  private static let version: UInt16 = 1

  static func == (a: Self, b: Self) -> Bool { a.encoded() == b.encoded() }

  init(
    _ segment: Segment,
    _ damages: [Damage],
    _ identities: [(identity: Event.Identity, offset: UInt64)]
  ) {
    length = segment.length
    seed = segment.header.seed
    summary = segment.summary
    self.damages = damages
    self.identities = identities
  }

  func encoded() -> [UInt8] {
    var out = Self.magic
    out.reserveCapacity(200 + summary.marks.count * 24 + identities.count * 24)
    Format.put(Self.version, in: &out)
    func put(_ number: UInt64) { Format.put(number, in: &out) }
    func put(_ number: Int) { put(UInt64(number)) }
    put(length)
    put(UInt64(seed))
    put(summary.records)
    put(summary.events)
    put(summary.lastOffset ?? 0)
    put(UInt64(bitPattern: summary.firstTime ?? 0))
    put(UInt64(bitPattern: summary.lastTime))
    put(summary.snapshot ?? 0)
    put(summary.marks.count)
    for mark in summary.marks {
      put(mark.offset)
      put(mark.start)
      put(UInt64(bitPattern: mark.time))
    }
    put(damages.count)
    for damage in damages {
      put(damage.bytes.lowerBound)
      put(damage.bytes.upperBound)
      put(damage.offsets.lowerBound)
      put(damage.offsets.upperBound)
    }
    put(identities.count)
    for entry in identities {
      put(entry.identity.high)
      put(entry.identity.low)
      put(entry.offset)
    }
    Format.put(Format.checksum(out[...]), in: &out)
    return out
  }

  /// nil for bytes that are no index of this version, or not whole.
  init?(_ bytes: [UInt8], file: String) {
    guard bytes.count >= 80, bytes.starts(with: Self.magic),
      Format.number(bytes, 6, 2) == UInt64(Self.version),
      Format.checksum(bytes.dropLast(4)) == UInt32(Format.number(bytes, bytes.count - 4, 4))
    else { return nil }
    var at = 8
    // The checksum holds, so the bytes are as we wrote them; a count that lies would be our bug.
    func next() -> UInt64 {
      defer { at += 8 }
      return Format.number(bytes, at, 8)
    }
    length = Int(next())
    seed = UInt32(next())
    summary = Segment.Summary()
    summary.records = Int(next())
    summary.events = Int(next())
    let last = next()
    let first = Int64(bitPattern: next())
    summary.lastTime = Int64(bitPattern: next())
    if summary.records > 0 { (summary.lastOffset, summary.firstTime) = (last, first) }
    let snapshot = next()
    summary.snapshot = snapshot == 0 ? nil : snapshot
    summary.marks = (0..<next()).map { _ in
      Segment.Mark(offset: next(), start: Int(next()), time: Int64(bitPattern: next()))
    }
    damages = (0..<next()).map { _ in
      let bytes = Int(next())..<Int(next())
      return Damage(file: file, bytes: bytes, offsets: next()..<next())
    }
    identities = (0..<next()).map { _ in (Event.Identity(high: next(), low: next()), next()) }
  }
}

extension SegmentIndex {
  /// The index of `segment`; nil when there is none that holds for this length and seed.
  static func load(
    _ disk: any LogDisk,
    _ segment: String,
    _ header: Format.Header,
    length: Int
  ) -> SegmentIndex? {
    let name = Format.indexName(segment)
    do throws(SystemError) {
      let file = try disk.open(name, create: false, .indexOpen)
      let bytes = try file.read(at: 0, count: try file.size(.indexSize), .indexRead)
      guard let index = SegmentIndex(bytes, file: segment), index.seed == header.seed,
        index.length == length
      else { return nil }
      return index
    } catch { return nil }
  }

  /// Writes it beside its segment.
  func save(_ disk: any LogDisk, _ segment: String) throws(SystemError) {
    let name = Format.indexName(segment)
    let temporary = name + Format.unfinishedSuffix
    try disk.remove(temporary, .indexRemove)
    let file = try disk.open(temporary, create: true, .indexCreate)
    try file.write(encoded(), at: 0, .indexWrite)
    try disk.rename(temporary, to: name, .indexRename)
  }
}
