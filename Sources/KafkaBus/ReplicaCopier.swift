import Bus
import EventLog
import KafkaClient
import Posix

/// Copies what the topic holds and a folder does not.
struct ReplicaCopier {
  private let settings: KafkaBus.Settings
  private let loop: EventLoop
  private let observer: KafkaObserver

  private static let messagesMax = 5000
  private static let bytesMax = 8 << 20

  init(_ settings: KafkaBus.Settings, loop: EventLoop, observer: KafkaObserver) {
    self.settings = settings
    self.loop = loop
    self.observer = observer
  }

  private var place: KafkaPartition { KafkaPartition(topic: settings.topic, partition: 0) }

  /// Reads up to the mark of the new owner, at `barrier`.
  /// - Returns: the last record that both hold; 0: there is none.
  /// - Throws: `KafkaBusError` when the two hold different logs; else what brokers or disk say.
  func copy(to log: EventLog, through barrier: Int64) async throws -> UInt64 {
    let consumer = try KafkaConsumer(settings.reader, loop: loop, observer: observer)
    do {
      try await consumer.begin()
      let last = try await copy(consumer, log, barrier)
      await consumer.close()
      return last
    } catch {
      await consumer.close()
      throw error
    }
  }

  private func copy(
    _ consumer: KafkaConsumer,
    _ log: EventLog,
    _ barrier: Int64
  ) async throws -> UInt64 {
    let marks = try await consumer.marks(of: [place], within: settings.patience)
    let low = marks[place]?.low ?? 0
    var known = log.committed?.offset ?? 0
    var start = low
    if known > 0, let first = try await first(consumer, from: low, barrier) {
      // Each record takes one message or more, so the folder's last one is not before this.
      start = min(barrier, low + Int64(clamping: known - min(known, first)))
    }
    try await consumer.assign([KafkaOffset(place, start)])
    var assembly = RecordAssembly()
    var isWithin = start == low
    var last: UInt64 = 0
    var isDone = false
    while !isDone {
      var fresh: [Record] = []
      for message in try await next(consumer) where message.offset >= start {
        if message.offset >= barrier {
          isDone = true
          break
        }
        let parsed = try ReplicaMessage(parsing: message.value, at: message.offset)
        // Reading may begin amid the parts of a record that the folder has.
        if !isWithin {
          isWithin = parsed.endsRecord
          last = max(last, parsed.offset ?? 0)
          continue
        }
        guard let copy = try assembly.take(parsed, at: message.offset) else { continue }
        let record = try copy.record()
        last = copy.offset
        if copy.offset <= known { try compare(record, log) } else { fresh.append(record) }
      }
      try await log.copy(fresh)
      known = max(known, fresh.last?.position.offset ?? 0)
    }
    guard last >= known else {
      throw KafkaBusError.mismatch(
        "the folder holds records up to \(known), the topic \(settings.topic) up to \(last): "
          + "the folder belongs to another bus; use an empty one"
      )
    }
    return last
  }

  /// The position of the topic's first record; nil when it has none.
  private func first(
    _ consumer: KafkaConsumer,
    from low: Int64,
    _ barrier: Int64
  ) async throws -> UInt64? {
    try await consumer.assign([KafkaOffset(place, low)])
    while true {
      for message in try await next(consumer) {
        if message.offset >= barrier { return nil }
        if case .part(let offset, _, _) = try ReplicaMessage(
          parsing: message.value,
          at: message.offset
        ) {
          return offset
        }
      }
    }
  }

  private func next(_ consumer: KafkaConsumer) async throws -> [KafkaMessage] {
    let news = await consumer.next(
      messages: Self.messagesMax,
      bytes: Self.bytesMax,
      within: settings.patience
    )
    switch news {
    case .messages(let messages): return messages
    case .failed(let error), .unreadable(_, let error): throw error
    case .outOfRange(let offset):
      throw KafkaBusError.mismatch("the topic \(settings.topic) has no message \(offset.offset)")
    case .assigned, .revoked: return []
    case .nothing: throw KafkaError.timedOut
    }
  }

  /// Both must hold the same, or the folder is that of another bus.
  private func compare(_ record: Record, _ log: EventLog) throws {
    // Records that nobody needed any longer have left the folder.
    guard let own = try log.record(at: record.position), own != record else { return }
    throw KafkaBusError.mismatch(
      "record \(record.position) of the folder is not that of the topic \(settings.topic): the "
        + "folder belongs to another bus; use an empty one"
    )
  }
}

extension ReplicaMessage {
  /// Whether what follows is no part of the same record.
  fileprivate var endsRecord: Bool {
    if case .part(_, let isLast, _) = self { return isLast }
    return true
  }

  fileprivate var offset: UInt64? {
    if case .part(let offset, _, _) = self { return offset }
    return nil
  }
}
