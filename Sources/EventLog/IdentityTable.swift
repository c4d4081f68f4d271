import Event
import Glibc
import Posix

/// Where the event of each identity is, on the disk: 16 bytes of hash to 8 bytes of offset.
///
///     header    magic "SBXIDS" (6), version (2), seed of the log (8), buckets (8), identities (8),
///               covered offset (8), CRC-32C of these (4); zeros up to 512
///     buckets   512 bytes each, a power of two of them: 21 entries of high (8), low (8) and
///               offset (8, 0: free), 8 bytes unused. An entry that finds its bucket full goes
///               to the next one.
///
/// Entries are synced before the header that says they are covered, and none crosses a sector.
/// So after any crash all up to `covered` is there; what is not is added again from the log.
/// The file is a copy: one that does not hold is thrown away and made again.
struct IdentityTable {
  private let disk: any LogDisk
  private var file: any LogFile
  private let seed: UInt32
  private var buckets: UInt64
  private(set) var count: UInt64
  /// Identities of records up to this offset are here.
  private(set) var covered: UInt64

  static let name = "identities"
  private static let magic = Array("SBXIDS".utf8)
  private static let version: UInt16 = 1
  private static let bucketBytes = 512
  private static let entryBytes = 24
  private static let entriesPerBucket = 21
  private static let smallest: UInt64 = 64

  typealias Entry = (identity: Event.Identity, offset: UInt64)

  /// Which entries are still of use when a table grows: those of records that are on the log.
  struct Wanted {
    /// All from this offset on.
    var from: UInt64 = 0
    /// Of those before, the ones that retention kept.
    var kept: Set<UInt64> = []

    func contains(_ offset: UInt64) -> Bool { offset >= from || kept.contains(offset) }
  }

  /// Opens the table of the log with `seed`; nil when there is none that holds or it is ahead of
  /// the log.
  init?(_ disk: any LogDisk, seed: UInt32, nextOffset: UInt64) {
    do throws(SystemError) {
      let file = try disk.open(Self.name, create: false, .identitiesOpen)
      let size = try file.size(.identitiesSize)
      let bytes = try file.read(at: 0, count: Self.bucketBytes, .identitiesRead)
      guard bytes.count == Self.bucketBytes, bytes.starts(with: Self.magic),
        Format.number(bytes, 6, 2) == UInt64(Self.version),
        Format.checksum(bytes[..<40]) == UInt32(Format.number(bytes, 40, 4)),
        Format.number(bytes, 8, 8) == UInt64(seed)
      else { return nil }
      self.disk = disk
      self.file = file
      self.seed = seed
      buckets = Format.number(bytes, 16, 8)
      count = Format.number(bytes, 24, 8)
      covered = Format.number(bytes, 32, 8)
      guard buckets.nonzeroBitCount == 1, covered < nextOffset,
        UInt64(size) == (buckets + 1) * UInt64(Self.bucketBytes)
      else { return nil }
    } catch { return nil }
  }

  /// Makes an empty table in place of any that is there.
  init(
    making disk: any LogDisk,
    seed: UInt32,
    for entries: UInt64 = 0
  ) throws(SystemError) {
    self.disk = disk
    self.seed = seed
    buckets = Self.smallest
    while entries > Self.most(buckets) / 2 { buckets *= 2 }
    count = 0
    covered = 0
    file = try Self.create(disk, buckets)
    try putHeader()
    try disk.rename(Self.name + Format.unfinishedSuffix, to: Self.name, .identitiesRename)
  }

  private static func create(
    _ disk: any LogDisk,
    _ buckets: UInt64
  ) throws(SystemError) -> any LogFile {
    let name = name + Format.unfinishedSuffix
    try disk.remove(name, .identitiesRename)
    let file = try disk.open(name, create: true, .identitiesCreate)
    try file.truncate(to: Int(buckets + 1) * bucketBytes, .identitiesCreate)
    return file
  }

  /// How many entries a table takes before it grows.
  private static func most(_ buckets: UInt64) -> UInt64 {
    buckets * UInt64(entriesPerBucket) * 6 / 10
  }

  /// The offset noted for an identity; nil when none is.
  func offset(of identity: Event.Identity) throws(SystemError) -> UInt64? {
    var bucket = identity.high & (buckets - 1)
    for _ in 0..<buckets {
      let bytes = try read(bucket)
      for place in 0..<Self.entriesPerBucket {
        switch Self.look(bytes, place, identity) {
        case .free: return nil
        case .found(let offset): return offset
        case .other: continue
        }
      }
      bucket = (bucket + 1) & (buckets - 1)
    }
    return nil
  }

