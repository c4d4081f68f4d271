import JSON
import KafkaClient
import Plugin
import TestKit
import Testing

@testable import EventSources

/// How far each partition has been read, by what a source noted on the log.
@Suite struct KafkaPositionsTests {
  private let place = KafkaPartition(topic: "t", partition: 3)

  private func positions(next: Int64, epoch: Int = 0) -> KafkaPositions {
    var positions = KafkaPositions(places: [:])
    positions.set(place, KafkaPosition(next: next, epoch: epoch))
    return positions
  }

  @Test("what is noted is what is known after a restart, whatever the topic is called")
  func roundTrip() {
    let places = [
      KafkaPartition(topic: "a.b_c-1", partition: 0), KafkaPartition(topic: "7", partition: 7),
      KafkaPartition(topic: "t", partition: .max),
    ]
    var before = KafkaPositions(places: [:])
    for (number, place) in places.enumerated() {
      before.set(place, KafkaPosition(next: Int64.max - Int64(number), epoch: number))
    }
    let notes = before.places(of: places)
    #expect(notes.map(\.key) == ["a.b_c-1/0", "7/7", "t/2147483647"])
    let values = notes.compactMap { note in note.value.map { (note.key, $0) } }
    let after = KafkaPositions(places: Dictionary(values) { $1 })
    #expect(after.known == before.known)
    // Of partitions nobody knows there is nothing to note.
    #expect(before.places(of: [place]).isEmpty)
  }

  @Test("a note that says no position is none, and one without an epoch is the first")
  func damaged() {
    let places: [String: JSON] = [
      "t/3": ["next": 5], "t/4": ["epoch": 1], "t/x": ["next": 5], "t": ["next": 5],
      "t/5": ["next": "5"], "t/6": ["next": .number("1e99")], "t/99999999999": ["next": 5],
    ]
    #expect(
      KafkaPositions(places: places).known == [place: KafkaPosition(next: 5, epoch: 0)]
    )
  }

  /// The offset in the log, the one the group has committed, the first and the next one there are.
  private static let starts:
    [(own: Int64?, committed: Int64?, low: Int64, high: Int64, KafkaStart)] =
      [
        // Nobody knows anything.
        (nil, nil, 4, 9, KafkaStart(position: .init(next: 9, epoch: 0), isNew: true)),
        // The larger of the two.
        (5, nil, 0, 9, KafkaStart(position: .init(next: 5, epoch: 1), isNew: false)),
        (5, 3, 0, 9, KafkaStart(position: .init(next: 5, epoch: 1), isNew: false)),
        (5, 5, 0, 9, KafkaStart(position: .init(next: 5, epoch: 1), isNew: false)),
        (5, 7, 0, 9, KafkaStart(position: .init(next: 7, epoch: 1), isNew: true)),
        (nil, 7, 0, 9, KafkaStart(position: .init(next: 7, epoch: 0), isNew: true)),
        // All of it is read, and nothing was deleted but what is read.
        (9, 9, 0, 9, KafkaStart(position: .init(next: 9, epoch: 1), isNew: false)),
        (9, 9, 9, 9, KafkaStart(position: .init(next: 9, epoch: 1), isNew: false)),
        // The partition ends before our position, also where only the group has one.
        (
          9, nil, 0, 8,
          KafkaStart(
            position: .init(next: 0, epoch: 2),
            isNew: true,
            notice: .reset(before: 9, end: 8)
          )
        ),
        (
          nil, 9, 0, 0,
          KafkaStart(
            position: .init(next: 0, epoch: 1),
            isNew: true,
            notice: .reset(before: 9, end: 0)
          )
        ),
        (
          5, 9, 2, 8,
          KafkaStart(
            position: .init(next: 2, epoch: 2),
            isNew: true,
            notice: .reset(before: 9, end: 8)
          )
        ),
        // What was to be read next is gone.
        (
          5, 5, 6, 9,
          KafkaStart(
            position: .init(next: 6, epoch: 1),
            isNew: true,
            notice: .gap(from: 5, to: 6)
          )
        ),
      ]

  @Test("reading begins where log and group know most, and says what is missing", arguments: starts)
  func start(
    _ own: Int64?,
    _ committed: Int64?,
    _ low: Int64,
    _ high: Int64,
    _ expected: KafkaStart
  ) {
    let known = own.map { positions(next: $0, epoch: 1) } ?? KafkaPositions(places: [:])
    let marks = KafkaMarks(low: low, high: high, committed: committed)
    #expect(known.start(place, marks, fromOldest: false) == expected)
    guard own == nil, committed == nil else { return }
    let oldest = known.start(place, marks, fromOldest: true)
    #expect(oldest == KafkaStart(position: .init(next: low, epoch: 0), isNew: true))
  }

  @Test("a message is read once: what is below the position is skipped, the epoch stays")
  func pass() {
    var position = positions(next: 5, epoch: 2).position(of: place)
    #expect(!position.take(4) && position.take(5) && !position.take(5))
    // Offsets of a compacted topic have gaps; an older one changes nothing.
    #expect(position.take(90) && !position.take(7))
    #expect(position == KafkaPosition(next: 91, epoch: 2))
    // A partition that was never noted begins with any message.
    var other = positions(next: 5).position(of: KafkaPartition(topic: "t", partition: 4))
    #expect(other.take(0) && other == KafkaPosition(next: 1, epoch: 0))
  }

  @Test("whatever crashes tear off and however often a topic is made anew: each message has one id")
  func random() {
    let seed = setting("SIGNALBOX_SEED", 1)
    var random = Seeded(UInt64(seed))
    var ids: Set<String> = []
    var notes: [String: JSON] = [:]
    var (sent, high) = (0, Int64(0))
    var committed: Int64?
    var isNoted = true
    for _ in 0..<2000 {
      // Deleted with what its group has committed, and looked at before it has grown again.
      if isNoted, Int.random(in: 0..<50, using: &random) == 0 { (high, committed) = (0, nil) }
      var positions = KafkaPositions(places: notes)
      let marks = KafkaMarks(low: 0, high: high, committed: committed)
      let start = positions.start(place, marks, fromOldest: true)
      positions.set(place, start.position)
      if start.isNew { note() }
      let more = Int64.random(in: 0...5, using: &random)
      (sent, high) = (sent + Int(more), high + more)
      var position = start.position
      for offset in start.position.next..<high where position.take(offset) {
        ids.insert("\(offset)@\(position.epoch)")
      }
      positions.set(place, position)
      // A crash leaves events without their note, or a note that the group was not told of.
      isNoted = Bool.random(using: &random)
      if isNoted { note() }
      if isNoted, Bool.random(using: &random) { committed = high }

      func note() {
        for entry in positions.places(of: [place]) { notes[entry.key] = entry.value }
      }
    }
    #expect(ids.count == sent, "seed \(seed)")
  }
}
