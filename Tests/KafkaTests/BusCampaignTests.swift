import Event
import EventLog
import Foundation
import JSON
import KafkaBus
import Posix
import TestKit
import Testing

/// An EventBus on a topic, in front of a source and a sensor that copy one topic to another.
/// - Parameter name: a name for the member of the group; empty: none.
private func busManifests(_ broker: String, _ name: String) -> String {
  // Only the owner of the bus reads the source, so its members may all have one name: the small
  // broker keeps one that was killed for ever.
  let others = copyManifests(broker, from: "in", to: "out", group: "g").replacingOccurrences(
    of: "session.timeout.ms: 6000",
    with: "session.timeout.ms: 6000, group.instance.id: reader"
  )
  return busManifest(broker, name: name) + others
}

/// librdkafka's brokers in this process, which notice when a member is silent. They have no disk to
/// come back from.
private struct OwnMock: CampaignBrokers {
  private let cluster: MockCluster
  private let proxy: KafkaProxy
  let members = "nameless"
  var address: String { cluster.address }
  var programsAddress: String { proxy.address }

  init() throws {
    cluster = try MockCluster(brokers: 1)
    proxy = try KafkaProxy(to: Int(cluster.address.split(separator: ":").last ?? "") ?? 0)
    for topic in ["bus", "bus-owner"] { cluster.createTopic(topic, partitions: 1) }
  }

  func create(_ topic: String, partitions: Int) throws {
    cluster.createTopic(topic, partitions: partitions)
  }

  func memberSettings(_ number: Int) -> String { "" }
  func cut() { proxy.cut() }
  func restart(afterMilliseconds wait: Int32) throws { throw Failure("it cannot be restarted") }
  func end() { proxy.close() }
}

/// Programs on one bus: one works, the others stand by. `SIGNALBOX_KAFKA_BUS_SEEDS` says how many
/// campaigns, `SIGNALBOX_SEED` which seed is first. The small broker is restarted and its programs
/// have names, because it keeps a killed member without one for ever.
@Suite(.serialized, .enabled(if: Tools.areThere && Tools.outsideBroker == nil))
struct BusCampaignTests {
  @Test("killed and without its folder, a program goes on where it was; nothing fires twice")
  func restart() async throws {
    try await withTemporaryFolder { folder in
      let broker = try SmallBroker(folder)
      defer { broker.end() }
      for topic in ["in", "out"] { try broker.create(topic, partitions: 4) }
      let program = try KafkaInstallation(
        folder + "/one",
        busManifests(broker.address, "one")
      )
      var sent = 0
      for round in 0..<3 {
        try Tools.foreign("produce", broker.address, "in", "\(sent)", "40")
        sent += 40
        if round == 0 { try awaitKeys(broker, sent) }
        program.end(by: SIGKILL)
        // A new machine: the topic is all there is.
        try FileManager.default.removeItem(atPath: folder + "/one/data")
        try program.start()
      }
      try awaitKeys(broker, sent)
      try check([program], sent, broker, "restart")
    }
  }

  @Test("whatever happens to three programs: each message fires once, on one log")
  func campaign() async throws {
    let first = setting("SIGNALBOX_SEED", 1)
    for seed in first..<first + setting("SIGNALBOX_KAFKA_BUS_SEEDS", 1) {
      do { try await campaign(UInt64(seed)) } catch { Issue.record("seed \(seed): \(error)") }
    }
  }