  /// Adds identities and makes them durable.
  /// - Parameters:
  ///   - through: all identities up to this offset are covered then.
  ///   - wanted: asked for when the table has to grow; the rest is left out then.
  mutating func add(
    _ entries: [Entry],
    through: UInt64,
    keeping wanted: () -> Wanted
  ) throws(SystemError) {
    if count + UInt64(entries.count) > Self.most(buckets) {
      try grow(for: UInt64(entries.count), keeping: wanted())
    }
    // In the order of the file: neighbours share pages.
    let mask = buckets - 1
    for entry in entries.sorted(by: { $0.identity.high & mask < $1.identity.high & mask }) {
      try insert(entry)
    }
    try file.sync(.identitiesSync)
    covered = max(covered, through)
    try putHeader()
  }

  private mutating func insert(_ entry: Entry) throws(SystemError) {
    var bucket = entry.identity.high & (buckets - 1)
    for _ in 0..<buckets {
      let bytes = try read(bucket)
      for place in 0..<Self.entriesPerBucket {
        let found = Self.look(bytes, place, entry.identity)
        if case .other = found { continue }
        if case .free = found { count += 1 }
        var out: [UInt8] = []
        Format.put(entry.identity.high, in: &out)
        Format.put(entry.identity.low, in: &out)
        Format.put(entry.offset, in: &out)
        let start = Int(bucket + 1) * Self.bucketBytes + place * Self.entryBytes
        return try file.write(out, at: start, .identitiesWrite)
      }
      bucket = (bucket + 1) & (buckets - 1)
    }
    throw SystemError("pwrite", "\(Self.name) is full", code: ENOSPC)
  }

  /// Moves everything that is still wanted to a larger file.
  private mutating func grow(for more: UInt64, keeping wanted: Wanted) throws(SystemError) {
    var larger = self
    var kept: UInt64 = 0
    try visit { (entry) throws(SystemError) in if wanted.contains(entry.offset) { kept += 1 } }
    larger.buckets = Self.smallest
    while kept + more > Self.most(larger.buckets) / 2 { larger.buckets *= 2 }
    larger.file = try Self.create(disk, larger.buckets)
    larger.count = 0
    try visit { (entry) throws(SystemError) in
      if wanted.contains(entry.offset) { try larger.insert(entry) }
    }
    try larger.file.sync(.identitiesSync)
    try larger.putHeader()
    try disk.rename(Self.name + Format.unfinishedSuffix, to: Self.name, .identitiesRename)
    self = larger
  }

  private func visit(_ body: (Entry) throws(SystemError) -> Void) throws(SystemError) {
    for bucket in 0..<buckets {
      let bytes = try read(bucket)
      for place in 0..<Self.entriesPerBucket {
        let start = place * Self.entryBytes
        let offset = Format.number(bytes, start + 16, 8)
        if offset == 0 { break }
        let identity = Event.Identity(
          high: Format.number(bytes, start, 8),
          low: Format.number(bytes, start + 8, 8)
        )
        try body((identity, offset))
      }
    }
  }

  private enum Slot { case free, found(UInt64), other }

  private static func look(_ bytes: [UInt8], _ place: Int, _ identity: Event.Identity) -> Slot {
    let start = place * entryBytes
    let offset = Format.number(bytes, start + 16, 8)
    if offset == 0 { return .free }
    return Format.number(bytes, start, 8) == identity.high
      && Format.number(bytes, start + 8, 8) == identity.low ? .found(offset) : .other
  }

  private func read(_ bucket: UInt64) throws(SystemError) -> [UInt8] {
    let start = Int(bucket + 1) * Self.bucketBytes
    let bytes = try file.read(at: start, count: Self.bucketBytes, .identitiesRead)
    guard bytes.count == Self.bucketBytes else { throw SystemError("pread", Self.name, code: EIO) }
    return bytes
  }

  private func putHeader() throws(SystemError) {
    var out = Self.magic
    Format.put(Self.version, in: &out)
    for number in [UInt64(seed), buckets, count, covered] { Format.put(number, in: &out) }
    Format.put(Format.checksum(out[...]), in: &out)
    try file.write(out, at: 0, .identitiesWrite)
    try file.sync(.identitiesSync)
  }
}
