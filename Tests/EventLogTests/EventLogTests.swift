import Bus
import CLinux
import Event
import EventLog
import Foundation
import TestKit
import Testing

@Suite struct EventLogTests {
  @Test("the embedded log keeps what every bus has to keep")
  func conformance() async throws {
    try await withTemporaryFolder { folder in
      let suite = BusSuite { try EventLog.open(folder: folder).log }
      let failures = try await suite.failures()
      #expect(failures == [])
    }
  }

  @Test("the conformance suite also passes with a segment per record")
  func conformanceInSmallSegments() async throws {
    let disk = FaultyDisk()
    var configuration = EventLog.Configuration()
    configuration.segmentBytes = 1
    let suite = BusSuite { [configuration] in
      try EventLog.open(disk: disk, configuration).log
    }
    let failures = try await suite.failures()
    #expect(failures == [])
    let segments = try disk.list()
    #expect(segments.count >= 4)
  }

  @Test("a second writer is refused in words, and let in when the first is gone")
  func secondWriter() async throws {
    try await withTemporaryFolder { folder in
      let (log, _) = try EventLog.open(folder: folder)
      #expect(throws: LogError.locked(folder: folder, holder: "\(getpid())")) {
        _ = try EventLog.open(folder: folder)
      }
      await log.close()
    }
  }

  @Test("callers at the same time share syncs and all get their answer")
  func groupCommit() async throws {
    let disk = FaultyDisk()
    let (log, _) = try EventLog.open(disk: disk, EventLog.Configuration())
    let before = disk.syncCount
    let positions = try await withThrowingTaskGroup(of: Appended.self) { group in
      for number in 0..<500 {
        group.addTask { try await log.append([.event(sampleEvent("\(number)"))])[0] }
      }
      return try await group.reduce(into: Set<Position>()) { $0.insert($1.position) }
    }
    #expect(positions.count == 500)
    #expect(disk.syncCount - before <= 501)
    await log.close()
  }

  @Test("long records and places deep in a segment are found")
  func largeRecords() async throws {
    let (log, _) = try EventLog.open(disk: FaultyDisk(), EventLog.Configuration())
    var positions: [Position] = []
    for number in 0..<60 {
      let event = sampleEvent("\(number)", bytes: number % 7 == 0 ? 300_000 : number * 50)
      positions.append(try await log.append([.event(event)])[0].position)
    }
    for (number, position) in positions.enumerated() {
      guard case .event(let event)? = try log.record(at: position)?.content else {
        Issue.record("nothing at \(position)")
        continue
      }
      #expect(event.id == "\(number)")
    }
    let later = try log.read(after: positions[20], limit: 100, bytes: 1 << 30)
    #expect(later.count == 39)
    await log.close()
  }

  @Test("a reader without the lock sees the records of a log that is being written")
  func reader() async throws {
    try await withTemporaryFolder { folder in
      let (log, _) = try EventLog.open(folder: folder)
      for id in ["a", "b", "c"] { _ = try await log.append([.event(sampleEvent(id))]) }
      var seen = 0
      let report = try EventLogReader(folder: folder).read { _ in seen += 1 }
      #expect(seen == 3)
      #expect(report.damages.isEmpty && report.tailBytes == 0 && report.segments == 1)
      var later: [Position] = []
      _ = try EventLogReader(folder: folder).read(after: Position(offset: 2)) {
        later.append($0.position)
      }
      #expect(later == [Position(offset: 3)])
      await log.close()
    }
  }

  @Test("both ways to compute the checksum agree, and with the published value")
  func checksum() {
    #expect(crc32c(Array("123456789".utf8)) == 0xe306_9283)
    var random = Seeded(1)
    for count in 0..<200 {
      let bytes = (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &random) }
      let portable = unsafe bytes.withUnsafeBytes {
        unsafe clinux_crc32c_portable(0, $0.baseAddress, $0.count)
      }
      #expect(portable == crc32c(bytes))
    }
  }

  @Test("killed at any moment, a process leaves every event it was acknowledged, once")
  func killed() async throws {
    try await withTemporaryFolder { folder in
      var acknowledged: [String] = []
      var random = Seeded(20)
      for round in 0..<8 {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: builtProgram("eventlog-appender"))
        process.arguments = [folder, "r\(round)"]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let wanted = Int.random(in: 1...400, using: &random)
        var text = Data()
        while text.count(where: { $0 == 0x0a }) < wanted {
          let more = pipe.fileHandleForReading.availableData
          if more.isEmpty { break }
          text += more
        }
        kill(process.processIdentifier, SIGKILL)
        text += pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        let lines = String(decoding: text, as: UTF8.self).split(separator: "\n")
        #expect(lines.count >= wanted)
        acknowledged += lines.map(String.init)
      }
      let (log, recovery) = try EventLog.open(folder: folder)
      #expect(recovery.damages.isEmpty)
      var stored: [String: Int] = [:]
      for record in try log.read(after: nil, limit: .max, bytes: .max) {
        if case .event(let event) = record.content { stored[event.id, default: 0] += 1 }
      }
      await log.close()
      #expect(acknowledged.allSatisfy { stored[$0] == 1 })
      #expect(stored.values.allSatisfy { $0 == 1 })
    }
  }
}
