import Event
import EventLog
import Foundation
import JSON
import Posix
import TestKit
import Testing

/// One source and three triggers: a copy of each message, a window that opens with the first one,
/// and firings that wait while the bus is embedded.
private struct MigrateManifests {
  let broker: String
  /// Messages that close the window.
  let window: Int

  private func trigger(_ name: String, _ topic: String, _ source: String, _ own: String) -> String {
    """

        - template:
            name: \(name)
            kafka:
              url: \(broker)
              topic: \(topic)
              payload: [{src: {dependencyName: message, \(source)}]
              signalbox: {librdkafka: {message.timeout.ms: 10000}}
          retryStrategy: {steps: 100, duration: 200ms}
          signalbox: \(own)
    """
  }

  private var copies: String {
    copyManifests(broker, from: "in", to: "out", group: "g").replacingOccurrences(
      of: "session.timeout.ms: 6000",
      with: "session.timeout.ms: 6000, group.instance.id: reader"
    )
      + trigger(
        "pile",
        "piles",
        "dataKey: \"#.body.n\"}, dest: numbers",
        "{batch: {count: \(window), within: 1h}}"
      )
  }

  private func later(_ own: String) -> String {
    trigger("later", "later", "dataKey: key}, dest: key", own)
  }

  var embedded: String { copies + later("{suspend: true}") }

  var onKafka: String { busManifest(broker, name: "one") + copies + later("{}") }
}

/// A data folder that a program used, and `signalbox migrate` on it.
private struct MigrateRig {
  let folder: String
  let broker: SmallBroker
  let manifests: MigrateManifests
  let program: KafkaInstallation

  static let topics = ["in", "out", "piles", "later"]

  init(_ folder: String, window: Int) throws {
    self.folder = folder
    broker = try SmallBroker(folder)
    for topic in Self.topics { try broker.create(topic, partitions: 4) }
    manifests = MigrateManifests(broker: broker.address, window: window)
    program = try KafkaInstallation(folder + "/one", manifests.embedded)
    try Files.makeFolder(folder + "/kafka")
    try Files.writeDurably(Array(manifests.onKafka.utf8), to: folder + "/kafka/all.yaml")
  }

  var data: String { folder + "/one/data" }

  private func arguments(_ manifests: String, _ more: [String]) -> [String] {
    ["migrate", manifests, "--data", data, "--secrets", folder + "/one/secrets"] + more
  }

  func migrate(
    _ manifests: String? = nil,
    _ more: String...
  ) throws -> (status: Int32, output: String) {
    let options = more.isEmpty ? ["--to", "kafka"] : more
    return try Tools.run(
      builtProgram("signalbox"),
      arguments(manifests ?? folder + "/kafka", options)
    )
  }

  /// Kills it so many milliseconds after it has printed so many lines, unless it has ended.
  /// - Returns: its exit status, or 128 and the signal, and what it printed last.
  func migrate(
    killedAfter lines: Int,
    milliseconds: Int32,
    _ number: Int
  ) throws -> (status: Int32, last: String) {
    let program = try RunningProgram(
      builtProgram("signalbox"),
      arguments(folder + "/kafka", ["--to", "kafka"]),
      log: folder + "/migrate-\(number)"
    )
    try waitUntil(seconds: 120, "\(lines) lines: \(program.printed)") {
      !program.isRunning || program.printed.count { $0 == "\n" } >= lines
    }
    _ = poll(nil, 0, milliseconds)
    let status = program.end(by: SIGKILL)
    return (status, String(program.printed.split(separator: "\n").last ?? ""))
  }

  func role() throws -> FolderRole { try FolderRole(of: data + "/log") }

  /// The old program with its old manifests, which must end by itself.
  func runAlone() throws -> (status: Int32, output: String) {
    try Tools.run(
      builtProgram("signalbox"),
      [
        "run", folder + "/one/manifests", "--data", data, "--secrets", folder + "/one/secrets",
        "--listen", "127.0.0.1", "--console", "127.0.0.1:0",
      ]
    )
  }

  func keys(_ topic: String) throws -> [String] {
    header("idempotency-key", of: try dumped(broker.address, topic))
  }

  func await(_ topic: String, _ count: Int) throws {
    try waitUntil(seconds: 180, "\(count) keys on \(topic)") {
      try Set(keys(topic)).count >= count
    }
  }
}

/// `signalbox migrate` with the real binary. `SIGNALBOX_MIGRATE_SEEDS` says how many campaigns,
/// `SIGNALBOX_SEED` which seed is first, `SIGNALBOX_MIGRATE_MESSAGES` how many messages are on the
/// log.
@Suite(.serialized, .enabled(if: Tools.areThere && Tools.outsideBroker == nil))
struct MigrateTests {
  @Test("killed and run again it moves a folder, on which a program on Kafka goes on")
  func campaign() async throws {
    let first = setting("SIGNALBOX_SEED", 1)
    for seed in first..<first + setting("SIGNALBOX_MIGRATE_SEEDS", 1) {
      do {
        try await withTemporaryFolder { try campaign(UInt64(seed), $0) }
      } catch { Issue.record("seed \(seed): \(error)") }
    }
  }

