import Bus
import Event
import EventLog
import TestKit
import Testing

/// Records that a replica holds, written to a folder as they are.
@Suite struct CopyTests {
  private func record(_ position: UInt64) -> Record {
    Record(
      position: Position(offset: position),
      time: Timestamp(nanoseconds: 1_000_000_000 * Int64(position)),
      content: .event(sampleEvent("e\(position)", bytes: 100))
    )
  }

  private func everything(_ log: EventLog) throws -> [Record] {
    try log.read(after: nil, limit: .max, bytes: .max)
  }

  @Test("positions that are missing stay missing, and are no damage", arguments: [500, 1 << 20])
  func gaps(_ segmentBytes: Int) async throws {
    let disk = FaultyDisk()
    let settings = configuration(segmentBytes: segmentBytes)
    // Between calls and within them; a gap may be longer than any damage leaves.
    let calls: [[UInt64]] = [
      [7, 8], [9, 20, 21], [22, 23], [24], [900], [901, 902, 5000], [5001, 5002],
    ]
    let (log, _) = try EventLog.open(disk: disk, settings)
    for call in calls { try await log.copy(call.map { record($0) }) }
    let wanted = calls.joined().map { record($0) }
    #expect(try everything(log) == wanted)
    await log.close()
    let (again, recovery) = try EventLog.open(disk: disk, settings)
    #expect(recovery.damages == [] && recovery.cutBytes == 0)
    #expect(try everything(again) == wanted)
    #expect(again.position(of: sampleEvent("e900").identity) == Position(offset: 900))
    // What follows is a log like any other.
    let appended = try await again.append([.event(sampleEvent("new"))])
    #expect(appended.map(\.position.offset) == [5003])
    await again.close()
    let report = try EventLogReader(disk: disk).read { _ in }
    #expect(report.damages == [] && report.records == wanted.count + 1)
  }

  @Test("damage within such a segment costs no record behind a gap")
  func damaged() async throws {
    let disk = FaultyDisk()
    let settings = configuration(segmentBytes: 1 << 20)
    let (log, _) = try EventLog.open(disk: disk, settings)
    let calls: [[UInt64]] = [[1], [2, 500, 900], [901]]
    for call in calls { try await log.copy(call.map { record($0) }) }
    await log.close()
    let name = "00000000000000000002.log"
    // In the first record, behind the segment's header and the record's head.
    disk[name][headerBytes + 60] ^= 1
    let (again, _) = try EventLog.open(disk: disk, settings)
    #expect(try everything(again).map(\.position.offset) == [1, 500, 900, 901])
    await again.close()
  }

  @Test("begun anew, it has the new records alone; killed at any call, an end of the old ones")
  func anew() async throws {
    let old = FaultyDisk()
    let settings = configuration(segmentBytes: 500)
    let (log, _) = try EventLog.open(disk: old, settings)
    let before = (UInt64(3)...40).map { record($0) }
    for first in stride(from: 0, to: before.count, by: 4) {
      try await log.copy(Array(before[first..<min(first + 4, before.count)]))
    }
    await log.close()
    try #require(old.names.count > 4)
    let after = [record(100), record(101), record(102)]
    let known = sampleEvent("e40").identity
    var calls = 0
    var outcomes: Set<Int> = []
    while true {
      let disk = old.copy()
      let (log, _) = try EventLog.open(disk: disk, settings)
      let opened = disk.calls.values.reduce(0, +)
      disk.crash(after: calls)
      var isDone = true
      do { try await log.copy(after, anew: true) } catch { isDone = false }
      let made = disk.calls.values.reduce(0, +) - opened
      if isDone {
        disk.clearFaults()
        #expect(try everything(log) == after)
        #expect(log.first == Position(offset: 100) && log.committed == Position(offset: 102))
        #expect(try log.record(at: Position(offset: 40)) == nil)
      }
      await log.close()
      for seed in UInt64(0)..<5 {
        let (again, recovery) = try EventLog.open(disk: disk.crashed(seed), settings)
        let found = try everything(again)
        // Whole segments of the old log, from the front, and never records of both.
        let isOld = found == before.suffix(found.count)
        let isNew = found == Array(after.prefix(found.count))
        #expect(isOld || isNew, "call \(calls), seed \(seed): \(found.map(\.position))")
        if isDone { #expect(isNew && found.count == 3) }
        #expect(recovery.damages == [], "call \(calls), seed \(seed)")
        outcomes.insert(found.count)
        // What is left is begun anew like the whole.
        let rest = found.isEmpty || !isNew ? after : Array(after.dropFirst(found.count))
        try await again.copy(rest, anew: !isNew)
        #expect(try everything(again) == after)
        let appended = try await again.append([.event(sampleEvent("e40"))])
        #expect(appended.map(\.position.offset) == [103] && !appended[0].isDuplicate)
        #expect(again.position(of: known) == Position(offset: 103))
        await again.close()
      }
      calls += 1
      if isDone && made < calls { break }
    }
    #expect(calls > 10 && outcomes.count > 5, "\(calls): \(outcomes)")
  }

  @Test("a log whose first segment was begun without a record begins where the copies do")
  func begunWithoutRecords() async throws {
    let disk = FaultyDisk()
    let settings = configuration(segmentBytes: 500)
    let (log, _) = try EventLog.open(disk: disk, settings)
    await log.keepUp()
    try #require(disk.names == ["00000000000000000001.log"])
    #expect(log.first == nil)
    try await log.copy([record(7), record(8)])
    #expect(log.first == Position(offset: 7))
    await log.close()
    let (again, recovery) = try EventLog.open(disk: disk, settings)
    #expect(try everything(again) == [record(7), record(8)] && recovery.damages == [])
    await again.close()
  }

  @Test("what is not behind the log's last record is refused")
  func order() async throws {
    let (log, _) = try EventLog.open(disk: FaultyDisk(), configuration(segmentBytes: 500))
    try await log.copy([record(5), record(6)])
    for records in [[record(6)], [record(9), record(8)]] {
      await #expect(throws: BusError.self) { try await log.copy(records) }
    }
    await log.close()
  }
}
