import Bus
import Event
import Posix
import Synchronization

/// The log thread's work: from waiting drafts to durable records and their answers.
struct LogWriter {
  unowned let log: EventLog
  let seed: UInt32
  var nextOffset: UInt64
  var time: LogTime
  /// The end of the last durable record in the current segment; nil: a new one is needed.
  var length: Int?
  /// The end of the zeros that were written ahead in it.
  var ahead = 0
  /// Bytes of the segments before the current one.
  var sealedBytes: Int
  /// The first offset of the newest segment whose index was made: making it again later, when
  /// memory does not hold its identities any more, would lose them.
  var sealed: UInt64
  /// nil: what a segment holds is written down on this thread.
  let sealer: Sealer?
  /// Whether it was said that half of the space is used.
  var isPressed = false

  init(_ log: EventLog, _ found: Opening) {
    self.log = log
    seed = found.seed
    nextOffset = found.nextOffset
    time = LogTime(log.configuration.clock, last: found.lastTime)
    length = found.segments.last?.length
    sealed = found.segments.dropLast().last?.firstOffset ?? 0
    sealedBytes = found.segments.dropLast().reduce(0) { $0 + $1.length }
    do throws(SystemError) {
      sealer = log.configuration.sealsAside ? try Sealer(log) : nil
    } catch {
      sealer = nil
      log.configuration.hooks.troubled("segments are sealed in turn with appends: \(error)")
    }
  }

  /// What one append is answered if the batch becomes durable.
  private struct Answer {
    var appended: [Appended] = []
    /// Whether it needs the batch: duplicates of durable events do not.
    var isNew = false
  }

  /// Stores the drafts and answers every append.
  mutating func store(_ appends: [EventLog.Append]) {
    for append in appends where !append.copies.isEmpty {
      do throws(BusError) {
        try store(copies: append.copies, isAnew: append.isAnew)
        append.continuation.resume(returning: .success([]))
      } catch { append.continuation.resume(returning: .failure(error)) }
    }
    let appends = appends.filter(\.copies.isEmpty)
    if appends.isEmpty { return }
    let began = MonotonicTime.now()
    let (now, jump) = time.next()
    var batch = Batch(nextOffset: nextOffset, time: now, seed: seed)
    batch.reserve(appends.reduce(0) { $0 + $1.bytes + 64 })
    if let jump {
      let notice = Notices.clockJumped(jump, at: now, nextOffset)
      _ = batch.add(.event(notice), notice.identity)
    }
    var answers: [Result<Answer, BusError>] = []
    for append in appends {
      do throws(BusError) {
        answers.append(.success(try encode(append.drafts, &batch)))
      } catch { answers.append(.failure(error)) }
    }
    var failure: BusError?
    if !batch.entries.isEmpty {
      do throws(BusError) {
        try write(batch)
        log.configuration.hooks.synced(batch.entries.count, batch.bytes.count, .now() - began)
      } catch { failure = error }
    }
    for (append, answer) in zip(appends, answers) {
      let result = answer.flatMap { answer -> Result<[Appended], BusError> in
        if let failure, answer.isNew { .failure(failure) } else { .success(answer.appended) }
      }
      append.continuation.resume(returning: result)
    }
  }

  private func encode(_ drafts: [Draft], _ batch: inout Batch) throws(BusError) -> Answer {
    try checkSpace(drafts, batch)
    var answer = Answer()
    // All or nothing: what cannot be looked up must not leave a part of its call in the batch.
    var trial: [(draft: Draft, identity: Event.Identity?, known: Known)] = []
    for draft in drafts {
      guard case .event(let event) = draft else {
        trial.append((draft, nil, .new))
        continue
      }
      let identity = event.identity
      trial.append((draft, identity, try known(event, identity, batch)))
    }
    for entry in trial {
      var known = entry.known
      if case .event(let event) = entry.draft, let identity = entry.identity,
        let twin = batch.events[identity]
      {
        known = Self.compare(event, twin.event, at: twin.offset)
      }
      switch known {
      case .new:
        let offset = batch.add(entry.draft, entry.identity)
        answer.appended.append(Appended(position: Position(offset: offset), isDuplicate: false))
        answer.isNew = true
      case .same(let offset):
        if offset >= nextOffset { answer.isNew = true }
        answer.appended.append(Appended(position: Position(offset: offset), isDuplicate: true))
      case .other:
        guard case .event(let event) = entry.draft else { continue }
        answer.appended.append(try conflict(event, &batch))
        answer.isNew = true
      }
    }
    return answer
  }

  /// Stores an event whose id another event has under an id of its own.
  private func conflict(_ event: Event, _ batch: inout Batch) throws(BusError) -> Appended {
    var other = event
    other.id = "\(event.id)~\(event.digest?.prefix(8) ?? "")"
    let identity = other.identity
    if case .same(let offset) = try known(other, identity, batch) {
      return Appended(position: Position(offset: offset), isDuplicate: true, otherID: other.id)
    }
    let offset = batch.add(.event(other), identity)
    let notice = Notices.idConflict(event, storedAs: other.id, at: batch.time)
    _ = batch.add(.event(notice), notice.identity)
    return Appended(position: Position(offset: offset), isDuplicate: false, otherID: other.id)
  }

