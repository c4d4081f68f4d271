import Bus
import Event
import EventLog
import KafkaBus
import KafkaClient
import Posix
import Synchronization
import TestKit
import Testing

/// A bus on a broker of its own, opened from folders that come and go.
struct BusRig {
  var settings: KafkaBus.Settings
  let loop: EventLoop
  let notes: Notebook
  let reasons = Reasons()

  final class Reasons: Sendable {
    private let words = Mutex<[String]>([])
    var all: [String] { words.withLock { $0 } }
    func add(_ why: String) { words.withLock { $0.append(why) } }
  }

  init(
    _ address: String,
    _ topic: String,
    _ loop: EventLoop,
    _ notes: Notebook,
    _ change: (inout KafkaBus.Settings) -> Void = { _ in }
  ) async throws {
    var settings = KafkaBus.Settings(
      client: KafkaSettings([
        "bootstrap.servers": address, "reconnect.backoff.ms": "10", "retry.backoff.ms": "10",
      ]),
      topic: topic,
      group: topic
    )
    settings.patience = .seconds(20)
    change(&settings)
    self.settings = settings
    self.loop = loop
    self.notes = notes
    try await KafkaBus.prepare(
      settings,
      loop: loop,
      observer: notes.observer,
      within: settings.patience
    )
  }

  func open(_ folder: String) async throws -> EventLog {
    var configuration = EventLog.Configuration()
    // Several segments, so that copies fill them too.
    configuration.segmentBytes = 256 << 10
    return try await open(folder, configuration)
  }

  func open(_ folder: String, _ configuration: EventLog.Configuration) async throws -> EventLog {
    try await KafkaBus.open(
      settings,
      folder: folder,
      configuration,
      loop: loop,
      observer: notes.observer,
      lost: { reasons.add($0) }
    ).log
  }
}

/// Runs `body` with a bus on a broker of its own.
func withBus(_ body: (BusRig, _ folder: String) async throws -> Void) async throws {
  try await withTemporaryFolder { folder in
    let broker = try TestBroker(folder)
    try await withLoop { loop, notes in
      try await body(try await BusRig(broker.address, "bus", loop, notes), folder)
    }
  }
}

func everything(_ bus: any Bus) throws -> [Record] {
  try bus.read(after: nil, limit: .max, bytes: .max)
}

