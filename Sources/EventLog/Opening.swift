import Bus
import Event
import Posix

/// What the files of a log hold, found out when it is opened for writing. Cuts a torn tail.
///
/// A sealed segment is not read if its index holds; the last one always is.
struct Opening {
  private(set) var segments: [Segment] = []
  private(set) var nextOffset: UInt64 = 1
  private(set) var lastTime: Int64 = .min
  private(set) var recovery = EventLog.Recovery()
  let seed: UInt32
  let identities: Identities

  /// A segment's files before its records are looked at.
  private struct Candidate {
    let name: String
    let file: any LogFile
    let size: Int
    var header: Format.Header?
  }

  init(_ disk: any LogDisk, _ configuration: EventLog.Configuration) throws(LogError) {
    var candidates = try Self.candidates(disk)
    let known = candidates.lazy.compactMap(\.header).first?.seed
    let seed = known ?? configuration.seed()
    self.seed = seed
    for index in candidates.indices where candidates[index].header == nil {
      let isTorn = candidates[index].size <= Format.headerBytes
      if known == nil && !isTorn {
        throw .unreadable(
          "\(candidates[index].name): neither copy of its header can be read and no other segment "
            + "tells its seed; move the file away or restore it from a backup"
        )
      }
      let first = Format.firstOffset(ofName: candidates[index].name) ?? 1
      candidates[index].header = Format.Header(firstOffset: first, seed: seed)
      guard !isTorn else { continue }
      recovery.damages.append(
        Damage(
          file: candidates[index].name,
          bytes: 0..<Format.headerBytes,
          offsets: first..<first
        )
      )
    }
    let last = candidates.last.flatMap { Format.firstOffset(ofName: $0.name) } ?? 1
    let table = IdentityTable(disk, seed: seed, nextOffset: .max).flatMap {
      // Ahead of the log: it belongs to another state of the folder.
      $0.covered < max(last, 1) ? $0 : nil
    }
    identities = Identities(disk, seed: seed, table)
    for (number, candidate) in candidates.enumerated() {
      let next = number + 1 < candidates.count ? candidates[number + 1].header?.firstOffset : nil
      try read(disk, candidate, next: next, configuration)
    }
    recovery.segments = segments.count
  }

  private static func candidates(_ disk: any LogDisk) throws(LogError) -> [Candidate] {
    var candidates: [Candidate] = []
    do throws(SystemError) {
      let names = try disk.list(.openList)
      for name in names {
        let isOrphan =
          name.hasSuffix(Format.indexSuffix)
          && !names.contains(name.dropLast(Format.indexSuffix.count) + Format.suffix)
        if isOrphan || name.hasSuffix(Format.unfinishedSuffix) {
          try disk.remove(name, .openLeftovers)
        }
      }
    } catch { throw LogError(error, "leftovers") }
    let names: [String]
    do throws(SystemError) {
      names = try disk.list(.openList).filter { Format.firstOffset(ofName: $0) != nil }
    } catch { throw LogError(error, "list") }
    for name in names {
      let file: any LogFile
      let size: Int
      let bytes: [UInt8]
      do throws(SystemError) {
        file = try disk.open(name, create: false, .openSegment)
        size = try file.size(.openSize)
        bytes = try file.read(at: 0, count: Format.headerBytes, .openReadHeader)
      } catch { throw LogError(error, name) }
      var header = try Format.header(bytes, name)
      if header?.firstOffset != Format.firstOffset(ofName: name) { header = nil }
      candidates.append(Candidate(name: name, file: file, size: size, header: header))
    }
    return candidates
  }

  private mutating func read(
    _ disk: any LogDisk,
    _ candidate: Candidate,
    next: UInt64?,
    _ configuration: EventLog.Configuration
  ) throws(LogError) {
    guard let header = candidate.header else { return }
    nextOffset = max(nextOffset, header.firstOffset)
    if next != nil,
      let index = SegmentIndex.load(disk, candidate.name, header, length: candidate.size)
    {
      var segment = Segment(name: candidate.name, header: header, file: candidate.file)
      segment.length = index.length
      segment.summary = index.summary
      recovery.damages += index.damages
      if let next { noteMissing(segment, before: next) }
      try take(segment, index.identities, configuration, isLast: false)
      return
    }
    var found: [IdentityTable.Entry] = []
    var scan = SegmentScan(
      candidate.name,
      candidate.file,
      header,
      size: candidate.size,
      from: Segment.beginning(header),
      limit: next ?? .max,
      .openRead
    )
    try scan.read { entry in
      if let identity = entry.identity { found.append((identity, entry.offset)) }
    }
    recovery.scannedBytes += candidate.size
    if next == nil { try cut(scan, candidate.size) }
    recovery.damages += scan.damages
    if let damage = scan.missing(before: next) {
      recovery.damages.append(damage)
    } else if next != nil, scan.tail > 0, scan.tornBytes == 0 {
      // Zeros written ahead: without them its index fits its length.
      do throws(SystemError) {
        try candidate.file.truncate(to: scan.segment.length, .openCut)
      } catch { throw LogError(error, candidate.name) }
    }
    try take(scan.segment, found, configuration, isLast: next == nil)
    if next != nil {
      do throws(SystemError) {
        try SegmentIndex(scan.segment, scan.damages, found).save(disk, candidate.name)
      } catch { configuration.hooks.troubled("\(candidate.name): its index: \(error)") }
    }
  }

  /// Notes what is missing between a segment that was not read and the next one.
  private mutating func noteMissing(_ segment: Segment, before next: UInt64) {
    let own = segment.summary.lastOffset.map { $0 + 1 } ?? segment.firstOffset
    guard own < next, !segment.header.isKept else { return }
    recovery.damages.append(
      Damage(file: segment.name, bytes: segment.length..<segment.length, offsets: own..<next)
    )
  }

  private mutating func take(
    _ segment: Segment,
    _ entries: [IdentityTable.Entry],
    _ configuration: EventLog.Configuration,
    isLast: Bool
  ) throws(LogError) {
    segments.append(segment)
    recovery.records += segment.summary.records
    if let last = segment.summary.lastOffset { nextOffset = max(nextOffset, last + 1) }
    lastTime = max(lastTime, segment.summary.lastTime)
    // All of the last one, covered or not: its index is made from them when it is sealed.
    let covered = isLast ? 0 : identities.covered
    guard let last = segment.summary.lastOffset, last > covered else { return }
    let missing = entries.filter { $0.offset > covered }
    if !isLast {
      do throws(SystemError) {
        return try identities.flush(missing, through: last) { IdentityTable.Wanted() }
      } catch { configuration.hooks.troubled("the index of identities: \(error)") }
    }
    identities.note(missing.lazy.map { (key: $0.identity, value: $0.offset) })
  }

  /// Leaves the last segment with whole records only.
  private mutating func cut(_ scan: SegmentScan, _ size: Int) throws(LogError) {
    let file = scan.segment.file
    do throws(SystemError) {
      if size < Format.headerBytes {
        // Torn while it was made: nothing in it was ever acknowledged.
        if size > 0 { try file.truncate(to: 0, .openCut) }
        try file.write(Format.encode(scan.segment.header), at: 0, .openHeader)
        recovery.cutBytes = size
      } else if scan.tail > 0 {
        try file.truncate(to: scan.segment.length, .openCut)
        recovery.cutBytes = scan.tornBytes
      }
      // What a crash left in the page cache is served only once it is on the disk.
      try file.sync(.openSync)
    } catch { throw LogError(error, scan.segment.name) }
  }
}
