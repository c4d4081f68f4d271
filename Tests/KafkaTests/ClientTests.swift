import CRdKafka
import KafkaClient
import Posix
import TestKit
import Testing

@Suite(.serialized, .enabled(if: Tools.areThere)) struct ClientTests {
  @Test("what is written is read: null and empty are told apart, bytes and headers stay")
  func roundTrip() async throws {
    try await withTemporaryFolder { folder in
      let broker = try TestBroker(folder)
      try Tools.foreign("create", broker.address, "trip", "1")
      try await withLoop { loop, notes in
        let producers = KafkaProducers(loop: loop)
        let settings = KafkaSettings([
          "bootstrap.servers": broker.address, "enable.idempotence": "true",
        ])
        let values: [(key: [UInt8]?, value: [UInt8]?)] = [
          (nil, Array("one".utf8)), ([], []), ([0, 255], nil), (Array("k".utf8), [0]),
        ]
        let headers = [
          KafkaHeader(name: "a", value: [1]), KafkaHeader(name: "a", value: nil),
          KafkaHeader(name: "b", value: []),
        ]
        var offsets: [Int64?] = []
        for (key, value) in values {
          let record = KafkaRecord(topic: "trip", key: key, value: value, headers: headers)
          offsets.append(try await producers.send(record, settings, notes.observer).offset)
        }
        #expect(offsets == [0, 1, 2, 3])
        #expect(await producers.count == 1)
        await producers.close()

        try await withConsumer(groupSettings(broker.address, "trip"), loop, notes) { consumer in
          try await consumer.subscribe(to: ["trip"])
          let read = try await consumer.read(seconds: 30) { $0.count == values.count }
          #expect(read.map(\.key) == values.map(\.key))
          #expect(read.map(\.value) == values.map(\.value))
          #expect(read.allSatisfy { $0.headers == headers && $0.topic == "trip" })
          #expect(read.allSatisfy { $0.timestampMilliseconds ?? 0 > 1_600_000_000_000 })
          let place = KafkaPartition(topic: "trip", partition: 0)
          #expect(await consumer.end(of: place) == 4)
          try await consumer.commit([KafkaOffset(place, 3)])
        }
        #expect(try Tools.foreign("committed", broker.address, "trip", "trip") == "{\"0\": 3}\n")
        // Members that nobody here wrote read the same.
        let dump = try Tools.foreign("dump", broker.address, "trip")
        #expect(dump.contains("\"headers\": [[\"a\", \"AQ==\"], [\"a\", null], [\"b\", \"\"]]"))
      }
    }
  }

  @Test("two members share a topic and hand it over", arguments: ["range", "cooperative-sticky"])
  func rebalance(_ assignor: String) async throws {
    try await withTemporaryFolder { folder in
      let broker = try TestBroker(folder)
      try Tools.foreign("create", broker.address, "shared", "4")
      try Tools.foreign("produce", broker.address, "shared", "0", "400")
      try await withLoop { loop, notes in
        let (next, isDone, address) = (Counter(400), Counter(0), broker.address)
        let refused = RefusedCommits()
        let settings = groupSettings(
          broker.address,
          "g",
          // Nobody is thrown out because the machine is busy.
          ["partition.assignment.strategy": assignor, "session.timeout.ms": "45000"]
        )
        try await withConsumer(settings, loop, notes) { first in
          try await first.subscribe(to: ["shared"])
          let before = try await first.read(seconds: 30) { $0.count >= 400 }
          let ends = Dictionary(before.map { ($0.place, $0.offset + 1) }) { max($0, $1) }
          try await first.commit(ends.map { KafkaOffset($0.key, $0.value) })
          try await withConsumer(settings, loop, notes) { second in
            try await second.subscribe(to: ["shared"])
            // The first one has to read on for the change to happen.
            async let more = first.read(seconds: 60, refused: refused) { _ in isDone.value > 0 }
            async let others = second.read(seconds: 60) { messages in
              if messages.isEmpty {
                try Tools.foreign("produce", address, "shared", "\(next.add(40))", "40")
              }
              if messages.count >= 20 { _ = isDone.add(1) }
              return messages.count >= 20
            }
            let (a, b) = try await (more, others)
            #expect(Set((a + b).map(\.place)).count >= 2)
            let keys = (a + b).filter { !refused.excuse($0) }.map(\.key)
            #expect(Set(keys).count == keys.count, "a message was read by both")
          }
        }
      }
    }
  }

  @Test("an offset that is not there stops its partition until it is given another")
  func outOfRange() async throws {
    try await withTemporaryFolder { folder in
      let broker = try TestBroker(folder)
      try Tools.foreign("create", broker.address, "short", "1")
      try Tools.foreign("produce", broker.address, "short", "0", "10")
      try await withLoop { loop, notes in
        let settings = KafkaSettings(["bootstrap.servers": broker.address, "group.id": "alone"])
        try await withConsumer(settings, loop, notes) { consumer in
          try await consumer.begin()
          let place = KafkaPartition(topic: "short", partition: 0)
          try await consumer.assign([KafkaOffset(place, 500)])
          let deadline = MonotonicTime.now() + .seconds(30)
          var seen: KafkaOffset?
          while seen == nil, MonotonicTime.now() < deadline {
            let news = await consumer.next(messages: 10, bytes: 1000, within: .seconds(1))
            if case .outOfRange(let offset) = news { seen = offset }
          }
          #expect(seen?.place == place)
          let marks = try await consumer.marks(of: [place], within: .seconds(10))
          #expect(marks[place]?.low == 0 && marks[place]?.high == 10)
          try await consumer.assign([KafkaOffset(place, 4)])
          let read = try await consumer.read(seconds: 30) { $0.count == 6 }
          #expect(read.map(\.offset) == [4, 5, 6, 7, 8, 9])
        }
      }
    }
  }

  @Test("closing ends in bounded time when brokers are away, dead silent or in the middle of it")
  func closing() async throws {
    try await withTemporaryFolder { folder in
      let broker = try TestBroker(folder)
      try Tools.foreign("create", broker.address, "close", "1")
      let proxy = try KafkaProxy(to: broker.port)
      let nobody = try freePort()
      try await withLoop { loop, notes in
        for (name, address, isHeld) in [
          ("refused", "127.0.0.1:\(nobody)", false), ("silent", proxy.address, true),
          ("reached", proxy.address, false), ("reserved", "192.0.2.1:9092", false),
        ] {
          proxy.hold(isHeld)
          let consumer = try KafkaConsumer(
            groupSettings(address, "close"),
            loop: loop,
            observer: notes.observer
          )
          try await consumer.subscribe(to: ["close"])
          _ = await consumer.next(messages: 1, bytes: 1, within: .milliseconds(300))
          let producer = try KafkaProducer(
            KafkaSettings(["bootstrap.servers": address]),
            loop: loop,
            observer: notes.observer
          )
          async let sent = producer.send(KafkaRecord(topic: "close", key: nil, value: [1]))
          try await waitUntil(seconds: 10) { await producer.underWay > 0 || !isHeld }
          let began = MonotonicTime.now()
          await consumer.close(within: .seconds(2))
          await producer.close(within: .seconds(2))
          let took = (MonotonicTime.now() - began).inSeconds
          // Both have their two seconds and one more for librdkafka's threads.
          #expect(took < 20, "\(name): closing took \(took) s")
          _ = try? await sent
        }
      }
      proxy.close()
    }
  }

  @Test("a member that waits for the others of its group to come together is closed")
  func closingWhileJoining() async throws {
    try await withTemporaryFolder { folder in
      let broker = try TestBroker(folder)
      try Tools.foreign("create", broker.address, "waits", "2")
      try await withLoop { loop, notes in
        let settings = groupSettings(broker.address, "waits")
        let given = Counter(0)
        try await withConsumer(settings, loop, notes) { first in
          try await first.subscribe(to: ["waits"])
          _ = try await first.read(seconds: 30, assigned: given) { _ in given.value > 0 }
          let second = try KafkaConsumer(settings, loop: loop, observer: notes.observer)
          try await second.subscribe(to: ["waits"])
          // The first one is asked to give up everything, which shows that the second one waits;
          // until it does so, nobody is answered.
          try await waitUntil(seconds: 60) {
            switch await first.next(messages: 0, bytes: 0, within: .milliseconds(100)) {
            case .revoked: true
            default: false
            }
          }
          let began = MonotonicTime.now()
          await second.close(within: .seconds(60))
          let took = (MonotonicTime.now() - began).inSeconds
          #expect(took < 20, "closing took \(took) s")
        }
      }
    }
  }

  /// librdkafka 2.0.2 tells of a broker that stays away once and is then silent; what repeats is held
  /// back by the gate, which the next test fills.
  @Test("a client whose broker is away says so, in a few lines")
  func quietClient() async throws {
    let nobody = try freePort()
    try await withLoop { loop, notes in
      let settings = groupSettings(
        "127.0.0.1:\(nobody)",
        "quiet",
        ["reconnect.backoff.ms": "1", "reconnect.backoff.max.ms": "5"]
      )
      try await withConsumer(settings, loop, notes) { consumer in
        try await consumer.subscribe(to: ["quiet"])
        try await waitUntil(seconds: 120) {
          _ = await consumer.next(messages: 1, bytes: 1, within: .milliseconds(50))
          return notes.failures.contains("_ALL_BROKERS_DOWN")
        }
        #expect(notes.logged.contains { $0.contains("127.0.0.1:\(nobody)") }, "\(notes.logged)")
        #expect(notes.logged.count <= 12, "\(notes.logged)")
      }
    }
  }

  @Test("a broker that is away for long is a few lines in the log, and the gaps are counted")
  func quietLogs() {
    var gate = LineGate()
    var passed: [String] = []
    // Twice a second for an hour.
    for number in 0..<7200 {
      let now = Int64(number) * 500_000_000
      if let line = gate.pass("away", of: "error _TRANSPORT", at: now) { passed.append(line) }
    }
    #expect(passed.count <= 12, "\(passed)")
    #expect(passed.first == "away")
    let held = passed.compactMap { Int($0.split(separator: " ").dropFirst(2).first ?? "") }
    #expect(held.count == passed.count - 1)
    #expect(held.reduce(0, +) + passed.count > 5000)
    // Another kind has a gate of its own.
    let other = gate.pass("full", of: "error _QUEUE_FULL", at: 3_600_000_000_000)
    #expect(other == "full")
  }

  @Test("settings that librdkafka does not take are named, and no secret is quoted")
  func settings() throws {
    let cases: [([String: String], String?)] = [
      (["sesion.timeout.ms": "1"], "sesion.timeout.ms"),
      (["session.timeout.ms": "x"], "session.timeout.ms"),
      (["ssl.ca.pem": "canary-secret"], nil),
      (["security.protocol": "canary-secret"], "security.protocol"),
      (["session.timeout.ms": "10000", "max.poll.interval.ms": "1000"], nil),
    ]
    for (properties, name) in cases {
      var settings = KafkaSettings(properties)
      if settings["ssl.ca.pem"] != nil { settings["security.protocol"] = "ssl" }
      let error = #expect(throws: KafkaSettingError.self) { try settings.check(as: .consumer) }
      #expect(error?.property == name, "\(properties): \(String(describing: error))")
      #expect(error?.description.contains("canary-secret") == false)
      #expect(!"\(settings)".contains("canary-secret"))
      var dumped = ""
      dump(settings, to: &dumped)
      #expect(!dumped.contains("canary-secret"))
    }
    try KafkaSettings(["session.timeout.ms": "6000"]).check(as: .consumer)
  }
}
