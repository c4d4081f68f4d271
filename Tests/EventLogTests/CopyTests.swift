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
