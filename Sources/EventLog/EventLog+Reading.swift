package import Bus
package import Event
import Posix
import Synchronization

extension EventLog {
  package var committed: Position? { shared.withLock { $0.committed } }

  /// The first record that retention has left, or one before it; nil where none is known.
  package var first: Position? {
    let segment = shared.withLock { $0.segments.first { $0.length > Format.headerBytes } }
    guard let segment else { return nil }
    // Of kept records the first one need not have the segment's own offset. Damage does not count as
    // gone.
    guard segment.header.isKept else { return Position(offset: segment.firstOffset) }
    return segment.summary.marks.first.map { Position(offset: $0.offset) }
  }

  package var snapshot: Position? {
    shared.withLock { shared in
      shared.segments.last { $0.summary.snapshot != nil }?.summary.snapshot
    }.map { Position(offset: $0) }
  }

  /// Why the log stores nothing at the moment; nil while it does.
  package var failure: String? { shared.withLock { $0.failure } }

  /// Where the event of an identity is; nil when none is known, or its record has gone.
  package func position(of identity: Event.Identity) -> Position? {
    let offset: UInt64?
    do throws(SystemError) { offset = try identities.offset(of: identity) } catch {
      configuration.hooks.troubled("the index of identities: \(error)")
      return nil
    }
    return offset.map { Position(offset: $0) }
  }

  /// The last record with a log time before `time`: reading after it gives what is not older.
  /// nil: everything is as new. By the sparse index, so it may be some records early.
  package func position(before time: Timestamp) -> Position? {
    let segments = shared.withLock { $0.segments }
    for segment in segments.reversed() {
      guard let mark = segment.lastMark({ $0.time < time.nanoseconds }), mark.offset > 0 else {
        continue
      }
      return Position(offset: mark.offset - 1)
    }
    return nil
  }

  package func read(
    after position: Position?,
    limit: Int,
    bytes: Int
  ) throws(BusError) -> [Record] {
    let (segments, committed) = shared.withLock { ($0.segments, $0.committed) }
    guard let committed, position.map({ $0 < committed }) ?? true else { return [] }
    var records: [Record] = []
    var size = 0
    let after = position?.offset
    do throws(LogError) {
      for (number, segment) in segments.enumerated() {
        let next = number + 1 < segments.count ? segments[number + 1].firstOffset : nil
        if let after, let next, next <= after + 1 { continue }
        let isDone = try segment.walk(
          after: after,
          limit: next ?? .max,
          .readRecords,
          damaged: report
        ) { (frame, chunk) throws(LogError) in
          records.append(try Format.record(frame, in: chunk))
          size += frame.length
          return records.count < limit && size < bytes
        }
        if !isDone { break }
      }
    } catch { throw .failed("\(error)") }
    return records
  }

  package func record(at position: Position) throws(BusError) -> Record? {
    try read(from: position, limit: 1, bytes: 1).first
  }

  package func read(
    from position: Position,
    limit: Int,
    bytes: Int
  ) throws(BusError) -> [Record] {
    guard position.partition == 0, position.offset > 0 else { return [] }
    let before = Position(offset: position.offset - 1)
    let found = try read(after: before, limit: limit, bytes: bytes)
    return found.first?.position == position ? found : []
  }

  private func report(_ damage: Damage) {
    let isNew = shared.withLock { shared in
      // More would say no more.
      shared.reported.count < 10_000 && shared.reported.insert(damage).inserted
    }
    if isNew { configuration.hooks.damaged(damage) }
  }

  package func waitForRecords(after position: Position?) async -> Bool {
    let number = shared.withLock { shared -> UInt64 in
      shared.nextWaiter += 1
      return shared.nextWaiter
    }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let answer = shared.withLock { shared -> Bool? in
          if isAfter(shared.committed, position) { return true }
          if shared.isClosed || Task.isCancelled { return false }
          shared.waiters[number] = (position, continuation)
          return nil
        }
        if let answer { continuation.resume(returning: answer) }
      }
    } onCancel: {
      let waiter = shared.withLock { $0.waiters.removeValue(forKey: number) }
      waiter?.continuation.resume(returning: false)
    }
  }

  /// What the log is made of now.
  package var figures: Figures {
    shared.withLock { shared in
      var figures = Figures()
      figures.maxBytes = maxBytes
      figures.segments = shared.segments.count
      for segment in shared.segments {
        figures.bytes += segment.length
        figures.records += segment.summary.records
        figures.oldest = figures.oldest ?? segment.summary.firstTime
      }
      let first = shared.oldestIdentity(of: configuration.identityCount)
      let remembered = shared.segments.first { !$0.header.isKept && $0.firstOffset >= first }
      if let oldest = remembered?.summary.firstTime {
        let last = shared.segments.map(\.summary.lastTime).max() ?? oldest
        let now = max(last, configuration.clock.wall())
        figures.identitiesSince = max(oldest, now - configuration.identityWindow.wholeNanoseconds)
      }
      guard let holds = shared.holds?.holds else { return figures }
      for (holder, position) in holds.ranges {
        figures.heldBytes[holder] = shared.segments.reduce(0) { bytes, segment in
          guard let last = segment.summary.lastOffset, last >= position.offset else {
            return bytes
          }
          return bytes + segment.length - segment.mark(after: position.offset).start
        }
      }
      for (holder, positions) in holds.records {
        // By the mean of their segment: exact would mean reading them.
        figures.heldBytes[holder, default: 0] += positions.reduce(0) { bytes, position in
          let segment = shared.segments.last { $0.firstOffset <= position.offset }
          return bytes + (segment.map { $0.length / max(1, $0.summary.records) } ?? 0)
        }
      }
      return figures
    }
  }
}

func isAfter(_ committed: Position?, _ position: Position?) -> Bool {
  guard let committed else { return false }
  return position.map { $0 < committed } ?? true
}
