package import EventLog
package import KafkaClient
package import Posix

// The bus on Kafka: the embedded log, whose truth is a topic.
//
// One process at a time owns the bus (`KafkaElection`). It appends as the embedded log does, with
// one difference: a batch is written to the topic, in one transaction, before it is written to the
// folder (`KafkaReplica`). The folder is a copy that is behind for a moment at most; whoever
// becomes the owner first shuts the one before out, then copies what its own folder does not have.
// A folder that was lost is made again from the topic.
//
// A partition of the topic is such a log, so that its records have one order; its messages:
// ReplicaMessage. One partition is the usual case: everything has one order and one owner. With more
// of them the work is shared: each has an owner, a folder and the sensors that fall to it, and all
// processes take events, which reach the partitions through `<topic>-events` (`KafkaIntake`).
package enum KafkaBus {
  package struct Settings: Sendable {
    /// How the brokers are reached.
    package var client: KafkaSettings
    /// The topic of the records. `<topic>-owner`, which stays empty, is what the election is about.
    package var topic: String
    /// The group that elects the owner; also part of the transactional id.
    package var group: String
    /// How long the owner may be silent before another process is elected.
    package var sessionTimeout = Duration.seconds(10)
    /// How long a batch may take to be on the topic. After it the owner gives the bus up.
    package var patience = Duration.seconds(30)
    /// When a topic that could not be shortened is tried again.
    package var trimRetry = Duration.seconds(300)
    /// How many partitions there are, and which of them is meant.
    package var partitions = 1
    package var partition = 0

    package init(client: KafkaSettings, topic: String, group: String) {
      self.client = client
      self.topic = topic
      self.group = group
    }

    var ownerTopic: String { topic + "-owner" }

    /// What holds the records, and what a folder that is a copy says it is a copy of.
    var replicaName: String {
      partitions == 1 ? "the topic \(topic)" : "partition \(partition) of the topic \(topic)"
    }

    /// What the log is read from.
    var place: KafkaPartition { KafkaPartition(topic: topic, partition: Int32(partition)) }

    func entry(_ message: ReplicaMessage) -> KafkaEntry {
      KafkaEntry(topic: topic, partition: Int32(partition), key: nil, value: message.encoded)
    }

    /// Events on their way to the partitions.
    var eventsTopic: String { KafkaBus.eventsTopic(topic) }

    /// The one partition's id is older than the others.
    private var ownerID: String {
      partitions == 1 ? group + "-owner" : "\(group)-owner-\(partition)"
    }

    /// Settings of the client that writes.
    var producer: KafkaSettings {
      var settings = client
      settings["transactional.id"] = ownerID
      settings["acks"] = "all"
      // Chunks are smaller; this is for the protocol's overhead around them.
      settings["message.max.bytes"] = "1000000"
      return settings
    }

    /// Settings of the client that reads the records.
    var reader: KafkaSettings {
      var settings = client
      settings["group.id"] = group
      settings["isolation.level"] = "read_committed"
      return settings
    }

    /// Settings of the member that takes part in the election.
    var member: KafkaSettings {
      var settings = client
      let milliseconds = sessionTimeout.wholeNanoseconds / 1_000_000
      settings["group.id"] = group
      settings["session.timeout.ms"] = "\(milliseconds)"
      settings["heartbeat.interval.ms"] = "\(max(1, milliseconds / 10))"
      // How long the group waits for its members when it changes; nobody here has to finish first.
      settings["max.poll.interval.ms"] = "\(milliseconds)"
      // A process that joins must not take the bus from its owner, not even for a moment.
      settings["partition.assignment.strategy"] = "cooperative-sticky"
      return settings
    }
  }

  static func eventsTopic(_ topic: String) -> String { topic + "-events" }

  /// Makes the topics that are missing.
  /// - Parameter limit: how long each may take.
  /// - Throws: `KafkaError`, `KafkaSettingError`, or `KafkaBusError` for a topic of another shape.
  package static func prepare(
    _ settings: Settings,
    loop: EventLoop,
    observer: KafkaObserver,
    within limit: Duration
  ) async throws {
    let admin = KafkaAdmin(settings.client, loop: loop, observer: observer)
    // What is needed and for how long only its owner knows.
    let keeps = ["cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"]
    var topics = [(settings.topic, keeps), (settings.ownerTopic, keeps)]
    if settings.partitions > 1 { topics.append((settings.eventsTopic, KafkaIntake.topicSettings)) }
    for (topic, properties) in topics {
      let partitions = try await admin.ensure(
        topic,
        partitions: settings.partitions,
        properties,
        within: limit
      )
      guard partitions == settings.partitions else {
        throw KafkaBusError.shape(
          "the topic \(topic) has \(partitions) partitions, expected \(settings.partitions); how "
            + "many there are cannot be changed: give the bus another topic"
        )
      }
    }
  }

  /// Opens the log in `folder` with the topic as its truth: shuts out whoever wrote to the topic
  /// before and copies what the folder does not have.
  /// - Parameters:
  ///   - loop: serves the clients; must run until the log is closed.
  ///   - configuration: of the folder's log.
  ///   - lost: called once, on any thread, when the bus cannot be written to any more because
  ///     another process owns it or because how a write ended is not known.
  /// - Throws: `LogError`, `BusError`, `KafkaError`, `KafkaSettingError`, `KafkaTransactionError` or
  ///   `KafkaBusError`.
  package static func open(
    _ settings: Settings,
    folder: String,
    _ configuration: EventLog.Configuration,
    loop: EventLoop,
    observer: KafkaObserver,
    lost: @escaping @Sendable (String) -> Void
  ) async throws -> (log: EventLog, recovery: EventLog.Recovery) {
    let replica = try KafkaReplica(settings, loop: loop, observer: observer, lost: lost)
    var configuration = configuration
    configuration.replica = replica
    let released = configuration.hooks.released
    configuration.hooks.released = { segments, bytes in
      released(segments, bytes)
      replica.released()
    }
    let opened: (log: EventLog, recovery: EventLog.Recovery)
    do throws(LogError) { opened = try EventLog.open(folder: folder, configuration) } catch {
      await replica.close()
      throw error
    }
    do {
      // Nobody may write to a part of a copy. A folder that holds something is not ours yet.
      if opened.log.committed == nil { try EventLog.mark(folder, asCopyOf: replica) }
      let barrier = try await replica.takeOver()
      let isCopy = try FolderRole(of: folder) == .copy(of: replica.name)
      let last = try await withReader(settings, loop, observer) { consumer in
        try await TopicWalk.over(settings, consumer, through: barrier) { walk in
          let log = opened.log
          var copier = try await ReplicaCopier(
            settings,
            to: log,
            isCopy: isCopy,
            &walk,
            loop,
            observer
          )
          while let found = try await walk.next() { try await copier.take(found) }
          return try copier.finish()
        }
      }
      try EventLog.mark(folder, asCopyOf: replica)
      replica.begin(after: last, behind: barrier, opened.log)
      return opened
    } catch {
      await opened.log.close()
      throw error
    }
  }
}

/// Why a topic cannot be the bus.
package enum KafkaBusError: Error, Equatable, CustomStringConvertible {
  /// The topic is not as it has to be.
  case shape(String)
  /// Folder and topic hold different logs.
  case mismatch(String)
  /// A message that this version does not understand.
  case message(String)

  package var description: String {
    switch self {
    case .shape(let what), .mismatch(let what), .message(let what): what
    }
  }
}
