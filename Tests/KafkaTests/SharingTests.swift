import Event
import Foundation
import Glibc
import JSON
import Posix
import TestKit
import Testing

/// A bus of three partitions: a webhook that any program takes, six sensors that each write what comes
/// to a topic, and for each of these one that waits for its success.
private func sharedManifests(
  _ broker: String,
  port: Int,
  name: String,
  sensors: Int
) -> String {
  let source = """
    apiVersion: argoproj.io/v1alpha1
    kind: EventSource
    metadata: {name: hooks}
    spec:
      webhook:
        any:
          endpoint: /any
          port: "\(port)"
          method: POST
          signalbox: {deduplicateBy: {header: X-Event-ID}}
    """
  return busManifest(broker, name: name, partitions: 3) + source
    + (0..<sensors).flatMap { number in
      [
        sensor("first-\(number)", "hooks", "any", "out", broker),
        sensor("second-\(number)", "outcomes", "first-\(number)/write/succeeded", "out2", broker),
      ]
    }.joined()
}

private func sensor(
  _ name: String,
  _ source: String,
  _ event: String,
  _ topic: String,
  _ broker: String
) -> String {
  """

  ---
  apiVersion: argoproj.io/v1alpha1
  kind: Sensor
  metadata: {name: \(name)}
  spec:
    dependencies: [{name: it, eventSourceName: \(source), eventName: \(event)}]
    triggers:
      - template:
          name: write
          kafka:
            url: \(broker)
            topic: \(topic)
            payload: [{src: {dependencyName: it, contextKey: subject}, dest: subject}]
            signalbox: {librdkafka: {message.timeout.ms: 10000}}
        retryStrategy: {steps: 100, duration: 200ms}
  """
}

/// Programs that share one bus. `SIGNALBOX_KAFKA_SHARING_SEEDS` says how many campaigns,
/// `SIGNALBOX_SEED` which seed is first, `SIGNALBOX_KAFKA_KEEP` names a folder for what they leave.
@Suite(.serialized, .enabled(if: Tools.areThere && Tools.outsideBroker == nil))
struct SharingTests {
  /// Three programs, and what was sent to them.
  private final class Bench {
    let broker: SmallBroker
    var programs: [KafkaInstallation] = []
    var ports: [Int] = []
    private(set) var sent = 0
    private var sensors = 6
    /// Firings of the first sensors that what was sent has to cause, and as many of the second.
    private var wanted = 0

    init(_ folder: String) throws {
      broker = try SmallBroker(folder)
      for topic in ["out", "out2"] { try broker.create(topic, partitions: 4) }
      for number in 0..<3 {
        let port = try freePort()
        ports.append(port)
        programs.append(
          try KafkaInstallation(
            folder + "/\(number)",
            manifests(number),
            started: "\nready"
          )
        )
      }
    }

    private func manifests(_ number: Int) -> String {
      sharedManifests(
        broker.programsAddress,
        port: ports[number],
        name: "member-\(number)",
        sensors: sensors
      )
    }

    /// Puts so many sensors in force in all programs.
    func reload(sensors: Int) throws {
      self.sensors = sensors
      let request = "POST /reload HTTP/1.1\r\nHost: control\r\nConnection: close\r\n"
      for (number, program) in programs.enumerated() {
        try Files.writeDurably(
          Array(manifests(number).utf8),
          to: program.folder + "/manifests/all.yaml"
        )
        let answer = try Socket.exchange(
          Array((request + "Content-Length: 0\r\n\r\n").utf8),
          path: program.folder + "/data/control.sock"
        )
        #expect(String(decoding: answer, as: UTF8.self).contains(#""reloaded":true,"messages":[]"#))
      }
    }

    /// Has others take the partitions of a program that is silent. The small broker does not notice
    /// it; and to a member that comes back under its name before, it gives at times what another has,
    /// and its own to nobody.
    func expel(_ number: Int) throws {
      try Tools.foreign("expel", broker.address, "bus", "member-\(number)")
      let others = programs.indices.filter { $0 != number }.map { programs[$0] }
      try waitUntil(seconds: 60, "others that own all: \(others.map(\.printed))") {
        others.allSatisfy { !$0.isRunning }
          || Set(others.flatMap { SharingTests.owned($0) }) == [0, 1, 2]
      }
    }

