import Bus
import Engine
import Event
import EventLog
import JSON
import Plugin
import Posix
import Sensor
import Synchronization
import TestKit
import Testing

extension EngineTests {
  /// A log that lets everything go at once that is not held, in small segments.
  func forgetful() -> EventLog.Configuration {
    var settings = EventLog.Configuration()
    settings.segmentBytes = 2000
    settings.maxAge = .zero
    return settings
  }

  private func snapshots(every records: Int) -> Engine.Configuration {
    var configuration = Engine.Configuration()
    configuration.snapshotRecords = records
    return configuration
  }

  private func positions(_ log: EventLog) throws -> [UInt64] {
    try log.read(after: nil, limit: .max, bytes: .max).map(\.position.offset)
  }

  @Test("a start from a snapshot knows what a start from the first record knows")
  func startFromSnapshot() async throws {
    let pair = try sensor("pair", "suite", ["x", "y"], "d0 && d1")
    let single = try sensor("single", "suite", ["x"], "d0")
    let stuck = Script([.retry(after: .seconds(3600), why: "later", result: .null)])
    let done = Script([.done(result: .null)])
    let plans = [trigger(pair, done), trigger(single, stuck, attempts: 9)]
    let ids = (0..<40).map { "x\($0)" }
    try await run([pair, single], plans, log: forgetful(), engine: snapshots(every: 10)) { log in
      for id in ids { _ = try await log.append([event(id, "x")]) }
      while try decided(log) < ids.count { await turn() }
      while stuck.firings.isEmpty { await turn() }
    }
    let second = Script([.done(result: .null)])
    let other = Script([.done(result: .null)])
    let again = [trigger(pair, other), trigger(single, second)]
    let waiting = try await run(
      [pair, single],
      again,
      log: forgetful(),
      engine: snapshots(every: 10)
    ) { log in
      #expect(log.snapshot != nil)
      _ = try await log.append([event("y", "y")])
      while second.firings.count < ids.count || other.firings.isEmpty { await turn() }
    }
    #expect(waiting.count == ids.count)
    #expect(second.firings.map { $0.events[0].event.id } == ids)
    #expect(other.firings.map { $0.events.map(\.event.id) } == [["x39", "y"]])
  }

