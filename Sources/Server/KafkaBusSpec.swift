import KafkaBus
import KafkaClient
import Manifest
import Plugin

/// The fields of an EventBus with `kafka` (spec section 5.1): `url`, `topic`, `version`, `tls`,
/// `sasl`, `consumerGroup`, and under `signalbox`: `partitions`, `sessionTimeout`,
/// `librdkafka`, `oauthTokenSecret`.
struct KafkaBusSpec: Sendable {
  let connection: KafkaConnection
  /// `<namespace>-<name>` of the EventBus where the manifest has none, as in Argo Events.
  let topic: String
  /// The topic's name where the manifest has none.
  let group: String
  let sessionTimeout: Duration
  /// Among how many owners the work can be shared; 1: one process owns all of it.
  let partitions: Int
  /// Of the block as written, and of what stands for what it leaves out.
  let fingerprint: String
  /// Of the block alone.
  let written: String
  /// What its manifest may name.
  let secrets: any SecretStore

  static let partitionsMax = 64

  /// What the bus decides about its clients.
  private static let own: Set<String> = [
    "acks", "enable.idempotence", "isolation.level", "message.max.bytes",
    "partition.assignment.strategy", "session.timeout.ms", "heartbeat.interval.ms",
    "max.poll.interval.ms", "group.protocol",
  ]

  /// The one EventBus with `kafka` among `buses`; nil where there is none. One log serves all
  /// buses, so it stands for all of them.
  /// - Parameter secrets: those of a namespace.
  static func read(
    _ buses: [EventBusManifest],
    _ secrets: (_ namespace: String) -> any SecretStore,
    _ diagnostics: Diagnostics
  ) -> KafkaBusSpec? {
    guard let first = buses.first(where: { $0.kafka != nil }), let node = first.kafka else {
      return nil
    }
    let wanted = nodeFingerprint(node)
    for bus in buses where bus.kafka.map({ nodeFingerprint($0) }) != wanted {
      diagnostics.add(
        Diagnostic(
          .error,
          bus.mark,
          field: "spec",
          "found another bus than that of \(first.namespace)/\(first.name) at \(first.mark): one log "
            + "serves all buses, so all EventBus manifests say kafka alike, or none does"
        )
      )
    }
    return KafkaBusSpec(
      first,
      Block(node, path: first.kafkaPath, diagnostics),
      secrets(first.namespace)
    )
  }

  private init(_ bus: EventBusManifest, _ block: Block, _ secrets: any SecretStore) {
    self.secrets = secrets
    let own = block.block("signalbox")
    var connection = KafkaConnection(.producer, from: block, own: own)
    let topic = block.string("topic") ?? "\(bus.namespace)-\(bus.name)"
    // `-owner` and `-events` are added to it.
    if !isKafkaTopic(topic) || topic.utf8.count > 240 {
      block.error(
        "topic",
        "found '\(topic)', expected up to 240 letters, digits, '.', '_' and '-'"
      )
    }
    let consumers = block.block("consumerGroup")
    group = consumers?.string("groupName") ?? topic
    for key in ["oldest", "rebalanceStrategy"] where consumers?.contains(key) == true {
      consumers?.report(.info, key, "has no meaning here: the group elects one owner of the bus")
      _ = consumers?.node(key)
    }
    consumers?.finish()
    if block.contains("partitioner") {
      block.report(
        .info,
        "partitioner",
        "has no meaning here: sensors say which partitions an event goes to"
      )
    }
    let timeout = own?.duration("sessionTimeout") ?? .seconds(10)
    if timeout < .seconds(6) || timeout > .seconds(300) {
      own?.error("sessionTimeout", "found \(timeout), expected 6s to 300s")
    }
    sessionTimeout = timeout
    partitions = own?.integer("partitions", in: 1...Self.partitionsMax) ?? 1
    if let properties = own?.block("librdkafka") {
      for name in Self.own where properties.contains(name) {
        properties.error(name, "is not open to change: the bus decides it")
      }
    }
    connection.readProperties(own)
    own?.finish()
    block.finish()
    connection.check(secrets, block)
    self.topic = topic
    self.connection = connection
    written = nodeFingerprint(block.node)
    fingerprint = "\(written) \(topic) \(group)"
  }
}
