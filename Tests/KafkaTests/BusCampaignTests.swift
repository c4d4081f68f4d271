import Event
import EventLog
import Foundation
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
  let instance = name.isEmpty ? "" : ", group.instance.id: \(name)"
  return """
    apiVersion: argoproj.io/v1alpha1
    kind: EventBus
    metadata: {name: default}
    spec:
      kafka:
        url: \(broker)
        topic: bus
        signalbox: {sessionTimeout: 6s, librdkafka: {reconnect.backoff.max.ms: 500\(instance)}}
    ---

    """ + others
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
      for _ in 0..<5 {
        let count = Int.random(in: 20...80, using: &random)
        try Tools.foreign("produce", broker.address, "in", "\(sent)", "\(count)")
        sent += count
        // A moment chosen by the seed, so that faults fall into different steps of the work.
        _ = poll(nil, 0, Int32.random(in: 0...3000, using: &random))
        faults.append(try fault(programs, broker, &random))
      }
      do { try awaitKeys(broker, sent) } catch {
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

  private func fault(
    _ programs: [KafkaInstallation],
    _ broker: SmallBroker,
    _ random: inout Seeded
  ) throws -> String {
    // The owner, where there is one; the others have nothing to lose.
    let owner = programs.first { $0.owns }
    let victim = owner ?? programs[Int.random(in: 0..<3, using: &random)]
    switch Int.random(in: 0..<5, using: &random) {
    case 0:
      victim.end(by: SIGKILL)
      try victim.start()
      return "killed"
    case 1:
      victim.signal(SIGSTOP)
      _ = poll(nil, 0, 8_000)
      victim.signal(SIGCONT)
      return "stopped for 8 s"
    case 2:
      broker.cut()
      return "cut"
    case 3:
      try broker.restart(afterMilliseconds: Int32.random(in: 0...1500, using: &random))
      return "broker restarted"
    default:
      #expect(victim.end() == 0, "\(victim.printed)")
      try victim.start()
      return "ended"
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
    for program in programs where program.isRunning {
      #expect(program.end() == 0, "\(what): \(program.printed)")
    }
    // The last owner's folder holds the whole log, the others a beginning of it: nobody wrote
    // without owning the bus.
    let logs = try programs.map { program in
      // One that never owned the bus has none.
      Files.kind(program.folder + "/data/log") == nil ? [] : try program.events()
    }
    let longest = logs.max { $0.count < $1.count } ?? []
    for log in logs { #expect(Array(longest.prefix(log.count)) == log, "\(what)") }
    let ids = longest.filter { $0.type == "kafka" }.map(\.id)
    #expect(Set(ids).count == sent && ids.count == sent, "\(what): \(ids.count) of \(sent)")
    let endings = longest.count { $0.subject == "copy/out/succeeded" }
    #expect(endings == sent, "\(what): \(endings) endings for \(sent) firings")
    let written = try dumped(broker.address, "out")
    let keys = header("idempotency-key", of: written)
    #expect(Set(keys).count == sent, "\(what): \(Set(keys).count) keys for \(sent) messages")
    print("kafka bus: \(what): \(sent) messages, written again \(written.count - sent)")
  }
}

extension KafkaInstallation {
  /// Whether it works on the bus, by what it printed last about that.
  fileprivate var owns: Bool {
    guard isRunning else { return false }
    let lines = printed.split(separator: "\n")
    return lines.last { $0 == "ready" || $0.contains("standing by") } == "ready"
  }
}
