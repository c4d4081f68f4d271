package import Bus
import Event
import Synchronization

/// What holds the log's records besides its folder, and before it: a batch is written to the folder
/// once the replica has it. So the folder never has what the replica has not, and what a crash has
/// left out of it is copied back (`EventLog.copy`).
package protocol LogReplica: Sendable {
  /// Returns when the replica holds the records for good. Called on the log thread, which waits.
  /// - Throws: `BusError`; nobody will ever read any of them then.
  func store(_ records: [ReplicaRecord]) throws(BusError)

  /// Called once, behind the last `store`.
  func close() async

  /// What it is and where, as the folder's file `replica` names it.
  var name: String { get }
}

/// A record as a replica holds it.
package struct ReplicaRecord: Sendable, Equatable {
  /// Its position on the log.
  package let offset: UInt64
  /// The body of the record as the folder holds it (Format.swift).
  package let body: [UInt8]

  package init(offset: UInt64, body: [UInt8]) {
    self.offset = offset
    self.body = body
  }

  /// A record as a replica is to hold it.
  package init(_ record: Record) {
    offset = record.position.offset
    var bytes: [UInt8] = []
    Format.appendRecord(
      record.content,
      offset: offset,
      time: record.time.nanoseconds,
      seed: 0,
      to: &bytes
    )
    body = Array(bytes[Format.headBytes...])
  }

  /// The record it stands for.
  /// - Throws: `LogError` for bytes that are none, or that a newer version wrote.
  package func record() throws(LogError) -> Record {
    guard offset > 0, (Format.smallestBody...Format.largestBody).contains(body.count) else {
      throw .unreadable("record \(offset) of the replica is not in a form this version knows")
    }
    let frame = Format.Frame(
      offset: offset,
      time: Int64(bitPattern: Format.number(body, 0, 8)),
      kind: body[8],
      payload: Format.smallestBody..<body.count,
      length: Format.headBytes + body.count
    )
    return try Format.record(frame, in: body)
  }
}

extension EventLog {
  /// Writes records that the replica holds to the folder, as they are, and waits until they are
  /// there. Nothing else may be appended meanwhile.
  /// - Parameters:
  ///   - records: in order, behind the last record of the log. Positions that are missing between them
  ///     stay missing.
  ///   - isAnew: whether all that the log has goes before: it then begins with the first of them. A
  ///     crash may leave a beginning less of it, or nothing.
  /// - Throws: `BusError`; some of them may be there.
  package func copy(_ records: [Record], anew isAnew: Bool = false) async throws(BusError) {
    guard let first = records.first else { return }
    if let committed, first.position <= committed {
      throw .failed("record \(first.position) is not behind \(committed), the log's last")
    }
    _ = try await hand(records.map(\.content), copiesOf: records, isAnew: isAnew)
  }
}

extension LogWriter {
  /// Hands a batch to the replica, if there is one.
  func replicate(_ batch: Batch) throws(BusError) {
    guard let replica = log.configuration.replica else { return }
    try replica.store(batch.records)
  }

  /// Writes records under their own positions and times.
  mutating func store(copies records: [Record], isAnew: Bool) throws(BusError) {
    guard let first = records.first, let last = records.last else { return }
    // A log without records begins where its replica does.
    if isAnew || log.committed == nil { try begin(at: first.position.offset, isAnew: isAnew) }
    var batch = Batch(nextOffset: nextOffset, time: first.time.nanoseconds, seed: seed)
    for record in records {
      var identity: Event.Identity?
      if case .event(let event) = record.content { identity = event.identity }
      batch.time = record.time.nanoseconds
      batch.skip(to: record.position.offset)
      guard batch.add(record.content, identity) == record.position.offset else {
        throw .failed("record \(record.position) is not behind the one before it")
      }
    }
    try write(batch, isCopy: true)
    time.pass(last.time.nanoseconds)
  }

  private mutating func begin(at offset: UInt64, isAnew: Bool) throws(BusError) {
    let segments = log.shared.withLock { $0.segments }
    let isEmpty = segments.allSatisfy { $0.length <= Format.headerBytes }
    // A segment that was begun without a record says where another log would begin.
    if isAnew || isEmpty && offset != nextOffset {
      do throws(LogError) { try dropAll() } catch { throw .failed("\(error)") }
    }
    nextOffset = offset
  }
}

extension Batch {
  /// Its records as a replica holds them.
  var records: [ReplicaRecord] {
    entries.enumerated().map { number, entry in
      let end = number + 1 < entries.count ? entries[number + 1].start : bytes.count
      return ReplicaRecord(
        offset: entry.offset,
        body: Array(bytes[entry.start + Format.headBytes..<end])
      )
    }
  }
}
