import Bus
import Engine
import Event
import EventLog
import Foundation
import Glibc
import JSON
import Posix
import Sensor
import TestKit
import Testing

/// `deploy/examples/gitops-loop` against a cluster whose controllers a seeded program plays, while
/// the real binary is killed at moments that the seed chooses. `SIGNALBOX_LOOP_SEEDS` runs more
/// seeds, from `SIGNALBOX_SEED` on.
@Suite(.serialized) struct GitOpsLoopTests {
  @Test("each push has one workflow, one sync and one action per firing; a bad one is rolled back")
  func loop() async throws {
    let first = setting("SIGNALBOX_SEED", 1)
    var longest = 0.0
    for seed in first..<first + setting("SIGNALBOX_LOOP_SEEDS", 5) {
      let began = MonotonicTime.now()
      let kills = try await run(UInt64(seed))
      let seconds = (MonotonicTime.now() - began).inSeconds
      longest = max(longest, seconds)
      print("seed \(seed): \(kills) kills, \(Int(seconds * 1000)) ms")
    }
    print("the longest run took \(Int(longest * 1000)) ms")
  }

  private let rollout: JSON = [
    "metadata": ["name": "shop"],
    "spec": [
      "template": ["spec": ["containers": [["name": "web", "image": "shop:first"]]]],
      "strategy": [
        "canary": [
          "steps": [
            ["setWeight": 20], ["pause": [:]], ["analysis": [:]], ["setWeight": 60],
            ["pause": [:]],
          ]
        ]
      ],
    ],
  ]

  /// One run: a good push and a bad one. Answers how often the program was killed.
  private func run(_ seed: UInt64) async throws -> Int {
    try await withTemporaryFolder { folder in
      var random = Seeded(seed)
      let cluster = try await TestCluster()
      try write(cluster.kubeconfig, folder + "/config")
      try cluster.put("rollouts", "shop", rollout)
      try cluster.put(
        "applications",
        "argocd",
        ["metadata": ["name": "shop"], "spec": ["destination": ["namespace": "shop"]]]
      )
      var script = ArgoController.Script()
      script.retriedSyncs = 30
      script.patience = Int.random(in: 1...4, using: &random)
      script.restarts = 5
      script.deletesByTTL = Bool.random(using: &random)
      script.brokenImages = ["shop:bad"]
      let controller = try ArgoController(cluster, seed: seed, script: script)
      let port = try freePort()
      try manifests(folder, port, ttl: script.deletesByTTL ? 1 : 86400)
      var run = Run(folder: folder, port: port, random: random)
      var failure: (any Error)?
      do {
        try run.start()
        let ends = [try run.push("good"), try run.push("bad")]
        let log = try Log(folder)
        check(log, cluster, ends, mayBeUnknown: script.deletesByTTL)
        if ends == ["live", "rolled back"] { try checkTree(folder) }
        #expect(run.program?.end() == 0)
      } catch { failure = error }
      await controller.stop()
      await cluster.shutdown()
      if let failure { throw failure }
      return run.kills
    }
  }

  /// The example as it is, with a port of the test's and another life for ended workflows.
  private func manifests(_ folder: String, _ port: Int, ttl: Int) throws {
    let example = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../../deploy/examples/gitops-loop").standardized.path
    for name in try FileManager.default.contentsOfDirectory(atPath: example) {
      let text = String(decoding: try Files.read("\(example)/\(name)"), as: UTF8.self)
        .replacing("\"12000\"", with: "\"\(port)\"")
        .replacing("secondsAfterCompletion: 86400", with: "secondsAfterCompletion: \(ttl)")
      try write(text, "\(folder)/manifests/\(name)")
    }
    try write("canary-secret\n", folder + "/secrets/github/secret")
  }

  /// The program, killed now and then, and pushes to it.
  private struct Run {
    let folder: String
    let port: Int
    var random: Seeded
    var program: Program?
    var kills = 0

    mutating func start() throws {
      program = try Program(
        folder,
        ["--kubeconfig", folder + "/config", "--console", "127.0.0.1:0", "--log-level", "error"]
      )
    }

    /// Sends a push until it is acknowledged and waits for the end of its loop.
    mutating func push(_ revision: String) throws -> String {
      let request = signedPush(
        #"{"ref":"refs/heads/main","after":"\#(revision)"}"#,
        delivery: "push-\(revision)",
        secret: "canary-secret",
        headers: ["Connection: close"]
      )
      var left = Int.random(in: 1...4, using: &random)
      var isSent = false
      let deadline = MonotonicTime.now() + .seconds(120)
      while MonotonicTime.now() < deadline {
        if !isSent, let answer = try? Socket.exchange(request, port: port),
          answer.starts(with: "HTTP/1.1 20".utf8)
        {
          isSent = true
        }
        if isSent, let end = try Log(folder).end(of: revision) { return end }
        _ = poll(nil, 0, Int32.random(in: 10...100, using: &random))
        if left > 0, Bool.random(using: &random) {
          program?.end(by: SIGKILL)
          left -= 1
          kills += 1
          try start()
        }
      }
      let text = try signalbox(["events", "--data", folder + "/data"]).output
      throw SystemError("the loop of \(revision) did not end\n\(text)", "", code: ETIMEDOUT)
    }
  }

  /// What is on the log.
  private struct Log {
    struct Ending {
      let trigger: String
      let phase: String
      let causes: [String]
      let id: String
      let result: JSON
    }

    private(set) var pushes: [String: String] = [:]
    private(set) var endings: [String: [Ending]] = [:]
    /// By sensor and trigger.
    private(set) var firings: [String: Set<String>] = [:]

