package import Posix

/// Producers by their settings: one for each, made when it is first needed, replaced when it became
/// useless, closed when nobody has used it for a while.
package actor KafkaProducers {
  package nonisolated let loop: EventLoop
  package nonisolated var unownedExecutor: UnownedSerialExecutor {
    unsafe loop.asUnownedSerialExecutor()
  }

  private struct Entry {
    let producer: KafkaProducer
    var usedAt: MonotonicTime
  }

  private var entries: [KafkaSettings: Entry] = [:]
  private var isClosed = false
  private let idleLimit: Duration

  /// - Parameter idleLimit: how long a producer is kept that nobody uses.
  package init(loop: EventLoop, idleLimit: Duration = .seconds(600)) {
    self.loop = loop
    self.idleLimit = idleLimit
  }

  /// How many producers there are.
  package var count: Int { entries.count }

  /// Writes a message with the producer of `settings` and waits for its delivery report.
  /// - Throws: `KafkaSettingError` where librdkafka does not take the settings, else `KafkaError`.
  package func send(
    _ record: KafkaRecord,
    _ settings: KafkaSettings,
    _ observer: KafkaObserver
  ) async throws -> KafkaReceipt {
    guard !isClosed else { throw KafkaError.closed }
    let producer = try producer(settings, observer)
    await closeIdle()
    do throws(KafkaError) { return try await producer.send(record) } catch {
      // The report of a message may come before the news that the client is of no use any more.
      let isUsable = await producer.isUsable
      if error.isFatal || !isUsable { await replace(producer, settings) }
      throw error
    }
  }

  private func producer(
    _ settings: KafkaSettings,
    _ observer: KafkaObserver
  ) throws(KafkaSettingError) -> KafkaProducer {
    let now = MonotonicTime.now()
    if let entry = entries[settings] {
      entries[settings]?.usedAt = now
      return entry.producer
    }
    let producer = try KafkaProducer(settings, loop: loop, observer: observer)
    entries[settings] = Entry(producer: producer, usedAt: now)
    return producer
  }

  private func replace(_ producer: KafkaProducer, _ settings: KafkaSettings) async {
    guard entries[settings]?.producer === producer else { return }
    entries[settings] = nil
    await producer.close()
  }

  private func closeIdle() async {
    let now = MonotonicTime.now()
    for (settings, entry) in entries where now - entry.usedAt > idleLimit {
      guard await entry.producer.underWay == 0, let current = entries[settings],
        now - current.usedAt > idleLimit
      else { continue }
      entries[settings] = nil
      await entry.producer.close()
    }
  }

  /// Closes all of them, waiting for the reports of what is under way at most `limit`.
  package func close(within limit: Duration = .seconds(5)) async {
    isClosed = true
    let all = entries.values.map(\.producer)
    entries = [:]
    await withTaskGroup { group in
      for producer in all { group.addTask { _ = await producer.close(within: limit) } }
    }
  }
}
