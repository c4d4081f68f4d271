import Cluster
import Event
import JSON
import Plugin
import Posix
import TestKit
import Testing
import Triggers

/// Label policies, JSON patches, templates of rollouts, and promotions that come early.
@Suite struct ClusterRuleTests {
  @Test(
    "policy.k8s waits for labels, and its end is what the manifest says",
    arguments: [("k8s", true), ("k8s", false), ("argoWorkflow", true), ("argoWorkflow", false)]
  )
  func labels(kind: String, fails: Bool) async throws {
    try await Bench.run { bench in
      await bench.controller.stop()
      func fields(_ timeout: String) -> String {
        #"{"policy.k8s":{"labels":{"done":"yes"},"timeout":"\#(timeout)","fails":\#(fails)},"#
          + #""source":{"resource":{"apiVersion":"argoproj.io/v1alpha1","kind":"Workflow","#
          + #""metadata":{"generateName":"w-","namespace":"ci"},"spec":{"entrypoint":"main"}}}}"#
      }
      let late = await bench.ending(try bench.trigger(kind, fields("20ms")), firing("late"))
      switch late {
      case .reject(let why, _):
        #expect(fails && (kind == "argoWorkflow" || why.contains("done=yes")))
      case .done: #expect(!fails)
      default: Issue.record("\(late)")
      }
      let trigger = try bench.trigger(kind, fields("60s"))
      let ending = Task { await bench.ending(trigger, firing("in time")) }
      while bench.count("workflows") < 2 { await Task.yield() }
      for object in bench.cluster.objects("workflows") {
        bench.cluster.change("workflows", "ci", object.at("metadata", "name")?.asString ?? "") {
          $0.set("yes", at: "metadata", "labels", "done")
        }
      }
      guard case .done = await ending.value else {
        Issue.record("not done")
        return
      }
    }
  }