@Suite(.serialized, .enabled(if: Tools.areThere)) struct BusTests {
  @Test("it keeps what every bus has to keep", arguments: [true, false])
  func suite(_ keepsFolder: Bool) async throws {
    try await withBus { rig, folder in
      let opened = Counter(0)
      let suite = BusSuite {
        let number = opened.add(1)
        return try await rig.open(folder + "/log\(keepsFolder ? 0 : number)")
      }
      let failures = try await suite.failures()
      #expect(failures == [])
    }
  }

  @Test("a folder that was lost, or is behind, is made again from the topic")
  func copies() async throws {
    let seed = setting("SIGNALBOX_SEED", 1)
    var random = Seeded(UInt64(seed))
    try await withBus { rig, folder in
      var known: [Record] = []
      // Two folders take turns, so each is behind when it is opened; a third is always new.
      for round in 0..<6 {
        let log = try await rig.open(folder + "/\(round % 3 == 2 ? "new\(round)" : "\(round % 3)")")
        let found = try everything(log)
        #expect(found == known, "round \(round), seed \(seed)")
        for call in 0..<Int.random(in: 1...8, using: &random) {
          let drafts = (0..<Int.random(in: 1...20, using: &random)).map { number -> Draft in
            // The first of a round takes several messages.
            let bytes = call + number == 0 ? 600_000 : 300
            return .event(sampleEvent("\(round).\(call).\(number)", bytes: bytes))
          }
          _ = try await log.append(drafts + [.note(Note(kind: 9, bytes: [UInt8(call)]))])
        }
        known = try everything(log)
        let again = try await log.append([.event(sampleEvent("0.0.0"))])
        #expect(again[0].isDuplicate)
        await log.close()
      }
      #expect(rig.reasons.all == [])
    }
  }

  @Test("a folder that goes on behind a transaction that was aborted gets all that follows")
  func aborted() async throws {
    try await withTemporaryFolder { folder in
      let broker = try TestBroker(folder)
      try await withLoop { loop, notes in
        // The small broker lets nobody see what follows it who begins to read behind it.
        let rig = try await BusRig(broker.address, "bus", loop, notes) {
          $0.patience = .seconds(3)
        }
        func add(_ id: String, in name: String) async throws {
          let log = try await rig.open(folder + "/" + name)
          _ = try await log.append((0..<3).map { .event(sampleEvent("\(id)\($0)")) })
          await log.close()
        }
        try await add("a", in: "first")
        try Tools.foreign("abort", broker.address, "bus", "bus-owner")
        try await add("b", in: "first")
        try await add("c", in: "second")
        let log = try await rig.open(folder + "/first")
        #expect(try everything(log).count == 9)
        await log.close()
      }
    }
  }

  @Test("of two owners the later one writes; the earlier one cannot, whatever it tries")
  func fencing() async throws {
    try await withBus { rig, folder in
      let old = try await rig.open(folder + "/old")
      _ = try await old.append([.event(sampleEvent("a"))])
      let new = try await rig.open(folder + "/new")
      _ = try await new.append([.event(sampleEvent("b"))])
      for id in ["late", "later"] {
        let error = await #expect(throws: BusError.self) {
          _ = try await old.append([.event(sampleEvent(id))])
        }
        guard case .failed(let why)? = error else {
          Issue.record("\(String(describing: error))")
          return
        }
        #expect(why.contains("another process has taken over"))
      }
      #expect(rig.reasons.all.count == 1)
      _ = try await new.append([.event(sampleEvent("c"))])
      let (its, all) = (try everything(old), try everything(new))
      #expect(all.map(\.position.offset) == [1, 2, 3])
      // What the old one has is what it was told is stored.
      #expect(its == Array(all.prefix(1)))
      await old.close()
      await new.close()
      // A copy is written to as a copy only.
      let alone = #expect(throws: LogError.self) { _ = try EventLog.open(folder: folder + "/new") }
      #expect("\(alone as Any)".contains("is a copy of the topic bus"))
      let last = try await rig.open(folder + "/old")
      let copied = try everything(last)
      #expect(copied == all)
      await last.close()
    }
  }

  @Test("a folder of another bus is refused, and stays as it was")
  func foreignFolder() async throws {
    try await withBus { rig, folder in
      let (other, _) = try EventLog.open(folder: folder + "/other")
      _ = try await other.append([.event(sampleEvent("x")), .event(sampleEvent("y"))])
      await other.close()
      let longer = await #expect(throws: KafkaBusError.self) {
        _ = try await rig.open(folder + "/other")
      }
      #expect("\(longer as Any)".contains("belongs to another bus"))
      let bus = try await rig.open(folder + "/own")
      for id in ["a", "b", "c"] { _ = try await bus.append([.event(sampleEvent(id))]) }
      await bus.close()
      let different = await #expect(throws: KafkaBusError.self) {
        _ = try await rig.open(folder + "/other")
      }
      #expect("\(different as Any)".contains("is not that of the topic"))
      let (same, _) = try EventLog.open(folder: folder + "/other")
      let kept = try everything(same)
      #expect(kept.count == 2)
      await same.close()
    }
  }

  @Test("one of several is elected; when it leaves another one is")
  func election() async throws {
    try await withBus { rig, _ in
      var settings = rig.settings
      settings.sessionTimeout = .seconds(6)
      let (first, second) = (
        try KafkaElection(settings, loop: rig.loop, observer: rig.notes.observer),
        try KafkaElection(settings, loop: rig.loop, observer: rig.notes.observer)
      )
      try await first.join()
      #expect(await first.won() == .owner)
      let other = Task {
        try await second.join()
        return await second.won()
      }
      // Whether a newcomer makes the group think again or not: one at a time owns it.
      let losing = Task { await first.lost() }
      await first.leave()
      _ = await losing.value
      let outcome = try await other.value
      #expect(outcome == .owner)
      await second.leave()
    }
  }
}
