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

/// A topic in memory, of which goes what has left the folder of its owner.
private final class ShortenedTopic: LogReplica {
  private let records = Mutex<[ReplicaRecord]>([])
  let name = "the topic in memory"

  var all: [ReplicaRecord] { records.withLock { $0 } }

  func store(_ records: [ReplicaRecord]) { self.records.withLock { $0 += records } }

  func close() {}

  func shorten(to first: Position?) {
    guard let first else { return }
    records.withLock { records in records.removeAll { $0.offset < first.offset } }
  }
}

extension EngineTests {
  /// What an engine knows that begins on the log of a disk.
  private func known(
    _ disk: FaultyDisk,
    _ sensors: [SensorPlan],
    _ triggers: [TriggerPlan],
    _ sent: [Draft]
  ) async throws -> (state: String, waiting: Set<FiringID>, isKnown: [Bool]) {
    let (log, _) = try EventLog.open(disk: disk, forgetful())
    let loop = try EventLoop(name: "engine")
    defer { loop.stop() }
    let engine = Engine(
      bus: log,
      places: SourcePlaces(),
      plan: EnginePlan(sensors: sensors, triggers: triggers),
      loop: loop,
      configuration: Engine.Configuration(),
      observer: EngineObserver(),
      logger: quiet(),
      clock: { Timestamp(nanoseconds: 0) },
      random: { 0 }
    )
    let waiting = try await engine.recover()
    let state = await engine.stateText
    await engine.stop()
    let again = try await log.append(sent)
    await log.close()
    return (state, waiting, again.map(\.isDuplicate))
  }

  @Test(
    "a copy of a topic that was shortened tells an engine all that its owner's folder does",
    .embeddedLogOnly("it has a topic of its own, in memory"),
    arguments: UInt64(1)...6
  )
  func shortened(seed: UInt64) async throws {
    var random = Seeded(seed)
    let pair = try sensor("pair", "suite", ["x", "y"], "d0 && d1")
    let window = try timed("window", ["x", "w"], "d0 && d1") {
      $0.gathering = .correlate(
        Correlation(key: try keyed(2), within: .seconds(3600), mode: .all, atLeast: nil)
      )
    }
    let single = try sensor("single", "suite", ["z"], "d0")
    let sensors = [pair, window, single]
    func triggers() -> [TriggerPlan] {
      let done = Script([.done(result: .null)])
      let stuck = Script([
        .done(result: .null), .done(result: .null),
        .retry(after: .seconds(3600), why: "later", result: .null),
      ])
      return [trigger(pair, done), trigger(window, done), trigger(single, stuck, attempts: 9)]
    }
    let topic = ShortenedTopic()
    var settings = forgetful()
    settings.replica = topic
    var engine = Engine.Configuration()
    engine.snapshotRecords = 10
    var first = Position(offset: 0)
    var sent: [Draft] = []
    try await run(sensors, triggers(), log: settings, engine: engine) { log in
      for number in 0..<120 {
        let subject = ["x", "y", "z", "w"].randomElement(using: &random) ?? "x"
        let key = Int.random(in: 0..<30, using: &random)
        sent.append(event("e\(number)", subject, key: "\(key)"))
        _ = try await log.append([sent[number]])
        guard Int.random(in: 0..<5, using: &random) == 0 else { continue }
        await turn()
        await log.keepUp()
        topic.shorten(to: log.first)
      }
      // The log may have been kept up meanwhile.
      first = log.first ?? first
      topic.shorten(to: first)
    }
    #expect(first.offset > 1 && topic.all.first?.offset == first.offset, "seed \(seed)")
    let fresh = FaultyDisk()
    let (copy, _) = try EventLog.open(disk: fresh, forgetful())
    try await copy.copy(topic.all.map { try $0.record() })
    await copy.close()
    let its = try await known(storage.disk, sensors, triggers(), sent)
    let found = try await known(fresh, sensors, triggers(), sent)
    #expect(found.state == its.state, "seed \(seed)")
    #expect(found.waiting == its.waiting, "seed \(seed)")
    // The copy knows each duplicate that the folder knows.
    let forgotten = zip(its.isKnown, found.isKnown).filter { $0 && !$1 }
    #expect(forgotten.isEmpty && its.isKnown.contains(true), "seed \(seed)")
  }
}