  private func campaign(_ seed: UInt64) async throws {
    try await withTemporaryFolder { folder in
      let broker = try SmallBroker(folder)
      defer { broker.end() }
      for topic in ["in", "out"] { try broker.create(topic, partitions: 4) }
      let programs = try (0..<3).map { number in
        try KafkaInstallation(
          folder + "/\(number)",
          busManifests(broker.programsAddress, "member-\(number)"),
          started: "standing by"
        )
      }
      var random = Seeded(seed)
      var sent = 0
      var faults: [String] = []
      do {
        for fault in Fault.allCases.shuffled(using: &random) {
          faults.append("\(fault)")
          let count = Int.random(in: 20...80, using: &random)
          try Tools.foreign("produce", broker.address, "in", "\(sent)", "\(count)")
          sent += count
          // A moment chosen by the seed, so that faults fall into different steps of the work.
          _ = poll(nil, 0, Int32.random(in: 0...3000, using: &random))
          // The owner, where there is one; the others have nothing to lose.
          if fault == .frozen {
            try waitUntil(seconds: 60, "an owner") { programs.contains { $0.owns } }
          }
          let other = Int.random(in: 0..<3, using: &random)
          let number = programs.firstIndex { $0.owns } ?? other
          let victim = programs[number]
          switch fault {
          case .killed:
            victim.end(by: SIGKILL)
            try expel(number, broker)
            try victim.start()
          case .frozen: try freeze(victim, programs, broker, &sent)
          case .cut: broker.cut()
          case .brokerAway: broker.beAway(milliseconds: Int32.random(in: 0...2500, using: &random))
          case .ended:
            #expect(victim.end() == 0, "\(victim.printed)")
            try expel(number, broker)
            try victim.start()
          }
        }
        try awaitKeys(broker, sent)
      } catch {
        throw Failure("\(error) after \(faults); \(programs.map(\.printed))")
      }
      try check(programs, sent, broker, "seed \(seed), \(faults.joined(separator: ", "))")
    }
  }

  /// The mock broker shows what was never committed, so nothing here goes on that was stopped.
  @Test("an owner that is killed is followed by another one, and that one too")
  func successors() async throws {
    try await withTemporaryFolder { folder in try successors(folder) }
  }

  private func successors(_ folder: String) throws {
    let brokers = try OwnMock()
    defer { brokers.end() }
    for topic in ["in", "out"] { try brokers.create(topic, partitions: 4) }
    let programs = try (0..<3).map { number in
      try KafkaInstallation(
        folder + "/\(number)",
        busManifests(brokers.programsAddress, ""),
        started: "standing by"
      )
    }
    var sent = 0
    for round in 0..<3 {
      try Tools.foreign("produce", brokers.address, "in", "\(sent)", "40")
      sent += 40
      try awaitKeys(brokers, sent)
      if round < 2 { programs.first { $0.owns }?.end(by: SIGKILL) }
    }
    #expect(programs.count { $0.isRunning } == 1)
    try check(programs, sent, brokers, "killed twice")
  }

  @Test("an owner that was frozen while others worked can write nothing, and copies what they did")
  func frozen() async throws {
    try await withTemporaryFolder { folder in try frozen(folder) }
  }

  private func frozen(_ folder: String) throws {
    let broker = try SmallBroker(folder)
    defer { broker.end() }
    for topic in ["in", "out"] { try broker.create(topic, partitions: 4) }
    var sent = 0
    func produce() throws {
      try Tools.foreign("produce", broker.address, "in", "\(sent)", "40")
      sent += 40
    }
    let manifests = busManifests(broker.address, "one")
    let old = try KafkaInstallation(folder + "/old", manifests)
    try produce()
    try awaitKeys(broker, sent)
    old.signal(SIGSTOP)
    defer { old.signal(SIGCONT) }
    // Under the same name the group lets it in at once.
    let other = try KafkaInstallation(folder + "/other", manifests)
    try produce()
    try awaitKeys(broker, sent)
    other.end(by: SIGKILL)
    try produce()
    old.signal(SIGCONT)
    try awaitKeys(broker, sent)
    #expect(old.printed.contains("standing by for the bus\nthis process owns the bus"))
    #expect(old.printed.components(separatedBy: "this process owns the bus").count == 3)
    try check([old, other], sent, broker, "frozen")
  }

  /// What happens to the owner or to its broker; each of them once in a campaign.
  private enum Fault: CaseIterable {
    case killed, frozen, cut, brokerAway, ended
  }

  /// Has others own what a silent program owned. The small broker does not notice that it is silent,
  /// and one that comes back under its name before may leave everybody without a partition.
  private func expel(_ number: Int, _ broker: SmallBroker) throws {
    try Tools.foreign("expel", broker.address, "bus", "member-\(number)")
  }

  /// Stops the owner for longer than the session timeout, until another one owns the bus and has
  /// written to it, and lets it go on. The small broker does not notice that a member is silent: it
  /// is told. (Over a restart it would forget who had opened a transactional id, and refuse nobody.)
  private func freeze(
    _ victim: KafkaInstallation,
    _ programs: [KafkaInstallation],
    _ broker: SmallBroker,
    _ sent: inout Int
  ) throws {
    let losses = victim.losses
    victim.signal(SIGSTOP)
    do {
      defer { victim.signal(SIGCONT) }
      _ = poll(nil, 0, 7000)
      try expel(programs.firstIndex { $0 === victim } ?? 0, broker)
      try waitUntil(seconds: 60, "another owner") {
        programs.contains { $0 !== victim && $0.owns }
      }
      try Tools.foreign("produce", broker.address, "in", "\(sent)", "20")
      sent += 20
      try awaitKeys(broker, sent)
    }
    try waitUntil(seconds: 60, "that the old owner learns that it is none") {
      !victim.owns || victim.losses > losses
    }
  }

