import Event
import Foundation
import JSON
import Posix
import TestKit
import Testing

/// Three programs of one group, each with a log of its own; brokers that are stopped and started,
/// connections that are cut, programs that are killed. `SIGNALBOX_KAFKA_SEEDS` says how many times,
/// `SIGNALBOX_SEED` which seed is first, `SIGNALBOX_KAFKA_KEEP` names a folder for what they leave:
/// data, what was printed, and what the mock broker was asked.
///
/// Even seeds use a broker of librdkafka's mock cluster, in a process of its own, and a group of
/// nameless members. Odd ones use the small broker, whose topics outlive its end, and members with
/// names (`group.instance.id`): it keeps a nameless member that was killed for the rebalance timeout
/// instead of the session timeout, meanwhile throws out those who wait for it, and
/// may then give one partition to two members of a generation.
///
/// Where `SIGNALBOX_TEST_KAFKA` names brokers, all seeds use those, with nameless members; what
/// `SIGNALBOX_TEST_KAFKA_RESTART` holds is run by a shell where a broker is to be restarted, with a
/// number that goes up in `SIGNALBOX_NUMBER`.
@Suite(.serialized, .enabled(if: Tools.areThere))
struct CampaignTests {
  @Test("whatever is killed, cut or stopped: no message is lost, none is twice on a log")
  func campaign() async throws {
    let first = setting("SIGNALBOX_SEED", 1)
    for seed in first..<first + setting("SIGNALBOX_KAFKA_SEEDS", 2) {
      do {
        try await withTemporaryFolder { temporary in
          let kept = ProcessInfo.processInfo.environment["SIGNALBOX_KAFKA_KEEP"]
          let folder = kept.map { "\($0)/seed-\(seed)" } ?? temporary
          try Files.makeFolder(folder)
          let brokers: any CampaignBrokers =
            if let outside = Tools.outsideBroker {
              OutsideBrokers(address: outside)
            } else {
              seed % 2 == 0 ? try MockBroker(folder) : try SmallBroker(folder)
            }
          defer { brokers.end() }
          try Campaign(folder, UInt64(seed), brokers).run()
        }
      } catch { Issue.record("seed \(seed): \(error)") }
    }
  }
}

/// What a campaign needs of brokers.
protocol CampaignBrokers {
  var address: String { get }
  /// Where the programs find the brokers.
  var programsAddress: String { get }
  /// How its members are called.
  var members: String { get }
  /// librdkafka's properties of a member.
  func memberSettings(_ number: Int) -> String
  func create(_ topic: String, partitions: Int) throws
  func cut()
  func restart(afterMilliseconds wait: Int32) throws
  func end()
}

private struct OutsideBrokers: CampaignBrokers {
  let address: String
  let members = "nameless"
  private let number = Counter(0)
  var programsAddress: String { address }

  func memberSettings(_ number: Int) -> String { "session.timeout.ms: 6000" }

  func create(_ topic: String, partitions: Int) throws {
    try Tools.foreign("create", address, topic, "\(partitions)")
  }

  func cut() {}

  func restart(afterMilliseconds wait: Int32) throws {
    let environment = ProcessInfo.processInfo.environment
    guard let command = environment["SIGNALBOX_TEST_KAFKA_RESTART"] else { return }
    let result = try Tools.run(
      "/bin/sh",
      ["-c", "SIGNALBOX_NUMBER=\(number.add(1)); \(command)"]
    )
    if result.status != 0 { throw Failure("\(command): \(result.output)") }
  }

  func end() {}
}

struct SmallBroker: CampaignBrokers {
  private let broker: TestBroker
  private let proxy: KafkaProxy
  var programsAddress: String { proxy.address }
  let members = "named"
  var address: String { broker.address }

  init(_ folder: String) throws {
    broker = try TestBroker(folder)
    proxy = try KafkaProxy(to: broker.port)
  }

  func create(_ topic: String, partitions: Int) throws {
    try Tools.foreign("create", broker.address, topic, "\(partitions)")
  }

