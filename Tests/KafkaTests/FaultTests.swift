import CRdKafka
import KafkaClient
import Posix
import TLS
import TestKit
import Testing

/// Brokers that fail when they are told to, and a proxy that speaks TLS.
@Suite(.serialized) struct FaultTests {
  private func producerSettings(_ address: String) -> KafkaSettings {
    KafkaSettings([
      "bootstrap.servers": address, "enable.idempotence": "true", "acks": "all",
      "retry.backoff.ms": "10", "reconnect.backoff.ms": "10", "message.timeout.ms": "20000",
    ])
  }

  @Test("leaders move, brokers refuse for a while and are slow: each message is written once")
  func leaders() async throws {
    let cluster = try MockCluster(brokers: 3)
    cluster.createTopic("moves", partitions: 1, replicas: 3)
    try await withLoop { loop, notes in
      let producer = try KafkaProducer(
        producerSettings(cluster.address),
        loop: loop,
        observer: notes.observer
      )
      var offsets: [Int64?] = []
      for number in 0..<30 {
        if number % 10 == 5 { cluster.setLeader("moves", 0, number / 10 + 1) }
        if number == 12 {
          for broker in 1...3 {
            cluster.fail(.produce, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, broker: broker)
          }
        }
        if number == 20 { cluster.setDelay(3, milliseconds: 50) }
        let record = KafkaRecord(topic: "moves", key: nil, value: Array("\(number)".utf8))
        offsets.append(try await producer.send(record).offset)
      }
      #expect(offsets == (0..<30).map { Int64($0) })
      #expect(await producer.close())
    }
  }

