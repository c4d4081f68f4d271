import Bus
import CRdKafka
import Event
import EventLog
import Foundation
import JSON
@testable import KafkaBus
import KafkaClient
import Posix
import Synchronization
import TestKit
import Testing

/// A clock that goes on when it is told to.
final class SlowClock: Sendable {
  private let now = Mutex<Int64>(1_000_000_000)

  var clock: LogClock {
    let read = { @Sendable in self.now.withLock { $0 } }
    return LogClock(wall: read, monotonic: read)
  }

  func advance(seconds: Int64) { now.withLock { $0 += seconds * 1_000_000_000 } }
}

/// A bus whose records go after 100 seconds of a clock of its own.
struct TrimRig {
  var bus: BusRig
  let clock = SlowClock()

  func open(_ folder: String) async throws -> EventLog {
    var configuration = EventLog.Configuration()
    configuration.segmentBytes = 4 << 10
    configuration.maxAge = .seconds(100)
    configuration.clock = clock.clock
    return try await bus.open(folder, configuration)
  }

  /// Several segments of events.
  func fill(_ log: EventLog, _ ids: Range<Int>) async throws {
    for first in stride(from: ids.lowerBound, to: ids.upperBound, by: 10) {
      let some = first..<min(first + 10, ids.upperBound)
      _ = try await log.append(some.map { .event(sampleEvent("\($0)", bytes: 200)) })
    }
  }

  /// Lets go of what is old and not held. The next append says so to the topic.
  func release(_ log: EventLog, keeping: Set<UInt64> = []) async throws {
    clock.advance(seconds: 200)
    let end = try #require(log.committed)
    let kept = Set(keeping.map { Position(offset: $0) })
    log.hold(Holds(ranges: ["all": end], records: ["some": kept]))
    await log.keepUp()
  }

  /// The first message that the topic still has.
  func low() async throws -> Int64 {
    let place = KafkaPartition(topic: bus.settings.topic, partition: Int32(bus.settings.partition))
    let consumer = try KafkaConsumer(
      bus.settings.client.with("group.id", "low"),
      loop: bus.loop,
      observer: bus.notes.observer
    )
    do {
      try await consumer.begin()
      let marks = try await consumer.marks(of: [place], within: .seconds(20))
      await consumer.close()
      return marks[place]?.low ?? 0
    } catch {
      await consumer.close()
      throw error
    }
  }

  /// The lines that tell that the topic was shortened.
  var told: [String] { bus.notes.logged.filter { $0.contains("was shortened") } }

  /// Lets others go on until a line was logged.
  func wait(forLine isMeant: (String) -> Bool) async throws {
    let deadline = MonotonicTime.now() + .seconds(120)
    while !bus.notes.logged.contains(where: isMeant) {
      if MonotonicTime.now() > deadline { throw Failure("found only \(bus.notes.logged)") }
      await bus.loop.sleep(for: .milliseconds(10))
    }
  }

  /// Appends until the topic begins where the folder does.
  func shorten(_ log: EventLog) async throws {
    let first = try #require(log.first)
    _ = try await log.append([.event(sampleEvent("after-\(log.committed?.offset ?? 0)"))])
    try await wait { $0.contains("was shortened") && $0.hasSuffix("record \(first)") }
  }
}

extension KafkaSettings {
  fileprivate func with(_ property: String, _ value: String) -> KafkaSettings {
    var settings = self
    settings[property] = value
    return settings
  }
}

private func withTrim(_ body: (TrimRig, _ folder: String) async throws -> Void) async throws {
  try await withBus { rig, folder in try await body(TrimRig(bus: rig), folder) }
}

