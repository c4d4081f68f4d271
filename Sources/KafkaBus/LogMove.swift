import Bus
package import EventLog
package import KafkaClient
package import Posix

/// Moves the log of a folder to a topic, which from then on is its truth.
///
/// The folder is marked as on the move before the first record is written, so that no program goes
/// on with it meanwhile, and as a copy of the topic once the topic holds everything. The topic says
/// of itself, with every transaction, whether it holds a part or the whole (ReplicaMessage), so no
/// program begins on a part. Ended at any step, the same can be run again: it goes on behind the
/// last record that the topic has, after all of them were compared with the folder's.
package struct LogMove: Sendable {
  package enum Step: Equatable, Sendable {
    /// Whoever wrote to the topic before cannot do so any more.
    case shutOut
    /// The topic, up to this record, holds what the folder does.
    case compared(through: UInt64)
    /// No program may write to the folder.
    case marked
    case written(through: UInt64, of: UInt64)
    case whole
    /// Of a move that is taken back: nobody may begin on the topic.
    case apart
  }

  package enum Outcome: Equatable, Sendable {
    /// The folder holds no record.
    case empty
    /// So many records were written, besides those the topic had.
    case moved(records: Int)
    /// The topic held everything already; `last` is its last record, where that was looked at.
    case before(last: UInt64?)
  }

  private let settings: KafkaBus.Settings
  private let folder: String
  private let configuration: EventLog.Configuration
  private let loop: EventLoop
  private let observer: KafkaObserver
  private let step: @Sendable (Step) async throws -> Void
  /// Of the records of a transaction.
  package var recordsMax = 1000
  package var bytesMax = 4 << 20

  /// - Parameters:
  ///   - folder: of the log.
  ///   - loop: serves the clients.
  ///   - step: called after each step; what it throws ends the move there.
  package init(
    _ settings: KafkaBus.Settings,
    folder: String,
    _ configuration: EventLog.Configuration,
    loop: EventLoop,
    observer: KafkaObserver,
    step: @escaping @Sendable (Step) async throws -> Void = { _ in }
  ) {
    (self.settings, self.folder, self.configuration) = (settings, folder, configuration)
    (self.loop, self.observer, self.step) = (loop, observer, step)
  }

  // MARK: There

  /// - Throws: `LogError` where the folder is in use or another topic's; `KafkaBusError` where the
  ///   topic holds another log; else what brokers or disk say.
  package func run() async throws -> Outcome {
    try await withLog { log, role in
      guard let last = log.committed else { return .empty }
      if role == .copy(of: settings.replicaName) { return .before(last: nil) }
      guard try log.record(at: last) != nil else {
        throw KafkaBusError.mismatch(
          "record \(last), the last one of the folder, is damaged: start the program on it once "
            + "without kafka and stop it, so that another one is the last, and move it then"
        )
      }
      return try await withWriter { writer in
        let topic = try await survey(log, writer)
        if let error = topic.otherLog { throw error }
        try await step(.compared(through: topic.last))
        if topic.state == .whole, topic.last >= last.offset {
          try FolderRole.copy(of: settings.replicaName).write(to: folder)
          return .before(last: topic.last)
        }
        try check(topic, last.offset)
        if role == .alone {
          try FolderRole.moving(to: settings.replicaName).write(to: folder)
        }
        try await step(.marked)
        let records = try await write(log, after: topic.last, writer)
        _ = try await writer.commit([settings.entry(.moved)])
        try await step(.whole)
        try FolderRole.copy(of: settings.replicaName).write(to: folder)
        return .moved(records: records)
      }
    }
  }

  /// Whether the folder's log goes on where the topic's ends.
  private func check(_ topic: TopicSurvey, _ last: UInt64) throws(KafkaBusError) {
    if topic.state == .whole, topic.hasBegun {
      throw .mismatch(
        "the topic \(settings.topic) holds a log up to record \(topic.last) on which a program has "
          + "begun, and the folder goes on to \(last): both were written to since they parted; "
          + "name another topic in the EventBus, or go on with one of the two"
      )
    }
    guard topic.last <= last else {
      throw .mismatch(
        "the topic \(settings.topic) holds a part of the log up to record \(topic.last), the folder "
          + "up to \(last): the folder is an older copy; move the one it was begun with, or delete "
          + "the topic"
      )
    }
  }

  private func write(
    _ log: EventLog,
    after last: UInt64,
    _ writer: KafkaTransactor
  ) async throws -> Int {
    var last = last
    var count = 0
    while true {
      let after = last == 0 ? nil : Position(offset: last)
      let records = try log.read(after: after, limit: recordsMax, bytes: bytesMax)
      if records.isEmpty { return count }
      var entries: [KafkaEntry] = []
      for record in records.map({ ReplicaRecord($0) }) {
        if last > 0, record.offset > last + 1 {
          entries.append(settings.entry(.gap(through: record.offset - 1)))
        }
        entries += ReplicaMessage.messages(of: record).map { settings.entry($0) }
        last = record.offset
      }
      _ = try await writer.commit(entries + [settings.entry(.moving)])
      count += records.count
      try await step(.written(through: last, of: log.committed?.offset ?? last))
    }
  }

  // MARK: And back

  /// Takes the mark off the folder, so that its log is in force again.
  /// - Returns: false where it has none.
  /// - Throws: `KafkaBusError` when a program has begun on the topic; else as `run`.
  package func undo() async throws -> Bool {
    try await withLog { log, role in
      if role == .alone { return false }
      try await withWriter { writer in
        let topic = try await survey(log, writer)
        if case .copy = role, log.committed?.offset ?? 0 < topic.last {
          throw KafkaBusError.mismatch(
            "the folder holds records up to \(log.committed?.offset ?? 0), \(settings.replicaName) up "
              + "to \(topic.last): it is not the one that was moved there"
          )
        }
        if topic.state == .whole {
          try check(undoing: role, topic)
          // Should the next step be the last one, the same command, or a move, goes on from here.
          if case .copy = role {
            try FolderRole.moving(to: settings.replicaName).write(to: folder)
            try await step(.marked)
          }
          // Nobody may begin on the topic from now on.
          if topic.otherLog == nil { _ = try await writer.commit([settings.entry(.moving)]) }
          try await step(.apart)
        }
        try FolderRole.alone.write(to: folder)
      }
      return true
    }
  }

  private func check(undoing role: FolderRole, _ topic: TopicSurvey) throws(KafkaBusError) {
    if let error = topic.otherLog {
      if case .copy = role { throw error }
      if topic.isBeyond { throw error }
      // Nothing of a folder that is on the move got there then.
      return
    }
    guard topic.hasBegun else { return }
    throw .mismatch(
      "a program has begun on the topic \(settings.topic), which holds records up to \(topic.last): "
        + "going on with the folder would do again what it did"
    )
  }

  // MARK: Both

  private func withLog<Result>(
    _ body: (EventLog, FolderRole) async throws -> Result
  ) async throws -> Result {
    guard Files.kind(folder) == .folder else {
      throw KafkaBusError.mismatch("there is no log in \(folder)")
    }
    let (log, recovery, role) = try EventLog.open(
      folder: folder,
      configuration,
      movingTo: settings.replicaName
    )
    for damage in recovery.damages { configuration.hooks.damaged(damage) }
    do {
      let result = try await body(log, role)
      await log.close()
      return result
    } catch {
      await log.close()
      throw error
    }
  }

  /// Shuts out whoever wrote to the topic before, and runs `body`.
  private func withWriter<Result>(
    _ body: (KafkaTransactor) async throws -> Result
  ) async throws -> Result {
    try await KafkaBus.prepare(
      settings,
      loop: loop,
      observer: observer,
      within: settings.patience
    )
    let writer = try KafkaTransactor(
      settings.producer,
      loop: loop,
      observer: observer,
      limit: settings.patience
    )
    do {
      try await writer.open()
      let result = try await body(writer)
      await writer.close()
      return result
    } catch {
      await writer.close()
      throw error
    }
  }

  private func survey(_ log: EventLog, _ writer: KafkaTransactor) async throws -> TopicSurvey {
    let receipts = try await writer.commit([settings.entry(.look)])
    guard let barrier = receipts.first?.offset else { throw KafkaError.timedOut }
    try await step(.shutOut)
    return try await withReader(settings, loop, observer) { consumer in
      try await TopicWalk.over(settings, consumer, through: barrier) { walk in
        var survey = TopicSurvey(log, topic: settings.topic)
        try await survey.take(&walk)
        return survey
      }
    }
  }
}
