import CRdKafka
import Event
import EventSources
import JSON
import KafkaClient
import Manifest
import Plugin
import Posix
import Synchronization
import TestKit
import Testing

/// A source whose log refuses what it is given, with librdkafka's mock brokers.
@Suite(.serialized) struct FullLogTests {
  private let name = EventSourceName(namespace: "default", bus: "default", source: "s", event: "e")

  private func source(_ address: String, _ topic: String, _ strategy: String, _ host: StubbornHost)
    throws -> any EventSource
  {
    let kind = try #require(eventSourceKinds.first { $0.kind == "kafka" })
    let spec: JSON = [
      "url": .string(address), "topic": .string(topic), "jsonBody": .bool(true),
      "consumerGroup": [
        "groupName": .string(topic), "oldest": .bool(true), "rebalanceStrategy": .string(strategy),
      ],
      "signalbox": [
        "librdkafka": ["session.timeout.ms": "6000", "statistics.interval.ms": "100"]
      ],
    ]
    let diagnostics = Diagnostics()
    let node = Node(spec, at: Mark(file: "t", line: 1, column: 1))
    let made = kind.make(node, "spec.kafka.e", name, host, diagnostics)
    return try #require(made, "\(diagnostics.sorted)")
  }

  /// Runs `body` beside sources of one group, which read `topic` from its beginning.
  /// - Parameter start: starts the source of a host.
  private func withSources(
    _ cluster: MockCluster,
    _ topic: String,
    strategy: String = "sticky",
    _ body: (
      _ start: (_ refuses: @escaping @Sendable () -> Bool) throws -> StubbornHost,
      _ send: (Range<Int>) async throws -> Void
    ) async throws -> Void
  ) async throws {
    cluster.createTopic(topic, partitions: 3)
    try await withLoop { loop, notes in
      try await withProducers(loop) { producers in
        let settings = KafkaSettings(["bootstrap.servers": cluster.address])
        var tasks: [Task<Void, Never>] = []
        let result = await Result {
          try await body { refuses in
            let host = StubbornHost(loop: loop, refuses: refuses)
            let source = try source(cluster.address, topic, strategy, host)
            tasks.append(Task(executorPreference: loop) { @concurrent in await source.run() })
            return host
          } _: { numbers in
            for number in numbers {
              let record = KafkaRecord(
                topic: topic,
                key: Array("\(number)".utf8),
                value: Array("{\"n\":\(number)}".utf8)
              )
              _ = try await producers.send(record, settings, notes.observer)
            }
          }
        }
        let began = MonotonicTime.now()
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
        let took = (MonotonicTime.now() - began).inSeconds
        #expect(took < 20, "the sources took \(took) s to end")
        try result.get()
      }
    }
  }

  private func numbers(_ host: StubbornHost) -> [String] {
    host.events.compactMap { event in
      guard case .number(let text)? = (try? JSON(parsing: event.data))?["body"]?["n"] else {
        return nil
      }
      return text
    }
  }

  @Test("while the log is full reading pauses; then it goes on, and nothing is lost or twice there")
  func pauses() async throws {
    let cluster = try MockCluster(brokers: 1)
    // 0: full.
    let isOpen = Counter(0)
    try await withSources(cluster, "full") { start, send in
      let host = try start { isOpen.value == 0 }
      try await send(0..<40)
      try waitUntil(seconds: 60, "a pause: \(host.lines)") {
        host.lines.contains { $0.contains("reading pauses") } && host.refused >= 3
      }
      // What comes meanwhile stays where it is.
      try await send(40..<80)
      #expect(host.events.isEmpty)
      _ = isOpen.add(1)
      try waitUntil(seconds: 60, "80 events, not \(host.events.count)") {
        host.events.count >= 80
      }
      try waitUntil(seconds: 60, "lag 0: \(host.readings)") {
        let lags = host.readings.filter { $0.key.hasPrefix("lag ") }
        return lags.count == 3 && lags.allSatisfy { $0.value == 0 }
      }
      #expect(Set(numbers(host)) == Set((0..<80).map(String.init)))
      #expect(host.events.count == 80 && host.breaches.isEmpty, "\(host.breaches)")
      #expect(host.lines.count { $0.contains("reading pauses") } == 1)
    }
  }

