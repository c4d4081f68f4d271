import Bus
import Event
import EventLog
import TestKit
import Testing

/// What sealed segments hold is written down beside the appends.
@Suite struct SealingTests {
  private let hand = Hand(1000)

  private var settings: EventLog.Configuration {
    var settings = configuration(segmentBytes: 600)
    settings.sealsAside = true
    settings.clock = hand.clock
    settings.maxAge = .seconds(100)
    return settings
  }

  private func append(_ numbers: Range<Int>, to log: EventLog) async throws -> [Appended] {
    var answers: [Appended] = []
    for number in numbers { answers += try await log.append([.event(sampleEvent("e\(number)"))]) }
    return answers
  }

  private func duplicates(_ answers: [Appended]) -> Int { answers.count { $0.isDuplicate } }

  @Test("appends do not wait for it, duplicates are known meanwhile, closing ends it")
  func aside() async throws {
    let disk = FaultyDisk()
    let gate = Gate()
    disk.watch { if $0 == .indexWrite || $0 == .identitiesSync { gate.pass() } }
    let (log, _) = try EventLog.open(disk: disk, settings)
    _ = try await append(0..<10, to: log)
    await gate.arrival()
    // Were it waited for, this would never return.
    let later = try await append(10..<30, to: log)
    #expect(duplicates(later) == 0 && segments(disk).count > 5)
    let again = try await append(0..<30, to: log)
    #expect(duplicates(again) == 30)
    #expect(!disk.names.contains { $0.hasSuffix(".idx") })
    gate.open(for: 999)
    await log.close()
    #expect(disk.names.filter { $0.hasSuffix(".idx") }.count == segments(disk).count - 1)
    disk.watch { _ in }
    let (opened, recovery) = try EventLog.open(disk: disk, settings)
    #expect(recovery.scannedBytes == segments(disk).last.map { disk[$0].count })
    let known = try await append(0..<30, to: opened)
    #expect(duplicates(known) == 30)
    await opened.close()
  }

  @Test("a segment goes only when what is written down of it is done, and nothing of it stays")
  func beforeRelease() async throws {
    let disk = FaultyDisk()
    let gate = Gate()
    disk.watch { if $0 == .indexWrite { gate.pass() } }
    let (log, _) = try EventLog.open(disk: disk, settings)
    _ = try await append(0..<20, to: log)
    await gate.arrival()
    hand.set(2000)
    log.hold(Holds(ranges: ["cursor": Position(offset: 21)]))
    gate.open(for: 999)
    await log.keepUp()
    #expect(segments(disk).count == 1)
    await log.close()
    #expect(!disk.names.contains { $0.hasSuffix(".idx") })
  }

  @Test("what fails is said, and made good with the next segment")
  func failing() async throws {
    let disk = FaultyDisk()
    disk.inject(.identitiesSync, 5)
    let (log, _) = try EventLog.open(disk: disk, settings)
    _ = try await append(0..<30, to: log)
    await log.close()
    #expect(disk.failed[.identitiesSync] == 1)
    let (opened, _) = try EventLog.open(disk: disk, settings)
    let known = try await append(0..<30, to: opened)
    #expect(duplicates(known) == 30)
    await opened.close()
  }
}
