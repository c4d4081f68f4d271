import Bus
import Event
import EventLog
import Foundation
import JSON
import KafkaBus
import Posix
import Synchronization
import TestKit
import Testing

/// A folder into which the topic of a bus is copied while another process owns it.
private final class Ahead: Sendable {
  private let folder: String
  private let task: Task<Void, any Error>
  private let told: Told
  private let loop: EventLoop

  private final class Told: Sendable {
    let last = Mutex<StandbyCopy.Progress?>(nil)
  }

  init(_ rig: BusRig, _ folder: String, _ clock: LogClock = .system) {
    var configuration = EventLog.Configuration()
    configuration.segmentBytes = 4 << 10
    configuration.maxAge = .seconds(100)
    configuration.upkeepInterval = .milliseconds(50)
    configuration.clock = clock
    let told = Told()
    let copy = StandbyCopy(
      rig.settings,
      folder: folder,
      configuration,
      loop: rig.loop,
      observer: rig.notes.observer,
      told: { progress in told.last.withLock { $0 = progress } }
    )
    self.folder = folder
    self.told = told
    loop = rig.loop
    task = Task(executorPreference: OwnThreads.shared) { try await copy.run() }
  }

  /// The records of the folder, read beside the copying as `signalbox events` does.
  func records() throws -> [Record] {
    var found: [Record] = []
    let report = try EventLogReader(folder: folder).read { found.append($0) }
    #expect(report.damages == [])
    return found
  }

  /// Lets others go on until the folder holds what is meant.
  func wait(_ isMeant: (StandbyCopy.Progress) throws -> Bool) async throws {
    let deadline = MonotonicTime.now() + .seconds(120)
    while true {
      let progress = told.last.withLock { $0 }
      if let progress, try isMeant(progress) { return }
      if MonotonicTime.now() > deadline { throw Failure("found \(String(describing: progress))") }
      await loop.sleep(for: .milliseconds(10))
    }
  }

  func end() async throws {
    task.cancel()
    try await task.value
  }

  /// Returns when it has nothing to do.
  func ended() async throws { try await task.value }
}