  /// At times it forgets somebody who wants to join until the rebalance timeout, which is
  /// `max.poll.interval.ms`.
  func memberSettings(_ number: Int) -> String {
    "session.timeout.ms: 6000, max.poll.interval.ms: 10000, group.instance.id: member-\(number)"
  }

  func cut() { proxy.cut() }

  /// Nobody reaches it for a while, as when a broker is started again. The small broker itself must
  /// not be, where there are transactions: when it stops it aborts one that is open, and when it is
  /// back it answers the commit of that one with success.
  func beAway(milliseconds: Int32) {
    proxy.interrupt()
    _ = poll(nil, 0, milliseconds)
    proxy.accept(true)
  }

  /// Nobody may write while it stops: from its last write to disk until its end, for up to a second
  /// and a half, it acknowledges messages and forgets them.
  func restart(afterMilliseconds wait: Int32) throws {
    proxy.interrupt()
    broker.stop()
    _ = poll(nil, 0, wait)
    try broker.start()
    proxy.accept(true)
  }

  func end() { proxy.close() }
}

/// It has no disk to come back from, so it is only out of reach for a while.
private struct MockBroker: CampaignBrokers {
  private let program: RunningProgram
  private let port: Int
  private let proxy: KafkaProxy
  var programsAddress: String { proxy.address }
  let members = "nameless"
  var address: String { "127.0.0.1:\(port)" }

  init(_ folder: String) throws {
    let program = try RunningProgram(
      Tools.python,
      [Tools.root + "/Tests/Foreign/kafka.py", "mock"],
      log: folder + "/mock-output"
    )
    self.program = program
    var found: Int?
    try waitUntil(seconds: 60, "a mock broker") {
      if !program.isRunning { throw Failure("no mock broker: \(program.printed)") }
      let lines = program.printed.split(separator: "\n", omittingEmptySubsequences: false)
        .dropLast()
      let line = lines.first { $0.hasPrefix("port ") }
      found = line.flatMap { Int($0.dropFirst(5)) }
      return found != nil
    }
    port = found ?? 0
    proxy = try KafkaProxy(to: port)
  }

  /// It makes topics, of four partitions, when somebody asks for them.
  func create(_ topic: String, partitions: Int) {}

  /// Whoever joins waits for a second less than the session timeout, also when all are there.
  func memberSettings(_ number: Int) -> String { "session.timeout.ms: 3000" }

  /// Whoever comes back sooner than it has noticed a member's end is the end of a mock broker.
  func cut() { restart(afterMilliseconds: 0) }

  func restart(afterMilliseconds wait: Int32) {
    proxy.interrupt()
    _ = poll(nil, 0, wait + 300)
    proxy.accept(true)
  }

  func end() { proxy.close() }
}

private struct Campaign {
  private let folder: String
  private let seed: UInt64
  private let brokers: any CampaignBrokers
  private let strategy: String
  /// Names that were never used: brokers that go on keep what was there.
  private let topic: String
  private let target: String
  private let group: String

  init(_ folder: String, _ seed: UInt64, _ brokers: any CampaignBrokers) {
    self.folder = folder
    self.seed = seed
    self.brokers = brokers
    let own = "signalbox-\(getpid())-\(seed)"
    (topic, target, group) = ("\(own)-in", "\(own)-out", "\(own)-group")
    strategy = seed / 2 % 2 == 0 ? "sticky" : "range"
  }

