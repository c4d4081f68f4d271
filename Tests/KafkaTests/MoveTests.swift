import Bus
import Event
import EventLog
import Foundation
import KafkaBus
import KafkaClient
import Posix
import Synchronization
import TestKit
import Testing

extension BusRig {
  /// The same broker with another topic.
  func with(topic: String) async throws -> BusRig {
    let address = settings.client["bootstrap.servers"] ?? ""
    return try await BusRig(address, topic, loop, notes)
  }

  func move(
    _ folder: String,
    recordsMax: Int = 20,
    step: @escaping @Sendable (LogMove.Step) async throws -> Void = { _ in }
  ) -> LogMove {
    var move = LogMove(
      settings,
      folder: folder,
      EventLog.Configuration(),
      loop: loop,
      observer: notes.observer,
      step: step
    )
    move.recordsMax = recordsMax
    return move
  }

  /// What an owner finds who begins with an empty folder.
  func found(_ folder: String) async throws -> [Record] {
    let log = try await open(folder)
    let records = try KafkaTests.everything(log)
    await log.close()
    return records
  }
}

/// Makes a log in a folder, as a program without Kafka does.
@discardableResult
private func fill(_ folder: String, _ ids: Range<Int>, large: Int? = nil) async throws -> [Record] {
  var settings = EventLog.Configuration()
  settings.segmentBytes = 4 << 10
  let (log, _) = try EventLog.open(folder: folder, settings)
  for id in ids {
    let bytes = id == large ? 1_200_000 : 100
    let event = sampleEvent("\(id)", bytes: bytes)
    _ = try await log.append([.event(event), .note(Note(kind: 9, bytes: [UInt8(id % 256)]))])
  }
  let records = try everything(log)
  await log.close()
  return records
}

/// A log whose first segments are gone, all but some records.
private func fillWithGaps(
  _ folder: String,
  _ count: Int,
  keeping: [UInt64]
) async throws -> [Record] {
  let now = Mutex<Int64>(1_000_000_000)
  let clock = { @Sendable in now.withLock { $0 } }
  var settings = EventLog.Configuration()
  settings.segmentBytes = 4 << 10
  settings.clock = LogClock(wall: clock, monotonic: clock)
  settings.maxAge = .seconds(100)
  let (log, _) = try EventLog.open(folder: folder, settings)
  for first in stride(from: 0, to: count, by: 100) {
    _ = try await log.append((0..<100).map { .event(sampleEvent("old-\(first + $0)")) })
  }
  now.withLock { $0 += 200_000_000_000 }
  _ = try await log.append((0..<60).map { .event(sampleEvent("new-\($0)")) })
  let end = try #require(log.committed)
  log.hold(
    Holds(ranges: ["all": end], records: ["some": Set(keeping.map { Position(offset: $0) })])
  )
  await log.keepUp()
  let records = try everything(log)
  await log.close()
  return records
}

private func expectFailure(
  _ words: String...,
  sourceLocation: SourceLocation = #_sourceLocation,
  _ body: () async throws -> Void
) async {
  do {
    try await body()
    Issue.record("nothing was thrown, expected \(words)", sourceLocation: sourceLocation)
  } catch {
    let missing = words.filter { !"\(error)".contains($0) }
    #expect(missing == [], "\(error)", sourceLocation: sourceLocation)
  }
}

private struct Ended: Error {}