  private enum Known {
    case new
    case same(UInt64)
    /// The id belongs to another event.
    case other
  }

  private static func compare(_ event: Event, _ stored: Event, at offset: UInt64) -> Known {
    if let mine = event.digest, let its = stored.digest, mine != its { return .other }
    return .same(offset)
  }

  /// What is known of an identity, the window of deduplication considered.
  private func known(
    _ event: Event,
    _ identity: Event.Identity,
    _ batch: Batch
  ) throws(BusError) -> Known {
    if let twin = batch.events[identity] {
      return Self.compare(event, twin.event, at: twin.offset)
    }
    let offset: UInt64?
    do throws(SystemError) { offset = try log.identities.offset(of: identity) } catch {
      throw .failed("whether the event is new cannot be told: \(error)")
    }
    guard let offset, offset < nextOffset, offset >= log.oldestIdentity() else { return .new }
    // What has gone is not known any more, whatever the index says: made anew from the log it
    // would not say so either.
    guard let record = try log.record(at: Position(offset: offset)),
      case .event(let stored) = record.content
    else { return .new }
    let window = log.configuration.identityWindow.wholeNanoseconds
    guard stored.identity == identity, record.time.nanoseconds >= batch.time - window else {
      return .new
    }
    return Self.compare(event, stored, at: offset)
  }

  private func checkSpace(_ drafts: [Draft], _ batch: Batch) throws(BusError) {
    let used = sealedBytes + (length ?? 0) + batch.bytes.count
    let most = log.maxBytes
    if used < most { return }
    if used >= most + log.configuration.reserveBytes {
      throw .full("the log and its reserve are full (\(used) bytes)")
    }
    for case .event(let event) in drafts where !event.isOwn {
      if case .new = try known(event, event.identity, batch) {
        throw .full("the log has reached its limit of \(most) bytes")
      }
    }
  }

  // MARK: Writing

  mutating func write(_ batch: Batch, isCopy: Bool = false) throws(BusError) {
    // A segment in which positions are missing says so, or they would count as damage.
    let isKept = batch.hasGap(behind: nextOffset)
    if isFull(at: batch.time, isKept: isKept) {
      do throws(SystemError) { try roll(isKept: isKept) } catch { throw refusal(error) }
    }
    if !isCopy { try replicate(batch) }
    let start = length ?? Format.headerBytes
    guard let file = log.shared.withLock({ $0.segments.last?.file }) else {
      throw .failed("the log has no segment")
    }
    do throws(SystemError) { try put(batch.bytes, file, at: start) } catch {
      takeBack(file, to: start, error)
      throw refusal(error)
    }
    do throws(SystemError) { try file.sync(.batchSync) } catch {
      // The kernel may have dropped the pages and forgotten: a second sync would prove nothing.
      abandon(file, at: start, "\(error)")
      throw .failed("\(error)")
    }
    publish(batch, start)
  }

  private mutating func put(_ bytes: [UInt8], _ file: any LogFile, at start: Int)
    throws(SystemError)
  {
    let most = min(log.configuration.aheadBytes, log.configuration.segmentBytes)
    let end = start + bytes.count
    if end > ahead, bytes.count < most / 4 {
      do throws(SystemError) {
        try file.write(bytes + [UInt8](repeating: 0, count: most), at: start, .batchWrite)
        ahead = end + most
        return
      } catch { guard error.isOutOfSpace else { throw error } }
      // The batch alone may still fit.
      try file.truncate(to: start, .batchCut)
    }
    try file.write(bytes, at: start, .batchWrite)
  }

  private func isFull(at now: Int64, isKept: Bool) -> Bool {
    guard let length else { return true }
    if length >= log.configuration.segmentBytes { return true }
    let (first, wasKept) = log.shared.withLock { shared in
      (shared.segments.last?.summary.firstTime, shared.segments.last?.header.isKept)
    }
    if wasKept != isKept { return true }
    return first.map { now - $0 >= log.configuration.segmentAge.wholeNanoseconds } ?? false
  }

  private mutating func publish(_ batch: Batch, _ start: Int) {
    nextOffset = batch.nextOffset
    length = start + batch.bytes.count
    let committed = Position(offset: batch.nextOffset - 1)
    let end = start + batch.bytes.count
    log.identities.note(batch.events.lazy.map { (key: $0.key, value: $0.value.offset) })
    let woken = log.shared.withLock { shared in
      let last = shared.segments.count - 1
      for entry in batch.entries { shared.segments[last].summary.note(entry.moved(by: start)) }
      shared.segments[last].length = end
      shared.committed = committed
      let woken = shared.waiters.filter { isAfter(committed, $0.value.after) }
      for number in woken.keys { shared.waiters[number] = nil }
      return woken.values.map(\.continuation)
    }
    for continuation in woken { continuation.resume(returning: true) }
  }

  /// Takes back a write that was not whole, so that the next one finds a clean end.
  private mutating func takeBack(_ file: any LogFile, to start: Int, _ error: SystemError) {
    ahead = 0
    do throws(SystemError) { try file.truncate(to: start, .batchCut) } catch {
      abandon(file, at: start, "\(error)")
    }
  }

  private func refusal(_ error: SystemError) -> BusError {
    error.isOutOfSpace ? .full("\(error)") : .failed("\(error)")
  }
}