/// The topic of a bus goes as its owner's folder goes.
@Suite(.serialized, .enabled(if: Tools.areThere)) struct TrimTests {
  @Test("the topic begins where its owner's folder does; a new folder gets at least what that has")
  func shortens() async throws {
    let seed = setting("SIGNALBOX_SEED", 1)
    var random = Seeded(UInt64(seed))
    try await withTrim { rig, folder in
      var low: Int64 = 0
      // Each owner but the first begins with nothing, or with a folder that was an owner's before.
      for (round, name) in ["a", "b", "a", "c", "b"].enumerated() {
        let log = try await rig.open("\(folder)/\(name)")
        let start = log.committed?.offset ?? 0
        for call in 0..<Int.random(in: 20...40, using: &random) {
          let drafts = (0..<Int.random(in: 1...12, using: &random)).map { number -> Draft in
            // Some take several messages.
            let bytes = call == 10 && number == 0 ? 1_200_000 : 200
            return .event(sampleEvent("\(round).\(call).\(number)", bytes: bytes))
          }
          _ = try await log.append(drafts)
        }
        let committed = try #require(log.committed).offset
        let wanted = Set(
          (0..<3).map { _ in UInt64.random(in: start + 15...committed, using: &random) }
        )
        try await rig.release(log, keeping: wanted)
        try await rig.shorten(log)
        let now = try await rig.low()
        #expect(now > low, "round \(round), seed \(seed)")
        low = now
        let its = try everything(log)
        #expect(its.first?.position == log.first && wanted.isSubset(of: its.map(\.position.offset)))
        await log.close()
        let copied = try await rig.bus.found("\(folder)/new\(round)")
        #expect(copied.first == its.first, "round \(round), seed \(seed)")
        let positions = Set(its.map(\.position))
        #expect(copied.filter { positions.contains($0.position) } == its, "seed \(seed)")
        // Nothing is missing behind the first one.
        #expect(
          zip(copied, copied.dropFirst()).allSatisfy {
            $0.position.offset + 1 == $1.position.offset
          }
        )
        let report = try EventLogReader(folder: "\(folder)/new\(round)").read { _ in }
        #expect(report.damages == [])
        let again = try await rig.open("\(folder)/new\(round)")
        // What is gone is new, what is there is not.
        let last = try #require(its.last).content
        let twice = try await again.append([.event(sampleEvent("\(round).0.0")), last])
        #expect(twice.map(\.isDuplicate) == [false, true])
        await again.close()
      }
      #expect(rig.bus.reasons.all == [])
    }
  }

  @Test("an owner begins where it had stopped: what its folder lets go of later goes too")
  func afterTakeover() async throws {
    try await withTrim { rig, folder in
      var log = try await rig.open(folder + "/a")
      try await rig.fill(log, 0..<100)
      try await rig.release(log)
      let first = try #require(log.first)
      #expect(first.offset > 1)
      // No append came after it.
      await log.close()
      #expect(try await rig.low() == 0)
      log = try await rig.open(folder + "/a")
      try await rig.wait { $0.contains("was shortened") && $0.hasSuffix("record \(first)") }
      #expect(try await rig.low() > 0)
      await log.close()
    }
  }

  @Test("an owner that was shut out shortens nothing")
  func shutOut() async throws {
    try await withTrim { rig, folder in
      let old = try await rig.open(folder + "/old")
      try await rig.fill(old, 0..<100)
      let new = try await rig.open(folder + "/new")
      // It does not know yet.
      try await rig.release(old)
      let first = try #require(old.first)
      #expect(first.offset > 1)
      await #expect(throws: BusError.self) {
        _ = try await old.append([.event(sampleEvent("late"))])
      }
      await old.close()
      #expect(try await rig.low() == 0 && rig.told == [])
      #expect(try everything(new).count == 100)
      await new.close()
      let copied = try await rig.bus.found(folder + "/newer")
      #expect(copied.count == 100)
    }
  }

  @Test("a folder that the topic has left behind begins anew, also when it was killed at that")
  func stale() async throws {
    try await withTrim { rig, folder in
      let stale = try await rig.open(folder + "/stale")
      try await rig.fill(stale, 0..<100)
      await stale.close()
      for name in ["half", "empty", "alone"] {
        try FileManager.default.copyItem(atPath: folder + "/stale", toPath: "\(folder)/\(name)")
      }
      let owner = try await rig.open(folder + "/owner")
      try await rig.fill(owner, 100..<300)
      try await rig.release(owner)
      try #require(owner.first.map { $0.offset > 101 } == true)
      try await rig.shorten(owner)
      await owner.close()
      let wanted = try await rig.bus.found(folder + "/new")
      // What a crash leaves: fewer segments, oldest first, or none.
      for (name, left) in [("half", 1), ("empty", 0)] {
        let path = "\(folder)/\(name)"
        let segments = try Files.list(path).filter { $0.hasSuffix(".log") }.sorted()
        try #require(segments.count > 3)
        for segment in segments.dropLast(left) { try Files.remove("\(path)/\(segment)") }
      }
      for name in ["stale", "half", "empty"] {
        let told = rig.bus.notes.logged.count { $0.contains("the folder is emptied") }
        #expect(try await rig.bus.found("\(folder)/\(name)") == wanted, "\(name)")
        let report = try EventLogReader(folder: "\(folder)/\(name)").read { _ in }
        #expect(report.damages == [], "\(name)")
        let tells = rig.bus.notes.logged.count { $0.contains("the folder is emptied") } - told
        #expect(tells == (name == "empty" ? 0 : 1), "\(name)")
      }
      // One that does not say that it is a copy may be anybody's.
      try Files.remove(folder + "/alone/replica")
      let error = await #expect(throws: KafkaBusError.self) {
        _ = try await rig.open(folder + "/alone")
      }
      #expect("\(error as Any)".contains("belongs to another bus"))
      let (same, _) = try EventLog.open(folder: folder + "/alone")
      #expect(try everything(same).count == 100)
      await same.close()
    }
  }

  @Test("who reads the topic while it is shortened reads anew, from what is left")
  func whileReading() async throws {
    try await withTrim { rig, folder in
      let owner = try await rig.open(folder + "/owner")
      try await rig.fill(owner, 0..<100)
      await owner.close()
      let places = try rig.placesOfRecords()
      let (cut, end) = (try #require(places[60]), try #require(places[100]))
      let settings = rig.bus.settings
      let admin = KafkaAdmin(
        settings.client,
        loop: rig.bus.loop,
        observer: rig.bus.notes.observer
      )
      var lows: [Int64] = []
      let found = try await withReader(settings, rig.bus.loop, rig.bus.notes.observer) { consumer in
        try await TopicWalk.over(settings, consumer, through: end) { walk in
          lows.append(walk.low)
          let offset = KafkaOffset(KafkaPartition(topic: settings.topic, partition: 0), cut)
          try await admin.deleteRecords(before: offset, within: .seconds(20))
          try await walk.begin()
          var found: [UInt64] = []
          while let some = try await walk.next() {
            for case (_, .part(let offset, _, _)) in some { found.append(offset) }
          }
          return found
        }
      }
      #expect(lows == [0, cut] && found == Array(60..<100))
    }
  }

  @Test("a folder that is moved to a topic that was shortened is told what it is")
  func moving() async throws {
    try await withTrim { rig, folder in
      let (log, _) = try EventLog.open(folder: folder + "/old")
      try await rig.fill(log, 0..<50)
      await log.close()
      struct Ended: Error {}
      // Ended when the topic is whole, before the folder knows; a program goes on elsewhere.
      let move = rig.bus.move(folder + "/old") { if $0 == .whole { throw Ended() } }
      await #expect(throws: Ended.self) { _ = try await move.run() }
      _ = try EventLogReader(folder: folder + "/old").backup(to: folder + "/alone")
      let owner = try await rig.open(folder + "/owner")
      try await rig.fill(owner, 100..<200)
      // A copy of what is left later, from before it was: its end is on the topic.
      try FileManager.default.copyItem(atPath: folder + "/owner", toPath: folder + "/later")
      try Files.remove(folder + "/later/replica")
      try await rig.fill(owner, 200..<300)
      try await rig.release(owner, keeping: [120])
      try await rig.shorten(owner)
      await owner.close()
      let last = try #require(owner.committed).offset
      for name in ["old", "alone"] {
        for isBack in [false, true] where name == "old" || !isBack {
          let error = await #expect(throws: KafkaBusError.self) {
            let move = rig.bus.move("\(folder)/\(name)")
            if isBack { _ = try await move.undo() } else { _ = try await move.run() }
          }
          #expect(
            "\(error as Any)".contains("begins with record 120, the folder ends with 50"),
            "\(name), \(isBack)"
          )
        }
      }
      #expect(try FolderRole(of: folder + "/old") == .moving(to: "the topic bus"))
      #expect(try await rig.bus.move(folder + "/later").run() == .before(last: last))
      let wanted = try await rig.bus.found(folder + "/new")
      let later = try await rig.bus.found(folder + "/later")
      #expect(wanted.first?.position.offset == 120 && Array(later.suffix(wanted.count)) == wanted)
    }
  }

  @Test("brokers that do not let it happen leave the topic as it is, and the bus goes on")
  func refused() async throws {
    let cluster = try MockCluster(brokers: 1)
    for name in ["bus", "bus-owner"] { cluster.createTopic(name, partitions: 1) }
    try await withTemporaryFolder { folder in
      try await withLoop { loop, notes in
        var rig = TrimRig(bus: try await BusRig(cluster.address, "bus", loop, notes))
        rig.bus.settings.trimRetry = .milliseconds(20)
        let log = try await rig.open(folder + "/a")
        for round in 0..<3 {
          try await rig.fill(log, 100 * round..<100 * round + 100)
          try await rig.release(log)
          _ = try await log.append([.event(sampleEvent("after \(round)"))])
          try await rig.wait { $0.contains("the topic bus cannot be shortened") }
        }
        await log.close()
        #expect(rig.bus.reasons.all == [] && rig.told == [])
        let lines = notes.logged.filter { $0.contains("cannot be shortened") }
        #expect(lines.count == 1, "\(lines)")
        #expect(try await rig.bus.found(folder + "/b").count == 303)
      }
    }
  }

  @Test("a partition of a shared bus is shortened by itself")
  func partitions() async throws {
    try await withTemporaryFolder { folder in
      let broker = try TestBroker(folder)
      try await withLoop { loop, notes in
        var rigs: [TrimRig] = []
        for partition in 0..<2 {
          let rig = try await BusRig(broker.address, "shared", loop, notes) {
            $0.partitions = 2
            $0.partition = partition
          }
          rigs.append(TrimRig(bus: rig))
        }
        var logs: [EventLog] = []
        for (number, rig) in rigs.enumerated() {
          let log = try await rig.open("\(folder)/\(number)")
          try await rig.fill(log, 0..<100)
          logs.append(log)
        }
        try await rigs[1].release(logs[1])
        try await rigs[1].shorten(logs[1])
        #expect(try await rigs[0].low() == 0)
        #expect(try await rigs[1].low() > 0)
        #expect(rigs[1].told.count == 1 && rigs[1].told[0].contains("partition 1 of the topic"))
        for log in logs { await log.close() }
        #expect(try await rigs[0].bus.found(folder + "/new0").count == 100)
        let found = try await rigs[1].bus.found(folder + "/new1")
        #expect(found.first?.position == logs[1].first)
      }
    }
  }
}

extension TrimRig {
  /// Where each record begins on the topic.
  fileprivate func placesOfRecords() throws -> [UInt64: Int64] {
    var places: [UInt64: Int64] = [:]
    let topic = bus.settings.topic
    for line in try dumped(bus.settings.client["bootstrap.servers"] ?? "", topic) {
      guard case .string(let text)? = line["value"], let value = Data(base64Encoded: text),
        let place = Int64(line["offset"]?.text ?? "")
      else { throw Failure("found \(line)") }
      let parsed = try ReplicaMessage(parsing: Array(value), at: place)
      if case .part(let offset, _, _) = parsed, places[offset] == nil { places[offset] = place }
    }
    return places
  }
}
