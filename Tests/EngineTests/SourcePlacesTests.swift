import Bus
import Engine
import Event
import EventLog
import JSON
import Plugin
import TestKit
import Testing

/// What sources note of their places is as durable as their events.
extension EngineTests {
  private var orders: EventSourceName {
    EventSourceName(namespace: "default", bus: "default", source: "kafka", event: "orders")
  }

  private func drafted(_ id: String) throws -> Event {
    guard case .event(let event) = event(id, "x") else { throw BusError.closed }
    return event
  }

  @Test("a source's places are there after a restart, from the log and from a snapshot")
  func placesSurvive() async throws {
    var engine = Engine.Configuration()
    engine.snapshotRecords = 10
    let first = SourcePlaces()
    try await run([], [], log: forgetful(), engine: engine, places: first) { log in
      for number in 0..<100 {
        let stored = try await first.append(
          [try drafted("x\(number)")],
          [
            SourcePlace(key: "topic/0", value: JSON(number)),
            SourcePlace(key: "topic/1", value: number == 3 ? JSON(number) : nil),
          ],
          of: orders,
          to: log
        )
        #expect(stored.map(\.isDuplicate) == [false])
      }
      // The snapshots are written while the events are read.
      while try log.read(after: nil, limit: 1, bytes: 1)[0].position.offset < 50 {
        await log.keepUp()
        _ = try await log.append([event("more\(log.committed?.offset ?? 0)", "nothing")])
      }
    }
    let second = SourcePlaces()
    try await run([], [], log: forgetful(), engine: engine, places: second) { _ in
      #expect(second.places(of: orders) == ["topic/0": JSON(99)])
    }
  }

  @Test(
    "places that could not be stored are as they were before",
    .embeddedLogOnly("the disk takes nothing for a moment")
  )
  func refusedPlaces() async throws {
    let places = SourcePlaces()
    let disk = storage.disk
    try await run([], [], places: places) { log in
      _ = try await places.append([], [.init(key: "k", value: 1)], of: orders, to: log)
      disk.crash(after: 0)
      await #expect(throws: BusError.self) {
        try await places.append([], [.init(key: "k", value: 2)], of: orders, to: log)
      }
      #expect(places.places(of: orders) == ["k": 1])
    }
    disk.clearFaults()
  }
}
