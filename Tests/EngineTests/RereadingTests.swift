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
  @Test("a backlog is read once: events are not looked up again one by one for their firings")
  func rereading() async throws {
    let log = try await storage.open()
    let bus = CountingBus(log)
    let loop = try EventLoop(name: "engine")
    let script = Script([.done(result: .null)])
    let plan = try sensor("s", "suite", ["push"], "d0")
    let engine = Engine(
      bus: bus,
      plan: EnginePlan(sensors: [plan], triggers: [trigger(plan, script, concurrency: 16)]),
      loop: loop,
      configuration: Engine.Configuration(),
      observer: EngineObserver(),
      logger: quiet(),
      clock: { Timestamp(nanoseconds: 0) },
      random: { 0 }
    )
    _ = try await engine.recover()
    // More than fits in memory as firings that wait.
    let count = storage.count(3000, onKafka: 1500)
    for start in stride(from: 0, to: count, by: 500) {
      _ = try await log.append((start..<start + 500).map { event("e\($0)", "push") })
    }
    await engine.start()
    while script.firings.count < count { await loop.sleep(for: .milliseconds(5)) }
    await engine.stop()
    await log.close()
    loop.stop()
    let fired = script.firings.map { $0.events[0].event.id }
    #expect(fired.sorted() == (0..<count).map { "e\($0)" }.sorted())
    #expect(bus.lookups < count / 10, "\(bus.lookups)")
  }
}

/// A log that counts how often single records are looked up.
private final class CountingBus: Bus {
  private let log: EventLog
  private let count = Atomic(0)

  var lookups: Int { count.load(ordering: .relaxed) }

  init(_ log: EventLog) { self.log = log }

  func append(_ drafts: [Draft]) async throws(BusError) -> [Appended] {
    try await log.append(drafts)
  }

  func read(after position: Position?, limit: Int, bytes: Int) throws(BusError) -> [Record] {
    try log.read(after: position, limit: limit, bytes: bytes)
  }

  func read(from position: Position, limit: Int, bytes: Int) throws(BusError) -> [Record] {
    count.add(1, ordering: .relaxed)
    return try log.read(from: position, limit: limit, bytes: bytes)
  }

  func record(at position: Position) throws(BusError) -> Record? {
    count.add(1, ordering: .relaxed)
    return try log.record(at: position)
  }

  func position(of identity: Event.Identity) -> Position? { log.position(of: identity) }
  var committed: Position? { log.committed }
  var snapshot: Position? { log.snapshot }

  func waitForRecords(after position: Position?) async -> Bool {
    await log.waitForRecords(after: position)
  }

  func close() async { await log.close() }
}