/// A log that is moved from a folder to a topic, without the program around it.
@Suite(.serialized, .enabled(if: Tools.areThere)) struct MoveTests {
  @Test("ended behind any step and run again, it moves each record once; nobody begins before")
  func everyStep() async throws {
    try await withBus { rig, folder in
      var ended = 0
      while try await isEnded(after: ended, rig.with(topic: "bus-\(ended)"), "\(folder)/\(ended)") {
        ended += 1
      }
      // Shut out, compared, marked, three times written, whole.
      #expect(ended == 7)
    }
  }

  /// - Returns: false when the move has fewer steps.
  private func isEnded(after steps: Int, _ rig: BusRig, _ folder: String) async throws -> Bool {
    let records = try await fill(folder + "/old", 0..<50, large: 30)
    let done = Counter(0)
    let seen = Mutex<[LogMove.Step]>([])
    let move = rig.move(folder + "/old", recordsMax: 40) { step in
      seen.withLock { $0.append(step) }
      if done.add(1) == steps { throw Ended() }
    }
    var outcome: LogMove.Outcome?
    do { outcome = try await move.run() } catch is Ended {
      let found = seen.withLock { $0 }
      let isMarked = found.contains(.marked)
      let holdsPart = found.contains { if case .written = $0 { true } else { false } }
      let isWhole = found.contains(.whole)
      if isMarked {
        // Neither with the folder alone nor as a copy of the topic.
        await expectFailure("is being moved to the topic \(rig.settings.topic)") {
          _ = try EventLog.open(folder: folder + "/old")
        }
        await expectFailure("`signalbox migrate` once more") {
          _ = try await rig.open(folder + "/old")
        }
      } else {
        let (log, _) = try EventLog.open(folder: folder + "/old")
        await log.close()
      }
      if holdsPart && !isWhole {
        for _ in 0..<2 {
          await expectFailure("holds a part of a log") { _ = try await rig.open(folder + "/other") }
        }
      }
      outcome = try await rig.move(folder + "/old").run()
      let last = UInt64(records.count)
      if isWhole { #expect(outcome == .before(last: last)) }
    }
    let isEnded = done.value > steps
    if !isEnded { #expect(outcome == .moved(records: records.count)) }
    #expect(try await rig.move(folder + "/old").run() == .before(last: nil))
    #expect(try await rig.found(folder + "/new") == records, "after \(steps) steps")
    #expect(try await rig.found(folder + "/old") == records, "after \(steps) steps")
    await expectFailure("is a copy of") { _ = try EventLog.open(folder: folder + "/old") }
    return isEnded
  }

  @Test("taken back and ended behind any step, it is taken back or moved by the next try")
  func undoneSteps() async throws {
    try await withBus { rig, folder in
      // Shut out, marked, apart.
      for steps in 1...3 {
        for isMovedOn in [true, false] {
          let rig = try await rig.with(topic: "bus-\(steps)-\(isMovedOn)")
          let path = "\(folder)/\(steps)-\(isMovedOn)"
          let records = try await fill(path + "/old", 0..<20)
          _ = try await rig.move(path + "/old").run()
          let done = Counter(0)
          await expectFailure("Ended") {
            let move = rig.move(path + "/old") { _ in
              if done.add(1) + 1 == steps { throw Ended() }
            }
            _ = try await move.undo()
          }
          #expect(done.value == steps)
          if isMovedOn {
            _ = try await rig.move(path + "/old").run()
            #expect(try await rig.found(path + "/new") == records)
            #expect(try await rig.found(path + "/old") == records)
          } else {
            #expect(try await rig.move(path + "/old").undo())
            let (log, _) = try EventLog.open(folder: path + "/old")
            #expect(try everything(log) == records)
            await log.close()
            await expectFailure("holds a part of a log") { _ = try await rig.open(path + "/new") }
          }
        }
      }
    }
  }

  @Test("a folder that is not the one that was moved is not taken back")
  func undoneElsewhere() async throws {
    try await withBus { rig, folder in
      let records = try await fill(folder + "/old", 0..<20)
      _ = try await rig.move(folder + "/old").run()
      // A copy that knows only a beginning.
      let (log, _) = try EventLog.open(folder: folder + "/other")
      try await log.copy(Array(records.prefix(5)))
      await log.close()
      try FolderRole.copy(of: "the topic \(rig.settings.topic)").write(to: folder + "/other")
      await expectFailure("is not the one that was moved there", "holds records up to 5,") {
        _ = try await rig.move(folder + "/other").undo()
      }
    }
  }

  @Test("of a log whose first segments are gone it moves what is left, under the same positions")
  func gaps() async throws {
    try await withBus { rig, folder in
      let kept: [UInt64] = [2, 3, 400, 900]
      let records = try await fillWithGaps(folder + "/old", 1000, keeping: kept)
      try #require(records.first?.position.offset == 2 && records.count < 200)
      let done = Counter(0)
      // Ended amid, behind a gap.
      await expectFailure("Ended") {
        _ = try await rig.move(folder + "/old") { _ in if done.add(1) == 4 { throw Ended() } }.run()
      }
      let outcome = try await rig.move(folder + "/old").run()
      #expect(outcome == .moved(records: records.count - 40))
      let log = try await rig.open(folder + "/new")
      #expect(try everything(log) == records)
      let appended = try await log.append((0..<1500).map { .event(sampleEvent("on-\($0)")) })
      #expect(appended.first?.position.offset == 1061)
      let all = try everything(log)
      await log.close()
      // The old folder is behind by as much as was appended, the other one by nothing. Their last
      // records are nearer to the beginning of the topic than their positions say.
      for name in ["old", "new", "newer"] {
        let found = try await rig.found("\(folder)/\(name)")
        #expect(found == all, "\(name)")
        let report = try EventLogReader(folder: "\(folder)/\(name)").read { _ in }
        #expect(report.damages == [], "\(name)")
      }
    }
  }

  @Test("a folder whose first record is a later one moves too")
  func later() async throws {
    try await withBus { rig, folder in
      let records = try await fillWithGaps(folder + "/old", 300, keeping: [])
      try #require(records.first.map { $0.position.offset > 100 } == true)
      #expect(try await rig.move(folder + "/old").run() == .moved(records: records.count))
      #expect(try await rig.found(folder + "/new") == records)
      #expect(try await rig.found(folder + "/old") == records)
    }
  }

  @Test("a topic with another log is refused, and the folder stays as it was")
  func otherLog() async throws {
    try await withBus { rig, folder in
      let bus = try await rig.open(folder + "/bus")
      for id in ["a", "b", "c"] { _ = try await bus.append([.event(sampleEvent(id))]) }
      await bus.close()
      let records = try await fill(folder + "/old", 0..<10)
      await expectFailure("record 1 of the topic bus is not that of the folder", "another log") {
        _ = try await rig.move(folder + "/old").run()
      }
      // Nothing in common does not show that they are one.
      let gone = try await fillWithGaps(folder + "/gone", 300, keeping: [])
      await expectFailure("records up to 3 and none that the folder still has") {
        _ = try await rig.move(folder + "/gone").run()
      }
      for (name, wanted) in [("old", records), ("gone", gone)] {
        let (log, _) = try EventLog.open(folder: "\(folder)/\(name)")
        #expect(try everything(log) == wanted)
        await log.close()
      }
      await expectFailure("is a copy of the topic bus", "cannot be moved to the topic other") {
        _ = try await rig.with(topic: "other").move(folder + "/bus").run()
      }
      await expectFailure("there is no log in \(folder)/nothing") {
        _ = try await rig.move(folder + "/nothing").run()
      }
    }
  }

  @Test("the folder of a running program is left alone; a writer to the topic is shut out")
  func others() async throws {
    try await withBus { rig, folder in
      try await fill(folder + "/old", 0..<10)
      let (running, _) = try EventLog.open(folder: folder + "/old")
      await expectFailure("is in use by process \(getpid())") {
        _ = try await rig.move(folder + "/old").run()
      }
      await running.close()
      let owner = try await rig.open(folder + "/owner")
      #expect(try await rig.move(folder + "/old").run() == .moved(records: 20))
      let late = await #expect(throws: BusError.self) {
        _ = try await owner.append([.event(sampleEvent("late"))])
      }
      #expect("\(late as Any)".contains("another process has taken over"))
      await owner.close()
      #expect(try await rig.found(folder + "/new").count == 20)
    }
  }

  @Test("it is undone while nobody has begun on the topic, and can be done again")
  func undo() async throws {
    try await withBus { rig, folder in
      let old = folder + "/old"
      try await fill(old, 0..<30)
      #expect(try await !rig.move(old).undo())
      // A part, then the whole: the log goes on in between, and moves with what came.
      for (round, steps) in [5, Int.max].enumerated() {
        let done = Counter(1)
        do {
          _ = try await rig.move(old) { _ in if done.add(1) == steps { throw Ended() } }.run()
        } catch is Ended { #expect(round == 0) }
        #expect(try await rig.move(old).undo())
        await expectFailure("holds a part of a log") { _ = try await rig.open(folder + "/other") }
        try await fill(old, 100 * (round + 1)..<100 * (round + 1) + 10)
      }
      let records = try await fill(old, 0..<0)
      #expect(records.count == 100)
      #expect(try await rig.move(old).run() == .moved(records: 20))
      #expect(try await rig.found(folder + "/new") == records)
      await expectFailure("a program has begun on the topic bus") {
        _ = try await rig.move(old).undo()
      }
      await expectFailure("is a copy of the topic bus") { _ = try EventLog.open(folder: old) }
    }
  }

  @Test("somebody who begins on the topic first keeps it; the folder goes back")
  func overtaken() async throws {
    try await withBus { rig, folder in
      let records = try await fill(folder + "/old", 0..<10)
      // Between the mark and the first record the topic is still anybody's.
      let move = rig.move(folder + "/old") { step in
        guard step == .marked else { return }
        let other = try await rig.open(folder + "/other")
        _ = try await other.append([.event(sampleEvent("first"))])
        await other.close()
      }
      await expectFailure("another process has taken over") { _ = try await move.run() }
      await expectFailure("holds another log") { _ = try await rig.move(folder + "/old").run() }
      await expectFailure("is being moved") { _ = try EventLog.open(folder: folder + "/old") }
      #expect(try await rig.move(folder + "/old").undo())
      let (log, _) = try EventLog.open(folder: folder + "/old")
      #expect(try everything(log) == records)
      await log.close()
      // And the topic is still a bus.
      #expect(try await rig.found(folder + "/new").count == 1)
    }
  }

  @Test("an older copy of the folder is known; one that was written to since is refused")
  func copies() async throws {
    try await withBus { rig, folder in
      let records = try await fill(folder + "/old", 0..<20)
      for name in ["same", "more"] {
        _ = try EventLogReader(folder: folder + "/old").backup(to: "\(folder)/\(name)")
      }
      _ = try await rig.move(folder + "/old").run()
      let bus = try await rig.open(folder + "/old")
      _ = try await bus.append([.event(sampleEvent("on Kafka"))])
      await bus.close()
      #expect(
        try await rig.move(folder + "/same").run() == .before(last: UInt64(records.count) + 1)
      )
      await expectFailure("is a copy of") { _ = try EventLog.open(folder: folder + "/same") }
      try await fill(folder + "/more", 500..<501)
      await expectFailure("record 41 of the topic bus is not that of the folder") {
        _ = try await rig.move(folder + "/more").run()
      }
    }
  }
}
