import Cluster
import Event
import EventSources
import HTTPClient
import JSON
import Manifest
import Plugin
import Posix
import TestKit
import Testing

/// Sources that read a cluster, against the test server.
@Suite struct ClusterSourceTests {
  /// A cluster, and a host whose log outlives the sources.
  private struct Bench {
    let server: TestCluster
    let host: RecordingHost
    let loop: EventLoop

    static func run(_ body: (Bench) async throws -> Void) async throws {
      try await withTemporaryFolder { folder in
        let server = try await TestCluster()
        let path = folder + "/config"
        try Files.writeDurably(Array(server.kubeconfig.utf8), to: path)
        let (loop, http) = (try EventLoop(name: "sources"), try HTTPClient())
        let access = ClusterAccess(kubeconfig: path, http: http, loop: loop)
        let host = RecordingHost(loop: loop, cluster: access)
        var failure: (any Error)?
        do { try await body(Bench(server: server, host: host, loop: loop)) } catch {
          failure = error
        }
        await access.close()
        await http.close()
        await server.shutdown()
        loop.stop()
        if let failure { throw failure }
      }
    }

    func name(_ event: String) -> EventSourceName {
      EventSourceName(namespace: "default", bus: "default", source: "s", event: event)
    }

    func problems(_ kind: String, _ fields: JSON) -> [String] {
      let diagnostics = Diagnostics()
      _ = make(kind, "e", fields, diagnostics)
      return diagnostics.sorted.map { "\($0.field): \($0.message)" }
    }

    private func make(
      _ kind: String,
      _ event: String,
      _ fields: JSON,
      _ diagnostics: Diagnostics
    ) -> (any EventSource)? {
      let node = Node(fields, at: Mark(file: "t", line: 1, column: 1))
      return eventSourceKinds.first { $0.kind == kind }?
        .make(node, "spec.\(kind).\(event)", name(event), host, diagnostics)
    }

    /// Runs a source while `body` runs, from when it has read what is there.
    func reading(
      _ kind: String,
      _ fields: JSON,
      event: String = "e",
      from cursors: [String] = ["cursor configmaps"],
      _ body: () async throws -> Void
    ) async throws {
      let diagnostics = Diagnostics()
      let source = try #require(make(kind, event, fields, diagnostics), "\(diagnostics.sorted)")
      let task = Task(executorPreference: loop) { @concurrent in await source.run() }
      for cursor in cursors {
        while host.places(of: name(event))[cursor] == nil { await Task.yield() }
      }
      var failure: (any Error)?
      do { try await body() } catch { failure = error }
      task.cancel()
      await task.value
      if let failure { throw failure }
    }

    /// The data of events, once there are so many.
    func told(_ count: Int, of event: String = "e") async throws -> [JSON] {
      while host.events.count(where: { $0.subject == event }) < count { await Task.yield() }
      return try host.events.filter { $0.subject == event }.map { try JSON(parsing: $0.data) }
    }

    func put(_ name: String, _ data: JSON = [:], labels: JSON = [:]) throws {
      try server.put(
        "configmaps",
        "ci",
        ["metadata": ["name": .string(name), "labels": labels], "data": data]
      )
    }

    func set(_ name: String, _ value: JSON) {
      server.change("configmaps", "ci", name) { $0.set(value, at: "data", "a") }
    }
  }

  private let maps: JSON = [
    "namespace": "ci", "version": "v1", "resource": "configmaps",
    "eventTypes": ["ADD", "UPDATE", "DELETE"], "metadata": ["team": "x"],
  ]

  private func words(_ data: [JSON]) -> [String] {
    data.map { data in
      func value(_ key: String) -> String { data.at(key, "data", "a")?.asString ?? "-" }
      let name = data.at("body", "metadata", "name")?.asString ?? ""
      return "\(data["type"]?.asString ?? "") \(name) \(value("oldBody")) \(value("body"))"
    }
  }

  @Test("what is there is not told; what is made, changed and deleted is, with the state before")
  func changes() async throws {
    try await Bench.run { bench in
      try bench.put("old", ["a": "1"])
      try await bench.reading("resource", maps) {
        bench.set("old", "2")
        try bench.put("new", ["a": "3"])
        bench.server.remove("configmaps", "ci", "old")
        let data = try await bench.told(3)
        #expect(words(data) == ["UPDATE old 1 2", "ADD new - 3", "DELETE old - 2"])
        #expect(data[0]["group"] == "")
        #expect(data[0]["resource"] == "configmaps")
        #expect(data[1]["oldBody"] == .null)
        #expect(data[0]["metadata"] == ["team": "x"])
      }
    }
  }

