import Bus
import Event
import EventLog
import Glibc
import Posix
import TestKit
import Testing

@Suite struct ReaderTests {
  @Test("a reader finds what opening finds, damage included, and changes nothing")
  func sameAsOpening() async throws {
    for seed in UInt64(0)..<40 {
      var random = Seeded(seed)
      let disk = try await filled(12, segmentBytes: 500)
      for name in disk.names where !name.hasSuffix(".log") { try disk.remove(name, .dropRemove) }
      for _ in 0..<3 {
        let name = try #require(segments(disk).dropLast().randomElement(using: &random))
        disk[name][Int.random(in: 0..<disk[name].count, using: &random)] ^= 0x10
      }
      let before = disk.names.map { disk[$0] }
      var ids: [String] = []
      let report = try EventLogReader(disk: disk).read { ids += [$0.id ?? ""] }
      #expect(disk.names.map { disk[$0] } == before)
      let found = try await contents(disk, segmentBytes: 500)
      #expect(ids == found.ids && report.records == ids.count)
      #expect(Set(report.damages) == Set(found.recovery.damages))
    }
  }

  @Test(
    "a pass may begin at a position or a time, reads little before it, and goes on where it was"
  )
  func starts() async throws {
    let hand = Hand(1000)
    let disk = FaultyDisk()
    var settings = configuration(segmentBytes: 400_000)
    settings.clock = hand.clock
    let (log, _) = try EventLog.open(disk: disk, settings)
    for number in 0..<600 {
      hand.set(1000 + Int64(number))
      _ = try await log.append([.event(sampleEvent("e\(number)", bytes: 4000))])
    }
    let reader = EventLogReader(disk: disk)
    let all = disk.names.filter { $0.hasSuffix(".log") }.reduce(0) { $0 + disk[$1].count }
    #expect(segments(disk).count > 5)
    for isIndexed in [true, false] {
      if !isIndexed { for name in disk.names where name.hasSuffix(".idx") { disk[name] = [1] } }
      for first in [0, 1, 150, 311, 599] {
        let time = Timestamp(nanoseconds: Int64(1000 + first) * 1_000_000_000)
        let starts: [EventLogReader.Start] = [
          .since(time), .after(Position(offset: UInt64(first))),
        ]
        for start in starts {
          var ids: [String] = []
          let report = try reader.read(start) { ids += [$0.id ?? ""] }
          #expect(ids == (first..<600).map { "e\($0)" } && report.damages == [])
          // A segment at most without an index, a little more than a mark's distance with one.
          let most = all - first * 4000 + (isIndexed ? 150_000 : 450_000)
          #expect(report.scannedBytes <= most, "\(start): \(report.scannedBytes)")
        }
      }
    }
    var none = try reader.read(.since(Timestamp(nanoseconds: .max))) { _ in }
    for number in 600..<800 {
      _ = try await log.append([.event(sampleEvent("e\(number)", bytes: 4000))])
      var ids: [String] = []
      none = try reader.read(.goingOn(try #require(none.end))) { ids += [$0.id ?? ""] }
      #expect(ids == ["e\(number)"] && none.damages == [] && none.scannedBytes < 20_000)
    }
    await log.close()
  }

  @Test("a reader tells how far it is")
  func progress() async throws {
    let disk = try await filled(30, segmentBytes: 500)
    var shares: [Double] = []
    _ = try EventLogReader(disk: disk).read(
      progress: { shares.append(Double($0.done) / Double($0.total)) }
    ) { _ in
    }
    #expect(shares == shares.sorted() && shares.last == 1 && shares.count > 3)
  }

  @Test("a log being written is copied whole: the copy is a log with every record before it")
  func backup() async throws {
    try await withTemporaryFolder { folder in
      var settings = configuration(segmentBytes: 20_000)
      settings.maxAge = .zero
      let (log, _) = try EventLog.open(folder: folder + "/log", settings)
      for number in 0..<200 { _ = try await log.append([.event(sampleEvent("e\(number)"))]) }
      let writer = Task {
        var number = 200
        while !Task.isCancelled {
          _ = try await log.append([.event(sampleEvent("e\(number)", bytes: 500))])
          number += 1
          if number % 20 == 0 { log.hold(Holds(ranges: ["cursor": Position(offset: 190)])) }
        }
      }
      let reader = EventLogReader(folder: folder + "/log")
      for copy in 0..<5 {
        let target = folder + "/copy\(copy)"
        let committed = try #require(log.committed)
        let report = try reader.backup(to: target)
        #expect(report.damages.isEmpty)
        let (restored, recovery) = try EventLog.open(folder: target, settings)
        let offsets = try restored.read(after: nil, limit: .max, bytes: .max).map(\.position.offset)
        let first = try #require(offsets.first)
        #expect(offsets == Array(first..<first + UInt64(offsets.count)) && first <= 190)
        #expect(try #require(offsets.last) >= committed.offset)
        #expect(recovery.damages.isEmpty && recovery.cutBytes == 0)
        await restored.close()
      }
      writer.cancel()
      _ = await writer.result
      #expect(throws: LogError.self) { _ = try reader.backup(to: folder + "/copy0") }
      await log.close()
    }
  }

  @Test("a folder that is not there is an error in words")
  func noFolder() {
    let error = #expect(throws: LogError.self) {
      _ = try EventLogReader(folder: "/nowhere/at/all").read { _ in }
    }
    #expect(error?.description.contains("No such file") == true)
  }
}
