import Cluster
import Event
import JSON
import Plugin
import Posix
import TestKit
import Testing
import Triggers

/// What was started is stopped in the target's own way, and its follower answers `cancelled`.
@Suite struct CancelTests {
  private let why = "a newer firing of the same key began"

  private func started(_ trigger: any Trigger, _ firing: Firing) async throws -> JSON {
    let outcome = await trigger.fire(firing)
    guard case .started(let started) = outcome else {
      Issue.record("\(outcome)")
      throw CancellationError()
    }
    return started
  }

  /// Stops it twice, as after a restart, and follows it to its end.
  private func ending(
    _ trigger: any Trigger,
    _ firing: Firing,
    _ started: JSON,
    _ move: () async throws -> Void = {}
  ) async throws -> Outcome {
    for _ in 0..<2 {
      #expect(await trigger.cancel(firing, started: started, why: why) == .asked)
    }
    try await move()
    return await trigger.follow(firing, started: started) { _, _ in }
  }

  @Test("a workflow is shut down with its exit handlers; one that has ended stays what it was")
  func workflow() async throws {
    try await Bench.run { bench in
      let fields = submit.replacing("\"spec\":{", with: "\"spec\":{\"suspend\":true,")
      let trigger = try bench.trigger("argoWorkflow", fields)
      let one = firing()
      let started = try await started(trigger, one)
      let outcome = try await ending(trigger, one, started)
      #expect(outcome.why == why)
      guard case .cancelled(_, let result) = outcome else {
        Issue.record("\(outcome)")
        return
      }
      #expect(result["message"] == "Stopped with strategy 'Stop'")
      let name = try #require(started["name"]?.asString)
      #expect(bench.cluster.object("workflows", "ci", name)?.at("spec", "shutdown") == "Stop")

      let quick = try bench.trigger("argoWorkflow", submit)
      let two = firing("two")
      let done = try await self.started(quick, two)
      let first = await quick.follow(two, started: done) { _, _ in }
      #expect(try await ending(quick, two, done) == first)
      // Deleted since, and a namesake made: that one goes on.
      let other = try #require(done["name"]?.asString)
      bench.cluster.remove("workflows", "ci", other)
      #expect(await quick.cancel(two, started: done, why: why) == .asked)
      try bench.cluster.put(
        "workflows",
        "ci",
        ["metadata": ["name": .string(other)], "spec": ["suspend": true]]
      )
      #expect(await quick.cancel(two, started: done, why: why) == .asked)
      #expect(bench.cluster.object("workflows", "ci", other)?.at("spec", "shutdown") == nil)
    }
  }

