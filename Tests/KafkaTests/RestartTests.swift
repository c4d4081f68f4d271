import Bus
import CRdKafka
import Event
import EventLog
import JSON
import KafkaClient
import Posix
import TestKit
import Testing

/// What the real binary knows after a restart and shows while it runs.
@Suite(.serialized) struct RestartTests {
  /// The notes of places on a log, and whether a snapshot is there.
  private func notes(_ installation: KafkaInstallation) throws -> (places: [Note], snapshots: Int) {
    var (places, snapshots): ([Note], Int) = ([], 0)
    _ = try EventLogReader(folder: installation.folder + "/data/log").read { record in
      guard case .note(let note) = record.content else { return }
      // Of the engine's notes: how far event sources have come.
      if note.kind == 5 { places.append(note) }
      if note.kind == Note.snapshotKind { snapshots += 1 }
    }
    return (places, snapshots)
  }

  @Test(
    "positions stand in a snapshot: behind it nothing is read again, whatever the group says",
    .enabled(if: Tools.areThere)
  )
  func snapshot() async throws {
    try await withTemporaryFolder { folder in
      let broker = try TestBroker(folder)
      try Tools.foreign("create", broker.address, "long", "1")
      try Tools.foreign("produce", broker.address, "long", "0", "2500")
      let manifests = copyManifests(broker.address, from: "long", to: nil, group: "long")
      let installation = try KafkaInstallation(folder + "/one", manifests)
      try waitUntil(seconds: 60, "2500 events: \(installation.printed)") {
        try installation.messages().count == 2500
      }
      #expect(installation.end() == 0, "\(installation.printed)")
      let before = try notes(installation)
      #expect(before.snapshots > 0)
      try Tools.foreign("commit", broker.address, "long", "long", "0", "0")
      try Tools.foreign("produce", broker.address, "long", "2500", "10")
      try installation.start()
      try waitUntil(seconds: 60, "2510 events: \(installation.printed)") {
        try installation.messages().count >= 2510
      }
      #expect(installation.end() == 0, "\(installation.printed)")
      #expect(Set(try installation.messages().map(\.id)).count == 2510)
      #expect(try !installation.events().contains { $0.type == "signalbox.source-reset" })
      // Read again, messages would be known by their ids; the positions behind them would go back.
      let after = try notes(installation).places.dropFirst(before.places.count)
      let next = after.flatMap { numbers(of: "\"next\":", in: $0) }
      #expect(next.last == 2510 && next.allSatisfy { $0 > 2500 }, "\(next)")
    }
  }

  private func numbers(of name: String, in note: Note) -> [Int] {
    String(decoding: note.bytes, as: UTF8.self).split(separator: name).dropFirst().compactMap {
      Int($0.prefix { $0.isNumber })
    }
  }

  @Test(
    "a scrape shows how far reading is behind, what librdkafka counts, and errors by name",
    .enabled(if: Tools.areThere)
  )
  func scrape() async throws {
    try await withTemporaryFolder { folder in
      let cluster = try MockCluster(brokers: 1)
      cluster.createTopic("shown", partitions: 1)
      try Tools.foreign("produce", cluster.address, "shown", "0", "5")
      let manifests = copyManifests(cluster.address, from: "shown", to: nil, group: "shown")
        .replacing(
          "heartbeat.interval.ms: 500",
          with: "heartbeat.interval.ms: 500, statistics.interval.ms: 200"
        )
      let console = try freePort()
      let installation = try KafkaInstallation(folder + "/one", manifests, console: console)
      try waitUntil(seconds: 60, "5 events: \(installation.printed)") {
        try installation.messages().count == 5
      }
      cluster.setDown(-1)
      let labels = #"source="default/in",event="all""#
      let names = ["replyq", "msg_cnt", "tx_bytes", "rx_bytes", "txmsgs", "rxmsgs"]
      let wanted =
        names.map { "signalbox_source_number{\(labels),number=\"\($0)\",of=\"client\"} " } + [
          "signalbox_source_number{\(labels),number=\"lag\",of=\"shown/0\"} 0\n",
          "signalbox_source_errors_total{\(labels),error=\"_ALL_BROKERS_DOWN\"} ",
          "signalbox_events_appended_total{\(labels)} 5\n",
        ]
      let request = "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
      var text = ""
      try waitUntil(seconds: 60, "\(wanted) in \(text)") {
        text = String(
          decoding: try Socket.exchange(Array(request.utf8), port: console),
          as: UTF8.self
        )
        return wanted.allSatisfy { text.contains($0) }
      }
      #expect(installation.end() == 0, "\(installation.printed)")
    }
  }
}
