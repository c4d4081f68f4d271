import Bus
import Engine
import Event
import EventLog
import Foundation
import JSON
import Posix
import Sensor
import TestKit
import Testing

/// The real binary whose manifests are objects of the test server, over TLS.
@Suite(.serialized) struct KubernetesTests {
  @Test("objects load, edits take effect, what is deleted is gone; status and events tell so")
  func objects() async throws {
    try await ClusterBench.run { bench in
      try bench.apply("EventSource", "source", bench.hook("/hook"))
      let program = try bench.start()
      #expect(program.printed.contains("event source ci/source/hook"))
      try bench.apply("Sensor", "sensor", bench.maker("one"))
      try bench.wait("the sensor to load", program) {
        bench.condition("Ready", "Sensor", "sensor") == "True Loaded"
      }
      for type in ["DependenciesProvided", "TriggersProvided", "Deployed"] {
        #expect(bench.condition(type, "Sensor", "sensor") == "True Loaded")
      }
      for type in ["SourcesProvided", "Deployed"] {
        #expect(bench.condition(type, "EventSource", "source") == "True Loaded")
      }
      #expect(bench.post("/hook", #"{"n":"a"}"#) == "HTTP/1.1 202")
      try bench.wait("the first object", program) { bench.made() == ["one a"] }

      try bench.apply("Sensor", "sensor", bench.maker("two"))
      try bench.wait("the edit", program) {
        bench.condition("Ready", "Sensor", "sensor") == "True Loaded"
      }
      #expect(bench.post("/hook", #"{"n":"b"}"#) == "HTTP/1.1 202")
      try bench.wait("the second object", program) { bench.made() == ["one a", "two b"] }

      // Nothing is written to an object that has not changed.
      let writes = bench.cluster.writes("eventsources", by: "signalbox").count
      try bench.apply("EventSource", "other", bench.hook("/other", port: 1))
      try bench.wait("another port", program) {
        bench.post("/other", port: 1) == "HTTP/1.1 202"
      }
      bench.remove("EventSource", "source")
      try bench.wait("the port to be closed", program) { bench.post("/hook") == "" }
      #expect(bench.post("/other", port: 1) == "HTTP/1.1 202")
      try bench.wait("its status", program) {
        bench.condition("Ready", "EventSource", "other") == "True Loaded"
      }
      #expect(bench.cluster.writes("eventsources", by: "signalbox").count == writes + 1)
      #expect(program.end() == 0)

      let events = bench.cluster.objects("events", "ci")
      #expect(events.allSatisfy { $0["reason"] == "Loaded" && $0["type"] == "Normal" })
      let about = events.compactMap { $0.at("involvedObject", "name")?.asString }.sorted()
      #expect(about == ["other", "sensor", "sensor", "source"])
      try check(bench.cluster.rights)
    }
  }

