import Foundation
import JSON
import Posix
import TestKit
import Testing

extension KubernetesTests {
  @Test("a cluster that nobody listens for at the start is found when it comes")
  func late() async throws {
    try await ClusterBench.run { bench in
      let port = try freePort()
      let config = bench.cluster.kubeconfig.replacing(
        "127.0.0.1:\(bench.cluster.tokenPort)",
        with: "127.0.0.1:\(port)"
      )
      try write(config, bench.folder + "/config")
      let program = try bench.start(started: "waiting: ")
      #expect(bench.get("/readyz").hasPrefix("HTTP/1.1 503"))
      #expect(bench.get("/healthz").hasPrefix("HTTP/1.1 200"))
      let late = try await TestCluster(tokenPort: port)
      try late.put(
        "eventsources",
        "ci",
        ["metadata": ["name": "source"], "spec": bench.hook("/hook")]
      )
      try bench.wait("the objects", program) { bench.post("/hook") == "HTTP/1.1 202" }
      try bench.wait("readiness", program) {
        bench.get("/readyz").contains("\r\n\r\nready\n")
      }
      #expect(program.end() == 0)
      await late.shutdown()
    }
  }

  @Test("nothing runs before it is known which bus it is, and no object moves a program to another")
  func buses() async throws {
    try await ClusterBench.run { bench in
      let broker = try Socket.listen("127.0.0.1", 0)
      let kafka: JSON = [
        "kafka": [
          "url": .string("127.0.0.1:\(try Socket.port(broker))"),
          "sasl": [
            "mechanism": "PLAIN", "userSecret": ["name": "bus", "key": "user"],
            "passwordSecret": ["name": "bus", "key": "password"],
          ],
        ]
      ]
      var program = try bench.start(["--kafka-bus"], started: "waiting: no EventBus with kafka")
      try bench.apply("EventSource", "source", bench.hook("/hook"))
      try bench.apply("EventBus", "default", kafka)
      try bench.wait("the reason", program) {
        bench.condition("Ready", "EventBus", "default").contains("at the Secret ci/bus")
          && program.printed.contains("waiting: the EventBus cannot be used: ")
      }
      #expect(bench.get("/readyz").hasPrefix("HTTP/1.1 503"))
      #expect(bench.post("/hook") == "")
      // Its own namespace's Secret is enough.
      try bench.cluster.put(
        "secrets",
        "ci",
        [
          "metadata": ["name": "bus"],
          "data": ["user": .string(base64("me")), "password": .string(base64("canary"))],
        ]
      )
      try bench.wait("the brokers to be asked", program) {
        var entry = pollfd(fd: broker.raw, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&entry, 1, 0) > 0
      }
      // Nobody may take it for dead meanwhile.
      #expect(bench.get("/healthz").hasPrefix("HTTP/1.1 200"))
      #expect(program.end() == 0)
      #expect(!program.printed.contains("canary"))

      bench.remove("EventBus", "default")
      program = try bench.start()
      #expect(bench.post("/hook") == "HTTP/1.1 202")
      try bench.apply("EventBus", "default", kafka)
      try bench.wait("the refusal", program) {
        bench.condition("Ready", "EventBus", "default").contains("that takes a restart")
      }
      // All others load on.
      try bench.apply("Sensor", "sensor", bench.maker("one"))
      try bench.wait("the sensor to load", program) {
        bench.condition("Ready", "Sensor", "sensor") == "True Loaded"
      }
      #expect(program.end() == 0)
    }
  }