  @Test("an operation is taken back before it is picked up, and terminated while it runs")
  func application() async throws {
    try await Bench.run { bench in
      await bench.controller.stop()
      let cluster = bench.cluster
      try cluster.put("applications", "argocd", ["metadata": ["name": "shop"], "spec": [:]])
      let trigger = try bench.trigger("argoCD", #"{"application":"shop","revision":"abc"}"#)
      let one = firing()
      let requested = try await started(trigger, one)
      let taken = try await ending(trigger, one, requested)
      guard case .cancelled(why, _) = taken else {
        Issue.record("\(taken)")
        return
      }
      #expect(cluster.object("applications", "argocd", "shop")?["operation"] == nil)

      let two = firing("two")
      let running = try await started(trigger, two)
      cluster.change("applications", "argocd", "shop") { object in
        object.set(
          [
            "operation": object["operation"] ?? .null, "phase": "Running",
            "startedAt": "2026-01-01T00:00:00Z",
          ],
          at: "status",
          "operationState"
        )
      }
      let ended = try await ending(trigger, two, running) {
        let phase = cluster.object("applications", "argocd", "shop")?
          .at("status", "operationState", "phase")
        #expect(phase == "Terminating")
        let controller = try ArgoController(cluster, seed: 1)
        while cluster.object("applications", "argocd", "shop")?["operation"] != nil {
          await Task.yield()
        }
        await controller.stop()
      }
      guard case .cancelled(why, _) = ended else {
        Issue.record("\(ended)")
        return
      }
      // The next one is not touched by what was said to the last.
      let three = firing("three")
      let next = try await started(trigger, three)
      #expect(await trigger.cancel(two, started: running, why: why) == .asked)
      #expect(cluster.object("applications", "argocd", "shop")?["operation"] != nil)
      let controller = try ArgoController(cluster, seed: 1)
      let outcome = await trigger.follow(three, started: next) { _, _ in }
      await controller.stop()
      guard case .done = outcome else {
        Issue.record("\(outcome)")
        return
      }
    }
  }

  @Test("a rollout is aborted while it rolls out what the firing asked for, and not after")
  func rollout() async throws {
    try await Bench.run { bench in
      let cluster = bench.cluster
      try cluster.put("rollouts", "ci", canaryRollout)
      func trigger(_ fields: String) throws -> any Trigger {
        try bench.trigger("argoRollout", #"{"rollout":"shop","namespace":"ci","# + fields + "}")
      }
      func wait(for phase: JSON) async {
        while cluster.object("rollouts", "ci", "shop")?.at("status", "phase") != phase {
          await Task.yield()
        }
      }
      await wait(for: "Healthy")
      let set = try trigger(#""operation":"setImage","images":{"web":"shop:2"}"#)
      let paused = await bench.ending(set, firing("set"))
      guard case .done = paused else {
        Issue.record("\(paused)")
        return
      }
      await bench.controller.stop()
      let promote = try trigger(#""operation":"promote""#)
      let one = firing("promote")
      let running = try await started(promote, one)
      let ended = try await ending(promote, one, running) {
        #expect(cluster.object("rollouts", "ci", "shop")?.at("status", "abort") == true)
        let controller = try ArgoController(cluster, seed: 1)
        await wait(for: "Degraded")
        await controller.stop()
      }
      guard case .cancelled(why, let result) = ended else {
        Issue.record("\(ended)")
        return
      }
      #expect(result["aborted"] == true)

      // Another image came: what the older firing started is over, and the newer one goes on.
      let older = try trigger(#""operation":"setImage","images":{"web":"shop:3"}"#)
      let two = firing("older")
      let first = try await started(older, two)
      let newer = try trigger(#""operation":"setImage","images":{"web":"shop:4"}"#)
      _ = try await started(newer, firing("newer"))
      cluster.change("rollouts", "ci", "shop") { $0.set(nil, at: "status", "abort") }
      let overtaken = try await ending(older, two, first)
      guard case .cancelled(why, _) = overtaken else {
        Issue.record("\(overtaken)")
        return
      }
      #expect(cluster.object("rollouts", "ci", "shop")?.at("status", "abort") == nil)
      let abort = try trigger(#""operation":"abort""#)
      let refused = await abort.cancel(firing(), started: ["operation": "abort"], why: why)
      #expect(refused == .refused(why: "abort of a rollout cannot be stopped"))
    }
  }

  @Test("a target that is away is asked again; kinds that follow nothing refuse")
  func refusals() async throws {
    try await Bench.run { bench in
      let fields = submit.replacing("\"spec\":{", with: "\"spec\":{\"suspend\":true,")
      let trigger = try bench.trigger("argoWorkflow", fields)
      let one = firing()
      let started = try await started(trigger, one)
      bench.cluster.failNext("PATCH", "workflows", code: 500, reason: "InternalError")
      guard case .retry = await trigger.cancel(one, started: started, why: why) else {
        Issue.record("not asked again")
        return
      }
      bench.cluster.failNext("PATCH", "workflows", code: 403, reason: "Forbidden")
      guard case .refused = await trigger.cancel(one, started: started, why: why) else {
        Issue.record("not refused")
        return
      }
      let (log, _) = try made("log", "{}", bench.host)
      let refused = await log?.cancel(one, started: .null, why: why)
      #expect(refused == .refused(why: "what a trigger of kind log started cannot be stopped"))
    }
  }
}
