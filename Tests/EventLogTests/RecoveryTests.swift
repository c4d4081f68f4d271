import Bus
import Event
import EventLog
import Glibc
import Synchronization
import TestKit
import Testing

@Suite struct RecoveryTests {
  @Test("a torn tail is cut at every length, and what stands before it is whole")
  func tornTail() async throws {
    let whole = try await filled(3)[firstSegment]
    let borders = borders(whole)
    for length in 0..<whole.count {
      let torn = FaultyDisk()
      torn[firstSegment] = Array(whole.prefix(length))
      let found = try await contents(torn)
      let kept = max(0, borders.count { $0 <= length } - 1)
      let end = length < headerBytes ? 0 : borders[kept]
      #expect(found.ids == (0..<kept).map { "e\($0)" })
      #expect(found.recovery.damages.isEmpty)
      // Zeros at the end are told from those that are written ahead by nobody.
      let cut = whole[min(end, length)..<length]
      let zeros = length < headerBytes ? 0 : cut.reversed().prefix { $0 == 0 }.count
      #expect(found.recovery.cutBytes == cut.count - zeros)
      #expect(torn[firstSegment].count == max(headerBytes, end))
      let again = try await contents(torn)
      #expect(again.ids == found.ids && again.recovery.cutBytes == 0)
    }
  }

  @Test("zeros that a crash left behind the last record are cut", arguments: [1, 33, 5000])
  func zeros(count: Int) async throws {
    let disk = try await filled(2)
    let length = disk[firstSegment].count
    disk[firstSegment] += [UInt8](repeating: 0, count: count)
    let found = try await contents(disk)
    #expect(found.ids == ["e0", "e1"] && found.recovery.cutBytes == 0)
    #expect(disk[firstSegment].count == length)
  }

  @Test("zeros are written ahead of small batches, are no torn tail, and do not stay behind")
  func ahead() async throws {
    let disk = FaultyDisk()
    var settings = configuration(segmentBytes: 20_000)
    settings.aheadBytes = 4000
    let (log, _) = try EventLog.open(disk: disk, settings)
    _ = try await log.append([.event(sampleEvent("e0"))])
    let size = disk[firstSegment].count
    #expect(size > 4000)
    _ = try await log.append([.event(sampleEvent("e1"))])
    #expect(disk[firstSegment].count == size, "it overwrites what is there")
    for seed in UInt64(0)..<20 {
      let (again, recovery) = try EventLog.open(disk: disk.crashed(seed), settings)
      #expect(again.committed == Position(offset: 2))
      #expect(recovery.cutBytes == 0 && recovery.damages.isEmpty)
      await again.close()
    }
    var ids: [String] = []
    let report = try EventLogReader(disk: disk).read { ids += [$0.id ?? ""] }
    #expect(ids == ["e0", "e1"] && report.tailBytes == 0 && report.damages.isEmpty)
    // A large batch is its own reason to wait for the journal.
    _ = try await log.append([.event(sampleEvent("large", bytes: 5000))])
    #expect(disk[firstSegment].count == borders(disk[firstSegment]).last)
    for number in 2..<120 {
      _ = try await log.append([.event(sampleEvent("e\(number)", bytes: 300))])
    }
    await log.close()
    #expect(segments(disk).count > 1)
    for name in segments(disk) { #expect(borders(disk[name]).last == disk[name].count) }
  }

  @Test("where zeros find no space the batch alone is written")
  func aheadOnFullDisk() async throws {
    let disk = FaultyDisk()
    var settings = configuration()
    settings.aheadBytes = 4000
    let (log, _) = try EventLog.open(disk: disk, settings)
    disk.inject(.batchWrite, ENOSPC)
    _ = try await log.append([.event(sampleEvent("e0"))])
    #expect(disk[firstSegment].count == borders(disk[firstSegment]).last)
    await log.close()
    #expect(try await contents(disk.crashed(1)).ids == ["e0"])
  }

  @Test("zeros that a crash left in a sealed segment cost one scan, not one at each start")
  func aheadInSealed() async throws {
    let disk = try await filled(12, segmentBytes: 500)
    let name = segments(disk)[1]
    let length = disk[name].count
    disk[name] += [UInt8](repeating: 0, count: 4000)
    let first = try await contents(disk, segmentBytes: 500)
    #expect(first.recovery.damages.isEmpty && disk[name].count == length)
    let second = try await contents(disk, segmentBytes: 500)
    #expect(second.ids == first.ids)
    #expect(second.recovery.scannedBytes < first.recovery.scannedBytes)
  }

  @Test("one flipped bit loses its own record and no other, and the exact range is told")
  func flippedBit() async throws {
    let disk = try await filled(4)
    let whole = disk[firstSegment]
    let borders = borders(whole)
    for bit in 0..<whole.count * 8 {
      let broken = FaultyDisk()
      var bytes = whole
      bytes[bit / 8] ^= 1 << (bit % 8)
      broken[firstSegment] = bytes
      let found = try await contents(broken)
      let hit = borders.lastIndex { $0 <= bit / 8 }
      #expect(found.ids == (0..<4).filter { $0 != hit }.map { "e\($0)" }, "bit \(bit)")
      guard let hit, hit < 3 else {
        // A header is there twice; behind the last record nothing tells damage from a torn tail.
        #expect(found.recovery.damages == [])
        let zeros = bytes.last == 0 ? 1 : 0
        #expect(found.recovery.cutBytes == (hit == nil ? 0 : whole.count - borders[3] - zeros))
        continue
      }
      let offsets = UInt64(hit + 1)..<UInt64(hit + 2)
      #expect(
        found.recovery.damages == [
          Damage(file: firstSegment, bytes: borders[hit]..<borders[hit + 1], offsets: offsets)
        ]
      )
      #expect(broken[firstSegment] == bytes, "nothing is overwritten")
    }
  }