  private func awaitKeys(_ broker: any CampaignBrokers, _ sent: Int) throws {
    try waitUntil(seconds: 120, "a key for each of \(sent) messages") {
      Set(header("idempotency-key", of: try dumped(broker.address, "out"))).count >= sent
    }
  }

  /// Ends what runs and compares what was left.
  private func check(
    _ programs: [KafkaInstallation],
    _ sent: Int,
    _ broker: any CampaignBrokers,
    _ what: String
  ) throws {
    // Who follows an owner that was killed repeats what has no ending yet, although its key is there.
    try waitUntil(seconds: 120, "\(what): an ending for each of \(sent) firings") {
      try programs.contains { endings(try logged($0)) >= sent }
    }
    for program in programs where program.isRunning {
      #expect(program.end() == 0, "\(what): \(program.printed)")
    }
    // The last owner's folder holds the whole log, the others a beginning of it: nobody wrote
    // without owning the bus.
    let logs = try programs.map { try logged($0) }
    let longest = logs.max { $0.count < $1.count } ?? []
    for log in logs { #expect(Array(longest.prefix(log.count)) == log, "\(what)") }
    let ids = longest.filter { $0.type == "kafka" }.map(\.id)
    #expect(Set(ids).count == sent && ids.count == sent, "\(what): \(ids.count) of \(sent)")
    let ended = endings(longest)
    #expect(ended == sent, "\(what): \(ended) endings for \(sent) firings")
    let written = try dumped(broker.address, "out")
    checkEffects(written, sent, what)
    if broker is SmallBroker { try checkTopic(broker, programs, what) }
    print("kafka bus: \(what): \(sent) messages, written again \(written.count - sent)")
  }
}

extension BusCampaignTests {
  /// The events of a program's log; one that never owned the bus, nor copied it, has none.
  private func logged(_ program: KafkaInstallation) throws -> [Event] {
    Files.kind(program.folder + "/data/log") == nil ? [] : try program.events()
  }

  private func endings(_ events: [Event]) -> Int {
    events.count { $0.subject == "copy/out/succeeded" }
  }

  /// The topic holds each record of the longest log once, in order: whoever had lost the bus wrote
  /// nothing more. (The mock broker shows what was never committed as well.)
  private func checkTopic(
    _ broker: any CampaignBrokers,
    _ programs: [KafkaInstallation],
    _ what: String
  ) throws {
    var offsets: [UInt64] = []
    for (place, message) in try dumped(broker.address, "bus").enumerated() {
      guard case .string(let text)? = message["value"] else {
        throw Failure("\(what): found a message without a value on the bus: \(message)")
      }
      let value = try #require(Data(base64Encoded: text))
      let parsed = try ReplicaMessage(parsing: Array(value), at: Int64(place))
      if case .part(let offset, isLast: true, _) = parsed { offsets.append(offset) }
    }
    let last = try programs.map { try $0.records() }.max() ?? 0
    #expect(last > 0 && offsets.count == last, "\(what): \(offsets.count) records, not \(last)")
    let breaks = zip(offsets, UInt64(1)...).filter { $0 != $1 }
    #expect(breaks.isEmpty, "\(what): found and expected \(breaks.prefix(3))")
  }
}

extension KafkaInstallation {
  /// How often it lost the bus.
  fileprivate var losses: Int {
    printed.components(separatedBy: "the bus is another process's").count - 1
  }

  /// How many records its log has.
  fileprivate func records() throws -> Int {
    var count = 0
    guard Files.kind(folder + "/data/log") != nil else { return 0 }
    _ = try EventLogReader(folder: folder + "/data/log").read { _ in count += 1 }
    return count
  }

  /// Whether it works on the bus, by what it printed last about that.
  fileprivate var owns: Bool {
    guard isRunning else { return false }
    let lines = printed.split(separator: "\n")
    return lines.last { $0 == "ready" || $0.contains("standing by") } == "ready"
  }
}