    /// Each webhook goes to the next program that takes it, as behind a load balancer.
    func send(_ count: Int) throws {
      for _ in 0..<count {
        let body = Array(#"{"number": \#(sent)}"#.utf8)
        let first = sent
        try waitUntil(seconds: 60, "an answer 2xx to webhook \(sent)") {
          (0..<3).contains { status(of: post(body, to: ports[(first + $0) % 3])) / 100 == 2 }
        }
        sent += 1
        wanted += sensors
      }
    }

    private func post(_ body: [UInt8], to port: Int) -> String {
      let head =
        "POST /any HTTP/1.1\r\nHost: hooks\r\nConnection: close\r\n"
        + "Content-Type: application/json\r\nX-Event-ID: n-\(sent)\r\n"
        + "Content-Length: \(body.count)\r\n\r\n"
      return exchange(Array(head.utf8) + body, port) ?? ""
    }

    private func status(of answer: String) -> Int { Int(answer.dropFirst(9).prefix(3)) ?? 0 }

    /// Every webhook has reached every sensor, and each of these firings the one behind it.
    func await(_ topic: String) throws -> [JSON] {
      var found: [JSON] = []
      try waitUntil(
        seconds: 120,
        "\(wanted) keys on \(topic), there are \(Set(header("idempotency-key", of: found)).count)"
      ) {
        found = try dumped(broker.address, topic)
        return Set(header("idempotency-key", of: found)).count >= wanted
      }
      return found
    }

    deinit { broker.end() }

    /// The folders of partitions, by partition and program, in which something is.
    var folders: [(program: Int, partition: Int)] {
      programs.indices.flatMap { program in
        (0..<3).compactMap { partition in
          let path = programs[program].folder + "/data/partition-\(partition)/log"
          return Files.kind(path) == nil ? nil : (program, partition)
        }
      }
    }

    /// What the longest copy of a partition holds; the others hold a beginning of it.
    func events(of partition: Int, _ what: String) throws -> [Event] {
      let logs = try folders.filter { $0.partition == partition }.map {
        try programs[$0.program].events(inPartition: partition)
      }
      let longest = logs.max { $0.count < $1.count } ?? []
      for log in logs { #expect(Array(longest.prefix(log.count)) == log, "\(what)") }
      return longest
    }

    /// The ids of what says that a firing succeeded.
    private func endings(of kind: String, _ partitions: [[Event]]) -> [String] {
      partitions.flatMap { $0 }.filter {
        $0.type == "signalbox.outcome.succeeded" && $0.subject.hasPrefix(kind)
      }.map(\.id)
    }

    func check(_ what: String) throws {
      for topic in ["out", "out2"] {
        let keys = header("idempotency-key", of: try self.await(topic))
        #expect(Set(keys).count == wanted, "\(what): \(topic)")
      }
      // What was written by a program that then lost its partition is noted by the next owner.
      for kind in ["first", "second"] {
        var count = 0
        try waitUntil(seconds: 60, "\(what): \(wanted) endings of \(kind), there are \(count)") {
          count = Set(try endings(of: kind, (0..<3).map { try events(of: $0, what) })).count
          return count >= wanted
        }
      }
      for program in programs where program.isRunning {
        #expect(program.end() == 0, "\(what): \(program.printed)")
      }
      let all = try (0..<3).map { try events(of: $0, what) }
      for (partition, events) in all.enumerated() {
        let ids = events.map { "\($0.namespace)/\($0.source)/\($0.id)" }
        #expect(Set(ids).count == ids.count, "\(what): partition \(partition) holds an event twice")
      }
      // Each firing ended in one partition; where another waits for that, it has a copy.
      for kind in ["first", "second"] {
        #expect(Set(endings(of: kind, all)).count == wanted, "\(what): endings of \(kind)")
      }
      print("kafka bus, shared: \(what): \(sent) webhooks, folders in use \(folders.count)")
    }
  }

  @Test("three programs take webhooks, share the sensors, and chains go from one to another")
  func sharing() async throws {
    try await withTemporaryFolder { folder in
      let bench = try Bench(folder)
      // The group gives each of them one.
      try waitUntil(seconds: 60, "each owns a partition: \(bench.programs.map(\.printed))") {
        bench.programs.allSatisfy { $0.printed.contains("ready\n") && !Self.owned($0).isEmpty }
      }
      #expect(Set(bench.programs.flatMap { Self.owned($0) }) == [0, 1, 2])
      try bench.send(30)
      // What has not reached its partition would count as new to the sensors that come.
      _ = try bench.await("out")
      try bench.reload(sensors: 8)
      try bench.send(30)
      try bench.check("undisturbed")
      // Sensors of all partitions fired, so all programs worked.
      #expect(bench.folders.count >= 3)
    }
  }

  @Test("a data folder of the other kind is refused before anything is asked of brokers")
  func folders() async throws {
    let shared = sharedManifests("127.0.0.1:1", port: try freePort(), name: "", sensors: 1)
    let alone = shared.replacingOccurrences(of: "partitions: 3", with: "partitions: 1")
    for (manifests, there, words) in [
      (shared, "log/00000000000000000001.log", "holds a log, which 3 partitions"),
      (alone, "partition-2/log/lock", "partition-2 is of a bus with partitions"),
    ] {
      try await withTemporaryFolder { folder in
        try Files.makeFolder(Files.parent(of: "\(folder)/data/\(there)"))
        try Files.writeDurably([], to: "\(folder)/data/\(there)")
        let failure = #expect(throws: Failure.self) { try KafkaInstallation(folder, manifests) }
        #expect(failure?.description.contains(words) == true, "\(failure?.description ?? "")")
      }
    }
  }

  @Test("a partition that moves while manifests are broken runs once they are mended")
  func brokenManifests() async throws {
    try await withTemporaryFolder { folder in
      let bench = try Bench(folder)
      try waitUntil(seconds: 60, "owners: \(bench.programs.map(\.printed))") {
        Set(bench.programs.flatMap { Self.owned($0) }) == [0, 1, 2]
      }
      let victim = try #require(bench.programs.firstIndex { !Self.owned($0).isEmpty })
      let others = bench.programs.indices.filter { $0 != victim }.map { bench.programs[$0] }
      let paths = others.map { $0.folder + "/manifests/broken.yaml" }
      for path in paths { try Files.writeDurably(Array("kind: nonsense\n".utf8), to: path) }
      bench.programs[victim].end(by: SIGKILL)
      try bench.expel(victim)
      try waitUntil(seconds: 60, "a partition that cannot be run: \(others.map(\.printed))") {
        others.contains { $0.printed.contains("the partition cannot be run; trying again") }
      }
      for path in paths { try Files.remove(path) }
      try bench.send(10)
      try bench.check("manifests mended")
    }
  }

  @Test("whatever happens to programs that share a bus: each webhook fires once at each sensor")
  func campaign() async throws {
    let first = setting("SIGNALBOX_SEED", 1)
    for seed in first..<first + setting("SIGNALBOX_KAFKA_SHARING_SEEDS", 1) {
      do {
        try await withTemporaryFolder { temporary in
          let kept = ProcessInfo.processInfo.environment["SIGNALBOX_KAFKA_KEEP"]
          let folder = kept.map { "\($0)/seed-\(seed)" } ?? temporary
          try Files.makeFolder(folder)
          let bench = try Bench(folder)
          var random = Seeded(UInt64(seed))
          var faults: [String] = []
          for _ in 0..<5 {
            try bench.send(Int.random(in: 5...20, using: &random))
            // A moment chosen by the seed, so that faults fall into different steps of the work.
            _ = poll(nil, 0, Int32.random(in: 0...3000, using: &random))
            faults.append(try fault(bench, &random))
          }
          try bench.send(5)
          try bench.check("seed \(seed), \(faults.joined(separator: ", "))")
        }
      } catch { Issue.record("seed \(seed): \(error)") }
    }
  }

  private static func owned(_ program: KafkaInstallation) -> Set<Int> {
    ownedPartitions(program.printed)
  }

  private func fault(_ bench: Bench, _ random: inout Seeded) throws -> String {
    let number = Int.random(in: 0..<3, using: &random)
    let victim = bench.programs[number]
    switch Int.random(in: 0..<5, using: &random) {
    case 0:
      victim.end(by: SIGKILL)
      try bench.expel(number)
      try victim.start()
      return "killed"
    case 1:
      victim.signal(SIGSTOP)
      defer { victim.signal(SIGCONT) }
      _ = poll(nil, 0, 7_000)
      try bench.expel(number)
      return "stopped for 7 s"
    case 2:
      bench.broker.cut()
      return "cut"
    case 3:
      bench.broker.beAway(milliseconds: Int32.random(in: 0...2500, using: &random))
      return "broker away"
    default:
      #expect(victim.end() == 0, "\(victim.printed)")
      try bench.expel(number)
      try victim.start()
      return "ended"
    }
  }
}

/// Sends bytes to a port of this machine and reads to the end; nil when that does not work.
private func exchange(_ request: [UInt8], _ port: Int) -> String? {
  guard let socket = connect(to: port) else { return nil }
  var (sent, answer) = (0, [UInt8]())
  while true {
    if sent < request.count, case .bytes(let count) = Socket.send(socket.raw, request, from: sent) {
      sent += count
      continue
    }
    let wanted = Int16(sent < request.count ? POLLOUT : POLLIN)
    var entry = pollfd(fd: socket.raw, events: wanted, revents: 0)
    guard unsafe poll(&entry, 1, 30_000) > 0 else { return nil }
    guard sent == request.count else { continue }
    var buffer = [UInt8](repeating: 0, count: 4096)
    let transfer = unsafe buffer.withUnsafeMutableBytes { unsafe Socket.receive(socket.raw, $0) }
    switch transfer {
    case .bytes(let count): answer += buffer[..<count]
    case .wouldBlock: continue
    case .closed: return answer.isEmpty ? nil : String(decoding: answer, as: UTF8.self)
    }
  }
}
