import Bus
import Event
import EventLog
import Glibc
import TestKit
import Testing

@Suite struct RecoveryTests {
  private func filled(_ count: Int) async throws -> FaultyDisk {
    let disk = FaultyDisk()
    let (log, _) = try EventLog.open(disk: disk, EventLog.Configuration())
    for number in 0..<count { _ = try await log.append([.event(sampleEvent("e\(number)"))]) }
    await log.close()
    return disk
  }

  private func ids(_ disk: FaultyDisk) async throws -> (ids: [String], EventLog.Recovery) {
    let (log, recovery) = try EventLog.open(disk: disk, EventLog.Configuration())
    let records = try log.read(after: nil, limit: 10_000, bytes: 1 << 30)
    await log.close()
    let ids = records.compactMap { record -> String? in
      if case .event(let event) = record.content { return event.id }
      return nil
    }
    return (ids, recovery)
  }

  @Test("a torn tail is cut at every length, and what stands before it is whole")
  func tornTail() async throws {
    let disk = try await filled(3)
    let name = try #require(try disk.list().first)
    let whole = disk[name]
    let record = (whole.count - 20) / 3
    for length in 20..<whole.count {
      let torn = FaultyDisk()
      torn[name] = Array(whole.prefix(length))
      let (found, recovery) = try await ids(torn)
      let kept = (length - 20) / record
      #expect(found == (0..<kept).map { "e\($0)" })
      #expect(recovery.cutBytes == length - 20 - kept * record)
      #expect(recovery.damages.isEmpty)
    }
  }

  @Test("one flipped bit loses at most its own record, and the range is told")
  func flippedBit() async throws {
    let disk = try await filled(4)
    let name = try #require(try disk.list().first)
    let whole = disk[name]
    let record = (whole.count - 20) / 4
    for bit in stride(from: 20 * 8, to: (20 + 3 * record) * 8, by: 1) {
      let broken = FaultyDisk()
      var bytes = whole
      bytes[bit / 8] ^= 1 << (bit % 8)
      broken[name] = bytes
      let (found, recovery) = try await ids(broken)
      let hit = (bit / 8 - 20) / record
      #expect(found == (0..<4).filter { $0 != hit }.map { "e\($0)" })
      let start = 20 + hit * record
      #expect(
        recovery.damages == [
          Damage(
            file: name,
            bytes: start..<start + record,
            offsets: UInt64(hit + 1)..<UInt64(hit + 2)
          )
        ]
      )
    }
  }

  @Test("after damage the log goes on, and a second opening finds the same")
  func appendAfterDamage() async throws {
    let disk = try await filled(3)
    let name = try #require(try disk.list().first)
    disk[name][40] ^= 1
    let (log, _) = try EventLog.open(disk: disk, EventLog.Configuration())
    _ = try await log.append([.event(sampleEvent("new"))])
    await log.close()
    let (found, recovery) = try await ids(disk)
    #expect(found == ["e1", "e2", "new"])
    #expect(recovery.damages.count == 1)
  }

  @Test("whatever a crash leaves of unsynced bytes, each acknowledged event is there once")
  func crashes() async throws {
    var hits: [String: Int] = [:]
    for seed in UInt64(0)..<300 {
      var random = Seeded(seed)
      let disk = FaultyDisk()
      switch seed % 4 {
      case 1: disk.inject(.write(ENOSPC), skipping: Int.random(in: 0..<12, using: &random))
      case 2: disk.inject(.write(EIO), skipping: Int.random(in: 0..<12, using: &random))
      case 3: disk.inject(.sync(EIO), skipping: Int.random(in: 0..<12, using: &random))
      default: break
      }
      var configuration = EventLog.Configuration()
      configuration.segmentBytes = 700
      let (log, _) = try EventLog.open(disk: disk, configuration)
      var acknowledged: [String] = []
      for number in 0..<12 {
        do throws(BusError) {
          _ = try await log.append([.event(sampleEvent("\(number)"))])
          acknowledged.append("\(number)")
        } catch { continue }
      }
      let after = disk.crashed(seed)
      await log.close()
      let (found, _) = try await ids(after)
      for id in acknowledged { #expect(found.filter { $0 == id }.count == 1, "seed \(seed)") }
      hits.merge(disk.hits) { $0 + $1 }
    }
    #expect(hits["write", default: 0] > 50)
    #expect(hits["sync", default: 0] > 20)
  }

  @Test("a full disk refuses, and is forgiven when there is space again")
  func fullDisk() async throws {
    let disk = FaultyDisk()
    let (log, _) = try EventLog.open(disk: disk, EventLog.Configuration())
    _ = try await log.append([.event(sampleEvent("a"))])
    disk.inject(.write(ENOSPC))
    await #expect(throws: BusError.self) { _ = try await log.append([.event(sampleEvent("b"))]) }
    let again = try await log.append([.event(sampleEvent("b"))])
    #expect(!again[0].isDuplicate)
    await log.close()
    #expect(try await ids(disk).ids == ["a", "b"])
  }

  @Test("a failed sync is final: nothing is acknowledged until the log is opened again")
  func failedSync() async throws {
    let disk = FaultyDisk()
    let (log, _) = try EventLog.open(disk: disk, EventLog.Configuration())
    _ = try await log.append([.event(sampleEvent("a"))])
    disk.inject(.sync(EIO))
    for id in ["b", "c"] {
      await #expect(throws: BusError.self) { _ = try await log.append([.event(sampleEvent(id))]) }
    }
    let left = try log.read(after: nil, limit: 9, bytes: 1 << 20)
    #expect(left.count == 1)
    await log.close()
  }

  @Test("a newer format is refused in words")
  func newerVersion() async throws {
    let disk = try await filled(1)
    let name = try #require(try disk.list().first)
    var header = Array(disk[name].prefix(16))
    header[6] = 9
    let sum = crc32c(header)
    disk[name] = header + (0..<4).map { UInt8(truncatingIfNeeded: sum >> (8 * $0)) }
    #expect(throws: LogError.self) {
      _ = try EventLog.open(disk: disk, EventLog.Configuration())
    }
  }

  @Test("log time never goes back, whatever the wall clock does")
  func logTime() async throws {
    let wall = Ticks([100, 200, 50, 60, 5])
    let monotonic = Ticks([0, 1, 2, 3, 4, 5])
    var configuration = EventLog.Configuration()
    configuration.clock = LogClock(
      wall: { wall.next() * 1_000_000_000 },
      monotonic: { monotonic.next() * 1_000_000_000 }
    )
    let (log, _) = try EventLog.open(disk: FaultyDisk(), configuration)
    for number in 0..<5 { _ = try await log.append([.event(sampleEvent("\(number)"))]) }
    let times = try log.read(after: nil, limit: 9, bytes: 1 << 20).map(\.time.nanoseconds)
    await log.close()
    #expect(times == [100, 200, 201, 202, 203].map { $0 * 1_000_000_000 })
  }
}