  @Test("a bad object stays as it was or is left out, the others load, also after a restart")
  func badObjects() async throws {
    try await ClusterBench.run { bench in
      try bench.apply("EventSource", "source", bench.hook("/hook"))
      try bench.apply("Sensor", "good", bench.maker("good"))
      var bad = bench.maker("bad")
      bad.set([["name": "dep", "eventSourceName": "source", "filters": [:]]], at: "dependencies")
      try bench.apply("Sensor", "bad", bad)
      var program = try bench.start()
      let missing =
        "spec.dependencies[0].eventName: found nothing, expected a string"
      try bench.wait("the verdict", program) {
        bench.condition("Ready", "Sensor", "bad").contains(missing)
      }
      #expect(bench.condition("Ready", "Sensor", "bad").hasPrefix("False Refused: "))
      #expect(bench.condition("Deployed", "Sensor", "bad").hasPrefix("False Refused"))
      #expect(bench.condition("DependenciesProvided", "Sensor", "bad").hasPrefix("False"))
      #expect(bench.condition("TriggersProvided", "Sensor", "bad") == "True Loaded")
      try bench.wait("the other to load", program) {
        bench.condition("Ready", "Sensor", "good") == "True Loaded"
      }
      #expect(
        bench.get("/metrics").contains(
          #"signalbox_kubernetes_objects{kind="Sensor",state="refused"} 1"#
        )
      )

      // An edit that is wrong, told in the same words twice.
      for round in 1...2 {
        var edit = bench.maker("never")
        edit.set([:], at: "signalboxx")
        try bench.apply("Sensor", "good", edit)
        try bench.wait("the refusal", program) {
          bench.condition("Ready", "Sensor", "good").hasPrefix("False PreviousKept: ")
        }
        #expect(bench.condition("Ready", "Sensor", "good").contains("did you mean 'signalbox'?"))
        #expect(bench.condition("Deployed", "Sensor", "good") == "True Loaded")
        #expect(bench.post("/hook", #"{"n":"\#(round)"}"#) == "HTTP/1.1 202")
        try bench.wait("the old version to act", program) { bench.made().count == round }
        if round == 1 {
          // The earlier version is not forgotten by a restart.
          #expect(program.end() == 0)
          program = try bench.start()
          try bench.apply("Sensor", "good", bench.maker("good"))
          try bench.wait("the repair", program) {
            bench.condition("Ready", "Sensor", "good") == "True Loaded"
          }
        }
      }
      #expect(bench.made() == ["good 1", "good 2"])
      let warnings = bench.cluster.objects("events", "ci").filter {
        $0["type"] == "Warning" && $0.at("involvedObject", "name") == "good"
      }
      let generations = warnings.compactMap { $0["message"]?.asString }
      #expect(generations.allSatisfy { $0.contains("stays in force") })

      // A port that another one has, and one that nobody can have.
      try bench.apply("EventSource", "rival", bench.hook("/hook"))
      try bench.apply(
        "EventSource",
        "taken",
        [
          "webhook": [
            "hook": [
              "endpoint": "/x", "method": "POST", "port": .string("\(bench.console)"),
            ]
          ]
        ]
      )
      try bench.wait("the rival to be told", program) {
        bench.condition("Ready", "EventSource", "rival").contains("is served by another")
      }
      try bench.wait("the port to be told", program) {
        bench.condition("Ready", "EventSource", "taken").contains("cannot be listened on")
      }
      #expect(bench.post("/hook", #"{"n":"3"}"#) == "HTTP/1.1 202")
      #expect(program.end() == 0)
    }
  }

  @Test("the same message again counts up one event")
  func eventCounts() async throws {
    try await ClusterBench.run { bench in
      let program = try bench.start()
      for round in 1...3 {
        try bench.apply("EventBus", "bus", ["nonsense": JSON(round)])
        try bench.wait("the refusal", program) {
          bench.condition("Ready", "EventBus", "bus").hasPrefix("False Refused")
        }
        try bench.wait("the event", program) {
          bench.cluster.objects("events", "ci").map { $0["count"]?.wholeNumber } == [round]
        }
      }
      // Somebody else writes between the look and the write.
      bench.cluster.failNext("PATCH", "/eventbus/bus/status", code: 409, reason: "Conflict")
      try bench.apply("EventBus", "bus", ["jetstream": ["version": "latest"]])
      try bench.wait("the repair", program) {
        bench.condition("Ready", "EventBus", "bus") == "True Loaded"
      }
      #expect(program.end() == 0)
    }
  }

  @Test("edits under load: every acknowledged event is matched, and none fires twice")
  func editsUnderLoad() async throws {
    try await ClusterBench.run { bench in
      try bench.cluster.put(
        "secrets",
        "ci",
        ["metadata": ["name": "github"], "data": ["secret": .string(base64("canary-secret\n"))]]
      )
      func source(_ others: Int) -> JSON {
        var spec: JSON = [
          "github": [
            "push": [
              "webhook": ["endpoint": "/push", "port": .string("\(bench.ports[0])")],
              "webhookSecret": ["name": "github", "key": "secret"],
            ]
          ]
        ]
        for number in 0..<others {
          spec.set(
            [
              "endpoint": .string("/other\(number)"), "port": .string("\(bench.ports[0])"),
              "method": "POST",
            ],
            at: "webhook",
            "other\(number)"
          )
        }
        return spec
      }
      func sensor(_ interval: Int) -> JSON {
        [
          "dependencies": [
            ["name": "dep", "eventSourceName": "github", "eventName": "push"]
          ],
          "triggers": [
            ["template": ["name": "log", "log": ["intervalSeconds": JSON(1000 + interval)]]]
          ],
        ]
      }
      try bench.apply("EventSource", "github", source(0))
      try bench.apply("Sensor", "work", sensor(0))
      let program = try bench.start(["--log-level", "error"])
      try bench.wait("the source", program) {
        bench.condition("Ready", "EventSource", "github") == "True Loaded"
      }
      let client = SteadyClient(port: bench.ports[0], connections: 8)
      for round in 1...setting("SIGNALBOX_CLUSTER_EDITS", 10) {
        client.waitForMore(50)
        try bench.apply("EventSource", "github", source(round % 3))
        try bench.apply("Sensor", "work", sensor(round))
        if round % 4 == 0 { bench.cluster.expireHistory() }
        try bench.wait("edit \(round)", program) {
          bench.condition("Ready", "Sensor", "work").hasPrefix("True")
            && bench.condition("Ready", "EventSource", "github").hasPrefix("True")
        }
      }
      client.waitForMore(50)
      client.finish()
      #expect(client.troubles == [])
      let count = client.acknowledged.count
      let all = #"signalbox_firings_total{sensor="ci/work",trigger="log"} \#(count)"#
      try bench.wait("the engine", program) { bench.get("/metrics").contains(all) }
      #expect(program.end() == 0)

      var (events, firings) = ([String: Int](), [String: Int]())
      var fired: Set<String> = []
      _ = try EventLogReader(folder: bench.folder + "/data/log").read { record in
        switch record.content {
        case .event(let event):
          if event.source == "github" { events[event.id, default: 0] += 1 }
        case .note(let note) where note.kind == NoteKind.decision:
          for firing in (try? DecisionNote(note))?.firings ?? [] {
            firings[firing.id.text, default: 0] += 1
            fired.insert(firing.id.text)
          }
        default: break
        }
      }
      let wanted = client.acknowledged.map {
        Event.stableID("ci", "github", "push", "", "d-\($0)")
      }
      #expect(wanted.allSatisfy { events[$0] == 1 })
      #expect(events.values.allSatisfy { $0 == 1 })
      #expect(firings.values.allSatisfy { $0 == 1 })
      #expect(firings.count == events.count)
      print("\(client.acknowledged.count) pushes across the edits, \(firings.count) firings")
    }
  }

  @Test("who may only write objects reaches neither the machine nor other namespaces")
  func namespaceRules() async throws {
    try await ClusterBench.run { bench in
      try bench.cluster.put(
        "secrets",
        "other",
        ["metadata": ["name": "token"], "data": ["key": .string(base64("elsewhere"))]]
      )
      func sensor(_ trigger: JSON) -> JSON {
        var spec = bench.maker("x")
        trigger.members.forEach { member in
          spec.set(
            .array([["template": .object([.init(key: "name", value: "t"), member])]]),
            at: "triggers"
          )
        }
        return spec
      }
      func object(_ namespace: String) -> JSON {
        [
          "resource": [
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": ["name": "x", "namespace": .string(namespace)],
          ]
        ]
      }
      var secured = bench.hook("/secured")
      secured.set(["name": "token", "key": "key"], at: "webhook", "hook", "authSecret")
      try bench.apply("EventSource", "secured", secured)
      try bench.apply("EventSource", "source", bench.hook("/hook"))
      try bench.apply("Sensor", "command", sensor(["command": ["argv": ["true"]]]))
      try bench.apply("Sensor", "allowed", in: "tools", sensor(["command": ["argv": ["true"]]]))
      try bench.apply(
        "Sensor",
        "reads",
        sensor(["k8s": ["operation": "create", "source": ["file": ["path": "/etc/passwd"]]]])
      )
      let out: JSON = ["k8s": ["operation": "create", "source": object("other")]]
      try bench.apply("Sensor", "out", sensor(out))
      try bench.apply("Sensor", "granted", in: "tools", sensor(out))
      try bench.apply("Sensor", "application", sensor(["argoCD": ["application": "shop"]]))
      try bench.apply(
        "EventSource",
        "files",
        [
          "file": [
            "f": [
              "eventType": "CREATE",
              "watchPathConfig": ["directory": "/tmp", "path": "x"],
            ]
          ]
        ]
      )
      let pods: JSON = [
        "version": "v1", "resource": "pods", "eventTypes": ["ADD"], "group": "",
      ]
      try bench.apply("EventSource", "everywhere", ["resource": ["pods": pods]])
      // The place is chosen by the event.
      var wandering = bench.maker("wandering")
      wandering.set(
        [["src": ["dependencyName": "dep", "dataKey": "body.n"], "dest": "metadata.namespace"]],
        at: "triggers"
      )
      var trigger = bench.maker("wandering")["triggers"]?.items.first ?? .null
      trigger.set(
        [["src": ["dependencyName": "dep", "dataKey": "body.n"], "dest": "metadata.namespace"]],
        at: "template",
        "k8s",
        "parameters"
      )
      wandering.set(.array([trigger]), at: "triggers")
      try bench.apply("Sensor", "wandering", wandering)
      let program = try bench.start([
        "--allow-command", "tools", "--allow-namespace", "tools=other",
      ])
      try bench.wait("the verdicts", program) {
        bench.condition("Ready", "Sensor", "wandering").hasPrefix("True")
      }
      func refusal(_ kind: String, _ name: String) throws -> String {
        try bench.wait("the verdict about \(name)", program) {
          bench.condition("Ready", kind, name).hasPrefix("False Refused")
        }
        return bench.condition("Ready", kind, name)
      }
      #expect(try refusal("Sensor", "command").contains("--allow-command ci"))
      #expect(try refusal("Sensor", "reads").contains("--allow-command ci"))
      #expect(try refusal("EventSource", "files").contains("--allow-command ci"))
      #expect(try refusal("Sensor", "out").contains("the namespace 'other' is out of reach"))
      #expect(
        try refusal("Sensor", "application").contains("the namespace 'argocd' is out of reach")
      )
      #expect(
        try refusal("EventSource", "everywhere").contains("all namespaces is out of reach")
      )
      #expect(try refusal("EventSource", "secured").contains("at the Secret ci/token"))
      for name in ["allowed", "granted"] {
        try bench.wait("\(name) to load", program) {
          bench.condition("Ready", "Sensor", name, in: "tools").hasPrefix("True")
        }
      }
      #expect(bench.post("/hook", #"{"n":"other"}"#) == "HTTP/1.1 202")
      try bench.wait("the refusal of the firing", program) {
        let events = try? signalbox(["events", "--data", bench.folder + "/data"]).output
        return events?.contains("wandering/make/failed") == true
      }
      #expect(bench.cluster.objects("configmaps", "other").isEmpty)
      // The Secret comes into being, and the source with it.
      try bench.cluster.put(
        "secrets",
        "ci",
        ["metadata": ["name": "token"], "data": ["key": .string(base64("here"))]]
      )
      try bench.wait("the secret", program) {
        bench.condition("Ready", "EventSource", "secured").hasPrefix("True")
      }
      #expect(bench.post("/secured") == "HTTP/1.1 401")
      #expect(program.end() == 0)
      #expect(!program.printed.contains("elsewhere"))
      // No list of secrets, no look at those of others.
      #expect(!bench.cluster.rights.contains("list /secrets"))
      #expect(!bench.cluster.requests.contains { $0.contains("/namespaces/other/secrets") })
    }
  }

  @Test("without the cluster it runs on, at the start and later, and says so")
  func away() async throws {
    try await ClusterBench.run { bench in
      try bench.apply("EventSource", "source", bench.hook("/hook"))
      bench.cluster.setAway(true)
      // Nothing is known: it waits, is alive and not ready.
      var program = try bench.start(started: "waiting: ")
      #expect(bench.get("/healthz").hasPrefix("HTTP/1.1 200"))
      #expect(bench.get("/readyz").hasPrefix("HTTP/1.1 503"))
      #expect(bench.get("/readyz").contains("the cluster has been failing"))
      #expect(bench.get("/metrics").contains("signalbox_kubernetes_connected 0"))
      bench.cluster.setAway(false)
      try bench.wait("the objects", program) { bench.post("/hook") == "HTTP/1.1 202" }
      try bench.wait("readiness", program) { bench.get("/readyz").contains("\r\n\r\nready\n") }

      bench.cluster.setAway(true)
      try bench.wait("the trouble to be told", program) {
        bench.get("/readyz").contains("ready, but for")
      }
      #expect(bench.get("/readyz").hasPrefix("HTTP/1.1 200"))
      #expect(bench.get("/metrics").contains("signalbox_kubernetes_connected 0"))
      #expect(bench.post("/hook") == "HTTP/1.1 202")
      #expect(program.end() == 0)

      // What was in force before is known.
      program = try bench.start()
      #expect(bench.post("/hook") == "HTTP/1.1 202")
      #expect(bench.get("/readyz").hasPrefix("HTTP/1.1 200"))
      try bench.apply("EventSource", "source", bench.hook("/moved"))
      bench.cluster.expireHistory()
      bench.cluster.setAway(false)
      try bench.wait("the edit", program) { bench.post("/moved") == "HTTP/1.1 202" }
      #expect(bench.post("/hook") == "HTTP/1.1 404")
      try bench.wait("readiness", program) { bench.get("/readyz").contains("\r\n\r\nready\n") }
      #expect(program.end() == 0)
    }
  }

  @Test("a forgotten place (410) means a new list, in which what vanished is missed")
  func relist() async throws {
    try await ClusterBench.run { bench in
      try bench.apply("EventSource", "source", bench.hook("/hook"))
      try bench.apply("EventSource", "second", bench.hook("/second", port: 1))
      let program = try bench.start(["--namespace", "ci", "--namespace", "argocd"])
      try bench.apply("EventSource", "foreign", in: "default", bench.hook("/foreign", port: 1))
      #expect(bench.post("/second", port: 1) == "HTTP/1.1 202")
      for form in [TestCluster.Gone.status, .event] {
        bench.cluster.setGone(form)
        bench.cluster.setAway(true)
        if form == .status {
          bench.remove("EventSource", "second")
        } else {
          try bench.apply("EventSource", "third", in: "argocd", bench.hook("/third", port: 1))
        }
        bench.cluster.expireHistory()
        bench.cluster.setAway(false)
        let (path, wanted) =
          form == .status ? ("/second", "") : ("/third", "HTTP/1.1 202")
        try bench.wait("the new list", program) { bench.post(path, port: 1) == wanted }
        #expect(bench.post("/hook") == "HTTP/1.1 202")
      }
      // Of a namespace that nobody asked for.
      #expect(bench.post("/foreign", port: 1) == "HTTP/1.1 404")
      #expect(bench.object("EventSource", "foreign", in: "default")["status"] == nil)
      #expect(program.end() == 0)
    }
  }
}

func base64(_ text: String) -> String { TestCertificates.base64(text) }