    init(_ folder: String) throws {
      var (pushes, endings) = ([String: String](), [String: [Ending]]())
      var firings: [String: Set<String>] = [:]
      let report = try EventLogReader(folder: folder + "/data/log").read { record in
        switch record.content {
        case .event(let event):
          let data = try? JSON(parsing: event.data)
          if event.source == "shop", let revision = data?.at("body", "after")?.asString {
            pushes[revision] = event.id
          }
          let parts = event.subject.split(separator: "/").map(String.init)
          guard event.source == OutcomeEvent.source, let cause = event.cause, parts.count == 3,
            Phase(rawValue: parts[2])?.isEnding == true
          else { return }
          endings[cause.firing.text, default: []].append(
            Ending(
              trigger: "\(parts[0])/\(parts[1])",
              phase: parts[2],
              causes: cause.events,
              id: event.id,
              result: data?["result"] ?? .null
            )
          )
        case .note(let note):
          guard note.kind == NoteKind.decision, let decision = try? DecisionNote(note) else {
            return
          }
          for firing in decision.firings {
            let name = "\(firing.trigger.sensor.name)/\(firing.trigger.name)"
            firings[name, default: []].insert(firing.id.text)
          }
        }
      }
      #expect(report.damages.isEmpty)
      (self.pushes, self.endings, self.firings) = (pushes, endings, firings)
    }

    private func next(_ trigger: String, _ id: String) -> Ending? {
      endings.values.lazy.compactMap(\.first).first {
        $0.trigger == trigger && $0.causes.contains(id)
      }
    }

    /// How the loop of a push ended; nil while it goes on.
    func end(of revision: String) -> String? {
      guard let push = pushes[revision], let build = next("build/workflow", push) else {
        return nil
      }
      guard build.phase == "succeeded" else { return build.phase }
      guard let sync = next("deploy/sync", build.id) else { return nil }
      guard sync.phase == "succeeded" else { return "sync \(sync.phase)" }
      var promoted = next("release/promote", sync.id)
      while let last = promoted, last.phase == "succeeded", last.result["phase"] == "Paused" {
        promoted = next("release/promote", last.id)
      }
      guard let promoted else { return nil }
      if promoted.phase == "succeeded" { return "live" }
      guard promoted.phase == "failed" else { return "promotion \(promoted.phase)" }
      guard let abort = next("rollback/abort", promoted.id) else { return nil }
      guard abort.phase == "succeeded" else { return "abort \(abort.phase)" }
      guard let undo = next("rollback/undo", abort.id) else { return nil }
      return undo.phase == "succeeded" ? "rolled back" : "undo \(undo.phase)"
    }
  }

  private func check(_ log: Log, _ cluster: TestCluster, _ ends: [String], mayBeUnknown: Bool) {
    for (end, wanted) in zip(ends, ["live", "rolled back"]) where end != wanted {
      // A run that was deleted while nobody looked: said so, and not made again.
      #expect(mayBeUnknown && end == "unknown", "\(ends)")
    }
    #expect(log.endings.values.allSatisfy { $0.count == 1 })
    #expect(Set(log.endings.keys) == log.firings.values.reduce([]) { $0.union($1) })

    func count(
      _ plural: String,
      _ key: (JSON?, JSON) -> String?
    ) -> [String: Int] {
      let keys = cluster.writes(plural, by: "signalbox").compactMap { key($0.last, $0.object) }
      return Dictionary(keys.map { ($0, 1) }, uniquingKeysWith: +)
    }
    let workflows = count("workflows") { last, object in
      last == nil ? object.at("metadata", "labels", "signalbox/firing")?.asString : nil
    }
    #expect(workflows == ones(log.firings["build/workflow"]))
    #expect(log.firings["build/workflow"]?.count == 2)

    let syncs = count("applications") { last, object in
      guard last?["operation"] == nil else { return nil }
      return object.at("operation", "info")?.items.first?["value"]?.asString
    }
    #expect(syncs == ones(log.firings["deploy/sync"]))

    // One pause ended per firing.
    let promotions = count("rollouts") { last, object in
      func isPaused(_ object: JSON?) -> Bool {
        object?.at("status", "pauseConditions")?.items.isEmpty == false
      }
      return isPaused(last) && !isPaused(object) ? "" : nil
    }
    #expect(promotions[""] ?? 0 == log.firings["release/promote", default: []].count)
    let changes = count("rollouts") { last, object in
      last?.at("spec", "template") != object.at("spec", "template") ? "" : nil
    }
    #expect(changes[""] ?? 0 == log.firings["rollback/undo", default: []].count)
    let image = cluster.object("rollouts", "shop", "shop")?
      .at("spec", "template", "spec", "containers")?.items.first?["image"]
    if ends == ["live", "rolled back"] { #expect(image == "shop:good") }
  }

  private func ones(_ firings: Set<String>?) -> [String: Int] {
    Dictionary(uniqueKeysWithValues: (firings ?? []).map { ($0, 1) })
  }

  /// The tree from the push to the rollback.
  private func checkTree(_ folder: String) throws {
    let push = try #require(try Log(folder).pushes["bad"])
    let output = try signalbox(["events", "--data", folder + "/data", "--cause", push]).output
    let lines = output.components(separatedBy: "\n").map { line in
      (depth: line.prefix { $0 == " " }.count / 2, text: line)
    }
    for (depth, subject) in [
      (0, "push"), (1, "build/workflow/succeeded"), (2, "deploy/sync/succeeded"),
      (3, "release/promote/failed"), (4, "rollback/abort/succeeded"),
      (5, "rollback/undo/succeeded"),
    ] {
      #expect(
        lines.contains { $0.depth == depth && $0.text.hasSuffix("  \(subject)") },
        "\(depth) \(subject)\n\(output)"
      )
    }
    #expect(!output.contains("push-good"))
  }
}
