import Bus
import EventLog
import KafkaClient
import Posix

/// Copies what the topic holds and a folder does not.
struct ReplicaCopier {
  private let settings: KafkaBus.Settings
  private let loop: EventLoop
  private let observer: KafkaObserver

  init(_ settings: KafkaBus.Settings, loop: EventLoop, observer: KafkaObserver) {
    self.settings = settings
    self.loop = loop
    self.observer = observer
  }

  /// Reads up to the mark of the new owner, at `barrier`.
  /// - Parameter isCopy: whether the folder says that it is a copy of the topic. Where the topic was
  ///   shortened past its last record it then begins anew.
  /// - Returns: the last record that both hold; 0: there is none.
  /// - Throws: `KafkaBusError` when the two hold different logs; else what brokers or disk say.
  func copy(to log: EventLog, isCopy: Bool, through barrier: Int64) async throws -> UInt64 {
    try await withReader(settings, loop, observer) { consumer in
      try await TopicWalk.over(settings, consumer, through: barrier) { walk in
        try await copy(&walk, log, isCopy)
      }
    }
  }

  private func copy(
    _ walk: inout TopicWalk,
    _ log: EventLog,
    _ isCopy: Bool
  ) async throws -> UInt64 {
    var known = log.committed?.offset ?? 0
    var isAmid = false
    var isAnew = false
    if known > 0 { isAmid = try await walk.begin(near: known) } else { try await walk.begin() }
    var assembly = RecordAssembly(isAmid: isAmid)
    var isPart = false
    while let found = try await walk.next() {
      var fresh: [Record] = []
      for (place, message) in found {
        switch message {
        case .moving: isPart = true
        case .moved: isPart = false
        case .part, .mark, .look, .gap: break
        }
        let isFirst = assembly.last == nil
        let copy = try assembly.take(message, at: place)
        // What is read first must not leave out what follows the folder's last record. Where nothing
        // says that the folder is a copy, both must hold that one.
        let most = copy == nil || !isCopy ? known : known + 1
        if isFirst, known > 0, let last = assembly.last, last > most {
          // A topic that was not shortened would have it.
          guard isCopy, walk.low > 0 else { throw apart(known, "from \(last) on") }
          tellAnew(known, last)
          (isAnew, known) = (true, 0)
        }
        guard let copy else { continue }
        let record = try copy.record()
        if copy.offset <= known { try compare(record, log) } else { fresh.append(record) }
      }
      try await log.copy(fresh, anew: isAnew)
      if !fresh.isEmpty { isAnew = false }
      known = max(known, fresh.last?.position.offset ?? 0)
    }
    if isPart {
      throw KafkaBusError.shape(
        "\(settings.replicaName) holds a part of a log that is being moved to it: "
          + "`signalbox migrate` must be run once more where it was begun"
      )
    }
    let last = assembly.last ?? 0
    guard last >= known else { throw apart(known, "up to \(last)") }
    return last
  }

  private func tellAnew(_ known: UInt64, _ first: UInt64) {
    let line =
      "the folder ends with record \(known), \(settings.replicaName) begins with \(first): the folder "
      + "is emptied and copied anew"
    loop.post { [observer] in observer.log(.warning, line) }
  }

  private func apart(_ known: UInt64, _ topic: String) -> KafkaBusError {
    .mismatch(
      "the folder holds records up to \(known), \(settings.replicaName) \(topic): "
        + "the folder belongs to another bus; use an empty one, or move it to a topic of its own "
        + "with `signalbox migrate`"
    )
  }

  /// Both must hold the same, or the folder is that of another bus.
  private func compare(_ record: Record, _ log: EventLog) throws {
    // Records that nobody needed any longer have left the folder.
    guard let own = try log.record(at: record.position), own != record else { return }
    throw KafkaBusError.mismatch(
      "record \(record.position) of the folder is not that of \(settings.replicaName): the "
        + "folder belongs to another bus; use an empty one"
    )
  }
}

/// Runs `body` with a client that reads the topic.
func withReader<Result>(
  _ settings: KafkaBus.Settings,
  _ loop: EventLoop,
  _ observer: KafkaObserver,
  _ body: (KafkaConsumer) async throws -> Result
) async throws -> Result {
  let consumer = try KafkaConsumer(settings.reader, loop: loop, observer: observer)
  do {
    let result = try await body(consumer)
    await consumer.close()
    return result
  } catch {
    await consumer.close()
    throw error
  }
}
