import Foundation
import Glibc
import JSON
import Posix
import TestKit
import Testing

/// Programs that share a bus and take their manifests from a cluster, as the pods of one Deployment:
/// each has an address of its own and the same ports, and begins with an empty folder.
@Suite(.serialized, .enabled(if: Tools.areThere && Tools.outsideBroker == nil))
struct ClusterSharingTests {
  private final class Pod {
    let address: UInt8
    private let console: Int
    private let program: RunningProgram

    init(_ folder: String, _ number: Int, config: String, console: Int) throws {
      address = UInt8(number + 1)
      self.console = console
      let host = "127.0.0.\(address)"
      program = try RunningProgram(
        builtProgram("signalbox"),
        [
          "run", "--kubernetes", "--kafka-bus", "--kubeconfig", config, "--data", folder + "/data",
          "--secrets", folder + "/secrets", "--listen", host, "--console", "\(host):\(console)",
          "--log-level", "warning",
        ],
        log: folder + "/output"
      )
    }

    var printed: String { program.printed }

    func end() -> Int32 { program.end() }

    func get(_ path: String) -> String {
      send("GET \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", console)
    }

    func post(_ body: String, id: String, _ port: Int) -> String {
      send(
        "POST /hook HTTP/1.1\r\nHost: hooks\r\nConnection: close\r\nX-Event-ID: \(id)\r\n"
          + "Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)",
        port
      )
    }

    private func send(_ request: String, _ port: Int) -> String {
      let answer = try? Socket.exchange(Array(request.utf8), port: port, loopback: address)
      return String(decoding: answer ?? [], as: UTF8.self)
    }

    var isReady: Bool { self.get("/readyz").hasPrefix("HTTP/1.1 200") }

    /// How many sensors are in force there.
    func hasSensors(_ count: Int) -> Bool {
      get("/metrics").contains(
        #"signalbox_kubernetes_objects{kind="Sensor",state="current"} \#(count)"#
      )
    }
  }

  /// The pods, the cluster they take their manifests from, and what was sent.
  private final class Bench {
    let cluster: TestCluster
    let broker: TestBroker
    var pods: [Pod] = []
    private let folder: String
    private let port: Int
    private let console: Int
    private var starts = 0
    private(set) var sent = 0

    init(_ folder: String, _ cluster: TestCluster) throws {
      self.folder = folder
      self.cluster = cluster
      broker = try TestBroker(folder)
      port = try freePort()
      console = try freePort()
      try Files.writeDurably(Array(cluster.kubeconfig.utf8), to: folder + "/config")
    }

    func start(_ number: Int) throws -> Pod {
      starts += 1
      return try Pod(
        "\(folder)/pod-\(number)-\(starts)",
        number,
        config: folder + "/config",
        console: console
      )
    }

    func wait(_ what: String, until holds: () -> Bool) throws {
      try waitUntil(seconds: 90, "\(what): \(pods.map(\.printed))", holds)
    }

    /// Each pod is ready and owns a partition. The small broker waits for ever for a member that leaves
    /// while others join.
    func settle() throws {
      try wait("an owner of each partition") {
        let owned = pods.map { ownedPartitions($0.printed) }
        return owned.allSatisfy { $0.count == 1 } && Set(owned.joined()).count == 3
          && pods.allSatisfy(\.isReady)
      }
    }

    /// Each goes to the next pod that takes it.
    func send(_ count: Int) throws {
      for _ in 0..<count {
        let first = sent
        try wait("an answer 2xx to webhook \(sent)") {
          pods.indices.contains { number in
            pods[(first + number) % pods.count]
              .post(#"{"n":"\#(first)"}"#, id: "n-\(first)", port).hasPrefix("HTTP/1.1 2")
          }
        }
        sent += 1
      }
    }

    func put(_ plural: String, _ name: String, _ spec: JSON) throws {
      try cluster.put(plural, "ci", ["metadata": ["name": .string(name)], "spec": spec])
    }

    func hook() throws {
      let event: JSON = [
        "endpoint": "/hook", "port": .string("\(port)"), "method": "POST",
        "signalbox": ["deduplicateBy": ["header": "X-Event-ID"]],
      ]
      try put("eventsources", "source", ["webhook": ["hook": event]])
    }

    /// Makes a ConfigMap of each event.
    func sensor(_ name: String) throws {
      let object: JSON = [
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": ["generateName": .string(name + "-")],
        "data": ["by": .string(name), "n": ""],
      ]
      let parameter: JSON = [
        "src": ["dependencyName": "dep", "dataKey": "body.n"], "dest": "data.n",
      ]
      let trigger: JSON = [
        "name": "make",
        "k8s": [
          "operation": "create", "source": ["resource": object], "parameters": [parameter],
        ],
      ]
      try put(
        "sensors",
        name,
        [
          "dependencies": [["name": "dep", "eventSourceName": "source", "eventName": "hook"]],
          "triggers": [["template": trigger]],
        ]
      )
    }

    func made(by sensor: String) -> [Int] {
      cluster.objects("configmaps", "ci").filter { $0.at("data", "by")?.asString == sensor }
        .compactMap { $0.at("data", "n")?.asString.flatMap { Int($0) } }.sorted()
    }

    func isLoaded(_ plural: String, _ name: String) -> Bool {
      let conditions = cluster.object(plural, "ci", name)?.at("status", "conditions")?.items ?? []
      return conditions.contains { $0["type"] == "Ready" && $0["status"] == "True" }
    }
  }