  func run() throws {
    var random = Seeded(seed)
    for name in [topic, target] { try brokers.create(name, partitions: 4) }
    var programs: [KafkaInstallation] = []
    for number in 0..<3 {
      var manifests = copyManifests(
        brokers.programsAddress,
        from: topic,
        to: target,
        group: group,
        strategy: strategy
      )
      manifests = manifests.replacingOccurrences(
        of: "session.timeout.ms: 6000",
        with: brokers.memberSettings(number)
      )
      programs.append(try KafkaInstallation(folder + "/\(number)", manifests))
    }
    var sent = 0
    for _ in 0..<8 {
      let count = Int.random(in: 50...150, using: &random)
      try Tools.foreign("produce", brokers.address, topic, "\(sent)", "\(count)")
      sent += count
      // A moment chosen by the seed, so that faults fall into different steps of the work.
      _ = poll(nil, 0, Int32.random(in: 0...400, using: &random))
      try fault(programs, &random)
    }
    let lagSeconds = try awaitEnd(programs, sent)
    for program in programs { #expect(program.end() == 0, "seed \(seed): \(program.printed)") }
    try check(programs, sent, lagSeconds)
  }

  private func fault(_ programs: [KafkaInstallation], _ random: inout Seeded) throws {
    let victim = programs[Int.random(in: 0..<3, using: &random)]
    switch Int.random(in: 0..<5, using: &random) {
    case 0, 1:
      victim.end(by: SIGKILL)
      try victim.start()
    case 2: brokers.cut()
    case 3: try brokers.restart(afterMilliseconds: Int32.random(in: 0...1500, using: &random))
    default:
      #expect(victim.end() == 0, "seed \(seed): \(victim.printed)")
      try victim.start()
    }
  }

  /// Waits until the group has committed everything and each message has come out.
  private func awaitEnd(_ programs: [KafkaInstallation], _ sent: Int) throws -> Double {
    let began = MonotonicTime.now()
    try waitUntil(seconds: 60, "lag 0") {
      let committed = try Tools.foreign("committed", brokers.address, group, topic)
      return committed.split(whereSeparator: { !$0.isNumber && $0 != "-" }).compactMap { Int($0) }
        .enumerated().filter { $0.offset % 2 == 1 }.reduce(0) { $0 + max(0, $1.element) } == sent
    }
    let lagSeconds = (MonotonicTime.now() - began).inSeconds
    #expect(lagSeconds < 30, "seed \(seed): lag went on for \(lagSeconds) s")
    var written: [JSON] = []
    try waitUntil(
      seconds: 60,
      "a key for each message; without one are \(fates(of: programs, without: written))"
    ) {
      written = try dumped(brokers.address, target)
      return Set(header("idempotency-key", of: written)).count >= sent
    }
    return lagSeconds
  }

  /// What the programs know of the firings whose key is not at the target: where a broker has lost
  /// what it acknowledged, they succeeded.
  private func fates(of programs: [KafkaInstallation], without written: [JSON]) -> String {
    let keys = Set(header("idempotency-key", of: written))
    return programs.enumerated().map { number, program in
      let events = (try? program.events()) ?? []
      let outcomes = events.filter { $0.type.hasPrefix("signalbox.outcome.") }
      let keyless = outcomes.compactMap { outcome -> String? in
        guard case .string(let firing)? = (try? JSON(parsing: outcome.data))?["firing"] else {
          return nil
        }
        let key = String(decoding: Base64.encode(Array(firing.utf8)[...]), as: UTF8.self)
        return keys.contains(key) ? nil : String(decoding: outcome.data, as: UTF8.self)
      }
      return "program \(number) \(program.isRunning ? "runs" : "has ended"), "
        + "\(events.count { $0.type == "kafka" }) messages, "
        + "\(outcomes.count) outcomes, \(keyless.count) of them without a key, "
        + "the first \(keyless.prefix(5))"
    }
    .joined(separator: "; ")
  }

  private func check(_ programs: [KafkaInstallation], _ sent: Int, _ lagSeconds: Double) throws {
    let logs = try programs.map { try $0.messages().map(\.id) }
    for ids in logs { #expect(Set(ids).count == ids.count, "seed \(seed): twice on one log") }
    let all = Set(logs.flatMap { $0 })
    #expect(all.count == sent, "seed \(seed): \(all.count) of \(sent)")
    let doubles = logs.reduce(0) { $0 + $1.count } - all.count
    let written = try dumped(brokers.address, target)
    checkEffects(written, sent, "seed \(seed)")
    print(
      "kafka campaign: seed \(seed), \(strategy), \(brokers.members) members, "
        + "\(sent) messages, on two logs \(doubles), written twice "
        + "\(written.count - sent), lag 0 after \((lagSeconds * 10).rounded() / 10) s"
    )
  }
}
