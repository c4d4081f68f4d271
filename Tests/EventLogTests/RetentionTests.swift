import Bus
import Event
import EventLog
import Glibc
import JSON
import Synchronization
import TestKit
import Testing

@Suite struct RetentionTests {
  private let hand = Hand(1000)

  private func settings(_ change: (inout EventLog.Configuration) -> Void = { _ in })
    -> EventLog.Configuration
  {
    var settings = configuration(segmentBytes: 500)
    settings.clock = hand.clock
    settings.maxAge = .seconds(100)
    change(&settings)
    return settings
  }

  /// A log with `count` events, one a second.
  private func open(
    _ disk: FaultyDisk,
    _ count: Int,
    _ settings: EventLog.Configuration
  ) async throws -> EventLog {
    let (log, _) = try EventLog.open(disk: disk, settings)
    for number in 0..<count {
      hand.set(1000 + Int64(number))
      _ = try await log.append([.event(sampleEvent("e\(number)"))])
    }
    return log
  }

  private func ids(_ log: EventLog) throws -> [String] {
    try log.read(after: nil, limit: .max, bytes: .max).compactMap(\.id)
  }

  @Test("what is old and held by nobody goes, whole segments at a time")
  func age() async throws {
    let disk = FaultyDisk()
    let log = try await open(disk, 50, settings())
    hand.set(1120)
    await log.keepUp()
    #expect(try ids(log).count == 50, "nobody said what is held")
    log.hold(Holds(ranges: ["cursor": Position(offset: 51)]))
    await log.keepUp()
    let left = try ids(log)
    #expect(
      left.first.map { ["e15", "e16", "e17", "e18", "e19", "e20", "e21"].contains($0) } == true
    )
    #expect(left.last == "e49")
    #expect(log.committed == Position(offset: 50))
    await log.close()
    let (again, recovery) = try EventLog.open(disk: disk, settings())
    #expect(try ids(again) == left && recovery.damages.isEmpty)
    await again.close()
    #expect(disk.names.filter { $0.hasSuffix(".idx") }.count == segments(disk).count - 1)
  }

  @Test("it tells with which record it begins: the first that was kept, damaged or not")
  func first() async throws {
    let disk = FaultyDisk()
    let log = try await open(disk, 50, settings())
    #expect(log.first == Position(offset: 1))
    hand.set(1120)
    log.hold(
      Holds(ranges: ["cursor": Position(offset: 51)], records: ["slot": [Position(offset: 5)]])
    )
    await log.keepUp()
    #expect(log.first == Position(offset: 5))
    log.hold(Holds(ranges: ["cursor": Position(offset: 51)]))
    await log.keepUp()
    let begins = try #require(try log.read(after: nil, limit: 1, bytes: 1).first?.position)
    #expect(log.first == begins && begins.offset > 5)
    await log.close()
    // The first record of a segment is damaged, not gone.
    disk[try #require(segments(disk).first)][headerBytes + 60] ^= 1
    for name in disk.names where name.hasSuffix(".idx") { disk[name] = [1] }
    let (again, _) = try EventLog.open(disk: disk, settings())
    #expect(try again.read(after: nil, limit: 1, bytes: 1).first?.position != begins)
    #expect(again.first == begins)
    await again.close()
  }

  @Test("nothing behind a cursor goes, however old")
  func cursor() async throws {
    let log = try await open(FaultyDisk(), 50, settings())
    hand.set(9000)
    log.hold(Holds(ranges: ["cursor": Position(offset: 11)]))
    await log.keepUp()
    let left = try ids(log)
    #expect(left.contains("e10") && !left.contains("e0") && left.last == "e49")
    #expect(log.figures.heldBytes["cursor"].map { $0 > 3000 && $0 < log.figures.bytes } == true)
    await log.close()
  }

  @Test("single records are kept under their positions; a crash at any call changes nothing")
  func kept() async throws {
    let full = FaultyDisk()
    await (try await open(full, 50, settings())).close()
    hand.set(9000)
    let held = [3, 4, 17, 30].map { Position(offset: $0) }
    let holds = Holds(
      ranges: ["cursor": Position(offset: 45)],
      records: ["slots": Set(held)]
    )
    var calls = 0
    while true {
      let disk = full.copy()
      let (log, _) = try EventLog.open(disk: disk, settings())
      let before = disk.calls.values.reduce(0, +)
      disk.crash(after: calls)
      log.hold(holds)
      await log.keepUp()
      disk.clearFaults()
      for (log, isCrashed) in [
        (log, false), (try EventLog.open(disk: disk.crashed(UInt64(calls)), settings()).log, true),
      ] {
        for position in held {
          #expect(try log.record(at: position)?.id == "e\(position.offset - 1)", "call \(calls)")
        }
        let positions = try log.read(after: nil, limit: .max, bytes: .max).map(\.position)
        #expect(positions == positions.sorted() && Set(positions).count == positions.count)
        #expect(positions.last == Position(offset: 50) && positions.contains(Position(offset: 45)))
        if !isCrashed {
          // What failed is done the next time.
          await log.keepUp()
          #expect(
            try log.read(after: nil, limit: 5, bytes: .max).map(\.position).prefix(4) == held[...]
          )
        }
        await log.close()
      }
      calls += 1
      if disk.calls.values.reduce(0, +) - before < calls { break }
    }
    #expect(calls > 10)
  }

  @Test("what was kept goes too, when it is not held any more")
  func keptGoes() async throws {
    let disk = FaultyDisk()
    let log = try await open(disk, 50, settings())
    hand.set(9000)
    let cursor = ["cursor": Position(offset: 51)]
    log.hold(
      Holds(ranges: cursor, records: ["slots": [Position(offset: 3), Position(offset: 20)]])
    )
    await log.keepUp()
    let left = try ids(log)
    #expect(left.prefix(2) == ["e2", "e19"])
    log.hold(Holds(ranges: cursor, records: ["slots": [Position(offset: 20)]]))
    await log.keepUp()
    #expect(try ids(log).first == "e19")
    log.hold(Holds(ranges: cursor))
    await log.keepUp()
    #expect(try ids(log).isEmpty)
    let report = try EventLogReader(disk: disk).read { _ in }
    #expect(report.damages.isEmpty)
    await log.close()
  }

  @Test("a segment that nobody writes to is sealed by its age, so that it can go")
  func idle() async throws {
    let disk = FaultyDisk()
    let log = try await open(disk, 2, settings { $0.segmentAge = .seconds(60) })
    log.hold(Holds(ranges: ["cursor": Position(offset: 3)]))
    hand.set(1059)
    await log.keepUp()
    #expect(segments(disk).count == 1)
    for time in [1060, 1099, 2000] as [Int64] {
      hand.set(time)
      await log.keepUp()
    }
    #expect(try ids(log).isEmpty && segments(disk).count == 1)
    #expect(try await log.append([.event(sampleEvent("x"))])[0].position == Position(offset: 3))
    await log.close()
    let (again, recovery) = try EventLog.open(disk: disk, settings())
    #expect(try ids(again) == ["x"] && recovery.damages.isEmpty)
    await again.close()
  }

  @Test("at the first budget events from sources are refused, what ends work in flight is not")
  func budgets() async throws {
    let log = try await open(
      FaultyDisk(),
      0,
      settings {
        $0.maxBytes = 2000
        $0.reserveBytes = 1000
      }
    )
    var stored = 0
    var refusal: BusError?
    while refusal == nil {
      do throws(BusError) {
        _ = try await log.append([.event(sampleEvent("e\(stored)"))])
        stored += 1
      } catch { refusal = error }
    }
    guard case .full = refusal else { throw refusal ?? .closed }
    #expect(try await log.append([.event(sampleEvent("e0"))])[0].isDuplicate)
    var outcome = sampleEvent("o")
    outcome.source = Event.outcomeSource
    _ = try await log.append([.event(outcome), .note(Note(kind: 1, bytes: []))])
    await #expect(throws: BusError.self) {
      while true { _ = try await log.append([.note(Note(kind: 1, bytes: [1, 2, 3]))]) }
    }
    let bytes = log.figures.bytes
    #expect(bytes >= 3000 && bytes < 3600)
    #expect(try ids(log).count == stored + 1, "nothing is discarded")
    // Space comes free when what is held is let go.
    log.hold(Holds(ranges: ["cursor": Position(offset: log.committed?.offset ?? 0)]))
    hand.set(9000)
    await log.keepUp()
    let again = try await log.append([.event(sampleEvent("later"))])
    #expect(!again[0].isDuplicate)
    await log.close()
  }

  @Test("without a limit of its own the log takes 80 % of what is free, and keeps it at a restart")
  func share() async throws {
    let disk = FaultyDisk()
    disk.setFreeBytes(10_000)
    var log = try await open(disk, 20, settings())
    #expect(log.figures.maxBytes == 8000)
    let bytes = log.figures.bytes
    await log.close()
    disk.setFreeBytes(10_000 - bytes)
    log = try EventLog.open(disk: disk, settings()).log
    #expect(log.figures.maxBytes == 8000)
    await log.close()
  }

  @Test("the last snapshot is found at once, also after opening")
  func snapshot() async throws {
    let disk = FaultyDisk()
    let log = try await open(disk, 5, settings())
    #expect(log.snapshot == nil)
    let note = Draft.note(Note(kind: Note.snapshotKind, bytes: [1]))
    let position = try await log.append([note, note])[1].position
    for number in 10..<20 { _ = try await log.append([.event(sampleEvent("e\(number)"))]) }
    #expect(log.snapshot == position)
    await log.close()
    let (again, _) = try EventLog.open(disk: disk, settings())
    #expect(again.snapshot == position)
    await again.close()
  }

  @Test("reading can begin at a time")
  func byTime() async throws {
    let log = try await open(FaultyDisk(), 50, settings())
    for second in [0, 1010, 1025, 1049, 5000] as [Int64] {
      let start = log.position(before: Timestamp(nanoseconds: second * 1_000_000_000))
      let found = try log.read(after: start, limit: .max, bytes: .max)
      let wanted = try log.read(after: nil, limit: .max, bytes: .max)
        .filter { $0.time.nanoseconds >= second * 1_000_000_000 }
      #expect(found.suffix(wanted.count) == wanted[...])
      #expect(found.count <= wanted.count + 10)
    }
    await log.close()
  }

  // MARK: Deduplication

  @Test("identities are remembered across segments and openings, and for the window only")
  func window() async throws {
    let disk = FaultyDisk()
    let window = settings {
      $0.identityWindow = .seconds(30)
      $0.maxAge = .seconds(10_000)
    }
    var log = try await open(disk, 50, window)
    for isOpenedAgain in [false, true] {
      if isOpenedAgain {
        await log.close()
        log = try EventLog.open(disk: disk, window).log
      }
      for number in [25, 40, 49] {
        let answer = try await log.append([.event(sampleEvent("e\(number)"))])[0]
        #expect(
          answer == Appended(position: Position(offset: UInt64(number + 1)), isDuplicate: true)
        )
      }
    }
    let late = try await log.append([.event(sampleEvent("e3"))])[0]
    #expect(!late.isDuplicate)
    #expect(try await log.append([.event(sampleEvent("e3"))])[0].position == late.position)
    #expect(log.position(of: sampleEvent("e3").identity) == late.position)
    await log.close()
  }

  @Test("of more identities than are to be remembered the oldest are forgotten")
  func count() async throws {
    let log = try await open(FaultyDisk(), 100, settings { $0.identityCount = 20 })
    #expect(try await log.append([.event(sampleEvent("e99"))])[0].isDuplicate)
    #expect(try await log.append([.event(sampleEvent("e80"))])[0].isDuplicate)
    let forgotten = try await log.append([.event(sampleEvent("e10"))])[0]
    #expect(!forgotten.isDuplicate)
    await log.close()
  }

  @Test("what is said to be remembered is remembered, and nothing before it")
  func sinceWhen() async throws {
    let seconds: (EventLog) -> Int64? = { $0.figures.identitiesSince.map { $0 / 1_000_000_000 } }
    for setting in [
      settings { $0.identityCount = 20 }, settings { $0.identityWindow = .seconds(30) },
    ] {
      let log = try await open(FaultyDisk(), 100, setting)
      let since = try #require(seconds(log))
      #expect((1065...1095).contains(since))
      let first = try await log.append([.event(sampleEvent("e\(since - 1000)"))])[0]
      #expect(first.isDuplicate)
      let before = try await log.append([.event(sampleEvent("e\(since - 1001)"))])[0]
      #expect(!before.isDuplicate)
      await log.close()
    }
  }

  @Test("what has gone from the log is forgotten, what was kept is not, before and after opening")
  func forgotten() async throws {
    let disk = FaultyDisk()
    let settings = settings { $0.identityWindow = .seconds(100_000) }
    var log = try await open(disk, 300, settings)
    let size = disk["identities"].count
    for round in 1...20 {
      let kept = Position(offset: 10)
      log.hold(Holds(ranges: ["cursor": log.committed ?? kept], records: ["slot": [kept]]))
      hand.set(1000 + Int64(round) * 1000)
      await log.keepUp()
      if round == 10 {
        await log.close()
        for name in disk.names where !name.hasSuffix(".log") { disk[name] = [] }
        log = try EventLog.open(disk: disk, settings).log
      }
      #expect(try await log.append([.event(sampleEvent("e9"))])[0].position == kept)
      #expect(try await !log.append([.event(sampleEvent("e8"))])[0].isDuplicate)
      for number in 0..<300 {
        _ = try await log.append([.event(sampleEvent("r\(round)-\(number)"))])
      }
    }
    #expect(disk["identities"].count <= 4 * size, "the index does not grow with what is gone")
    await log.close()
  }

  @Test("a table of many identities grows, and knows all of them after a crash")
  func table() async throws {
    let disk = FaultyDisk()
    var settings = configuration(segmentBytes: 20_000)
    settings.segmentAge = .seconds(100_000)
    let (log, _) = try EventLog.open(disk: disk, settings)
    let ids = (0..<3000).map { "e\($0)" }
    for start in stride(from: 0, to: ids.count, by: 100) {
      _ = try await log.append(ids[start..<start + 100].map { .event(sampleEvent($0)) })
    }
    #expect(disk["identities"].count > 3000 * 24)
    let (again, _) = try EventLog.open(disk: disk.crashed(5), settings)
    let answers = try await again.append(ids.map { .event(sampleEvent($0)) })
    #expect(answers.allSatisfy { $0.isDuplicate })
    #expect(answers.map(\.position.offset) == (1...3000).map { UInt64($0) })
    await again.close()
    await log.close()
  }

  @Test("another event under a known id is stored under its own, and an event says so")
  func conflict() async throws {
    let (log, _) = try EventLog.open(disk: FaultyDisk(), configuration())
    func event(_ digest: String?) -> Draft {
      var event = sampleEvent("id")
      event.digest = digest
      return .event(event)
    }
    let first = try await log.append([event("aaaaaaaaaaaa")])[0]
    let other = try await log.append([event("bbbbbbbbcccc"), event("bbbbbbbbcccc")])
    #expect(other.map(\.otherID) == ["id~bbbbbbbb", "id~bbbbbbbb"])
    #expect(other.map(\.isDuplicate) == [false, true] && other[0].position == other[1].position)
    for digest in ["aaaaaaaaaaaa", nil] {
      let again = try await log.append([event(digest)])[0]
      #expect(again == Appended(position: first.position, isDuplicate: true))
    }
    let third = try await log.append([event("bbbbbbbbcccc")])[0]
    #expect(third.isDuplicate && third.otherID == "id~bbbbbbbb")
    let records = try log.read(after: nil, limit: .max, bytes: .max)
    #expect(records.count == 3)
    guard case .event(let notice)? = records.last?.content else { throw BusError.closed }
    #expect(notice.type == "signalbox.id-conflict")
    #expect(try JSON(parsing: notice.data)["storedAs"] == "id~bbbbbbbb")
    await log.close()
  }
}