  @Test("after damage the log goes on, knows the rest, and a second opening finds the same")
  func appendAfterDamage() async throws {
    let disk = try await filled(3)
    disk[firstSegment][headerBytes + 40] ^= 1
    let (log, recovery) = try EventLog.open(disk: disk, configuration())
    #expect(try await log.append([.event(sampleEvent("e1"))])[0].isDuplicate)
    // What damage took is taken again when its sender repeats it.
    #expect(try await !log.append([.event(sampleEvent("e0"))])[0].isDuplicate)
    #expect(try log.record(at: Position(offset: 1)) == nil)
    await log.close()
    let found = try await contents(disk)
    #expect(found.ids == ["e1", "e2", "e0"])
    #expect(found.recovery.damages == recovery.damages && recovery.damages.count == 1)
  }

  @Test("damage in an older segment, its end included, takes nothing behind it along")
  func olderSegment() async throws {
    let disk = try await filled(6, segmentBytes: 300)
    let names = segments(disk)
    try #require(names.count == 3)
    for name in disk.names where !names.contains(name) { disk[name] = [] }
    let size = disk[names[0]].count
    disk[names[0]].removeLast(10)
    disk[names[1]].removeSubrange(20...)
    let found = try await contents(disk, segmentBytes: 300)
    #expect(found.ids == ["e0", "e4", "e5"])
    let border = borders(disk[names[0]])[1]
    #expect(
      found.recovery.damages == [
        Damage(file: names[0], bytes: border..<size - 10, offsets: 2..<3),
        Damage(file: names[1], bytes: headerBytes..<headerBytes, offsets: 3..<5),
      ]
    )
  }

  @Test("a segment that is gone is reported with its offsets")
  func missingSegment() async throws {
    let disk = try await filled(6, segmentBytes: 300)
    let names = segments(disk)
    try disk.remove(names[1], .dropRemove)
    let found = try await contents(disk, segmentBytes: 300)
    #expect(found.ids == ["e0", "e1", "e4", "e5"])
    #expect(found.recovery.damages.map(\.offsets) == [3..<5])
  }

  @Test("a lost first sector costs its records alone, where another segment tells the seed")
  func lostSector() async throws {
    let disk = try await filled(6, segmentBytes: 600)
    let names = segments(disk)
    try #require(names.count == 2)
    try disk.remove(names[0].dropLast(4) + ".idx", .indexRemove)
    let lost = borders(disk[names[0]]).lastIndex { $0 < 100 }
    for index in 0..<100 { disk[names[0]][index] = 0 }
    let found = try await contents(disk, segmentBytes: 600)
    #expect(found.ids == (1..<6).map { "e\($0)" } && lost == 0)
    #expect(found.recovery.damages.map(\.offsets) == [1..<1, 1..<2])
  }

  @Test("a log whose only header is lost is refused in words and left as it is")
  func lostHeader() async throws {
    let disk = try await filled(2)
    for index in 0..<headerBytes { disk[firstSegment][index] = 0 }
    let before = disk[firstSegment]
    let error = #expect(throws: LogError.self) {
      _ = try EventLog.open(disk: disk, configuration())
    }
    #expect(error?.description.contains("neither copy of its header") == true)
    #expect(disk[firstSegment] == before)
  }

  @Test("bytes of an event are never taken for a record, even behind damage")
  func forgedRecord() async throws {
    let disk = try await filled(2)
    let real = disk[firstSegment]
    let second = Array(real[borders(real)[1]...])
    // A sender who knows everything but the seed puts a record into its event.
    var forged = Array(second[..<4]) + littleEndian(UInt64(4))
    let sum = crc32c(forged)
    let body = Array(second[20...])
    forged += littleEndian(sum)
    forged += littleEndian(crc32c(body, from: sum)) + body
    var event = sampleEvent("carrier")
    event.data = forged + forged
    let (log, _) = try EventLog.open(disk: disk, configuration())
    _ = try await log.append([.event(event)])
    _ = try await log.append([.event(sampleEvent("last"))])
    await log.close()
    disk[firstSegment][real.count + 20] ^= 1
    let found = try await contents(disk)
    #expect(found.ids == ["e0", "e1", "last"])
    #expect(found.recovery.damages.map(\.offsets) == [3..<4])
  }

  @Test("the next record behind a large damaged area is found, whatever the area looks like")
  func largeDamage() async throws {
    let disk = FaultyDisk()
    let (log, _) = try EventLog.open(disk: disk, configuration())
    let large = sampleEvent("b", bytes: 3 << 20)
    _ = try await log.append([.event(sampleEvent("a")), .event(large)])
    _ = try await log.append([.event(sampleEvent("c"))])
    await log.close()
    let start = borders(disk[firstSegment])[1]
    var bytes = disk[firstSegment]
    // As bad as can be: its own head again and again, with a length that reaches far.
    let head = Array(bytes[start..<start + 20])
    for index in stride(from: start + 33, to: start + 3_000_000, by: 3300) {
      bytes.replaceSubrange(index..<index + 20, with: head)
    }
    disk[firstSegment] = bytes
    let found = try await contents(disk)
    #expect(found.ids == ["a", "c"])
  }

  @Test("damage that appears while the log is open is stepped over and told once")
  func damageWhileOpen() async throws {
    let disk = try await filled(4)
    var settings = configuration()
    let told = Mutex<[Damage]>([])
    settings.hooks.damaged = { damage in told.withLock { $0.append(damage) } }
    let (log, _) = try EventLog.open(disk: disk, settings)
    disk[firstSegment][borders(disk[firstSegment])[1] + 40] ^= 4
    for _ in 0..<3 {
      let ids = try log.read(after: nil, limit: 9, bytes: .max).compactMap(\.id)
      #expect(ids == ["e0", "e2", "e3"])
    }
    #expect(try log.record(at: Position(offset: 2)) == nil)
    await log.close()
    #expect(told.withLock { $0.map(\.offsets) } == [2..<3])
  }

  @Test("a newer format is refused in words, and the file left as it is")
  func newerVersion() async throws {
    let disk = try await filled(1)
    for start in [0, 32] {
      disk[firstSegment][start + 6] = 9
      let sum = crc32c(disk[firstSegment][start..<start + 24])
      disk[firstSegment].replaceSubrange(start + 24..<start + 28, with: littleEndian(sum))
    }
    let before = disk[firstSegment]
    let error = #expect(throws: LogError.self) {
      _ = try EventLog.open(disk: disk, configuration())
    }
    #expect(
      error == .newerVersion("\(firstSegment) has format 9, this program knows 1")
    )
    #expect(disk[firstSegment] == before)
  }

  @Test("indexes are not read twice for nothing: a sealed segment is opened without its records")
  func indexes() async throws {
    let disk = try await filled(40, segmentBytes: 600)
    let last = try #require(segments(disk).last)
    let whole = try await contents(disk, segmentBytes: 600)
    #expect(whole.recovery.scannedBytes == disk[last].count && whole.recovery.records == 40)
    // Without them, and with bytes that are none, the same is found in the records.
    for name in disk.names where !name.hasSuffix(".log") {
      disk[name] = Array(disk[name].dropLast())
    }
    let again = try await contents(disk, segmentBytes: 600)
    #expect(again.ids == whole.ids && again.recovery.records == 40)
    #expect(again.recovery.scannedBytes == segments(disk).reduce(0) { $0 + disk[$1].count })
    let third = try await contents(disk, segmentBytes: 600)
    #expect(third.recovery == whole.recovery)
  }
}