  @Test("a snapshot of the first version is taken up; one of a later version is refused in words")
  func versions() async throws {
    let pair = try sensor("pair", "suite", ["x", "y"], "d0 && d1")
    let script = Script([.done(result: .null)])
    let plans = [trigger(pair, script)]
    var place = ""
    try await run([pair], plans) { log in
      place = try await log.append([event("x1", "x")])[0].position.description
    }
    func snapshot(_ version: String) -> Note {
      let text = #"""
        {\#(version)"asOf":"\#(place)","cursor":"\#(place)","planned":"1","replays":0,
        "sensors":{"default/pair":{"d0":"d0x","d1":"d1y"}},"starts":{"default/pair":"1"},
        "slots":[{"trigger":["default","pair","t"],"events":[{"dependency":"d0","source":"suite",
        "id":"x1","at":"\#(place)","hops":0,"path":[]}]}],"parked":[],"lanes":[],"places":{}}
        """#
      return Note(kind: Note.snapshotKind, bytes: Array(text.utf8))
    }
    let log = try await storage.open()
    _ = try await log.append([.note(snapshot(""))])
    await log.close()
    try await run([pair], plans) { log in
      _ = try await log.append([event("y1", "y")])
      _ = try await events(log, until: "pair/t/succeeded")
    }
    #expect(script.firings.map { $0.events.map(\.event.id) } == [["x1", "y1"]])
    let later = try await storage.open()
    _ = try await later.append([.note(snapshot(#""version":99,"#))])
    await later.close()
    let error = await #expect(throws: NoteError.self) { try await run([pair], plans) { _ in } }
    #expect(error?.description.contains("version 99, written by a newer Signalbox") == true)
  }

  @Test("a decision on the log keeps when its events arrived")
  func arrivalTimes() throws {
    let trigger = TriggerID(sensor: SensorID(namespace: "default", name: "s"), name: "t")
    for time in [nil, Timestamp(nanoseconds: 1_700_000_000_123_456_789)] {
      let event = EventReference(
        dependency: "d",
        source: "s",
        eventID: "e",
        place: "7",
        hops: 0,
        path: [],
        time: time
      )
      let note = DecisionNote(consumed: Position(offset: 8), changes: [.hold(trigger, event)])
      #expect(try DecisionNote(note.note) == note)
    }
  }

  @Test("records go when no slot, firing or cursor needs them, and those that are needed stay")
  func letGo() async throws {
    let pair = try sensor("pair", "suite", ["x", "y"], "d0 && d1")
    let single = try sensor("single", "suite", ["z"], "d0")
    let script = Script([.done(result: .null)])
    let plans = [trigger(pair, script), trigger(single, script)]
    try await run([pair, single], plans, log: forgetful(), engine: snapshots(every: 20)) { log in
      let slot = try await log.append([event("x", "x")])[0].position
      for number in 0..<100 { _ = try await log.append([event("z\(number)", "z")]) }
      _ = try await events(log, until: "single/t/succeeded")
      while script.firings.count < 100 { await turn() }
      // The snapshots are written while the outcomes are read.
      while try positions(log).dropFirst().first.map({ $0 < 100 }) ?? true {
        await log.keepUp()
        _ = try await log.append([event("more\(log.committed?.offset ?? 0)", "nothing")])
      }
      #expect(try log.record(at: slot) != nil)
      _ = try await log.append([event("y", "y")])
      _ = try await events(log, until: "pair/t/succeeded")
      #expect(script.firings.last?.events.map(\.event.id) == ["x", "y"])
    }
  }

  @Test(
    "killed at any record, firings of a log with snapshots end once each",
    .embeddedLogOnly("the disk counts to the end; programs on Kafka are killed by KafkaTests")
  )
  func snapshotsAndCrashes() async throws {
    let single = try sensor("single", "suite", ["x"], "d0")
    var fired: Set<FiringID> = []
    var ended: [FiringID: Int] = [:]
    for life in 0..<12 {
      let script = Script([.done(result: .null)])
      let disk = storage.disk
      try await run(
        [single],
        [trigger(single, script)],
        engine: snapshots(every: 7)
      ) { log in
        // From here on the disk takes nothing: as if the process had been killed there.
        disk.crash(after: 40 + life * 9)
        for number in 0..<20 {
          do throws(BusError) {
            _ = try await log.append([event("\(life)-\(number)", "x")])
          } catch { break }
        }
        await log.close()
      }
      disk.clearFaults()
      fired.formUnion(script.firings.map(\.id))
    }
    let script = Script([.done(result: .null)])
    try await run([single], [trigger(single, script)], engine: snapshots(every: 7)) { log in
      _ = try await log.append([event("last", "x")])
      while script.firings.last?.events.first?.event.id != "last" { await turn() }
      while try await !log.append([event("last", "x")])[0].isDuplicate {}
      var after: Position?
      var isDone = false
      while !isDone, await log.waitForRecords(after: after) {
        for record in try log.read(after: after, limit: 500, bytes: 1 << 20) {
          after = record.position
          guard case .event(let event) = record.content,
            let firing = OutcomeEvent.endedFiring(event)
          else { continue }
          ended[firing, default: 0] += 1
          isDone = firing == script.firings.last?.id
        }
      }
    }
    fired.formUnion(script.firings.map(\.id))
    #expect(Set(ended.keys) == fired && ended.values.allSatisfy { $0 == 1 })
    #expect(fired.count > 50)
  }

  @Test("a sensor that comes back in time goes on where it was; the others repeat nothing")
  func comesBack() async throws {
    let kept = try sensor("kept", "suite", ["x"], "d0")
    let away = try sensor("away", "suite", ["x", "y"], "d0 && d1")
    let script = Script([.done(result: .null)])
    let other = Script([.done(result: .null)])
    let both = [trigger(kept, script), trigger(away, other)]
    try await run([kept, away], both) { log in
      _ = try await log.append([event("x1", "x")])
      _ = try await events(log, until: "kept/t/succeeded")
    }
    try await run([kept], [trigger(kept, script)], engine: snapshots(every: 1)) { log in
      for id in ["x2", "x3"] { _ = try await log.append([event(id, "x")]) }
      while script.firings.count < 3 { await turn() }
    }
    try await run([kept, away], both) { log in
      _ = try await log.append([event("y1", "y"), event("x4", "x")])
      _ = try await events(log, until: "away/t/succeeded")
      while script.firings.count < 4 { await turn() }
    }
    #expect(other.firings.map { $0.events.map(\.event.id) } == [["x3", "y1"]])
    #expect(script.firings.map { $0.events[0].event.id } == ["x1", "x2", "x3", "x4"])
  }

  @Test("after holdFor its place is given up, and an event says what went unread")
  func placeReleased() async throws {
    let kept = try sensor("kept", "suite", ["x"], "d0")
    let away = try sensor("away", "suite", ["x"], "d0")
    let script = Script([.done(result: .null)])
    let now = Now()
    let clock: @Sendable () -> Timestamp = { now.value }
    var settings = snapshots(every: 1)
    settings.upkeepInterval = .milliseconds(1)
    let both = [trigger(kept, script), trigger(away, script)]
    try await run([kept, away], both, engine: settings, clock: clock) { log in
      _ = try await log.append([event("x1", "x")])
      while script.firings.count < 2 { await turn() }
    }
    try await run([kept], [trigger(kept, script)], engine: settings, clock: clock) { log in
      _ = try await log.append([event("x2", "x")])
      while script.firings.count < 3 { await turn() }
      while log.figures.heldBytes["sensor default/away"] == nil { await turn() }
      now.set(days: 4)
      let seen = try await events(log, until: "cursor.released")
      #expect(try JSON(parsing: seen.last?.data ?? [])["sensor"] == "away")
      while log.figures.heldBytes["sensor default/away"] != nil { await turn() }
    }
    // It is a new sensor now.
    let late = Script([.done(result: .null)])
    try await run([kept, away], [trigger(kept, script), trigger(away, late)], clock: clock) { log in
      _ = try await log.append([event("x3", "x")])
      while late.firings.isEmpty { await turn() }
    }
    #expect(late.firings.map { $0.events[0].event.id } == ["x3"])
  }
}

private final class Now: Sendable {
  private let start = wallClockNanoseconds()
  private let days = Mutex<Int64>(0)

  var value: Timestamp {
    Timestamp(nanoseconds: start + days.withLock { $0 } * 86_400_000_000_000)
  }

  func set(days: Int64) { self.days.withLock { $0 = days } }
}
