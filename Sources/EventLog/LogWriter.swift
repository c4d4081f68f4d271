import Bus
import Event
import Posix
import Synchronization

/// The log thread's work: from waiting drafts to durable records and their answers.
struct LogWriter {
  private unowned let log: EventLog
  private var nextOffset: UInt64
  private var time: LogTime
  /// The end of the last durable record in the current segment; nil before the first segment.
  private var length: Int?

  init(_ log: EventLog, nextOffset: UInt64, lastTime: Int64) {
    self.log = log
    self.nextOffset = nextOffset
    time = LogTime(log.configuration.clock, last: lastTime)
    length = log.shared.withLock { $0.segments.last?.length }
  }

  /// One batch on its way to the disk.
  private struct Batch {
    var bytes: [UInt8] = []
    var marks: [(offset: UInt64, start: Int)] = []
    var identities: [Event.Identity: UInt64] = [:]
    var answers: [[Appended]] = []
    var nextOffset: UInt64
  }

  /// Stores the drafts and answers every append.
  mutating func store(_ appends: [EventLog.Append]) {
    let began = MonotonicTime.now()
    let result: Result<[[Appended]], BusError>
    do throws(BusError) {
      let batch = encode(appends)
      if !batch.bytes.isEmpty {
        try write(batch)
        log.configuration.synced(batch.marks.count, batch.bytes.count, .now() - began)
      }
      result = .success(batch.answers)
    } catch { result = .failure(error) }
    for (number, append) in appends.enumerated() {
      append.continuation.resume(returning: result.map { $0[number] })
    }
  }

  private mutating func encode(_ appends: [EventLog.Append]) -> Batch {
    var batch = Batch(nextOffset: nextOffset)
    batch.bytes.reserveCapacity(appends.reduce(0) { $0 + $1.bytes })
    let now = time.next()
    for append in appends {
      var answers: [Appended] = []
      for draft in append.drafts {
        if case .event(let event) = draft {
          let identity = event.identity
          let known =
            batch.identities[identity] ?? log.shared.withLock { $0.index[identity] }
          if let known {
            answers.append(Appended(position: Position(offset: known), isDuplicate: true))
            continue
          }
          batch.identities[identity] = batch.nextOffset
        }
        batch.marks.append((batch.nextOffset, batch.bytes.count))
        Format.appendRecord(draft, offset: batch.nextOffset, time: now, to: &batch.bytes)
        answers.append(Appended(position: Position(offset: batch.nextOffset), isDuplicate: false))
        batch.nextOffset += 1
      }
      batch.answers.append(answers)
    }
    return batch
  }

  private mutating func write(_ batch: Batch) throws(BusError) {
    if let failure = log.failure { throw .failed(failure) }
    do throws(SystemError) {
      if length == nil || (length ?? 0) >= log.configuration.segmentBytes { try roll() }
    } catch { throw refusal(error) }
    let start = length ?? Format.headerBytes
    guard let file = log.shared.withLock({ $0.segments.last?.file }) else {
      throw .failed("the log has no segment")
    }
    do throws(SystemError) { try file.write(batch.bytes, at: start) } catch {
      try cut(file, to: start)
      throw refusal(error)
    }
    do throws(SystemError) { try file.sync() } catch {
      // The kernel may have dropped the pages and forgotten: a second sync would prove nothing.
      fail("\(error)")
      throw .failed("\(error)")
    }
    publish(batch, start)
  }

  private mutating func publish(_ batch: Batch, _ start: Int) {
    nextOffset = batch.nextOffset
    length = start + batch.bytes.count
    let committed = Position(offset: batch.nextOffset - 1)
    let end = start + batch.bytes.count
    let woken = log.shared.withLock { shared in
      shared.index.merge(batch.identities) { first, _ in first }
      let last = shared.segments.count - 1
      for mark in batch.marks { shared.segments[last].note(mark.offset, at: start + mark.start) }
      shared.segments[last].length = end
      shared.committed = committed
      let woken = shared.waiters.filter { isAfter(committed, $0.value.after) }
      for number in woken.keys { shared.waiters[number] = nil }
      return woken.values.map(\.continuation)
    }
    for continuation in woken { continuation.resume(returning: true) }
  }

  private mutating func roll() throws(SystemError) {
    let name = Format.name(firstOffset: nextOffset)
    let file = try openAnew(name)
    try file.write(Format.header(firstOffset: nextOffset), at: 0)
    try file.sync()
    try log.disk.syncFolder()
    let segment = Segment(
      name: name,
      firstOffset: nextOffset,
      file: file,
      length: Format.headerBytes
    )
    log.shared.withLock { $0.segments.append(segment) }
    length = Format.headerBytes
  }

  /// A segment of this name without records may be left from a try that failed.
  private func openAnew(_ name: String) throws(SystemError) -> any LogFile {
    let exists = try log.disk.list().contains(name)
    let file = try log.disk.open(name, create: !exists)
    if exists { try file.truncate(to: 0) }
    return file
  }

  /// Takes back a write that was not whole, so that the next one finds a clean end.
  private func cut(_ file: any LogFile, to length: Int) throws(BusError) {
    do throws(SystemError) { try file.truncate(to: length) } catch {
      fail("\(error)")
      throw .failed("\(error)")
    }
  }

  private func fail(_ why: String) { log.shared.withLock { $0.failure = why } }

  private func refusal(_ error: SystemError) -> BusError {
    error.isOutOfSpace ? .full("\(error)") : .failed("\(error)")
  }
}
