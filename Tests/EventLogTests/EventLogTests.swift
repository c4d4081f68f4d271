import Bus
import CLinux
import Event
import EventLog
import Foundation
import Glibc
import JSON
import Synchronization
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
    #expect(segments(disk).count >= 4)
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

  @Test("nothing is acknowledged, committed or read before the sync that covers it")
  func notBeforeTheSync() async throws {
    let disk = FaultyDisk()
    let (log, _) = try EventLog.open(disk: disk, configuration())
    let gate = Gate()
    disk.watch { if $0 == .batchSync { gate.pass() } }
    let isAcknowledged = Atomic(false)
    async let answer = Task {
      defer { isAcknowledged.store(true, ordering: .sequentiallyConsistent) }
      return try await log.append([.event(sampleEvent("a"))])
    }.value
    await gate.arrival()
    #expect(disk[firstSegment].count > headerBytes)
    #expect(log.committed == nil)
    #expect(log.position(of: sampleEvent("a").identity) == nil)
    #expect(try log.read(after: nil, limit: 9, bytes: .max).isEmpty)
    let tooEarly = isAcknowledged.load(ordering: .sequentiallyConsistent)
    #expect(!tooEarly)
    gate.open(for: 99)
    #expect(try await answer[0].position == log.committed)
    await log.close()
  }

  @Test("what waits during a sync shares the next one, duplicates of it included")
  func groupCommit() async throws {
    let disk = FaultyDisk()
    let batches = Mutex<[Int]>([])
    var settings = configuration()
    settings.hooks.synced = { records, _, _ in batches.withLock { $0.append(records) } }
    let (log, _) = try EventLog.open(disk: disk, settings)
    let gate = Gate()
    disk.watch { if $0 == .batchSync { gate.pass() } }
    let first = Task { try await log.append([.event(sampleEvent("first"))]) }
    await gate.arrival()
    let waiting = (0..<50).map { number in
      // Immediate: the draft is in the queue when the task comes back.
      Task.immediate { try await log.append([.event(sampleEvent("\(number % 40)"))])[0] }
    }
    gate.open(for: 99)
    _ = try await first.value
    var answers: [Appended] = []
    for task in waiting { answers.append(try await task.value) }
    #expect(batches.withLock { $0 } == [1, 40])
    #expect(answers.map(\.isDuplicate) == (0..<50).map { $0 >= 40 })
    #expect(answers[40...].map(\.position) == answers[..<10].map(\.position))
    await log.close()
  }

  @Test("a repeated event waits for the sync of the first, and fails with it")
  func duplicateInFlight() async throws {
    let disk = FaultyDisk()
    let (log, _) = try EventLog.open(disk: disk, configuration())
    let gate = Gate()
    disk.watch { if $0 == .batchSync { gate.pass() } }
    let first = Task { try await log.append([.event(sampleEvent("first"))]) }
    await gate.arrival()
    disk.inject(.batchSync, EIO)
    let same = (0..<2).map { _ in
      Task.immediate { try await log.append([.event(sampleEvent("same"))])[0] }
    }
    gate.open(for: 99)
    // The call that waits has passed its fault already.
    _ = try? await first.value
    var answers: [Appended] = []
    for task in same { if let answer = try? await task.value { answers.append(answer) } }
    #expect(answers.isEmpty || answers.map(\.isDuplicate) == [false, true])
    await log.close()
  }

  @Test("an event whose attributes make it too large is refused, not stored unreadably")
  func tooManyAttributes() async throws {
    let (log, _) = try EventLog.open(disk: FaultyDisk(), configuration())
    var event = sampleEvent("a", bytes: Event.Limits.dataBytes)
    event.subject = String(repeating: "x", count: 2 << 20)
    let drafts = [Draft.event(event)]
    await #expect(throws: BusError.self) { _ = try await log.append(drafts) }
    await log.close()
  }

  @Test("the count of stored bytes is exact")
  func encodedCount() throws {
    var event = sampleEvent("a", bytes: 77)
    #expect(event.encodedCount == event.encoded().count)
    event.digest = "0123"
    event.cause = Cause(
      firing: FiringID(
        namespace: "n",
        sensor: "s",
        trigger: "t",
        replay: 0,
        dependencies: []
      ),
      events: ["x", "yy"],
      hops: 2,
      path: ["n/s/t"]
    )
    #expect(event.encodedCount == event.encoded().count)
    #expect(try Event(encoded: event.encoded()[...]) == event)
    #expect(try Event.Identity(encoded: event.encoded()[...]) == event.identity)
  }

  @Test("long records and places deep in a segment are found")
  func largeRecords() async throws {
    let disk = FaultyDisk()
    let (log, _) = try EventLog.open(disk: disk, configuration(segmentBytes: 500_000))
    var positions: [Position] = []
    for number in 0..<60 {
      let event = sampleEvent("\(number)", bytes: number % 7 == 0 ? 300_000 : number * 50)
      positions.append(try await log.append([.event(event)])[0].position)
    }
    #expect(segments(disk).count > 4)
    for (number, position) in positions.enumerated() {
      #expect(try log.record(at: position)?.id == "\(number)")
      #expect(try log.read(after: position, limit: 100, bytes: .max).count == 59 - number)
    }
    #expect(try log.record(at: Position(offset: 61)) == nil)
    #expect(try log.record(at: Position(partition: 1, offset: 3)) == nil)
    #expect(try log.read(after: Position(offset: .max), limit: 9, bytes: 9).isEmpty)
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

  @Test("log time never goes back, whatever the wall clock does; a jump is an event")
  func logTime() async throws {
    let wall = Ticks([100, 100, 200, 50, 60, 5])
    let monotonic = Ticks([0, 0, 1, 2, 3, 4, 5])
    var settings = configuration()
    // The log looks at the clock for its upkeep too.
    settings.upkeepInterval = .seconds(3600)
    settings.clock = LogClock(
      wall: { wall.next() * 1_000_000_000 },
      monotonic: { monotonic.next() * 1_000_000_000 }
    )
    let (log, _) = try EventLog.open(disk: FaultyDisk(), settings)
    for number in 0..<5 { _ = try await log.append([.event(sampleEvent("\(number)"))]) }
    let records = try log.read(after: nil, limit: 99, bytes: 1 << 20)
    await log.close()
    let times = records.map { $0.time.nanoseconds / 1_000_000_000 }
    #expect(times == [100, 200, 200, 201, 201, 202, 203])
    let jumps = records.compactMap { record -> JSON? in
      guard case .event(let event) = record.content, event.type == "signalbox.clock.jumped" else {
        return nil
      }
      return try? JSON(parsing: event.data)
    }
    #expect(jumps.map { $0["seconds"] } == [.number("99"), .number("-151")])
    #expect(jumps.first?["found"] == .string(Timestamp(nanoseconds: 200_000_000_000).description))
  }

  @Test("log time goes on where it stood after opening again")
  func logTimeAfterOpening() async throws {
    let disk = FaultyDisk()
    for (wall, expected) in [(100, 100), (50, 100), (200, 200)] as [(Int64, Int64)] {
      var settings = configuration()
      settings.clock = Hand(wall).clock
      let (log, _) = try EventLog.open(disk: disk, settings)
      let position = try await log.append([.event(sampleEvent("\(wall)"))])[0].position
      let time = try log.record(at: position)?.time.nanoseconds
      #expect(time == expected * 1_000_000_000)
      await log.close()
    }
  }
}
