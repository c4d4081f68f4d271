import Event
import KafkaBus
import KafkaClient
import Posix
import TestKit
import Testing

/// What is on its way to a partition of a shared bus.
@Suite struct InboxTests {
  @Test("events of one call keep their order; what is no event is told of, and reading goes on")
  func order() async throws {
    let cluster = try MockCluster(brokers: 1)
    cluster.createTopic("bus-events", partitions: 2)
    try await withLoop { loop, notes in
      let client = KafkaSettings(["bootstrap.servers": cluster.address])
      var settings = KafkaBus.Settings(client: client, topic: "bus", group: "g")
      (settings.partitions, settings.partition) = (2, 1)
      let intake = KafkaIntake(
        topic: settings.topic,
        loop: loop,
        observer: notes.observer
      ) { [settings] in settings }
      let inbox = try KafkaInbox(settings, loop: loop, observer: notes.observer)
      let producer = try KafkaProducer(client, loop: loop, observer: notes.observer)
      do {
        let events = (0..<500).map { sampleEvent("\($0)") }
        try await intake.send(events.map { ($0, 1) } + [(sampleEvent("other"), 0)])
        for value in [[1, 255, 255, 255], nil] as [[UInt8]?] {
          var none = KafkaRecord(topic: "bus-events", key: nil, value: value)
          none.partition = 1
          _ = try await producer.send(none)
        }
        try await intake.send([(sampleEvent("last"), 1)])
        try await inbox.begin(at: nil)
        var found: [String] = []
        var gaps: [String] = []
        var next: Int64 = 0
        while next < 503 {
          guard let batch = try await inbox.next() else { continue }
          found += batch.events.map(\.id)
          gaps += [batch.gap].compactMap { $0 }
          next = batch.next
        }
        #expect(found == events.map(\.id) + ["last"])
        // They may come apart.
        #expect(gaps.first?.hasSuffix("no events, the first one is 500") == true, "\(gaps)")
      } catch { Issue.record(error) }
      await producer.close()
      await inbox.close()
      await intake.close()
    }
  }
}