  @Test("firings of a sensor that cannot load wait until it can")
  func held() async throws {
    try await ClusterBench.run { bench in
      try bench.apply("EventSource", "source", bench.hook("/hook"))
      var sensor = bench.maker("one")
      sensor.set(["suspend": true], at: "signalbox")
      let names = ["sensor", "leaving"]
      for name in names { try bench.apply("Sensor", name, sensor) }
      var program = try bench.start()
      #expect(bench.post("/hook", #"{"n":"a"}"#) == "HTTP/1.1 202")
      func holds(_ hold: String, _ count: Int, of name: String = "sensor=") -> Bool {
        bench.get("/metrics").split(separator: "\n").count {
          $0.hasPrefix("signalbox_firings_held{") && $0.contains(name)
            && $0.hasSuffix(#"hold="\#(hold)"} 1"#)
        } == count
      }
      try bench.wait("the firings to wait", program) { holds("suspend", 2) }
      #expect(program.end() == 0)
      // Nothing is left that it could fall back to.
      try Files.remove(bench.folder + "/data/kubernetes.json")
      sensor.set(["suspend": "maybe"], at: "signalbox")
      for name in names { try bench.apply("Sensor", name, sensor) }
      program = try bench.start()
      try bench.wait("the refusal", program) {
        bench.condition("Ready", "Sensor", "sensor").hasPrefix("False Refused")
      }
      try bench.wait("the firings to wait", program) { holds("refused", 2) }
      bench.remove("Sensor", "leaving")
      try bench.wait("the firing of a sensor that is gone to end", program) {
        holds("refused", 0, of: "leaving") && holds("refused", 1)
      }
      // What comes meanwhile is matched once it is there again.
      #expect(bench.post("/hook", #"{"n":"b"}"#) == "HTTP/1.1 202")
      try bench.apply("Sensor", "sensor", bench.maker("one"))
      try bench.wait("both firings", program) { bench.made() == ["one a", "one b"] }
      #expect(program.end() == 0)
    }
  }

  @Test("a Secret that changes takes effect, and so does one that goes")
  func secretChanges() async throws {
    try await ClusterBench.run { bench in
      func secret(_ text: String) -> JSON { ["token": .string(base64(text))] }
      try bench.cluster.put(
        "secrets",
        "ci",
        ["metadata": ["name": "hook"], "data": secret("canary-one")]
      )
      var source = bench.hook("/hook")
      source.set(["name": "hook", "key": "token"], at: "webhook", "hook", "authSecret")
      try bench.apply("EventSource", "source", source)
      let program = try bench.start()
      func status(_ token: String) -> String {
        let request =
          "POST /hook HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n"
          + "Authorization: Bearer \(token)\r\n\r\n{}"
        let answer = try? Socket.exchange(Array(request.utf8), port: bench.ports[0])
        return String(decoding: (answer ?? []).prefix(12), as: UTF8.self)
      }
      #expect(status("canary-one") == "HTTP/1.1 202")
      bench.cluster.change("secrets", "ci", "hook") { $0.set(secret("canary-two"), at: "data") }
      try bench.wait("the new secret", program) { status("canary-two") == "HTTP/1.1 202" }
      #expect(status("canary-one") == "HTTP/1.1 401")
      // While nobody can say otherwise the last one counts.
      bench.cluster.setAway(true)
      try bench.wait("the absence", program) { bench.get("/readyz").contains("ready, but for") }
      #expect(status("canary-two") == "HTTP/1.1 202")
      bench.cluster.setAway(false)
      bench.cluster.remove("secrets", "ci", "hook")
      try bench.wait("the verdict", program) {
        bench.condition("Ready", "EventSource", "source").contains("at the Secret ci/hook")
      }
      #expect(status("canary-two") != "HTTP/1.1 202")
      #expect(program.end() == 0)
      #expect(!program.printed.contains("canary"))
      for name in ["kubernetes.json"] {
        let text = try Files.read("\(bench.folder)/data/\(name)")
        #expect(!String(decoding: text, as: UTF8.self).contains("canary"))
      }
    }
  }

  @Test(
    "options that do not fit are refused before anything is done",
    arguments: [
      (["--namespace", "ci"], 64, "need --kubernetes"),
      (["--allow-command", "ci"], 64, "need --kubernetes"),
      (["--kafka-bus"], 64, "need --kubernetes"),
      (["--kubernetes", "--namespace", "Ci"], 64, "found 'Ci'"),
      (["--kubernetes", "--allow-namespace", "ci"], 64, "expected NAMESPACE=OTHER"),
      (["--kubernetes", "--allow-namespace", "ci=a/b"], 64, "expected NAMESPACE=OTHER"),
      (["--kubernetes", "--takeover"], 64, "do not go together"),
      (["--kubernetes", "a.yaml"], 64, "takes no files"),
      (["--kubernetes", "--kubeconfig", "/nowhere/config"], 1, "there is no file"),
    ]
  )
  func options(_ given: [String], _ status: Int, _ why: String) async throws {
    try await withTemporaryFolder { folder in
      let answer = try signalbox(["run", "--data", folder + "/data"] + given)
      #expect(Int(answer.status) == status)
      #expect(answer.output.contains(why), "\(answer.output)")
      #expect(Files.kind(folder + "/data") == nil)
    }
  }
}