/// A program that stands by copies the log ahead.
@Suite(.serialized, .enabled(if: Tools.areThere)) struct StandbyTests {
  @Test("it is near the owner, ends at any moment, and goes on; who wins with it lacks nothing")
  func ahead() async throws {
    var random = Seeded(UInt64(setting("SIGNALBOX_SEED", 1)))
    try await withBus { rig, folder in
      let owner = try await rig.open(folder + "/owner")
      var number = 0
      for round in 0..<5 {
        let ahead = Ahead(rig, folder + "/standby")
        for call in 0..<Int.random(in: 3...12, using: &random) {
          let drafts = (0..<Int.random(in: 1...20, using: &random)).map { place -> Draft in
            number += 1
            // The first of a round takes several messages.
            let bytes = call + place == 0 ? 1_200_000 : 300
            return .event(sampleEvent("\(number)", bytes: bytes))
          }
          _ = try await owner.append(drafts)
        }
        if round % 2 == 0 {
          let last = try #require(owner.committed).offset
          try await ahead.wait { $0.last == last && $0.behind == 0 }
          #expect(try ahead.records() == everything(owner), "round \(round)")
        }
        try await ahead.end()
        let (its, all) = (try ahead.records(), try everything(owner))
        #expect(its == Array(all.prefix(its.count)), "round \(round)")
      }
      let wanted = try everything(owner)
      let winner = try await rig.open(folder + "/standby")
      #expect(try everything(winner) == wanted)
      let appended = try await winner.append([
        .event(sampleEvent("1", bytes: 1_200_000)), .event(sampleEvent("new")),
      ])
      #expect(appended.map(\.isDuplicate) == [true, false])
      await #expect(throws: BusError.self) {
        _ = try await owner.append([.event(sampleEvent("late"))])
      }
      await owner.close()
      await winner.close()
    }
  }

  @Test("what leaves the topic leaves its folder; one that the topic has left behind begins anew")
  func shortened() async throws {
    try await withBus { bus, folder in
      let rig = TrimRig(bus: bus)
      let owner = try await rig.open(folder + "/owner")
      for (name, ids) in [("far", 0..<100), ("near", 100..<200)] {
        let ahead = Ahead(bus, "\(folder)/\(name)", rig.clock.clock)
        try await rig.fill(owner, ids)
        let last = try #require(owner.committed).offset
        try await ahead.wait { $0.last == last }
        try await ahead.end()
      }
      try await rig.fill(owner, 200..<300)
      let near = Ahead(bus, folder + "/near", rig.clock.clock)
      let last = try #require(owner.committed).offset
      try await near.wait { $0.last == last }
      try await near.end()
      try await rig.release(owner)
      try await rig.shorten(owner)
      let all = try everything(owner)
      for name in ["near", "far"] {
        let ahead = Ahead(bus, "\(folder)/\(name)", rig.clock.clock)
        // Whole segments go: what was copied at once stays as long as one of it does.
        let begin = try #require(all.first).position.offset
        try await ahead.wait { _ in
          let found = try ahead.records()
          let first = found.first?.position.offset ?? 0
          return (name == "far" ? first == begin : first > 150)
            && found.suffix(all.count) == all[...]
        }
        try await ahead.end()
      }
      await owner.close()
      let found = try await bus.found(folder + "/near")
      #expect(Array(found.suffix(all.count)) == all)
    }
  }

  @Test("a part of a log that is being moved makes nobody an owner, and is gone on with")
  func part() async throws {
    struct Ended: Error {}
    try await withBus { rig, folder in
      let (log, _) = try EventLog.open(folder: folder + "/old")
      for id in 0..<50 { _ = try await log.append([.event(sampleEvent("\(id)"))]) }
      let records = try everything(log)
      await log.close()
      let ahead = Ahead(rig, folder + "/standby")
      let move = rig.move(folder + "/old", recordsMax: 20) { step in
        if case .written(through: 40, _) = step { throw Ended() }
      }
      await #expect(throws: Ended.self) { _ = try await move.run() }
      try await ahead.wait { $0.last == 40 }
      try await ahead.end()
      let error = await #expect(throws: KafkaBusError.self) {
        _ = try await rig.open(folder + "/standby")
      }
      #expect("\(error as Any)".contains("holds a part of a log"))
      let again = Ahead(rig, folder + "/standby")
      _ = try await rig.move(folder + "/old").run()
      try await again.wait { $0.last == 50 }
      try await again.end()
      #expect(try await rig.found(folder + "/standby") == records)
    }
  }

  @Test("a folder with a log of its own, or on the move, is left as it is")
  func foreign() async throws {
    try await withBus { rig, folder in
      let owner = try await rig.open(folder + "/owner")
      _ = try await owner.append([.event(sampleEvent("a"))])
      let (log, _) = try EventLog.open(folder: folder + "/own")
      _ = try await log.append([.event(sampleEvent("x"))])
      let records = try everything(log)
      await log.close()
      try await Ahead(rig, folder + "/own").ended()
      let (same, _) = try EventLog.open(folder: folder + "/own")
      #expect(try everything(same) == records)
      await same.close()
      try FolderRole.moving(to: "the topic bus").write(to: folder + "/own")
      await #expect(throws: LogError.self) { try await Ahead(rig, folder + "/own").ended() }
      await owner.close()
    }
  }

  @Test("the programs: the owner shortens the topic, the other one is near it, says so and goes on")
  func programs() async throws {
    try await withTemporaryFolder { folder in
      let broker = try SmallBroker(folder)
      defer { broker.end() }
      for topic in ["in", "out"] { try broker.create(topic, partitions: 4) }
      func program(_ name: String, console: Int = 0, started: String) throws -> KafkaInstallation {
        let bus = busManifest(broker.address, name: name).replacingOccurrences(
          of: "  kafka:\n",
          with: "  signalbox: {retention: {maxAge: 8s}}\n  kafka:\n"
        )
        // Only the owner of the bus reads the source.
        let others = copyManifests(broker.address, from: "in", to: "out", group: "g")
          .replacingOccurrences(
            of: "session.timeout.ms: 6000",
            with: "session.timeout.ms: 6000, group.instance.id: reader"
          )
        return try KafkaInstallation(
          "\(folder)/\(name)",
          bus + others,
          console: console,
          started: started
        )
      }
      var sent = 0
      func produce() throws {
        try Tools.foreign("produce", broker.address, "in", "\(sent)", "20")
        sent += 20
        try waitUntil(seconds: 120, "a key for each of \(sent) messages") {
          Set(header("idempotency-key", of: try dumped(broker.address, "out"))).count >= sent
        }
      }
      let owner = try program("one", started: "ready")
      let port = try freePort()
      let other = try program("two", console: port, started: "standing by")
      let first = { try dumped(broker.address, "bus").first?["offset"]?.text ?? "0" }
      try waitUntil(seconds: 120, "a topic that is shortened: \(owner.printed)") {
        try produce()
        return try first() != "0"
      }
      try waitUntil(seconds: 120, "a copy that is near") {
        let said = try answer(port, "/readyz")
        guard let last = try owner.records().last else { return false }
        #expect(said.contains("503") && said.contains("another process owns the bus"))
        return said.contains("copied up to record \(last), 0 messages behind")
      }
      #expect(try other.records().count > 10)
      owner.end(by: SIGKILL)
      try Tools.foreign("expel", broker.address, "bus", "one")
      try waitUntil(seconds: 120, "another owner: \(other.printed)") {
        other.printed.contains("ready")
      }
      try produce()
      #expect(other.end() == 0, "\(other.printed)")
      checkEffects(try dumped(broker.address, "out"), sent, "a topic that is shortened")
      let records = try other.records()
      #expect(zip(records, records.dropFirst()).allSatisfy { $0 < $1 })
    }
  }
}

extension KafkaInstallation {
  /// The positions of its log.
  fileprivate func records() throws -> [UInt64] {
    var found: [UInt64] = []
    guard Files.kind(folder + "/data/log") == .folder else { return [] }
    _ = try EventLogReader(folder: folder + "/data/log").read { found.append($0.position.offset) }
    return found
  }
}

/// What a console answers.
private func answer(_ port: Int, _ path: String) throws -> String {
  guard let connection = connect(to: port) else { throw Failure("nobody listens on \(port)") }
  let request = Array("GET \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".utf8)
  guard unsafe write(connection.raw, request, request.count) == request.count else {
    throw SystemError("write")
  }
  var found: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 4096)
  while true {
    let count = unsafe read(connection.raw, &chunk, chunk.count)
    if count == 0 { return String(decoding: found, as: UTF8.self) }
    if count > 0 {
      found += chunk.prefix(count)
    } else if errno == EAGAIN {
      var entry = pollfd(fd: connection.raw, events: Int16(POLLIN), revents: 0)
      guard unsafe poll(&entry, 1, 20_000) == 1 else { throw Failure("no answer from \(port)") }
    } else {
      throw SystemError("read")
    }
  }
}
