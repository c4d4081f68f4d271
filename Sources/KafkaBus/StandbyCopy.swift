import Bus
package import EventLog
package import KafkaClient
package import Posix

/// Copies the topic into a folder while another process owns the bus, so that becoming the owner takes
/// only the rest. It writes nothing to the topic, and what it copies was committed.
package struct StandbyCopy: Sendable {
  package struct Progress: Sendable, Equatable {
    /// The folder's last record; 0: it has none.
    package let last: UInt64
    /// How many messages of the topic are not in it yet, at most.
    package let behind: Int64
  }

  private let settings: KafkaBus.Settings
  private let folder: String
  private let configuration: EventLog.Configuration
  private let loop: EventLoop
  private let observer: KafkaObserver
  private let told: @Sendable (Progress) -> Void

  /// How often it looks whether the topic was shortened: then old records leave the folder too.
  private static let pass = Duration.seconds(600)

  /// - Parameters:
  ///   - folder: of the log.
  ///   - loop: serves the clients.
  ///   - told: called as the copy goes on.
  package init(
    _ settings: KafkaBus.Settings,
    folder: String,
    _ configuration: EventLog.Configuration,
    loop: EventLoop,
    observer: KafkaObserver,
    told: @escaping @Sendable (Progress) -> Void
  ) {
    (self.settings, self.folder, self.configuration) = (settings, folder, configuration)
    (self.loop, self.observer, self.told) = (loop, observer, told)
  }

  /// Copies until the task is cancelled.
  /// - Returns: at once where the folder does not say that it is a copy of the topic and holds
  ///   something: what it is the owner finds out.
  /// - Throws: as `KafkaBus.open` does.
  package func run() async throws {
    var configuration = configuration
    let replica = ElsewhereReplica(name: settings.replicaName)
    configuration.replica = replica
    let (log, recovery) = try EventLog.open(folder: folder, configuration)
    do {
      for damage in recovery.damages { configuration.hooks.damaged(damage) }
      if log.committed == nil { try EventLog.mark(folder, asCopyOf: replica) }
      if try FolderRole(of: folder) == .copy(of: replica.name) {
        try await withReader(settings, loop, observer) { consumer in
          while !Task.isCancelled {
            try await TopicWalk.over(settings, consumer, through: nil) { walk in
              try await follow(&walk, log, consumer)
            }
          }
        }
      }
    } catch {
      await log.close()
      throw error
    }
    await log.close()
  }

  private func follow(
    _ walk: inout TopicWalk,
    _ log: EventLog,
    _ consumer: KafkaConsumer
  ) async throws {
    // What the topic has let go of, its owner has let go of.
    if let first = try await walk.first() {
      log.hold(Holds(ranges: ["topic": Position(offset: first)]))
    }
    var copier = try await ReplicaCopier(settings, to: log, isCopy: true, &walk, loop, observer)
    let deadline = MonotonicTime.now() + Self.pass
    while !Task.isCancelled, .now() < deadline, let found = try await walk.next() {
      try await copier.take(found)
      let end = await consumer.end(of: settings.place) ?? walk.end
      // A transaction's own end is a message too.
      told(Progress(last: copier.known, behind: max(0, end - walk.position - 1)))
    }
  }
}

/// Stands for the topic where nothing is written to it.
private struct ElsewhereReplica: LogReplica {
  let name: String

  func store(_ records: [ReplicaRecord]) throws(BusError) {
    throw .failed("another process owns the bus")
  }

  func close() async {}
}
