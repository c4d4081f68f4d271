import Posix
import TestKit
import Testing

/// What the real binary says of manifests; no broker is needed.
@Suite struct KafkaManifestTests {
  private func problems(_ manifest: String) async throws -> (status: Int32, lines: [String]) {
    try await withTemporaryFolder { folder in
      try problems(manifest, folder + "/m.yaml")
    }
  }

  private func problems(_ manifest: String, _ file: String) throws -> (Int32, [String]) {
    try Files.writeDurably(Array(manifest.utf8), to: file)
    let result = try Tools.run(builtProgram("signalbox"), ["validate", file])
    let lines = result.output.split(separator: "\n").map {
      $0.replacing(file + ":", with: "").split(separator: " ", maxSplits: 1).last.map(String.init)
        ?? ""
    }
    return (result.status, lines)
  }

  @Test("a source that cannot be right says where and why", arguments: sources)
  func source(_ fields: String, _ expected: [String]) async throws {
    let head = """
      apiVersion: argoproj.io/v1alpha1
      kind: EventSource
      metadata: {name: in}
      spec: {kafka: {all: {
      """
    let found = try await problems(head + fields + "}}}\n")
    #expect(found.lines == expected.map { "error: spec.kafka.all\($0)" })
    #expect(found.status == 1)
  }

  @Test("a bus that cannot be right says where and why", arguments: buses)
  func bus(_ spec: String, _ expected: [String]) async throws {
    let head = "apiVersion: argoproj.io/v1alpha1\nkind: EventBus\nmetadata: {name: default}\nspec: "
    let found = try await problems(head + spec + "\n")
    #expect(found.lines == expected)
    #expect(found.status == (expected.contains { $0.hasPrefix("error") } ? 1 : 0))
  }

  private static let buses: [(String, [String])] = [
    ("{kafka: {url: 'a:9092,b:9092'}}", []),
    ("{kafka: {url: 'b:9092', signalbox: {partitions: 64}}}", []),
    (
      "{kafka: {url: 'b:9092', signalbox: {partitions: 65}}}",
      ["error: spec.kafka.signalbox.partitions: found 65, expected a number from 1 to 64"]
    ),
    ("{kafka: {}}", ["error: spec.kafka.url: found nothing, expected a string"]),
    (
      "{kafka: {url: 'b:9092', topic: 'a b', signalbox: {sessionTimeout: 1s, sesionTimeout: 7s}}}",
      [
        "error: spec.kafka.topic: found 'a b', expected up to 240 letters, digits, '.', '_' and '-'",
        "error: spec.kafka.signalbox.sessionTimeout: found 1.0 seconds, expected 6s to 300s",
        "error: spec.kafka.signalbox.sesionTimeout: found an unknown key 'sesionTimeout'; did you "
          + "mean 'sessionTimeout'?",
      ]
    ),
    (
      "{kafka: {url: 'b:9092', signalbox: {librdkafka: {acks: 1, max.poll.interval.ms: 1}}}}",
      [
        "error: spec.kafka.signalbox.librdkafka.acks: is not open to change: the bus decides it",
        "error: spec.kafka.signalbox.librdkafka.max.poll.interval.ms: is not open to change: the bus "
          + "decides it",
      ]
    ),
    (
      "{kafka: {url: 'b:9092', partitioner: x, consumerGroup: {groupName: g, oldest: true}}}",
      [
        "info: spec.kafka.partitioner: has no meaning here: sensors say which partitions an event "
          + "goes to",
        "info: spec.kafka.consumerGroup.oldest: has no meaning here: the group elects one owner of "
          + "the bus",
      ]
    ),
    (
      "{kafka: {url: 'b:9092'}}\n---\napiVersion: argoproj.io/v1alpha1\nkind: EventBus\n"
        + "metadata: {name: other}\nspec: {jetstream: {}}",
      [
        "error: spec: found another bus than that of default/default at 3:18: one log serves all "
          + "buses, so all EventBus manifests say kafka alike, or none does"
      ]
    ),
  ]

