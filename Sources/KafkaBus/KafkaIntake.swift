package import Bus
package import Event
package import KafkaClient
package import Posix

/// Where events enter a bus whose work is shared: whoever takes one writes it to `<topic>-events`, in
/// the partitions that need it, and has it stored once brokers have all of these copies. The owner of
/// a partition reads them from there (`KafkaInbox`).
///
/// A message is an event as it is on the log (`Event.encoded`); its key is the event's source. Not
/// all copies may come to be when a write fails: whoever sends the event again completes them, and
/// the owners tell by its identity what they have.
package struct KafkaIntake: Sendable {
  private let topic: String
  private let settings: @Sendable () throws -> KafkaBus.Settings
  private let observer: KafkaObserver
  private let producers: KafkaProducers
  private let loop: EventLoop

  /// How long a copy may take to be stored. Senders of requests wait so long.
  private static let patience = Duration.seconds(20)
  /// Of an event with what stands around it.
  private static let messageBytes = Event.Limits.dataBytes + (1 << 20)
  /// How long an owner may be away before events are lost: 14 days.
  private static let retention = 14 * 86_400_000

  static let topicSettings = [
    "cleanup.policy": "delete", "retention.ms": "\(retention)", "retention.bytes": "-1",
    "max.message.bytes": "\(messageBytes)",
  ]

  /// - Parameter settings: asked for at each call: secrets may have changed.
  package init(
    topic: String,
    loop: EventLoop,
    observer: KafkaObserver,
    settings: @escaping @Sendable () throws -> KafkaBus.Settings
  ) {
    self.topic = KafkaBus.eventsTopic(topic)
    self.settings = settings
    self.observer = observer
    self.loop = loop
    producers = KafkaProducers(loop: loop)
  }

  /// Writes events to partitions and waits until all of it is stored.
  /// - Throws: `BusError`; then some copies may be stored.
  package func send(_ copies: [(event: Event, partition: Int)]) async throws(BusError) {
    let records = copies.map { event, partition in
      var record = KafkaRecord(
        topic: topic,
        key: Array("\(event.namespace)/\(event.source)".utf8),
        value: event.encoded()
      )
      record.partition = Int32(partition)
      return record
    }
    let client: KafkaSettings
    do { client = self.client(try settings()) } catch { throw .failed("\(error)") }
    let failure = await withTaskGroup(of: (any Error)?.self) { group in
      for record in records {
        // On the loop they begin in this order, and so they are written.
        group.addTask(executorPreference: loop) {
          do { _ = try await producers.send(record, client, observer) } catch { return error }
          return nil
        }
      }
      return await group.reduce(nil) { $0 ?? $1 }
    }
    guard let failure else { return }
    if let error = failure as? KafkaError, error.isTooLarge {
      throw .tooLarge(limit: Self.messageBytes)
    }
    throw .failed("\(failure)")
  }

  private func client(_ settings: KafkaBus.Settings) -> KafkaSettings {
    var client = settings.client
    client["acks"] = "all"
    client["enable.idempotence"] = "true"
    client["message.max.bytes"] = "\(Self.messageBytes)"
    client["message.timeout.ms"] = "\(Self.patience.wholeNanoseconds / 1_000_000)"
    // A request waits for each message; what comes while one is written goes together anyway.
    client["linger.ms"] = "0"
    return client
  }

  package func close() async { await producers.close() }
}
