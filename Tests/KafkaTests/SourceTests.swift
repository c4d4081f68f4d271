import CRdKafka
import Event
import Foundation
import JSON
import Posix
import TestKit
import Testing

/// The real binary and a broker over TCP.
@Suite(.serialized, .enabled(if: Tools.areThere)) struct SourceTests {
  @Test("messages become events with the documented id and payload; odd ones crash nothing")
  func odd() async throws {
    try await withTemporaryFolder { folder in
      let broker = try TestBroker(folder)
      try Tools.foreign("create", broker.address, "odd", "1")
      try Tools.foreign("odd", broker.address, "odd")
      let manifests = copyManifests(broker.address, from: "odd", to: nil, group: "odd")
      let installation = try KafkaInstallation(folder + "/one", manifests)
      try waitUntil(seconds: 30, "nine events: \(installation.printed)") {
        try installation.events().count >= 9
      }
      #expect(installation.end() == 0, "\(installation.printed)")
      let events = try installation.events()
      let messages = events.filter { $0.type == "kafka" }
      let notices = events.filter { $0.type == "signalbox.source-unreadable" }
      #expect(messages.count == 6 && notices.count == 3)
      #expect(messages[0].id == "in:all:\(broker.address):odd:0:0")
      let bodies = messages.map { JSONText($0.data)["body"] }
      #expect(bodies[0] == "{\"n\":1}" && bodies[1] == "null")
      #expect(JSONText(messages[1].data)["key"] == "\"tombstone\"")
      #expect(JSONText(messages[0].data)["headers"] == "{}")
      let binary = JSONText(messages[2].data)["headers"]
      #expect(binary == "{\"binary\":\"\u{fffd}\\u0000\",\"null\":\"\",\"same\":\"b\"}")
      let offsets = notices.map { JSONText($0.data)["offset"] }
      #expect(offsets == ["3", "4", "5"])
      #expect(notices.allSatisfy { JSONText($0.data)["reason"]?.contains("not JSON") == true })
    }
  }

  @Test("messages that nobody can decompress are told of one by one, and reading goes on")
  func unreadable() async throws {
    try await withTemporaryFolder { folder in
      let broker = try TestBroker(folder)
      try Tools.foreign("create", broker.address, "sealed", "1")
      try Tools.foreign("produce", broker.address, "sealed", "0", "1")
      try Tools.foreign("unreadable", broker.address, "sealed")
      try Tools.foreign("produce", broker.address, "sealed", "1", "1")
      let manifests = copyManifests(broker.address, from: "sealed", to: nil, group: "sealed")
      let installation = try KafkaInstallation(folder + "/one", manifests)
      try waitUntil(seconds: 60, "both messages: \(installation.printed)") {
        try installation.messages().count == 2
      }
      try waitUntil(seconds: 30, "lag 0") {
        try Tools.foreign("committed", broker.address, "sealed", "sealed") == "{\"0\": 4}\n"
      }
      #expect(installation.end() == 0, "\(installation.printed)")
      let notices = try installation.events().filter { $0.type == "signalbox.source-unreadable" }
      #expect(notices.map { JSONText($0.data)["offset"] } == ["1", "2"])
      #expect(notices.allSatisfy { JSONText($0.data)["reason"]?.contains("codec") == true })
    }
  }

  @Test("a topic that is created anew is said to be, and its messages get ids of their own")
  func recreated() async throws {
    try await withTemporaryFolder { folder in
      let broker = try TestBroker(folder)
      try Tools.foreign("create", broker.address, "again", "1")
      try Tools.foreign("produce", broker.address, "again", "0", "50")
      let manifests = copyManifests(broker.address, from: "again", to: nil, group: "again")
      let installation = try KafkaInstallation(folder + "/one", manifests)
      try waitUntil(seconds: 30, "50 events") { try installation.messages().count == 50 }
      #expect(installation.end() == 0)
      try Tools.foreign("delete", broker.address, "again")
      try Tools.foreign("create", broker.address, "again", "1")
      try Tools.foreign("produce", broker.address, "again", "0", "20")
      try installation.start()
      try waitUntil(seconds: 40, "70 events: \(installation.printed)") {
        try installation.messages().count == 70
      }
      #expect(installation.end() == 0)
      let events = try installation.events()
      #expect(events.filter { $0.type == "signalbox.source-reset" }.count == 1)
      let ids = events.filter { $0.type == "kafka" }.map(\.id)
      #expect(ids.filter { $0.hasSuffix("@1") }.count == 20)
      #expect(Set(ids).count == 70)
    }
  }

  @Test("from topic to topic: each firing is one key there, its cause is known, loops are cut")
  func topicToTopic() async throws {
    try await withTemporaryFolder { folder in
      let broker = try TestBroker(folder)
      for topic in ["first", "second"] { try Tools.foreign("create", broker.address, topic, "2") }
      try Tools.foreign("produce", broker.address, "first", "0", "200")
      let manifests = copyManifests(
        broker.address,
        from: "first",
        to: "second",
        group: "copy",
        strategy: "sticky"
      )
      let installation = try KafkaInstallation(folder + "/one", manifests)
      try waitUntil(seconds: 60, "200 outcomes: \(installation.printed)") {
        try installation.events().filter { $0.type == "signalbox.outcome.succeeded" }.count == 200
      }
      #expect(installation.end() == 0)
      let messages = try dumped(broker.address, "second")
      #expect(messages.count == 200)
      #expect(Set(header("idempotency-key", of: messages)).count == 200)
      #expect(header("signalbox-cause", of: messages).count == 200)
      // Two more clients that nobody here wrote read the same.
      let aio = try Tools.foreign("dump-aio", broker.address, "second").split(separator: "\n")
        .map { try JSON(parsing: Array($0.utf8)) }
      #expect(
        Set(header("idempotency-key", of: aio)) == Set(header("idempotency-key", of: messages))
      )
      let kcat = try Tools.run(
        "/usr/bin/kcat",
        ["-C", "-b", broker.address, "-t", "second", "-o", "beginning", "-e", "-q", "-f", "%h\n"]
      )
      #expect(kcat.status == 0, "\(kcat.output)")
      let lines = kcat.output.split(separator: "\n")
      #expect(lines.count == 200 && lines.allSatisfy { $0.contains("idempotency-key=") })
    }
  }

  @Test("several topics and an expression are read by one source")
  func topics() async throws {
    try await withTemporaryFolder { folder in
      let broker = try TestBroker(folder)
      let topics = ["several-one", "several-two", "several-x-three", "several-x-four", "other"]
      for topic in topics {
        try Tools.foreign("create", broker.address, topic, "1")
        try Tools.foreign("produce", broker.address, topic, "0", "2")
      }
      let manifests = copyManifests(
        broker.address,
        from: "several-one",
        to: nil,
        group: "several",
        strategy: "roundrobin"
      )
      .replacingOccurrences(
        of: "signalbox:\n",
        with: "signalbox:\n        topics: [several-two, ^several-x-]\n"
      )
      let installation = try KafkaInstallation(folder + "/one", manifests)
      try waitUntil(seconds: 60, "8 events: \(installation.printed)") {
        try installation.messages().count == 8
      }
      #expect(installation.end() == 0, "\(installation.printed)")
      let read = try installation.messages().map { String($0.id.split(separator: ":")[4]) }
      #expect(Set(read) == Set(topics.dropLast()))
    }
  }

  @Test("a consumer that the group has fenced off is replaced, and reading goes on")
  func fenced() async throws {
    try await withTemporaryFolder { folder in
      let cluster = try MockCluster(brokers: 1)
      cluster.createTopic("fenced", partitions: 1)
      try Tools.foreign("produce", cluster.address, "fenced", "0", "5")
      let manifests = copyManifests(cluster.address, from: "fenced", to: nil, group: "fenced")
        .replacingOccurrences(
          of: "heartbeat.interval.ms: 500",
          with: "heartbeat.interval.ms: 500, group.instance.id: one"
        )
      let installation = try KafkaInstallation(folder + "/one", manifests)
      try waitUntil(seconds: 60, "5 events: \(installation.printed)") {
        try installation.messages().count == 5
      }
      // Fatal for librdkafka: the client is of no use from here on.
      cluster.fail(.heartbeat, RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID)
      try waitUntil(seconds: 60, "a new start: \(installation.printed)") {
        installation.printed.contains("begins anew")
      }
      try Tools.foreign("produce", cluster.address, "fenced", "5", "5")
      try waitUntil(seconds: 60, "10 events: \(installation.printed)") {
        try installation.messages().count == 10
      }
      #expect(installation.end() == 0, "\(installation.printed)")
      #expect(Set(try installation.messages().map(\.id)).count == 10)
    }
  }

  @Test("a target that is away is an outcome that says so, never a success")
  func targetAway() async throws {
    try await withTemporaryFolder { folder in
      let broker = try TestBroker(folder)
      try Tools.foreign("create", broker.address, "from", "1")
      try Tools.foreign("produce", broker.address, "from", "0", "1")
      let nobody = try freePort()
      let manifests = copyManifests(
        broker.address,
        from: "from",
        to: "to",
        at: "127.0.0.1:\(nobody)",
        group: "away"
      )
      .replacingOccurrences(of: "message.timeout.ms: 10000", with: "message.timeout.ms: 500")
      .replacingOccurrences(of: "steps: 100", with: "steps: 2")
      let installation = try KafkaInstallation(folder + "/one", manifests)
      try waitUntil(seconds: 30, "an outcome: \(installation.printed)") {
        try installation.events().contains { $0.type == "signalbox.outcome.failed" }
      }
      #expect(installation.end() == 0)
      #expect(try !installation.events().contains { $0.type == "signalbox.outcome.succeeded" })
    }
  }
}

/// Members of a JSON object as they are written.
struct JSONText {
  private let document: JSON?
  init(_ bytes: [UInt8]) { document = try? JSON(parsing: bytes) }

  subscript(key: String) -> String? {
    document?[key].map { String(decoding: $0.encoded(), as: UTF8.self) }
  }
}
