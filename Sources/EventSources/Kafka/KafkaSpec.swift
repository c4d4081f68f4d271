import JSON
import KafkaClient
package import Manifest
import Plugin

/// The fields of a `kafka` event source (spec section 2.5), and under `signalbox`: `topics`,
/// `librdkafka`, `oauthTokenSecret`.
package struct KafkaSpec: ManifestBlock, Sendable {
  enum Reading: Sendable, Equatable {
    case group(String)
    case partition(Int32)
  }

  let connection: KafkaConnection
  /// Names, or regular expressions that begin with `^`.
  let topics: [String]
  let reading: Reading?
  let fromOldest: Bool
  let jsonBody: Bool
  let eventsPerSecond: Int?
  let metadata: [JSON.Member]

  package init(from block: Block) {
    let own = block.block("signalbox")
    var connection = KafkaConnection(.consumer, from: block, own: own)
    let topics = own?.strings("topics") ?? []
    self.topics =
      block.contains("topic") || topics.isEmpty
      ? [block.requiredString("topic")] + topics : topics
    Self.check(self.topics, block)
    // Sarama's default, so that a group's partitions move as fast as its author is used to.
    connection.set("session.timeout.ms", "10000")
    connection.set("topic.metadata.refresh.interval.ms", "30000")
    connection.set("statistics.interval.ms", "15000")
    var fromOldest = false
    reading = Self.reading(block, self.topics, &connection, &fromOldest)
    jsonBody = block.bool("jsonBody") ?? false
    let limit = block.integer("limitEventsPerSecond", in: 0...10_000_000) ?? 0
    eventsPerSecond = limit == 0 ? nil : limit
    metadata = webhookMetadata(block)
    Self.backoff(block, &connection)
    for setting in SaramaConfig.settings(block) {
      if setting.property.isEmpty {
        fromOldest = setting.value == "oldest"
      } else {
        connection.set(setting.property, setting.value, field: "config")
      }
    }
    self.fromOldest = fromOldest
    connection.readProperties(own)
    self.connection = connection
    block.notSupportedYet("schemaRegistry", "awsMskIamAuth")
    own?.finish()
    block.finish()
  }

  private static func check(_ topics: [String], _ block: Block) {
    for topic in topics where !topic.isEmpty && !topic.hasPrefix("^") && !isKafkaTopic(topic) {
      block.error(
        block.contains("topic") && topic == topics.first ? "topic" : "signalbox",
        "found '\(topic)', expected up to 249 letters, digits, '.', '_' and '-', or a regular "
          + "expression that begins with '^'"
      )
    }
  }

  private static func reading(
    _ block: Block,
    _ topics: [String],
    _ connection: inout KafkaConnection,
    _ fromOldest: inout Bool
  ) -> Reading? {
    if let group = block.block("consumerGroup") {
      let name = group.requiredString("groupName")
      fromOldest = group.bool("oldest") ?? false
      let strategy = group.string("rebalanceStrategy") ?? ""
      switch strategy {
      case "", "range", "roundrobin":
        connection.set("partition.assignment.strategy", strategy.isEmpty ? "range" : strategy)
      case "sticky": connection.set("partition.assignment.strategy", "cooperative-sticky")
      default:
        group.error(
          "rebalanceStrategy",
          "found '\(strategy)', expected range, roundrobin or sticky"
        )
      }
      group.finish()
      connection.set("group.id", name)
      if let partition = block.string("partition"), !partition.isEmpty {
        block.report(.info, "partition", "is not used: the consumer group shares all partitions")
      }
      return .group(name)
    }
    guard let text = block.string("partition"), !text.isEmpty else {
      block.error(nil, "found neither consumerGroup nor partition, expected one of them")
      return nil
    }
    guard let number = Int32(text), number >= 0 else {
      block.error("partition", "found '\(text)', expected the number of a partition in quotes")
      return nil
    }
    if topics.count != 1 || topics.contains(where: { $0.hasPrefix("^") }) {
      block.error("partition", "needs exactly one topic by name; use consumerGroup for several")
    }
    // librdkafka reads only for groups; nothing joins this one and nothing is committed to it.
    connection.set("group.id", "signalbox-without-group")
    return .partition(number)
  }

  /// librdkafka tries for ever, with waits that double; `duration` is the first of them.
  private static func backoff(_ block: Block, _ connection: inout KafkaConnection) {
    guard let backoff = block.block("connectionBackoff") else { return }
    if let first = backoff.duration("duration") {
      let (seconds, attoseconds) = first.components
      let milliseconds = max(1, seconds * 1000 + attoseconds / 1_000_000_000_000_000)
      connection.set("reconnect.backoff.ms", "\(min(milliseconds, 3_600_000))")
      connection.set("reconnect.backoff.max.ms", "\(min(max(milliseconds, 10_000), 3_600_000))")
    }
    backoff.accept("factor", "jitter", "steps")
    backoff.finish()
  }
}
