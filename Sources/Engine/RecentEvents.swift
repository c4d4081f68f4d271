import Bus
import DequeModule
import Event

/// Events that firings want soon, so that they are not read from the bus once more, one by one:
/// those that were just matched, and what stands behind one that had to be read.
struct RecentEvents {
  private static let countMax = 4096
  private static let bytesMax = 8 << 20
  private static let aheadMax = 256

  private var events: [Position: Event] = [:]
  /// In the order in which they came.
  private var order = Deque<Position>()
  private var bytes = 0
  /// How many records are read for one that is missing.
  private var ahead = 1
  /// What was read last for one that was missing, and how much of it was wanted since.
  private var readAhead: (places: ClosedRange<Position>, count: Int)?
  private var wanted = 0

  /// Keeps an event; the oldest go where there is no room.
  mutating func keep(_ event: Event, at position: Position) {
    let size = event.data.count
    guard size <= Self.bytesMax / 8, events.updateValue(event, forKey: position) == nil else {
      return
    }
    order.append(position)
    bytes += size
    while bytes > Self.bytesMax || order.count > Self.countMax, let oldest = order.popFirst() {
      bytes -= events.removeValue(forKey: oldest)?.data.count ?? 0
    }
  }

  mutating func event(at position: Position) -> Event? {
    guard let event = events[position] else { return nil }
    if let readAhead, readAhead.places.contains(position) { wanted += 1 }
    return event
  }

  /// How many records to read for one that is missing: more as long as at least half of what was
  /// read before was wanted, as firings that wait come in the order of their events, and fewer
  /// where most of the log is somebody else's.
  mutating func nextCount() -> Int {
    let enough = (readAhead?.count ?? 0) / 2
    ahead = wanted >= enough ? min(ahead * 2, Self.aheadMax) : max(ahead / 2, 1)
    return ahead
  }

  /// Keeps what was read for one that was missing.
  mutating func keep(ahead records: [Record]) {
    guard let first = records.first?.position, let last = records.last?.position else { return }
    readAhead = (first...last, records.count - 1)
    wanted = 0
    for record in records {
      if case .event(let event) = record.content { keep(event, at: record.position) }
    }
  }
}