  @Test("a JSON patch is applied once, whatever is repeated and whoever writes in between")
  func jsonPatch() async throws {
    try await Bench.run { bench in
      try bench.cluster.put(
        "configmaps",
        "ci",
        ["metadata": ["name": "one"], "data": ["list": "a"]]
      )
      func fields(_ operations: String) -> String {
        #"{"operation":"patch","patchStrategy":"application/json-patch+json","source":{"resource":"#
          + #"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"one","namespace":"ci"},"#
          + #""patch":\#(operations)}}}"#
      }
      let trigger = try bench.trigger(
        "k8s",
        fields(#"[{"op":"copy","from":"/data/list","path":"/data/copy"}]"#)
      )
      let one = firing()
      for _ in 0..<2 {
        guard case .done = await trigger.fire(one) else {
          Issue.record("not patched")
          return
        }
        // A second application would copy this.
        bench.cluster.change("configmaps", "ci", "one") { $0.set("b", at: "data", "list") }
      }
      let data = bench.cluster.object("configmaps", "ci", "one")?["data"]
      #expect(data == ["list": "b", "copy": "a"])
      // The answer was lost: it is there nevertheless.
      let two = firing("two")
      bench.cluster.failNext("PATCH", "configmaps", code: 500, reason: "InternalError")
      guard case .retry = await trigger.fire(two), case .done = await trigger.fire(two) else {
        Issue.record("not patched")
        return
      }
      let failing = try bench.trigger(
        "k8s",
        fields(#"[{"op":"test","path":"/data/list","value":"c"}]"#)
      )
      guard case .reject(_, let result) = await failing.fire(firing("three")) else {
        Issue.record("not refused")
        return
      }
      #expect(result["status"] == 422)
      for (operations, problem) in [
        ("[]", "found no list of operations"), (#"[{"op":"put","path":"/a"}]"#, "found 'put'"),
        (#"[{"op":"add","path":"a"}]"#, "begins with /"),
      ] {
        let (_, problems) = try made("k8s", fields(operations), bench.host)
        #expect(problems.contains { $0.contains(problem) }, "\(problems)")
      }
    }
  }

  private func rollout(_ bench: Bench, _ fields: String) throws -> any Trigger {
    try bench.trigger(
      "argoRollout",
      #"{"rollout":"shop","namespace":"ci","timeout":"20s","# + fields + "}"
    )
  }

  private func wait(_ bench: Bench, for phase: JSON) async {
    while bench.cluster.object("rollouts", "ci", "shop")?.at("status", "phase") != phase {
      await Task.yield()
    }
  }

  private func image(_ bench: Bench) -> JSON? {
    bench.cluster.object("rollouts", "ci", "shop")?
      .at("spec", "template", "spec", "containers")?.items.first?["image"]
  }

  @Test("a promotion that comes before the pause waits for it and skips no step")
  func early() async throws {
    try await Bench.run { bench in
      var object = canaryRollout
      object.set(
        [["setWeight": 20], ["setWeight": 40], ["pause": [:]], ["analysis": [:]], ["pause": [:]]],
        at: "spec",
        "strategy",
        "canary",
        "steps"
      )
      try bench.cluster.put("rollouts", "ci", object)
      await wait(bench, for: "Healthy")
      await bench.controller.stop()
      let set = try rollout(bench, #""operation":"setImage","images":{"web":"shop:2"}"#)
      guard case .started = await set.fire(firing("set")) else {
        Issue.record("not set")
        return
      }
      // Nothing moves yet.
      let promote = try rollout(bench, #""operation":"promote""#)
      let promotion = Task { await bench.ending(promote, firing("promote")) }
      while !bench.cluster.requests.contains(where: { $0.contains("watch=1") }) {
        await Task.yield()
      }
      let controller = try ArgoController(bench.cluster, seed: 3)
      let outcome = await promotion.value
      await controller.stop()
      guard case .done(let result) = outcome else {
        Issue.record("\(outcome)")
        return
      }
      // The second pause, behind the analysis.
      #expect(result["step"] == 4)
      #expect(result["analysis"]?.items.first?["status"] == "Successful")
    }
  }

  @Test("an undo that is repeated goes back one revision and no further")
  func undone() async throws {
    try await Bench.run { bench in
      var object = canaryRollout
      object.set([], at: "spec", "strategy", "canary", "steps")
      try bench.cluster.put("rollouts", "ci", object)
      for number in 2...3 {
        await wait(bench, for: "Healthy")
        let set = try rollout(
          bench,
          #""operation":"setImage","images":{"web":"shop:\#(number)"}"#
        )
        guard case .done = await bench.ending(set, firing("set \(number)")) else {
          Issue.record("not set")
          return
        }
      }
      let undo = try rollout(bench, #""operation":"undo""#)
      for _ in 0..<3 {
        guard case .done = await bench.ending(undo, firing("undo")) else {
          Issue.record("not undone")
          return
        }
        #expect(image(bench) == "shop:2")
      }
      // What came since is left alone.
      let set = try rollout(bench, #""operation":"setImage","images":{"web":"shop:4"}"#)
      _ = await bench.ending(set, firing("set 4"))
      #expect(await undo.fire(firing("undo")).why == "another template came in between")
      let first = try rollout(bench, #""operation":"undo","toRevision":1"#)
      guard case .done = await bench.ending(first, firing("first")) else {
        Issue.record("not undone")
        return
      }
      #expect(image(bench) == "shop:1")
      let absent = try rollout(bench, #""operation":"undo","toRevision":99"#)
      #expect(await absent.fire(firing("99")).why == "no ReplicaSet has revision 99")
    }
  }

  @Test("with workloadRef the Deployment gets the template, and its rollout is waited for")
  func workload() async throws {
    try await Bench.run { bench in
      await bench.controller.stop()
      let template: JSON = ["spec": ["containers": [["name": "web", "image": "shop:1"]]]]
      try bench.cluster.put(
        "deployments",
        "ci",
        ["metadata": ["name": "web"], "spec": ["template": template]]
      )
      let key = "rollout.argoproj.io/workload-generation"
      try bench.cluster.put(
        "rollouts",
        "ci",
        [
          "metadata": [
            "name": "shop", "annotations": ["rollout.argoproj.io/workload-generation": "1"],
          ],
          "spec": [
            "workloadRef": ["apiVersion": "apps/v1", "kind": "Deployment", "name": "web"]
          ],
          "status": [
            "phase": "Healthy", "observedGeneration": "1", "currentPodHash": "a", "stableRS": "a",
            "workloadObservedGeneration": "1",
          ],
        ]
      )
      let set = try rollout(bench, #""operation":"setImage","images":{"*":"shop:2"}"#)
      let one = firing()
      guard case .started(let started) = await set.fire(one) else {
        Issue.record("not set")
        return
      }
      let images = bench.cluster.object("deployments", "ci", "web")?
        .at("spec", "template", "spec", "containers")
      #expect(images == [["name": "web", "image": "shop:2"]])
      // The rollout looks healthy, with the old template: nothing has come through yet.
      let following = Task { await set.follow(one, started: started) { _, _ in } }
      while !bench.cluster.requests.contains(where: { $0.contains("watch=1") }) {
        await Task.yield()
      }
      bench.cluster.change("rollouts", "ci", "shop") { object in
        object.set("2", at: "metadata", "annotations", key)
        object.set("2", at: "status", "workloadObservedGeneration")
        object.set("b", at: "status", "currentPodHash")
        object.set("b", at: "status", "stableRS")
      }
      guard case .done(let result) = await following.value else {
        Issue.record("not done")
        return
      }
      #expect(result["podHash"] == "b")
    }
  }

}