  private static let group = "url: 'b:9092', topic: t, consumerGroup: {groupName: g}"
  private static let sources: [(String, [String])] = [
    (
      "",
      [
        ".url: found nothing, expected a string", ".topic: found nothing, expected a string",
        ": found neither consumerGroup nor partition, expected one of them",
      ]
    ),
    (
      "url: 'b:99999', topic: 'a b', consumerGroup: {groupName: g, rebalanceStrategy: random}",
      [
        ".url: found 'b:99999', expected host:port, several with commas between them",
        ".topic: found 'a b', expected up to 249 letters, digits, '.', '_' and '-', or a regular "
          + "expression that begins with '^'",
        ".consumerGroup.rebalanceStrategy: found 'random', expected range, roundrobin or sticky",
      ]
    ),
    (
      "url: 'b:9092', topic: '^t', partition: '1'",
      [".partition: needs exactly one topic by name; use consumerGroup for several"]
    ),
    (
      group + ", tls: {insecureSkipVerify: true}",
      [
        ".tls.insecureSkipVerify: found true: certificates are always verified; name the authority "
          + "in caCertSecret"
      ]
    ),
    (group + ", schemaRegistry: {url: x}", [".schemaRegistry: is not supported yet"]),
    (
      group + ", sasl: {mechanism: GSSAPI}", [".sasl.mechanism: GSSAPI is not supported yet"]
    ),
    (
      group + ", sasl: {mechanism: PLAIN}",
      [".sasl: found not both of userSecret and passwordSecret"]
    ),
    (
      group + ", config: 'consumer: {retry: {backoff: 1s}, fetch: {min: x}}'",
      [
        ".config: consumer.retry.backoff has no equivalent here; see signalbox.librdkafka",
        ".config: consumer.fetch.min: found a string, which it cannot be",
      ]
    ),
    (
      group + ", signalbox: {librdkafka: {group.id: x, ssl.key.password: hidden}}",
      [
        ".signalbox.librdkafka.group.id: is what consumerGroup.groupName says",
        ".signalbox.librdkafka.ssl.key.password: found the value itself, expected valueFrom: "
          + "{secretKeyRef: {name, key}}",
      ]
    ),
  ]

  @Test("all of Sarama's keys that have an equivalent are taken, and librdkafka checks them")
  func config() async throws {
    func manifest(_ more: String) -> String {
      """
      apiVersion: argoproj.io/v1alpha1
      kind: EventSource
      metadata: {name: in}
      spec:
        kafka:
          all:
            url: b:9092,c:9093
            topic: t
            consumerGroup: {groupName: g, oldest: true, rebalanceStrategy: sticky}
            config: |
              clientID: me
              rackID: r
              net: {maxOpenRequests: 3, dialTimeout: 10s, readTimeout: 10s, keepAlive: 1s}
              metadata:
                {refreshFrequency: 30s, retry: {backoff: 250ms}, allowAutoTopicCreation: false}
              consumer:
                fetch: {min: 1, default: 1048576, max: 2097152}
                maxWaitTime: 500ms
                isolationLevel: 1
                offsets: {initial: -2}
                group:
                  session: {timeout: 10s}
                  heartbeat: {interval: 3s}
                  rebalance: {timeout: 60s}
                  instanceID: one
            signalbox: {topics: [u, '^v-.*'], librdkafka: {\(more)}}
      """
    }
    let good = try await problems(manifest("session.timeout.ms: 20000"))
    #expect(good.lines.isEmpty && good.status == 0)
    // Which property has which value is seen by what librdkafka refuses.
    let unknown = try await problems(manifest("sesion.timeout.ms: 1"))
    #expect(unknown.status == 1)
    #expect(unknown.lines.first?.contains("sesion.timeout.ms") == true, "\(unknown.lines)")
    let tooLong = try await problems(manifest("session.timeout.ms: 61000"))
    #expect(tooLong.status == 1)
    #expect(tooLong.lines.first?.contains("max.poll.interval.ms") == true, "\(tooLong.lines)")
  }

  @Test("a trigger that cannot be right says where and why", arguments: triggers)
  func trigger(_ fields: String, _ expected: [String]) async throws {
    let head = """
      apiVersion: argoproj.io/v1alpha1
      kind: Sensor
      metadata: {name: out}
      spec:
        dependencies: [{name: d, eventSourceName: a, eventName: b}]
        triggers: [{template: {name: t, kafka: {
      """
    let found = try await problems(head + fields + "}}}]\n")
    #expect(found.lines == expected.map { "error: spec.triggers[0].template.kafka.\($0)" })
    #expect(found.status == 1)
  }

  private static let payload =
    "url: 'b:9092', topic: t, payload: [{src: {dependencyName: d}, dest: x}]"
  private static let triggers: [(String, [String])] = [
    (
      "",
      [
        "url: found nothing, expected a string", "topic: found nothing, expected a string",
        "payload: found nothing, expected what the message says",
      ]
    ),
    (
      payload + ", requiredAcks: 3, headers: {idempotency-key: x}, schemaRegistry: {}",
      [
        "requiredAcks: found 3, expected a number from -1 to 1",
        "headers: found 'idempotency-key', which every message carries by itself",
        "schemaRegistry: is not supported yet",
      ]
    ),
    (
      payload + ", parameters: [{src: {dependencyName: d, dataKey: x}, dest: url}]",
      ["parameters[0].dest: found 'url', expected topic, partitioningKey or headers.NAME"]
    ),
  ]
}
