import KafkaClient
package import Manifest
import Plugin

/// The fields of a `kafka` trigger (spec section 4.4), and under `signalbox`: `librdkafka`,
/// `oauthTokenSecret`.
package struct KafkaTriggerSpec: ManifestBlock, Sendable {
  let connection: KafkaConnection
  let topic: String
  let key: String?
  let headers: [(name: String, value: String)]
  let secureHeaders: [(name: String, selector: SecretSelector)]

  package init(from block: Block) {
    let own = block.block("signalbox")
    var connection = KafkaConnection(.producer, from: block, own: own)
    topic = block.requiredString("topic")
    if !topic.isEmpty && !isKafkaTopic(topic) {
      block.error(
        "topic",
        "found '\(topic)', expected up to 249 letters, digits, '.', '_' and '-'"
      )
    }
    key = block.string("partitioningKey")
    if block.contains("partition") {
      block.report(.info, "partition", "is not used, as in Argo Events: the key chooses")
    }
    // Of Sarama, which Argo Events writes with: the same key goes to the same partition.
    connection.set("partitioner", "fnv1a_random")
    connection.set("message.timeout.ms", "30000")
    let acks = block.integer("requiredAcks", in: -1...1) ?? 0
    // 0 is what an absent field is read as, and means all of them there.
    connection.set("acks", acks == 1 ? "1" : "all", field: "requiredAcks")
    connection.set("enable.idempotence", acks == 1 ? "false" : "true")
    if block.bool("compress") == true { connection.set("compression.type", "snappy") }
    let linger = block.integer("flushFrequency", in: 0...60_000) ?? 0
    connection.set("linger.ms", linger == 0 ? "1" : "\(linger)", field: "flushFrequency")
    headers = (block.stringMap("headers") ?? []).map { (name: $0.key, value: $0.value) }
    secureHeaders = block.blocks("secureHeaders").compactMap(Self.secureHeader)
    for name in headers.map(\.name) + secureHeaders.map(\.name) where Self.own.contains(name) {
      block.error("headers", "found '\(name)', which every message carries by itself")
    }
    if !block.contains("payload") {
      block.error("payload", "found nothing, expected what the message says")
    }
    block.accept("payload", "parameters")
    block.notSupportedYet("schemaRegistry")
    connection.readProperties(own)
    self.connection = connection
    own?.finish()
    block.finish()
  }

  private static let own: Set<String> = ["idempotency-key", "signalbox-cause"]

  private static func secureHeader(_ block: Block) -> (name: String, selector: SecretSelector)? {
    let name = block.requiredString("name")
    let from = block.block("valueFrom")
    from?.notSupportedYet("configMapKeyRef")
    let selector = from?.secret("secretKeyRef")
    if selector == nil, from?.contains("configMapKeyRef") != true {
      block.error("valueFrom", "found nothing, expected secretKeyRef: {name, key}")
    }
    from?.finish()
    block.finish()
    return selector.map { (name, $0) }
  }

  /// What senders of events may choose.
  static func refusal(ofParameter destination: String) -> String? {
    if destination == "topic" || destination == "partitioningKey" { return nil }
    if destination.hasPrefix("headers."), destination.utf8.count > 8 { return nil }
    return "found '\(destination)', expected topic, partitioningKey or headers.NAME"
  }
}
