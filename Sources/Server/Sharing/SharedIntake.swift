import Bus
import Event
import KafkaBus
import Synchronization

/// Takes events for a bus whose work is shared.
final class SharedIntake: Sendable {
  private let intake: KafkaIntake
  private let routing: Mutex<EventRouting>

  init(_ intake: KafkaIntake, _ routing: EventRouting) {
    self.intake = intake
    self.routing = Mutex(routing)
  }

  func route(by new: EventRouting) { routing.withLock { $0 = new } }

  /// Has events stored in every partition that needs them.
  /// - Throws: `BusError`; then some of them may be stored, and each may be taken again.
  func take(_ events: [Event]) async throws(BusError) {
    let routing = routing.withLock { $0 }
    try await intake.send(
      events.flatMap { event in routing.partitions(for: event).map { (event, $0) } }
    )
  }

  /// Has what came to be in one partition stored in the others whose sensors wait for it.
  /// - Returns: how many copies there were.
  /// - Throws: `BusError`.
  func pass(_ events: [Event], from partition: Int) async throws(BusError) -> Int {
    let routing = routing.withLock { $0 }
    let copies = events.flatMap { event in
      routing.sensors(for: event).filter { $0 != partition }.map { (event, $0) }
    }
    if !copies.isEmpty { try await intake.send(copies) }
    return copies.count
  }

  func close() async { await intake.close() }
}