  @Test("what no repetition can mend is told from what one may")
  func lasting() async throws {
    let cluster = try MockCluster(brokers: 1)
    cluster.createTopic("big", partitions: 1)
    try await withLoop { loop, notes in
      let producers = KafkaProducers(loop: loop)
      let settings = producerSettings(cluster.address)
      let record = KafkaRecord(topic: "big", key: nil, value: [1])
      _ = try await producers.send(record, settings, notes.observer)
      let huge = KafkaRecord(topic: "big", key: nil, value: [UInt8](repeating: 1, count: 2_000_000))
      let error = await #expect(throws: KafkaError.self) {
        _ = try await producers.send(huge, settings, notes.observer)
      }
      #expect(error?.isLasting == true && error?.name == "MSG_SIZE_TOO_LARGE")
      await producers.close()
    }
  }

  @Test("a producer that became useless is replaced")
  func fatal() async throws {
    let cluster = try MockCluster(brokers: 1)
    cluster.createTopic("fenced", partitions: 1)
    try await withLoop { loop, notes in
      try await withProducers(loop) { producers in
        let settings = producerSettings(cluster.address)
        let record = KafkaRecord(topic: "fenced", key: nil, value: [1])
        _ = try await producers.send(record, settings, notes.observer)
        cluster.fail(.produce, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER)
        let error = await #expect(throws: KafkaError.self) {
          _ = try await producers.send(record, settings, notes.observer)
        }
        #expect(error?.isLasting == false)
        // The next one has a producer that works.
        try await waitUntil(seconds: 20, "a producer that works: \(notes.logged)") {
          (try? await producers.send(record, settings, notes.observer)) != nil
        }
      }
    }
  }

  @Test("a consumer that became useless while nobody waited for it says so to whoever comes")
  func consumerFatal() async throws {
    let cluster = try MockCluster(brokers: 1)
    cluster.createTopic("quiet", partitions: 1)
    try await withLoop { loop, notes in
      let consumer = try KafkaConsumer(
        KafkaSettings([
          "bootstrap.servers": cluster.address, "group.id": "g", "group.instance.id": "one",
          "heartbeat.interval.ms": "100",
        ]),
        loop: loop,
        observer: notes.observer
      )
      try await consumer.subscribe(to: ["quiet"])
      guard case .assigned = await consumer.next(messages: 0, bytes: 1, within: .seconds(30)) else {
        Issue.record("no partitions: \(notes.logged)")
        return _ = await consumer.close()
      }
      cluster.fail(.heartbeat, RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID)
      try waitUntil(seconds: 30, "the fatal error") {
        notes.logged.contains { $0.hasPrefix("FATAL") }
      }
      // The group takes the partition first.
      var news = await consumer.next(messages: 0, bytes: 1, within: .seconds(5))
      if case .revoked = news {
        news = await consumer.next(messages: 0, bytes: 1, within: .seconds(5))
      }
      guard case .failed(let error) = news else {
        Issue.record("\(news)")
        return _ = await consumer.close()
      }
      #expect(error.name == "FENCED_INSTANCE_ID")
      _ = await consumer.close()
    }
  }

  @Test(
    "over TLS the broker and the client are known by their certificates",
    .enabled(if: Tools.areThere && Tools.outsideBroker == nil)
  )
  func encrypted() async throws {
    try await withTemporaryFolder { folder in
      let broker = try TestBroker(folder)
      try Tools.foreign("create", broker.address, "sealed", "1")
      let identity = try TLSIdentity(
        certificates: Array(TestCertificates.one.utf8),
        key: Array(TestCertificates.oneKey.utf8)
      )
      let context = try TLSServerContext(
        [identity],
        clientAuthorities: Array(TestCertificates.authority.utf8),
        protocols: []
      )
      let proxy = try KafkaProxy(to: broker.port, tls: context)
      defer { proxy.close() }
      try await withLoop { loop, notes in
        func send(_ more: [String: String]) async throws -> Int64? {
          var settings = KafkaSettings([
            "bootstrap.servers": proxy.address, "security.protocol": "ssl",
            "message.timeout.ms": "3000", "ssl.endpoint.identification.algorithm": "https",
          ])
          settings.merge(KafkaSettings(more))
          let producers = KafkaProducers(loop: loop)
          let record = KafkaRecord(topic: "sealed", key: nil, value: [1])
          let result = await Result { try await producers.send(record, settings, notes.observer) }
          await producers.close(within: .seconds(1))
          return try result.get().offset
        }
        let authority = ["ssl.ca.pem": TestCertificates.authority]
        let client = [
          "ssl.certificate.pem": TestCertificates.client, "ssl.key.pem": TestCertificates.clientKey,
        ]
        let offset = try await send(authority.merging(client) { $1 })
        #expect(offset == 0)
        // Without the authority the broker is a stranger; without a certificate the client is.
        await #expect(throws: KafkaError.self) { _ = try await send(client) }
        await #expect(throws: KafkaError.self) { _ = try await send(authority) }
        #expect(!notes.logged.joined().contains("PRIVATE KEY"))
      }
    }
  }

  @Test("a client that somebody forgot to close is told of, and the process lives on")
  func forgotten() async throws {
    let cluster = try MockCluster(brokers: 1)
    cluster.createTopic("left", partitions: 1)
    try await withLoop { loop, notes in
      for isStarted in [false, true] {
        let settings = groupSettings(cluster.address, "left")
        var consumer: KafkaConsumer? = try KafkaConsumer(
          settings,
          loop: loop,
          observer: notes.observer
        )
        if isStarted {
          try await consumer?.subscribe(to: ["left"])
          _ = await consumer?.next(messages: 1, bytes: 1, within: .milliseconds(100))
        }
        consumer = nil
      }
      try waitUntil(seconds: 30) { notes.failures.filter { $0 == "_LEAKED" }.count == 2 }
      #expect(notes.logged.contains { $0.contains("was not closed") })
      // What the left ones were told to write to is gone; a client that is used goes on.
      try await withConsumer(groupSettings(cluster.address, "left"), loop, notes) { consumer in
        try await consumer.subscribe(to: ["left"])
        let given = Counter(0)
        _ = try await consumer.read(seconds: 60, assigned: given) { _ in given.value > 0 }
      }
    }
  }

  /// Without the care that is taken for it, librdkafka 2.0.2 ends the process here.
  @Test("a member that joined and was never given anything is closed, and the process lives on")
  func closedBeforeAssigned() async throws {
    let cluster = try MockCluster(brokers: 1)
    cluster.createTopic("early", partitions: 2)
    // The group lets it in and then never says what is its own.
    cluster.fail(.syncGroup, RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS, count: 1000)
    try await withLoop { loop, notes in
      let settings = groupSettings(
        cluster.address,
        "early",
        ["partition.assignment.strategy": "cooperative-sticky", "debug": "cgrp"]
      )
      try await withConsumer(settings, loop, notes) { consumer in
        try await consumer.subscribe(to: ["early"])
        try await waitUntil(seconds: 60) {
          _ = await consumer.next(messages: 1, bytes: 1, within: .milliseconds(50))
          return notes.logged.contains { $0.contains("JoinGroup response: GenerationId") }
        }
        #expect(await consumer.close())
      }
    }
  }
}