  private func campaign(_ seed: UInt64, _ folder: String) throws {
    var random = Seeded(seed)
    let before = setting("SIGNALBOX_MIGRATE_MESSAGES", 400)
    let all = before + 40
    let rig = try MigrateRig(folder, window: all - 20)
    defer { rig.broker.end() }
    try Tools.foreign("produce", rig.broker.address, "in", "0", "\(before)")
    try rig.await("out", before)
    rig.program.end(by: Bool.random(using: &random) ? SIGKILL : SIGTERM)
    let moved = try rig.program.events()
    var kills: [String] = []
    // Each line is a step; later kills fall into what an earlier run has left to do.
    for number in 0..<Int.random(in: 2...5, using: &random) {
      let (lines, wait) = (
        Int.random(in: 0...6, using: &random), Int32.random(in: 0...20, using: &random)
      )
      let (status, last) = try rig.migrate(killedAfter: lines, milliseconds: wait, number)
      kills.append("\(lines) lines and \(wait) ms: \(status) behind '\(last.prefix(40))'")
      #expect(status == 0 || status == 128 + SIGKILL, "seed \(seed): \(kills)")
      try checkAlone(rig, "seed \(seed), \(kills)")
      if status == 0 { break }
    }
    let (status, output) = try rig.migrate()
    try #require(status == 0, "seed \(seed), \(kills): \(output)")
    #expect(output.contains("next: signalbox run"))
    #expect(try rig.role() == .copy(of: "the topic bus"))
    try checkAlone(rig, "seed \(seed)")
    // The folder itself, or another machine.
    let isElsewhere = Bool.random(using: &random)
    let program = rig.program
    let successor =
      isElsewhere
      ? try KafkaInstallation(folder + "/two", rig.manifests.onKafka, started: "ready") : program
    if !isElsewhere {
      try Files.writeDurably(
        Array(rig.manifests.onKafka.utf8),
        to: program.folder + "/manifests/all.yaml"
      )
      try program.start()
    }
    let what = "seed \(seed), \(isElsewhere ? "elsewhere" : "there"), \(kills)"
    try Tools.foreign("produce", rig.broker.address, "in", "\(before)", "40")
    do {
      for topic in ["out", "later"] { try rig.await(topic, all) }
      try rig.await("piles", 1)
    } catch { throw Failure("\(error), \(what): \(successor.printed)") }
    #expect(successor.end() == 0, "\(what): \(successor.printed)")
    try check(rig, successor, moved, all, what)
    print("migrate: \(what)")
  }

  /// The old program does not start on a folder that is marked.
  private func checkAlone(_ rig: MigrateRig, _ what: String) throws {
    let words: String
    switch try rig.role() {
    case .alone: return
    case .moving: words = "is being moved to the topic bus"
    case .copy: words = "is a copy of the topic bus"
    }
    let (status, output) = try rig.runAlone()
    #expect(status == 1 && output.contains(words), "\(what): \(status), \(output)")
  }

  private func check(
    _ rig: MigrateRig,
    _ program: KafkaInstallation,
    _ moved: [Event],
    _ all: Int,
    _ what: String
  ) throws {
    let events = try program.events()
    #expect(Array(events.prefix(moved.count)) == moved, "\(what): the log begins as it was")
    let ids = events.filter { $0.type == "kafka" }.map(\.id)
    #expect(ids.count == all && Set(ids).count == all, "\(what): \(ids.count) of \(all)")
    for (trigger, topic, count) in [
      ("out", "out", all), ("later", "later", all), ("pile", "piles", 1),
    ] {
      let endings = events.count { $0.subject == "copy/\(trigger)/succeeded" }
      #expect(endings == count, "\(what): \(endings) endings of \(trigger)")
      let keys = Set(try rig.keys(topic))
      #expect(keys.count == count, "\(what): \(keys.count) keys on \(topic)")
    }
    // The window was open when the log was moved: all that was in it is in its firing.
    let values = Set(
      try dumped(rig.broker.address, "piles").compactMap { message -> String? in
        if case .string(let text)? = message["value"] { text } else { nil }
      }
    )
    guard let text = values.first, values.count == 1, let bytes = Data(base64Encoded: text),
      case .string(let list)? = try JSON(parsing: Array(bytes))["numbers"],
      case .array(let numbers) = try JSON(parsing: Array(list.utf8))
    else { throw Failure("\(what): \(values)") }
    let found = Set(numbers.map { String(decoding: $0.encoded(), as: UTF8.self) })
    #expect(numbers.count == all - 20 && found.count == all - 20, "\(what): \(numbers.count)")
    let early = (0..<all - 40).filter { !found.contains("\($0)") }
    #expect(early == [], "\(what): not in the window")
  }

  @Test("what it cannot do it says, with folder and reason, and changes nothing")
  func refusals() async throws {
    try await withTemporaryFolder { folder in
      let rig = try MigrateRig(folder, window: 1000)
      defer { rig.broker.end() }
      try Tools.foreign("produce", rig.broker.address, "in", "0", "10")
      try rig.await("out", 10)
      func expect(_ result: (status: Int32, output: String), _ words: String...) throws {
        #expect(result.status == 1, "\(result.output)")
        for word in words { #expect(result.output.contains(word), "\(result.output)") }
        #expect(try rig.role() == .alone, "\(result.output)")
      }
      let log = rig.data + "/log"
      try expect(
        try rig.migrate(),
        "\(log) was not moved to the topic bus",
        "in use by process \(rig.program.id)"
      )
      rig.program.end()
      try expect(
        try rig.migrate(folder + "/one/manifests"),
        "no EventBus in \(folder)/one/manifests has kafka"
      )
      // The topic of a bus that began by itself.
      let other = try KafkaInstallation(folder + "/two", rig.manifests.onKafka)
      #expect(other.end() == 0, "\(other.printed)")
      try expect(
        try rig.migrate(),
        "\(log) was not moved to the topic bus: record ",
        "holds another log"
      )
      let undone = try rig.migrate(nil, "--undo")
      #expect(undone.status == 0 && undone.output.contains("nothing to undo"), "\(undone.output)")
      try rig.program.start()
      #expect(rig.program.end() == 0)
    }
  }
}