  @Test("pods that share a bus load, fire, follow edits and are replaced one by one")
  func rolling() async throws {
    try await withTemporaryFolder { folder in
      let cluster = try await TestCluster()
      let result = Result { try play(try Bench(folder, cluster)) }
      await cluster.shutdown()
      try result.get()
    }
  }

  /// Each pod is replaced by one with an empty folder, while events come.
  private func replaceAll(_ bench: Bench) throws {
    for number in bench.pods.indices {
      let old = bench.pods.remove(at: number)
      try bench.send(4)
      #expect(old.end() == 0, "\(old.printed)")
      try bench.send(4)
      bench.pods.insert(try bench.start(number), at: number)
      try bench.settle()
      try bench.send(4)
    }
  }

  private func play(_ bench: Bench) throws {
    for number in 0..<3 { bench.pods.append(try bench.start(number)) }
    try bench.wait("all to wait for a bus") {
      bench.pods.allSatisfy { $0.printed.contains("waiting: no EventBus with kafka is there") }
    }
    #expect(bench.pods.allSatisfy { $0.get("/readyz").hasPrefix("HTTP/1.1 503") })
    try bench.hook()
    for name in ["a", "b", "c"] { try bench.sensor(name) }
    let own: JSON = [
      "partitions": 3, "sessionTimeout": "6s", "librdkafka": ["reconnect.backoff.max.ms": 500],
    ]
    try bench.put(
      "eventbus",
      "default",
      ["kafka": ["url": .string(bench.broker.address), "topic": "bus", "signalbox": own]]
    )
    try bench.settle()
    try bench.send(12)
    for (plural, name) in [("eventbus", "default"), ("eventsources", "source"), ("sensors", "a")] {
      try bench.wait("the status of \(name)") { bench.isLoaded(plural, name) }
    }
    // One of them tells an object how it stands, and once.
    func events() -> [String] {
      bench.cluster.objects("events", "ci").map {
        "\($0.at("involvedObject", "name")?.asString ?? "") \($0["count"]?.wholeNumber ?? 1)"
      }.sorted()
    }
    let told = ["a 1", "b 1", "c 1", "default 1", "source 1"]
    try bench.wait("what is told of each, \(events())") { events().count >= told.count }
    #expect(events() == told)

    try replaceAll(bench)
    // New pods know no earlier version of it. What comes meanwhile waits for it.
    let good = try #require(bench.cluster.object("sensors", "ci", "a")?["spec"])
    bench.cluster.change("sensors", "ci", "a") { $0.set("no such field", at: "spec", "nonsense") }
    try replaceAll(bench)
    try bench.wait("the refusal") { bench.pods.allSatisfy { $0.hasSensors(2) } }
    bench.cluster.change("sensors", "ci", "a") { $0.set(good, at: "spec") }
    try bench.wait("the repair") { bench.pods.allSatisfy { $0.hasSensors(3) } }

    func check(_ sensor: String, _ events: Range<Int>) throws {
      try bench.wait("all of \(sensor), made are \(bench.made(by: sensor))") {
        bench.made(by: sensor).count >= events.count
      }
      #expect(bench.made(by: sensor) == Array(events))
    }
    let before = bench.sent
    for name in ["a", "b", "c"] { try check(name, 0..<before) }
    bench.cluster.remove("sensors", "ci", "c")
    try bench.wait("the removal") { bench.pods.allSatisfy { $0.hasSensors(2) } }
    try bench.sensor("d")
    try bench.wait("the new sensor") { bench.pods.allSatisfy { $0.hasSensors(3) } }
    try bench.send(12)
    for name in ["a", "b"] { try check(name, 0..<bench.sent) }
    try check("d", before..<bench.sent)
    #expect(bench.made(by: "c") == Array(0..<before))
    for pod in bench.pods { #expect(pod.end() == 0, "\(pod.printed)") }
  }
}
