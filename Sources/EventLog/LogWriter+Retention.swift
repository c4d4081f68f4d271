import Bus
import Posix
import Synchronization

/// Segments that are old and needed no more go; of those that are needed for a few records only
/// these are kept, under their offsets, in one segment flagged so.
extension LogWriter {
  mutating func release(at now: Int64) {
    let (segments, held) = log.shared.withLock { ($0.segments, $0.holds) }
    guard let held else { return }
    let cutoff = now - log.configuration.maxAge.wholeNanoseconds
    let horizon = held.holds.ranges.values.map(\.offset).reduce(held.committed + 1, min)
    let due = segments.dropLast().prefix { segment in
      segment.summary.lastTime < cutoff && (segment.summary.lastOffset ?? 0) < horizon
    }
    guard let first = due.first, let last = due.last?.summary.lastOffset ?? due.last?.firstOffset
    else { return }
    // What is written down about a segment must not come back when the segment has gone.
    sealer?.finish(through: last)
    let wanted = held.holds.records.values.reduce(into: Set<UInt64>()) { wanted, positions in
      for position in positions where position.offset <= last { wanted.insert(position.offset) }
    }
    let records = due.reduce(0) { $0 + $1.summary.records }
    // A segment of kept records is made anew only when that frees half of it.
    guard due.contains(where: { !$0.header.isKept }) || wanted.count * 2 <= records else { return }
    do throws(LogError) {
      let kept = wanted.isEmpty ? nil : try keep(Array(due), wanted, under: first.name)
      try drop(Array(due), keeping: kept)
    } catch { log.configuration.hooks.troubled("old segments stay for now: \(error)") }
  }

  /// Makes the segment of what is wanted; its records are copied byte for byte.
  private func keep(
    _ due: [Segment],
    _ wanted: Set<UInt64>,
    under name: String
  ) throws(LogError) -> Segment? {
    guard let first = due.first, let last = due.last else { return nil }
    let temporary = name + Format.unfinishedSuffix
    let header = Format.Header(firstOffset: first.firstOffset, seed: seed, isKept: true)
    do throws(SystemError) {
      try log.disk.remove(temporary, .keepCreate)
      let file = try log.disk.open(temporary, create: true, .keepCreate)
      var copy = KeptCopy(Segment(name: name, header: header, file: file))
      for (number, segment) in due.enumerated() {
        let limit = number + 1 < due.count ? due[number + 1].firstOffset : .max
        try copy.take(segment, wanted, limit: limit)
      }
      try copy.finish()
      try log.disk.remove(Format.indexName(name), .indexRemove)
      try log.disk.rename(temporary, to: name, .keepRename)
      // From here on the old file of this name is gone, whatever fails.
      log.shared.withLock { shared in
        shared.segments.removeFirst()
        shared.segments.insert(copy.segment, at: 0)
      }
      try log.disk.syncFolder(.keepFolder)
      if copy.segment.summary.records > 0, last.firstOffset > 0 {
        try SegmentIndex(copy.segment, [], copy.identities).save(log.disk, name)
      }
      return copy.segment
    } catch { throw LogError(error, name) }
  }

  /// Removes what is due. The oldest goes first, so that a crash leaves no hole.
  private mutating func drop(_ due: [Segment], keeping kept: Segment?) throws(LogError) {
    let before = due.reduce(0) { $0 + $1.length }
    try remove(due.filter { $0.name != kept?.name })
    log.configuration.hooks.released(due.count, before - (kept?.length ?? 0))
  }

  /// Leaves a log without records, which begins anew at any offset.
  mutating func dropAll() throws(LogError) {
    let segments = log.shared.withLock { $0.segments }
    sealer?.finish(through: .max)
    // What is in the last one may be gone when this fails halfway.
    length = nil
    ahead = 0
    try remove(segments)
    log.shared.withLock { $0.committed = nil }
  }

  private mutating func remove(_ segments: [Segment]) throws(LogError) {
    for segment in segments {
      do throws(SystemError) {
        try log.disk.remove(segment.name, .dropRemove)
        try log.disk.remove(Format.indexName(segment.name), .indexRemove)
      } catch { throw LogError(error, segment.name) }
      log.shared.withLock { shared in shared.segments.removeAll { $0.name == segment.name } }
    }
    sealedBytes = log.shared.withLock { $0.segments.dropLast().reduce(0) { $0 + $1.length } }
    do throws(SystemError) { try log.disk.syncFolder(.dropFolder) } catch {
      throw LogError(error, "folder")
    }
  }
}

/// A segment of kept records while it is made.
private struct KeptCopy {
  private(set) var segment: Segment
  private(set) var identities: [IdentityTable.Entry] = []
  private var pending: [UInt8]

  init(_ segment: Segment) {
    self.segment = segment
    self.segment.length = 0
    pending = Format.encode(segment.header)
  }

  mutating func take(
    _ source: Segment,
    _ wanted: Set<UInt64>,
    limit: UInt64
  ) throws(SystemError) {
    var walk = RecordWalk(
      source.file,
      .keepRead,
      source.header,
      from: Format.headerBytes,
      to: source.length,
      expected: source.firstOffset,
      limit: limit
    )
    while true {
      switch try walk.next() {
      case .end: return
      case .gap: continue
      case .record(let frame, _):
        guard wanted.contains(frame.offset) else { continue }
        let start = segment.length + pending.count
        if let entry = try? SegmentScan.entry(frame, walk.bytes, at: start) {
          segment.summary.note(entry)
          if let identity = entry.identity { identities.append((identity, entry.offset)) }
        }
        let end = frame.payload.upperBound
        pending += walk.bytes[end - frame.length..<end]
        if pending.count >= 1 << 20 { try flush() }
      }
    }
  }

  private mutating func flush() throws(SystemError) {
    try segment.file.write(pending, at: segment.length, .keepWrite)
    segment.length += pending.count
    pending = []
  }

  mutating func finish() throws(SystemError) {
    try flush()
    try segment.file.sync(.keepSync)
  }
}