  @Test("after a restart it goes on where it was: nothing is lost, nothing told twice")
  func resumed() async throws {
    try await Bench.run { bench in
      try bench.put("one", ["a": "1"])
      try bench.put("two", ["a": "1"])
      try await bench.reading("resource", maps) {
        bench.set("one", "2")
        _ = try await bench.told(1)
      }
      bench.set("one", "3")
      bench.set("one", "4")
      bench.server.remove("configmaps", "ci", "two")
      try bench.put("three", ["a": "1"])
      try await bench.reading("resource", maps) {
        bench.set("three", "2")
        let data = try await bench.told(6)
        #expect(
          words(data) == [
            "UPDATE one 1 2", "UPDATE one 2 3", "UPDATE one 3 4", "DELETE two - 1",
            "ADD three - 1", "UPDATE three 1 2",
          ]
        )
      }
      // And nothing more comes.
      try await bench.reading("resource", maps) {
        try bench.put("last", ["a": "1"])
        #expect(words(try await bench.told(7)).last == "ADD last - 1")
      }
    }
  }

  @Test("where the cluster forgot the place, objects are compared with what is known of them")
  func forgotten() async throws {
    try await Bench.run { bench in
      for name in ["changed", "gone", "kept"] { try bench.put(name, ["a": "1"]) }
      try await bench.reading("resource", maps) {}
      bench.set("changed", "2")
      bench.server.remove("configmaps", "ci", "gone")
      try bench.put("made", ["a": "1"])
      bench.server.expireHistory()
      try await bench.reading("resource", maps) {
        let data = try await bench.told(3)
        #expect(
          Set(words(data)) == ["UPDATE changed - 2", "DELETE gone - -", "ADD made - 1"]
        )
        // While it runs, too.
        bench.server.expireHistory()
        bench.set("kept", "2")
        #expect(words(try await bench.told(4)).last == "UPDATE kept 1 2")
      }
    }
  }

  @Test("all readers of a kind in a namespace, followers too, have one watch")
  func shared() async throws {
    try await Bench.run { bench in
      let server = bench.server
      try bench.put("one")
      try await bench.reading("resource", maps) {
        try await bench.reading("resource", maps, event: "f") {
          let connection = try bench.host.cluster.connection()
          let type = try await connection.client.resource("v1", plural: "configmaps")
          let following = Task {
            await connection.followers.follow(
              type,
              namespace: "ci",
              name: "one",
              patience: { nil }
            ) { sighting -> Bool? in
              if case .gone = sighting { true } else { nil }
            }
          }
          // The second watches, which make up for the past, end by themselves.
          func seconds() -> Int { server.requests.count { $0.hasSuffix("timeoutSeconds=1") } }
          while seconds() < 2 || server.watcherCount != 1 { await Task.yield() }
          #expect(await connection.followers.watchCount == 1)
          bench.set("one", "2")
          _ = try await bench.told(1)
          _ = try await bench.told(1, of: "f")
          bench.server.remove("configmaps", "ci", "one")
          #expect(await following.value == true)
          #expect(server.watcherCount == 1)
        }
      }
    }
  }

  @Test("filters by prefix, labels, fields and time of creation take what they say")
  func filters() async throws {
    try await Bench.run { bench in
      func label(_ operation: String, _ value: JSON = nil) -> JSON {
        var label: JSON = ["key": "env"]
        if !operation.isEmpty { label.set(.string(operation), at: "operation") }
        if value != .null { label.set(value, at: "value") }
        return ["labels": [label]]
      }
      func field(_ operation: JSON, _ value: JSON) -> JSON {
        ["fields": [["key": "data.a", "operation": operation, "value": value]]]
      }
      let cases: [(filter: JSON, names: [String])] = [
        ([:], ["none", "prod", "test", "nine"]), (["prefix": "n"], ["none", "nine"]),
        (label("", "prod"), ["prod"]), (label("==", "prod"), ["prod"]),
        (label("in", "prod,test"), ["prod", "test"]),
        (label("notin", "prod,test"), ["none", "nine"]),
        (label("!=", "prod"), ["none", "test", "nine"]),
        (label("exists"), ["prod", "test", "nine"]), (label("!"), ["none"]),
        (label("gt", "8"), ["nine"]), (label("lt", "9"), []),
        (field("==", "^fak*"), ["prod"]), (field("!=", "Error"), ["prod", "test"]),
        (["createdBy": "2020-01-01T00:00:00Z"], []),
        (["createdBy": "2100-01-01T00:00:00Z", "prefix": "p"], ["prod"]),
      ]
      func all(_ rest: ArraySlice<(filter: JSON, names: [String])>) async throws {
        guard let first = rest.first else {
          try bench.put("none")
          try bench.put("prod", ["a": "fake"], labels: ["env": "prod"])
          try bench.put("test", ["a": "Running"], labels: ["env": "test"])
          try bench.put("nine", labels: ["env": "9"])
          _ = try await bench.told(4, of: "e0")
          return
        }
        var fields = maps
        fields.set(first.filter, at: "filter")
        try await bench.reading("resource", fields, event: "e\(rest.startIndex)") {
          try await all(rest.dropFirst())
          let event = "e\(rest.startIndex)"
          let names = try await bench.told(first.names.count, of: event).map {
            $0.at("body", "metadata", "name")?.asString ?? ""
          }
          #expect(names == first.names, "\(first.filter)")
        }
      }
      try await all(cases[...])
    }
  }

  @Test("what Secret objects hold stays in the cluster")
  func secrets() async throws {
    try await Bench.run { bench in
      var fields = maps
      fields.set("secrets", at: "resource")
      try await bench.reading("resource", fields, from: ["cursor secrets"]) {
        try bench.server.put(
          "secrets",
          "ci",
          ["metadata": ["name": "s"], "data": ["password": "Y2FuYXJ5"]]
        )
        let data = try await bench.told(1)
        #expect(data[0].at("body", "data") == ["password": "***"])
      }
    }
  }

  @Test("runs, syncs and rollouts tell each change of phase, whoever started them")
  func argo() async throws {
    try await Bench.run { bench in
      let server = bench.server
      try server.put("workflows", "ci", ["metadata": ["name": "old"]])
      try server.put("applications", "ci", ["metadata": ["name": "shop"]])
      let cursors = ["workflows", "applications", "rollouts", "analysisruns"].map { "cursor \($0)" }
      try await bench.reading("argo", ["namespace": "ci"], from: cursors) {
        func phase(_ phase: String) {
          server.change("workflows", "ci", "old") {
            $0.set(.string(phase), at: "status", "phase")
            $0.set(["signalbox/firing": "abc"], at: "metadata", "labels")
          }
        }
        phase("Running")
        // The same phase again is no change.
        server.change("workflows", "ci", "old") { $0.set("1/2", at: "status", "progress") }
        phase("Failed")
        var data = try await bench.told(2)
        #expect(data.map { $0["phase"] } == ["Running", "Failed"])
        #expect(data.map { $0["lastPhase"] } == ["", "Running"])
        #expect(data[0]["firing"] == "abc")
        server.change("applications", "ci", "shop") {
          $0.set(["phase": "Succeeded", "startedAt": "1"], at: "status", "operationState")
          $0.set("Degraded", at: "status", "health", "status")
        }
        data = try await bench.told(4)
        #expect(data[2...].map { $0["aspect"] } == ["operation", "health"])
        #expect(data[3]["phase"] == "Degraded")
        // Another operation that ended alike.
        server.change("applications", "ci", "shop") {
          $0.set("2", at: "status", "operationState", "startedAt")
        }
        data = try await bench.told(5)
        #expect(data[4]["aspect"] == "operation")
        try server.put(
          "analysisruns",
          "ci",
          [
            "metadata": ["name": "gate"],
            "status": [
              "phase": "Failed", "metricResults": [["name": "errors", "phase": "Failed"]],
            ],
          ]
        )
        data = try await bench.told(6)
        #expect(data[5].at("result", "metrics") == [["name": "errors", "phase": "Failed"]])
      }
      // What ended and was deleted while nobody looked has told its end.
      var fields: JSON = ["namespace": "ci", "kinds": ["Workflow"], "phases": ["Succeeded"]]
      try await bench.reading("argo", fields, event: "f", from: ["cursor workflows"]) {}
      try server.put(
        "workflows",
        "ci",
        ["metadata": ["name": "short"], "status": ["phase": "Succeeded"]]
      )
      server.remove("workflows", "ci", "short")
      try await bench.reading("argo", fields, event: "f", from: ["cursor workflows"]) {
        let data = try await bench.told(1, of: "f")
        #expect(data.map { $0["name"] } == ["short"])
      }
      fields.set(["Pod"], at: "kinds")
      #expect(bench.problems("argo", fields).contains { $0.contains("found 'Pod'") })
    }
  }

  @Test(
    "what cannot be meant is refused by field",
    arguments: [
      (["resource": "pods", "eventTypes": ["ADD"]], "version: found nothing"),
      (["version": "v1", "eventTypes": ["ADD"]], "resource: found nothing"),
      (["version": "v1", "resource": "pods"], "eventTypes: found nothing"),
      (["version": "v1", "resource": "pods", "eventTypes": ["MADE"]], "found 'MADE'"),
      (
        [
          "version": "v1", "resource": "pods", "eventTypes": ["ADD"],
          "filter": ["labels": [["key": "a", "operation": "<="]]],
        ], "found '<='"
      ),
      (
        [
          "version": "v1", "resource": "pods", "eventTypes": ["ADD"],
          "filter": ["fields": [["key": "a", "value": "b"]]],
        ], "expected =, == or !="
      ),
      (
        [
          "version": "v1", "resource": "pods", "eventTypes": ["ADD"],
          "filter": ["createdBy": "yesterday"],
        ], "found 'yesterday'"
      ),
    ] as [(JSON, String)]
  )
  func refused(fields: JSON, expected: String) async throws {
    try await Bench.run { bench in
      #expect(
        bench.problems("resource", fields).contains { $0.contains(expected) },
        "\(bench.problems("resource", fields))"
      )
    }
  }
}
