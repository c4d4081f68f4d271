import Bus
import Event
import EventLog
import Glibc
import TestKit
import Testing

@Suite struct CrashTests {
  @Test("whatever fails and whatever a crash leaves, what was acknowledged is there once")
  func torture() async {
    var total = LogTorture.Result()
    for seed in UInt64(1)...600 {
      var torture = LogTorture(seed: seed)
      total.add(await torture.run())
    }
    #expect(total.failures == [])
    #expect(total.acknowledged > 5000)
    // What luck did not reach is made to fail on purpose.
    for site in LogCall.allCases where total.failed[site] == nil {
      for seed in UInt64(1)...3000 where total.failed[site] == nil {
        var torture = LogTorture(seed: seed, failing: site)
        total.add(await torture.run())
      }
    }
    #expect(total.failures == [])
    let spared = LogCall.allCases.filter { total.failed[$0] == nil }
    #expect(spared.isEmpty, "never failed: \(spared)")
  }

  @Test("recovery may be interrupted by a crash at each of its calls")
  func crashWhileOpening() async throws {
    let whole = try await filled(9, segmentBytes: 500)
    let last = try #require(segments(whole).last)
    for name in whole.names where !name.hasSuffix(".log") { whole[name] = [1] }
    whole[last].removeLast(5)
    for length in [whole[last].count, 10] {
      whole[last].removeLast(whole[last].count - length)
      let expected = try await contents(whole.copy(), segmentBytes: 500).ids
      var calls = 0
      while true {
        let disk = whole.copy()
        disk.crash(after: calls)
        let opened = try? EventLog.open(disk: disk, configuration(segmentBytes: 500))
        await opened?.log.close()
        for seed in UInt64(0)..<5 {
          let found = try await contents(disk.crashed(seed), segmentBytes: 500)
          #expect(found.ids == expected)
        }
        calls += 1
        if opened != nil && disk.calls.values.reduce(0, +) < calls { break }
      }
      #expect(calls > 20)
    }
  }

  @Test("a full disk refuses the call, and is forgiven when there is space again")
  func fullDisk() async throws {
    let disk = FaultyDisk()
    let (log, _) = try EventLog.open(disk: disk, configuration())
    _ = try await log.append([.event(sampleEvent("a"))])
    let length = disk[firstSegment].count
    disk.inject(.batchWrite, ENOSPC)
    let error = await #expect(throws: BusError.self) {
      _ = try await log.append([.event(sampleEvent("b"))])
    }
    guard case .full = error else { throw error ?? .closed }
    #expect(disk[firstSegment].count == length)
    #expect(log.failure == nil)
    let again = try await log.append([.event(sampleEvent("b"))])
    #expect(!again[0].isDuplicate)
    await log.close()
    #expect(try await contents(disk).ids == ["a", "b"])
  }

  @Test(
    "a full disk at a new segment is forgiven too",
    arguments: [LogCall.rollCreate, .rollHeader]
  )
  func fullDiskWhileRolling(call: LogCall) async throws {
    let disk = FaultyDisk()
    let (log, _) = try EventLog.open(disk: disk, configuration(segmentBytes: 1))
    _ = try await log.append([.event(sampleEvent("a"))])
    disk.inject(call, ENOSPC)
    let error = await #expect(throws: BusError.self) {
      _ = try await log.append([.event(sampleEvent("b"))])
    }
    guard case .full = error else { throw error ?? .closed }
    #expect(try await contents(disk.crashed(3)).ids == ["a"])
    _ = try await log.append([.event(sampleEvent("b"))])
    #expect(log.failure == nil)
    await log.close()
    #expect(try await contents(disk).ids == ["a", "b"])
  }

  @Test("a failed sync is fatal to its segment: the event is refused, the next one begins anew")
  func failedSync() async throws {
    let disk = FaultyDisk()
    let (log, _) = try EventLog.open(disk: disk, configuration())
    _ = try await log.append([.event(sampleEvent("a"))])
    disk.inject(.batchSync, EIO)
    await #expect(throws: BusError.self) { _ = try await log.append([.event(sampleEvent("b"))]) }
    #expect(log.position(of: sampleEvent("b").identity) == nil)
    #expect(try log.read(after: nil, limit: 9, bytes: .max).compactMap(\.id) == ["a"])
    #expect(segments(disk).count == 2 && log.failure == nil)
    let again = try await log.append([.event(sampleEvent("b"))])
    #expect(!again[0].isDuplicate && again[0].position == Position(offset: 2))
    for seed in UInt64(0)..<20 {
      #expect(try await contents(disk.crashed(seed)).ids == ["a", "b"])
    }
    await log.close()
  }

  @Test("while no new segment can be made nothing is acknowledged, and reading goes on")
  func failedForLong() async throws {
    let disk = FaultyDisk()
    let (log, _) = try EventLog.open(disk: disk, configuration())
    _ = try await log.append([.event(sampleEvent("a"))])
    disk.inject(.batchSync, EIO)
    for _ in 0..<3 { disk.inject(.rollSync, EIO) }
    for id in ["b", "c"] {
      await #expect(throws: BusError.self) { _ = try await log.append([.event(sampleEvent(id))]) }
      #expect(log.failure != nil)
    }
    #expect(try log.read(after: nil, limit: 9, bytes: .max).compactMap(\.id) == ["a"])
    #expect(try await log.append([.event(sampleEvent("a"))])[0].isDuplicate, "that is known")
    // Nobody has to send anything for it to recover.
    await log.keepUp()
    await log.keepUp()
    #expect(log.failure == nil)
    _ = try await log.append([.event(sampleEvent("b"))])
    await log.close()
    #expect(try await contents(disk.crashed(1)).ids == ["a", "b"])
  }

  @Test("the end of a given-up segment does not count, even where it cannot be cut")
  func superseded() async throws {
    let disk = FaultyDisk()
    let (log, _) = try EventLog.open(disk: disk, configuration())
    _ = try await log.append([.event(sampleEvent("a"))])
    disk.inject(.batchSync, EIO)
    disk.inject(.batchCut, EIO)
    await #expect(throws: BusError.self) { _ = try await log.append([.event(sampleEvent("b"))]) }
    _ = try await log.append([.event(sampleEvent("c"))])
    await log.close()
    #expect(borders(disk[firstSegment]).count == 3, "the record is in the file")
    let found = try await contents(disk)
    #expect(found.ids == ["a", "c"] && found.recovery.damages.isEmpty)
    var seen: [String] = []
    let report = try EventLogReader(disk: disk).read { seen += [$0.id ?? ""] }
    #expect(seen == ["a", "c"] && report.damages.isEmpty)
  }
}
