import Bus
import EventLog
import KafkaClient
import Posix

/// Copies what the topic holds and a folder does not.
struct ReplicaCopier {
  private let settings: KafkaBus.Settings
  private let log: EventLog
  private let observer: KafkaObserver
  private let loop: EventLoop
  /// Whether the folder says that it is a copy of the topic. Where the topic was shortened past its
  /// last record it then begins anew.
  private let isCopy: Bool
  private let low: Int64
  /// The last record that both hold, as far as this has come.
  private(set) var known: UInt64
  /// Whether the log goes with the next record.
  private var isAnew = false
  /// Whether the topic holds a part of a log that is being moved to it, as far as this has come.
  private var isPart = false
  private var assembly: RecordAssembly
  /// Whether reading began behind the topic's first message.
  private let isAmid: Bool

  /// Begins where the folder ends.
  init(
    _ settings: KafkaBus.Settings,
    to log: EventLog,
    isCopy: Bool,
    _ walk: inout TopicWalk,
    _ loop: EventLoop,
    _ observer: KafkaObserver
  ) async throws {
    self.settings = settings
    self.log = log
    self.isCopy = isCopy
    self.observer = observer
    self.loop = loop
    low = walk.low
    known = log.committed?.offset ?? 0
    var isAmid = false
    if known > 0 { isAmid = try await walk.begin(near: known) } else { try await walk.begin() }
    self.isAmid = isAmid
    assembly = RecordAssembly(isAmid: isAmid)
  }

  /// Writes to the folder what it does not have of the messages that follow.
  /// - Throws: `KafkaBusError` when the two hold different logs; else what brokers or disk say.
  mutating func take(_ found: [TopicWalk.Found]) async throws {
    var fresh: [Record] = []
    for (place, message) in found {
      switch message {
      case .moving: isPart = true
      case .moved: isPart = false
      case .part, .mark, .look, .gap: break
      }
      let isFirst = assembly.last == nil
      let copy = try assembly.take(message, at: place)
      if isFirst, let last = assembly.last { try join(last, isRecord: copy != nil) }
      guard let copy else { continue }
      let record = try copy.record()
      if copy.offset <= known { try compare(record) } else { fresh.append(record) }
    }
    guard let last = fresh.last else { return }
    try await log.copy(fresh, anew: isAnew)
    isAnew = false
    known = last.position.offset
  }

  /// All that the topic has was taken.
  /// - Returns: the last record that both hold; 0: there is none.
  /// - Throws: `KafkaBusError`, also when the topic holds only a part of a log.
  func finish() throws(KafkaBusError) -> UInt64 {
    if isPart {
      throw .shape(
        "\(settings.replicaName) holds a part of a log that is being moved to it: "
          + "`signalbox migrate` must be run once more where it was begun"
      )
    }
    let last = assembly.last ?? 0
    guard last >= known else { throw apart("up to \(last)") }
    return last
  }

  /// What is read first must not leave out what follows the folder's last record. Where nothing says
  /// that the folder is a copy, both must hold that one.
  private mutating func join(_ first: UInt64, isRecord: Bool) throws {
    let most = isRecord && isCopy ? known + 1 : known
    guard known > 0, first > most else { return }
    // It began with a record that the folder has, so something was left out on the way (TopicWalk.over).
    if isAmid { throw KafkaError.timedOut }
    // A topic that was not shortened would have it.
    guard isCopy, low > 0 else { throw apart("from \(first) on") }
    let line =
      "the folder ends with record \(known), \(settings.replicaName) begins with \(first): the folder "
      + "is emptied and copied anew"
    loop.post { [observer] in observer.log(.warning, line) }
    (isAnew, known) = (true, 0)
  }

  private func apart(_ topic: String) -> KafkaBusError {
    .mismatch(
      "the folder holds records up to \(known), \(settings.replicaName) \(topic): "
        + "the folder belongs to another bus; use an empty one, or move it to a topic of its own "
        + "with `signalbox migrate`"
    )
  }

  /// Both must hold the same, or the folder is that of another bus.
  private func compare(_ record: Record) throws {
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