  @Test("a log that refuses one batch and takes the next never has a position without its events")
  func refusesSome() async throws {
    let cluster = try MockCluster(brokers: 1)
    let seed = setting("SIGNALBOX_SEED", 1)
    for seed in seed..<seed + 3 {
      let dice = Dice(UInt64(seed))
      try await withSources(cluster, "some-\(seed)") { start, send in
        let host = try start(dice.oneInTwo)
        try await send(0..<1)
        try waitUntil(seconds: 60, "seed \(seed): a beginning") { !host.places(of: name).isEmpty }
        for start in stride(from: 1, to: 301, by: 20) { try await send(start..<start + 20) }
        try waitUntil(seconds: 60, "seed \(seed): 301 events, not \(host.events.count)") {
          host.events.count >= 301
        }
        #expect(host.breaches.isEmpty, "seed \(seed): \(host.breaches)")
        #expect(Set(numbers(host)).count == 301 && host.events.count == 301, "seed \(seed)")
        #expect(host.refused > 0, "seed \(seed) refused nothing")
      }
    }
  }

  @Test(
    "what a full log did not take goes to whoever gets the partitions, and comes back with them"
  )
  func taken() async throws {
    let cluster = try MockCluster(brokers: 1)
    let isOpen = Counter(0)
    try await withSources(cluster, "taken", strategy: "range") { start, send in
      let full = try start { isOpen.value == 0 }
      try await send(0..<60)
      try waitUntil(seconds: 60, "a refusal: \(full.lines)") { full.refused > 0 }
      let other = try start { false }
      // At least one of three partitions is given to each.
      try waitUntil(seconds: 60, "events at the other: \(other.lines)") { !other.events.isEmpty }
      _ = isOpen.add(1)
      let all = Set((0..<60).map(String.init))
      try waitUntil(seconds: 60, "60 events: \(full.events.count) and \(other.events.count)") {
        Set(numbers(full) + numbers(other)) == all
      }
      for host in [full, other] {
        #expect(host.breaches.isEmpty, "\(host.breaches)")
        #expect(Set(host.events.map(\.id)).count == host.events.count)
      }
    }
  }

  @Test("a source ends in bounded time though its log is full and its brokers are gone")
  func endsWithoutBrokers() async throws {
    let cluster = try MockCluster(brokers: 1)
    try await withSources(cluster, "gone") { start, send in
      let host = try start { true }
      try await send(0..<10)
      try waitUntil(seconds: 60, "a refusal: \(host.lines)") { host.refused > 0 }
      cluster.setDown(-1)
    }
  }

  @Test("what librdkafka counts and how far reading is behind are shown by their names")
  func statistics() async throws {
    let cluster = try MockCluster(brokers: 1)
    try await withSources(cluster, "shown") { start, send in
      let host = try start { false }
      try await send(0..<10)
      let names = ["replyq", "msg_cnt", "tx_bytes", "rx_bytes", "txmsgs", "rxmsgs"]
      let wanted = names.map { "\($0) client" } + (0..<3).map { "lag shown/\($0)" }
      try waitUntil(seconds: 60, "\(wanted) in \(host.readings)") {
        wanted.allSatisfy { host.readings[$0] != nil } && host.readings["rxmsgs client"] == 10
      }
    }
  }
}

/// Chances from a seed.
private final class Dice: Sendable {
  private let random: Mutex<Seeded>
  init(_ seed: UInt64) { random = Mutex(Seeded(seed)) }

  @Sendable func oneInTwo() -> Bool {
    random.withLock { Bool.random(using: &$0) }
  }
}
