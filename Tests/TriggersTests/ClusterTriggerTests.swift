import Cluster
import Event
import HTTPClient
import JSON
import Plugin
import Posix
import TestKit
import Testing
import Triggers

/// Triggers against the test cluster, whose controllers of Argo a seeded program plays.
@Suite struct ClusterTriggerTests {
  @Test("a workflow is submitted once whatever is repeated, and followed to its end and outputs")
  func submitted() async throws {
    try await Bench.run { bench in
      let trigger = try bench.trigger("argoWorkflow", submit)
      let firing = firing()
      guard case .started(let started) = await trigger.fire(firing) else {
        Issue.record("not started")
        return
      }
      let name = try #require(started["name"]?.asString)
      #expect(name == "build-" + firing.id.text)
      // After a crash between the call and its record.
      #expect(await trigger.fire(firing) == .started(result: started))
      #expect(bench.count("workflows") == 1)
      let outcome = await trigger.follow(firing, started: started) { _, _ in }
      guard case .done(let result) = outcome else {
        Issue.record("\(outcome)")
        return
      }
      #expect(result["phase"] == "Succeeded")
      #expect(result["outputs"] == ["image": "7"])
      let object = try #require(bench.cluster.object("workflows", "ci", name))
      // Values are strings (A.7), ours first.
      #expect(
        object.at("spec", "arguments", "parameters")
          == [["name": "sha", "value": "7"], ["name": "n", "value": "3"]]
      )
      #expect(object.at("metadata", "labels", "a") == "b")
      #expect(object.at("metadata", "labels", "events.argoproj.io/trigger") == "one")
      // Again after the end, as after a restart.
      #expect(await trigger.follow(firing, started: started) { _, _ in } == outcome)
    }
  }

  @Test("a failed workflow fails with its node; one that is deleted unseen is unknown")
  func failed() async throws {
    var script = ArgoController.Script()
    script.failingWorkflows = 100
    try await Bench.run(script) { bench in
      let trigger = try bench.trigger("argoWorkflow", submit)
      let outcome = await bench.ending(trigger, firing())
      guard case .reject(let why, let result) = outcome else {
        Issue.record("\(outcome)")
        return
      }
      #expect(why == "the workflow ended as Failed: child failed")
      #expect(result.at("failedNode", "exitCode") == "1")
      let started: JSON = ["namespace": "ci", "name": "absent", "uid": "x"]
      let lost = await trigger.follow(firing(), started: started) { _, _ in }
      guard case .unknown = lost else {
        Issue.record("\(lost)")
        return
      }
    }
  }

  @Test("a run whose TTL has passed is never made a second time; within its TTL it is")
  func ttl() async throws {
    try await Bench.run { bench in
      let fields = submit.replacing(
        "\"entrypoint\":\"main\"",
        with: "\"entrypoint\":\"main\",\"ttlStrategy\":{\"secondsAfterCompletion\":0}"
      )
      let trigger = try bench.trigger("argoWorkflow", fields)
      let one = firing()
      guard case .started(let started) = await trigger.fire(one) else {
        Issue.record("not started")
        return
      }
      bench.cluster.remove("workflows", "ci", started["name"]?.asString ?? "")
      guard case .unknown = await trigger.fire(one) else {
        Issue.record("made again")
        return
      }
      #expect(bench.count("workflows") == 0)
      // Without a TTL it cannot have gone so soon: the call never arrived.
      let patient = try bench.trigger("argoWorkflow", submit)
      let two = firing("two")
      bench.cluster.failNext("POST", "workflows", code: 500, reason: "InternalError")
      guard case .retry = await patient.fire(two) else {
        Issue.record("no retry")
        return
      }
      guard case .started = await patient.fire(two) else {
        Issue.record("not made")
        return
      }
    }
  }

  @Test("somebody else's object of the same name is an error, not a success")
  func foreign() async throws {
    try await Bench.run { bench in
      try bench.cluster.put("configmaps", "ci", ["metadata": ["name": "one"]])
      let fields = """
        {"source":{"inline":"{apiVersion: v1, kind: ConfigMap, metadata: {name: one, namespace: ci}}"}}
        """
      let outcome = await bench.ending(try bench.trigger("k8s", fields), firing())
      guard case .reject(let why, _) = outcome else {
        Issue.record("\(outcome)")
        return
      }
      #expect(why.contains("is not of this firing"))
    }
  }

  @Test("k8s creates, updates, patches and deletes; twice is as good as once")
  func objects() async throws {
    try await Bench.run { bench in
      func fields(_ operation: String, _ data: String, _ more: String = "") -> String {
        """
        {"operation":"\(operation)"\(more),"source":{"resource":{"apiVersion":"v1","kind":"ConfigMap",
          "metadata":{"name":"one","namespace":"ci"},"data":\(data)}}}
        """
      }
      func act(_ fields: String, _ name: String = "one") async throws {
        for _ in 0..<2 {
          let outcome = await bench.ending(try bench.trigger("k8s", fields), firing(name))
          guard case .done = outcome else {
            Issue.record("\(fields): \(outcome)")
            return
          }
        }
      }
      func data() -> JSON? { bench.cluster.object("configmaps", "ci", "one")?["data"] }
      try await act(fields("create", "{\"a\":\"1\"}"))
      try await act(fields("update", "{\"b\":\"2\"}"))
      #expect(data() == ["a": "1", "b": "2"])
      try await act(fields("patch", "{\"a\":null}"))
      #expect(data() == ["b": "2"])
      try await act(
        fields("patch", "{\"c\":\"3\"}", ",\"patchStrategy\":\"application/apply-patch+yaml\"")
      )
      #expect(data() == ["b": "2", "c": "3"])
      try await act(fields("delete", "{}"))
      #expect(data() == nil)
    }
  }

  @Test(
    "templates, cluster templates and schedules are run, a run is done again; nothing is copied"
  )
  func submitFrom() async throws {
    try await Bench.run { bench in
      for (plural, kind) in [
        ("workflowtemplates", "WorkflowTemplate"),
        ("clusterworkflowtemplates", "ClusterWorkflowTemplate"),
        ("cronworkflows", "CronWorkflow"),
      ] {
        try bench.cluster.put(
          plural,
          plural.hasPrefix("cluster") ? "" : "ci",
          ["metadata": ["name": "t"], "spec": ["workflowSpec": ["entrypoint": "cron"]]]
        )
        let fields = """
          {"operation":"submit-from","source":{"resource":{"kind":"\(kind)",
            "metadata":{"name":"t","namespace":"ci"},
            "spec":{"arguments":{"parameters":[{"name":"sha","value":"9"}]}}}}}
          """
        let firing = firing(plural)
        let outcome = await bench.ending(try bench.trigger("argoWorkflow", fields), firing)
        guard case .done(let result) = outcome else {
          Issue.record("\(outcome)")
          return
        }
        #expect(result["outputs"] == ["image": "9"])
      }
      let runs = bench.cluster.objects("workflows")
      #expect(runs.count == 3)
      #expect(runs.contains { $0.at("spec", "workflowTemplateRef") == ["name": "t"] })
      #expect(runs.contains { $0.at("spec", "workflowTemplateRef", "clusterScope") == true })
      let cron = try #require(runs.first { $0.at("spec", "entrypoint") == "cron" })
      #expect(cron.at("metadata", "ownerReferences")?.items.count == 1)
      let name = try #require(cron.at("metadata", "name")?.asString)
      let again = """
        {"operation":"resubmit","source":{"resource":{"metadata":{"name":"\(name)","namespace":"ci"}}}}
        """
      let outcome = await bench.ending(try bench.trigger("argoWorkflow", again), firing("again"))
      guard case .done(let result) = outcome else {
        Issue.record("\(outcome)")
        return
      }
      let copy = bench.cluster.object("workflows", "ci", result["name"]?.asString ?? "")
      #expect(
        copy?.at("metadata", "labels", "workflows.argoproj.io/resubmitted-from-workflow")
          == .string(name)
      )
    }
  }

  @Test("a run is suspended, resumed and stopped by one patch each")
  func steered() async throws {
    try await Bench.run { bench in
      // Nobody else moves the run: its nodes are then what the triggers made of them.
      await bench.controller.stop()
      try bench.cluster.put(
        "workflows",
        "ci",
        [
          "metadata": ["name": "w"], "spec": ["entrypoint": "main", "suspend": true],
          "status": [
            "phase": "Running",
            "nodes": [
              "w-1": [
                "type": "Suspend", "phase": "Running",
                "outputs": [
                  "parameters": [["name": "x", "valueFrom": ["supplied": [:], "default": "d"]]]
                ],
              ]
            ],
          ],
        ]
      )
      func act(_ operation: String) async throws -> Outcome {
        let fields = """
          {"operation":"\(operation)","source":{"resource":{"metadata":{"name":"w","namespace":"ci"}}}}
          """
        return await bench.ending(try bench.trigger("argoWorkflow", fields), firing(operation))
      }
      guard case .done = try await act("suspend"), case .done = try await act("resume") else {
        Issue.record("refused")
        return
      }
      let node = bench.cluster.object("workflows", "ci", "w")?.at("status", "nodes", "w-1")
      #expect(node?["phase"] == "Succeeded")
      #expect(node?.at("outputs", "parameters") == [["name": "x", "value": "d"]])
      guard case .done = try await act("terminate") else {
        Issue.record("refused")
        return
      }
    }
  }

  @Test("a sync ends when the application is healthy, retries included, requested once")
  func synced() async throws {
    var script = ArgoController.Script()
    script.retriedSyncs = 100
    try await Bench.run(script) { bench in
      try bench.cluster.put("applications", "argocd", ["metadata": ["name": "shop"], "spec": [:]])
      let trigger = try bench.trigger("argoCD", #"{"application":"shop","revision":"abc"}"#)
      let one = firing()
      guard case .started(let started) = await trigger.fire(one) else {
        Issue.record("not started")
        return
      }
      #expect(await trigger.fire(one) == .started(result: started))
      let outcome = await trigger.follow(one, started: started) { _, _ in }
      guard case .done(let result) = outcome else {
        Issue.record("\(outcome)")
        return
      }
      #expect(result["revision"] == "abc")
      #expect(result["health"] == "Healthy")
      #expect(await trigger.fire(one) == .started(result: started))
      let history = bench.cluster.object("applications", "argocd", "shop")?.at("status", "history")
      #expect(history?.items.count == 1)
    }
  }

  @Test("while an application is busy the newest firing waits and older ones are skipped")
  func coalesced() async throws {
    try await Bench.run { bench in
      // It would end the operation that keeps the application busy.
      await bench.controller.stop()
      try bench.cluster.put(
        "applications",
        "argocd",
        [
          "metadata": ["name": "shop"],
          "status": ["operationState": ["phase": "Waiting", "startedAt": "2026-01-01T00:00:00Z"]],
          "operation": ["sync": ["revision": "old"]],
        ]
      )
      bench.cluster.change("applications", "argocd", "shop") {
        $0.set("Running", at: "status", "operationState", "phase")
      }
      let trigger = try bench.trigger("argoCD", #"{"application":"shop","revision":"abc"}"#)
      let old = Task { await trigger.fire(firing("old")) }
      while !bench.cluster.requests.contains(where: { $0.contains("watch=1") }) {
        await Task.yield()
      }
      let new = Task { await trigger.fire(firing("new")) }
      let skipped = await old.value
      guard case .skipped = skipped else {
        Issue.record("\(skipped)")
        return
      }
      bench.cluster.change("applications", "argocd", "shop") {
        $0.set("Succeeded", at: "status", "operationState", "phase")
        $0.set(nil, at: "operation")
      }
      guard case .started = await new.value else {
        Issue.record("not started")
        return
      }
    }
  }

  @Test("a rollout gets an image, stops at its pause, is promoted to the end")
  func rolledOut() async throws {
    try await Bench.run { bench in
      try bench.cluster.put("rollouts", "ci", canaryRollout)
      func act(_ fields: String, _ name: String) async throws -> Outcome {
        let fields = #"{"rollout":"shop","namespace":"ci","timeout":"20s","# + fields + "}"
        return await bench.ending(try bench.trigger("argoRollout", fields), firing(name))
      }
      while bench.cluster.object("rollouts", "ci", "shop")?.at("status", "phase") != "Healthy" {
        await Task.yield()
      }
      let set = try await act(#""operation":"setImage","images":{"web":"shop:2"}"#, "set")
      guard case .done(let paused) = set else {
        Issue.record("\(set)")
        return
      }
      #expect(paused["phase"] == "Paused")
      let promoted = try await act(#""operation":"promote""#, "promote")
      guard case .done(let live) = promoted else {
        Issue.record("\(promoted)")
        return
      }
      #expect(live["phase"] == "Healthy")
      #expect(live["images"] == ["shop:2"])
    }
  }

  @Test("a failed analysis fails the promotion; abort ends degraded")
  func degraded() async throws {
    var script = ArgoController.Script()
    script.failsAnalysis = true
    try await Bench.run(script) { bench in
      try bench.cluster.put("rollouts", "ci", canaryRollout)
      while bench.cluster.object("rollouts", "ci", "shop")?.at("status", "phase") != "Healthy" {
        await Task.yield()
      }
      func act(_ fields: String, _ name: String) async throws -> Outcome {
        let fields = #"{"rollout":"shop","namespace":"ci","timeout":"20s","# + fields + "}"
        return await bench.ending(try bench.trigger("argoRollout", fields), firing(name))
      }
      _ = try await act(#""operation":"setImage","images":{"*":"shop:2"}"#, "set")
      let promoted = try await act(#""operation":"promote""#, "promote")
      guard case .reject(_, let result) = promoted else {
        Issue.record("\(promoted)")
        return
      }
      #expect(result["phase"] == "Degraded")
      #expect(result["analysis"]?.items.first?["status"] == "Failed")
      let aborted = try await act(#""operation":"abort""#, "abort")
      guard case .done = aborted else {
        Issue.record("\(aborted)")
        return
      }
    }
  }

  @Test("without a cluster a manifest loads with a warning and its firing fails in words")
  func absent() async throws {
    try await withTemporaryFolder { folder in
      let host = try Host(folder, kubeconfig: folder + "/absent")
      let (trigger, problems) = try made("argoWorkflow", submit, host)
      #expect(problems.first?.contains("its firings will fail") == true)
      let outcome = await trigger?.fire(firing())
      guard case .reject(let why, _)? = outcome else {
        Issue.record("\(String(describing: outcome))")
        return
      }
      #expect(why.contains("there is no file"))
      await host.close()
    }
  }

  @Test(
    "what is not built or misspelt is refused by name",
    arguments: [
      (
        "argoWorkflow", #"{"operation":"retry","source":{"inline":"{}"}}"#,
        "found no server, which retry needs"
      ),
      (
        "argoWorkflow", #"{"args":["--watch","x"],"source":{"inline":"{}"}}"#,
        "args[0]: is not supported yet: found '--watch'"
      ),
      ("k8s", #"{"source":{"git":{}}}"#, "git: is not supported yet"),
      ("k8s", #"{"source":{"s3":{}}}"#, "s3: is not supported yet"),
      ("k8s", #"{"operation":"apply","source":{"inline":"{}"}}"#, "found 'apply'"),
      ("k8s", #"{"liveObject":true,"source":{"inline":"{}"}}"#, "expected update"),
      ("k8s", "{}", "source: found nothing"),
      ("argoCD", #"{"application":"a","operation":"sink"}"#, "found 'sink'"),
      ("argoCD", #"{"application":"a","server":{}}"#, "server.url: found nothing"),
      ("argoRollout", #"{"rollout":"a","operation":"setImage"}"#, "needs at least one"),
    ]
  )
  func refused(kind: String, fields: String, expected: String) async throws {
    try await withTemporaryFolder { folder in
      let host = try Host(folder)
      let (trigger, problems) = try made(kind, fields, host)
      #expect(trigger == nil)
      #expect(problems.contains { $0.contains(expected) }, "\(problems)")
      await host.close()
    }
  }
}
