import Event
import Foundation
import Posix
import TestKit
import Testing

/// Three programs of one group, each with a log of its own, a broker that is stopped and started,
/// connections that are cut, programs that are killed. `SIGNALBOX_KAFKA_SEEDS` says how many times,
/// `SIGNALBOX_SEED` which seed is first.
@Suite(.serialized, .enabled(if: Tools.areThere && Tools.outsideBroker == nil))
struct CampaignTests {
  private static func setting(_ name: String, _ standard: Int) -> Int {
    ProcessInfo.processInfo.environment[name].flatMap { Int($0) } ?? standard
  }

  @Test("whatever is killed, cut or stopped: no message is lost, none is twice on a log")
  func campaign() async throws {
    let first = Self.setting("SIGNALBOX_SEED", 1)
    for seed in first..<first + Self.setting("SIGNALBOX_KAFKA_SEEDS", 1) {
      try await withTemporaryFolder { folder in
        try run(folder, UInt64(seed))
      }
    }
  }

  private func run(_ folder: String, _ seed: UInt64) throws {
    var random = Seeded(seed)
    let broker = try TestBroker(folder)
    let proxy = try KafkaProxy(to: broker.port)
    defer { proxy.close() }
    try Tools.foreign("create", broker.address, "in", "6")
    try Tools.foreign("create", broker.address, "out", "2")
    let strategy = seed % 2 == 0 ? "range" : "sticky"
    let manifests = copyManifests(
      proxy.address,
      from: "in",
      to: "out",
      group: "campaign",
      strategy: strategy
    )
    var programs: [KafkaInstallation] = []
    for number in 0..<3 {
      programs.append(try KafkaInstallation(folder + "/\(number)", manifests))
    }
    var sent = 0
    for _ in 0..<8 {
      let count = Int.random(in: 50...150, using: &random)
      try Tools.foreign("produce", broker.address, "in", "\(sent)", "\(count)")
      sent += count
      // A moment chosen by the seed, so that faults fall into different steps of the work.
      _ = poll(nil, 0, Int32.random(in: 0...400, using: &random))
      let victim = programs[Int.random(in: 0..<3, using: &random)]
      switch Int.random(in: 0..<5, using: &random) {
      case 0, 1:
        victim.end(by: SIGKILL)
        try victim.start()
      case 2: proxy.cut()
      case 3:
        broker.stop()
        try broker.start()
      default:
        #expect(victim.end() == 0, "seed \(seed): \(victim.printed)")
        try victim.start()
      }
    }
    let began = MonotonicTime.now()
    try waitUntil(seconds: 60, "seed \(seed): lag 0") {
      let committed = try Tools.foreign("committed", broker.address, "campaign", "in")
      return committed.split(whereSeparator: { !$0.isNumber && $0 != "-" }).compactMap { Int($0) }
        .enumerated().filter { $0.offset % 2 == 1 }.reduce(0) { $0 + max(0, $1.element) } == sent
    }
    let lagSeconds = (MonotonicTime.now() - began).inSeconds
    #expect(lagSeconds < 30, "seed \(seed): lag went on for \(lagSeconds) s")
    let keys = "seed \(seed): a key for each message"
    try waitUntil(seconds: 60, keys) {
      Set(header("idempotency-key", of: try dumped(broker.address, "out"))).count == sent
    }
    for program in programs { #expect(program.end() == 0, "seed \(seed): \(program.printed)") }
    check(try programs.map { try $0.messages().map(\.id) }, sent, seed, lagSeconds)
  }

  private func check(_ logs: [[String]], _ sent: Int, _ seed: UInt64, _ lagSeconds: Double) {
    for ids in logs { #expect(Set(ids).count == ids.count, "seed \(seed): twice on one log") }
    let all = Set(logs.flatMap { $0 })
    #expect(all.count == sent, "seed \(seed): \(all.count) of \(sent)")
    let doubles = logs.reduce(0) { $0 + $1.count } - all.count
    print(
      "kafka campaign: seed \(seed), \(sent) messages, on two logs \(doubles), "
        + "lag 0 after \((lagSeconds * 10).rounded() / 10) s"
    )
  }
}
