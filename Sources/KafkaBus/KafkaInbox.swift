package import Event
package import KafkaClient
package import Posix

/// Reads the events that are on their way to one partition, for its owner.
package struct KafkaInbox: Sendable {
  private let consumer: KafkaConsumer
  private let place: KafkaPartition
  private let patience: Duration

  private static let messagesMax = 1000
  private static let bytesMax = 4 << 20

  package struct Batch: Sendable {
    package let events: [Event]
    /// Where reading goes on behind it.
    package let next: Int64
    /// What was lost before it, in words.
    package var gap: String?
  }

  /// - Throws: `KafkaSettingError`.
  package init(
    _ settings: KafkaBus.Settings,
    loop: EventLoop,
    observer: KafkaObserver
  ) throws(KafkaSettingError) {
    var client = settings.reader
    client["fetch.message.max.bytes"] = "\(Self.bytesMax)"
    consumer = try KafkaConsumer(client, loop: loop, observer: observer)
    place = KafkaPartition(topic: settings.eventsTopic, partition: Int32(settings.partition))
    patience = settings.patience
  }

  /// - Parameter offset: where reading begins; nil: with the first event that is left.
  /// - Throws: `KafkaError` when brokers cannot be had.
  package func begin(at offset: Int64?) async throws(KafkaError) {
    try await consumer.begin()
    var start = offset ?? 0
    if offset == nil {
      start = try await consumer.marks(of: [place], within: patience)[place]?.low ?? 0
    }
    try await consumer.assign([KafkaOffset(place, start)])
  }

  /// Waits for events; nil: none came for a while, or the task was cancelled.
  /// - Throws: `KafkaError`, or `Event.EncodingError` for what a newer version wrote.
  package func next() async throws -> Batch? {
    let news = await consumer.next(
      messages: Self.messagesMax,
      bytes: Self.bytesMax,
      within: .seconds(30)
    )
    switch news {
    case .messages(let messages): return try batch(messages)
    case .unreadable(let offset, let error):
      try await consumer.assign([KafkaOffset(place, offset.offset + 1)])
      return Batch(
        events: [],
        next: offset.offset + 1,
        gap: "message \(offset.offset) cannot be read: \(error)"
      )
    case .outOfRange(let offset):
      let marks = try await consumer.marks(of: [place], within: patience)
      let low = marks[place]?.low ?? 0
      try await consumer.assign([KafkaOffset(place, low)])
      return Batch(
        events: [],
        next: low,
        gap: "message \(offset.offset) is gone, the first one left is \(low)"
      )
    case .failed(let error): throw error
    case .assigned, .revoked, .nothing: return nil
    }
  }

  /// What is no event is told of and left out; what a newer version wrote is not.
  private func batch(_ messages: [KafkaMessage]) throws -> Batch? {
    var events: [Event] = []
    var none: [Int64] = []
    for message in messages {
      do throws(Event.EncodingError) {
        events.append(try Event(encoded: (message.value ?? [])[...]))
      } catch {
        guard error == .malformed else { throw error }
        none.append(message.offset)
      }
    }
    return messages.last.map { last in
      var batch = Batch(events: events, next: last.offset + 1)
      if let first = none.first {
        batch.gap = "\(none.count) messages are no events, the first one is \(first)"
      }
      return batch
    }
  }

  package func close() async { await consumer.close() }
}
