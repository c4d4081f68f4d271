import JSON
import Event
import Posix
import Synchronization

/// Plays the controllers of Argo on a test cluster: moves phases as sections B.2, C.5 and D.3 say,
/// with delays, retries and deletions by TTL that a seed chooses.
package final class ArgoController: Sendable {
  package struct Script: Sendable {
    /// Of a hundred workflows, how many fail.
    package var failingWorkflows = 0
    /// Of a hundred syncs, how many fail once before they succeed.
    package var retriedSyncs = 0
    /// Whether the analysis of a rollout fails at its step.
    package var failsAnalysis = false
    /// How many steps an object lies still at the most before it moves.
    package var patience = 3
    /// Whether finished workflows are deleted as their TTL says.
    package var deletesByTTL = false

    package init() {}
  }

  private struct State {
    var random: Seeded
    var script = Script()
    var isStopping = false
    var task: Task<Void, Never>?
  }

  private let cluster: TestCluster
  private let loop: EventLoop
  private let state: Mutex<State>

  /// - Throws: `SystemError`.
  package init(_ cluster: TestCluster, seed: UInt64, script: Script = Script()) throws {
    self.cluster = cluster
    loop = try EventLoop(name: "argo-controller")
    state = Mutex(State(random: Seeded(seed), script: script))
    let task = Task { [weak self, loop] in
      while let isStopping = self?.step(), !isStopping {
        await loop.sleep(for: .milliseconds(2))
      }
    }
    state.withLock { $0.task = task }
  }

  package func change(_ body: (inout Script) -> Void) { state.withLock { body(&$0.script) } }

  package func stop() async {
    let task = state.withLock { state in
      defer { state.task = nil }
      state.isStopping = true
      return state.task
    }
    guard let task else { return }
    await task.value
    loop.stop()
  }

  private var script: Script { state.withLock { $0.script } }

  private func chance(_ percent: Int) -> Bool {
    state.withLock { Int($0.random.next() % 100) < percent }
  }

  /// Whether an object moves in this step.
  private var moves: Bool {
    state.withLock { $0.random.next() % UInt64(max(1, $0.script.patience)) == 0 }
  }

  private var now: String { Timestamp(nanoseconds: wallClockNanoseconds()).wholeSeconds }

  /// Moves every object on once; true: stop.
  private func step() -> Bool {
    for object in cluster.objects("workflows") where moves { workflow(object) }
    for object in cluster.objects("applications") where moves { application(object) }
    for object in cluster.objects("rollouts") where moves { rollout(object) }
    return state.withLock { $0.isStopping }
  }

  private func place(_ object: JSON) -> (namespace: String, name: String) {
    (
      object.at("metadata", "namespace")?.asString ?? "",
      object.at("metadata", "name")?.asString ?? ""
    )
  }

  // MARK: Workflows (section B.2)

  private func workflow(_ object: JSON) {
    let (namespace, name) = place(object)
    let phase = object.at("status", "phase")?.asString ?? ""
    let now = now
    if object.at("status", "finishedAt")?.asString != nil {
      let ttl = object.at("spec", "ttlStrategy", "secondsAfterCompletion")?.wholeNumber
      if script.deletesByTTL, ttl == 0 { cluster.remove("workflows", namespace, name) }
      return
    }
    let shutdown = object.at("spec", "shutdown")?.asString ?? ""
    if object.at("spec", "suspend") == true && shutdown.isEmpty { return }
    let fails = chance(script.failingWorkflows)
    cluster.change("workflows", namespace, name) { object in
      switch phase {
      case "", "Pending":
        object.set("Running", at: "status", "phase")
        object.set(.string(now), at: "status", "startedAt")
        object.set("0/1", at: "status", "progress")
        object.set("false", at: "metadata", "labels", "workflows.argoproj.io/completed")
      default:
        let end = !shutdown.isEmpty || fails ? "Failed" : "Succeeded"
        object.set(.string(end), at: "status", "phase")
        object.set(.string(now), at: "status", "finishedAt")
        object.set("1/1", at: "status", "progress")
        object.set("true", at: "metadata", "labels", "workflows.argoproj.io/completed")
        if !shutdown.isEmpty {
          object.set(.string("Stopped with strategy '\(shutdown)'"), at: "status", "message")
        } else if fails {
          object.set("child failed", at: "status", "message")
        }
        let leaf = name + "-1"
        object.set(
          [
            "id": .string(leaf), "type": "Pod", "displayName": "test", "templateName": "test",
            "phase": .string(end), "finishedAt": .string(now), "message": "exit code 1",
            "outputs": ["exitCode": .string(end == "Failed" ? "1" : "0")],
          ],
          at: "status",
          "nodes",
          leaf
        )
        let image = (object.at("spec", "arguments", "parameters")?.items ?? []).first {
          $0["name"] == "sha"
        }?["value"]
        object.set(
          ["outputs": ["parameters": [["name": "image", "value": image ?? "none"]]]],
          at: "status",
          "nodes",
          name
        )
      }
    }
  }

  // MARK: Applications (section C.5)

  private func application(_ object: JSON) {
    let (namespace, name) = place(object)
    let now = now
    if object.at("metadata", "annotations", "argocd.argoproj.io/refresh") != nil {
      cluster.change("applications", namespace, name) { object in
        object.set(nil, at: "metadata", "annotations", "argocd.argoproj.io/refresh")
        object.set(.string(now), at: "status", "reconciledAt")
      }
      return
    }
    let phase = object.at("status", "operationState", "phase")?.asString ?? ""
    if phase == "Running" || phase == "Terminating" {
      finish(object, namespace, name, now)
    } else if let operation = object["operation"] {
      cluster.change("applications", namespace, name) { object in
        object.set(
          ["operation": operation, "phase": "Running", "startedAt": .string(now)],
          at: "status",
          "operationState"
        )
      }
    } else if object.at("status", "health", "status") == "Progressing" {
      cluster.change("applications", namespace, name) { object in
        object.set("Healthy", at: "status", "health", "status")
        object.set(.string(now), at: "status", "reconciledAt")
      }
    }
  }

  private func finish(_ object: JSON, _ namespace: String, _ name: String, _ now: String) {
    let state = object.at("status", "operationState")
    let isTerminating = state?["phase"] == "Terminating"
    // Failed, waiting for its retry: still Running, with a time of its end.
    if !isTerminating, state?["retryCount"] == nil, chance(script.retriedSyncs) {
      cluster.change("applications", namespace, name) { object in
        object.set(1, at: "status", "operationState", "retryCount")
        object.set(.string(now), at: "status", "operationState", "finishedAt")
      }
      return
    }
    let revision = state?.at("operation", "sync", "revision") ?? "HEAD"
    cluster.change("applications", namespace, name) { object in
      object.set(nil, at: "operation")
      object.set(
        isTerminating ? "Failed" : "Succeeded",
        at: "status",
        "operationState",
        "phase"
      )
      object.set(.string(now), at: "status", "operationState", "finishedAt")
      object.set(
        isTerminating ? "operation terminated" : "successfully synced",
        at: "status",
        "operationState",
        "message"
      )
      if isTerminating { return }
      object.set(revision, at: "status", "operationState", "syncResult", "revision")
      object.set("Synced", at: "status", "sync", "status")
      object.set(revision, at: "status", "sync", "revision")
      object.set("Progressing", at: "status", "health", "status")
      object.set(.string(now), at: "status", "reconciledAt")
      let history = object.at("status", "history")?.items ?? []
      let entry: JSON = ["id": JSON(history.count), "revision": revision]
      object.set(.array(history + [entry]), at: "status", "history")
    }
  }

  // MARK: Rollouts (section D.3, E.3)

  private func rollout(_ object: JSON) {
    let (namespace, name) = place(object)
    let now = now
    let failsAnalysis = script.failsAnalysis
    let generation = object.at("metadata", "generation")?.wholeNumber ?? 0
    let hash = String(
      (object.at("spec", "template")?.text ?? "").utf8.reduce(5381) {
        ($0 &* 33) ^ Int($1)
      }.magnitude % 1_000_000
    )
    cluster.change("rollouts", namespace, name) { object in
      var status = object["status"] ?? [:]
      defer { object.set(status, at: "status") }
      let steps = object.at("spec", "strategy", "canary", "steps")?.items ?? []
      if status["stableRS"] == nil { status.set(.string(hash), at: "stableRS") }
      if status["currentPodHash"] != .string(hash) {
        status.set(.string(hash), at: "currentPodHash")
        status.set(
          JSON(status["stableRS"] == .string(hash) ? steps.count : 0),
          at: "currentStepIndex"
        )
        for key in ["abort", "abortedAt", "pauseConditions", "controllerPause", "promoteFull"] {
          status.set(nil, at: key)
        }
      }
      let moved = generation != Int(status["observedGeneration"]?.asString ?? "")
      status.set(.string(String(generation)), at: "observedGeneration")
      if moved { status.set("Progressing", at: "phase") }
      if status["abort"] == true {
        if status["abortedAt"] == nil { status.set(.string(now), at: "abortedAt") }
        status.set("Degraded", at: "phase")
        status.set("RolloutAborted: Rollout aborted", at: "message")
        return
      }
      status.set(nil, at: "abortedAt")
      if status["promoteFull"] == true { status.set(JSON(steps.count), at: "currentStepIndex") }
      if status["controllerPause"] == true {
        if status["pauseConditions"]?.items.isEmpty == false { return }
        status.set(nil, at: "controllerPause")
        let index = status["currentStepIndex"]?.wholeNumber ?? 0
        status.set(JSON(index + 1), at: "currentStepIndex")
        status.set("Progressing", at: "phase")
        return
      }
      let index = status["currentStepIndex"]?.wholeNumber ?? 0
      guard steps.indices.contains(index) else {
        status.set(.string(hash), at: "stableRS")
        status.set(nil, at: "promoteFull")
        status.set("Healthy", at: "phase")
        status.set(nil, at: "message")
        return
      }
      if steps[index]["pause"] != nil {
        status.set(true, at: "controllerPause")
        status.set(
          [["reason": "CanaryPauseStep", "startTime": .string(now)]],
          at: "pauseConditions"
        )
        status.set("Paused", at: "phase")
        status.set("CanaryPauseStep", at: "message")
      } else if steps[index]["analysis"] != nil && failsAnalysis {
        status.set(
          ["name": .string(name + "-analysis"), "status": "Failed"],
          at: "canary",
          "currentStepAnalysisRunStatus"
        )
        status.set(true, at: "abort")
        status.set("Progressing", at: "phase")
      } else {
        status.set(JSON(index + 1), at: "currentStepIndex")
        status.set("Progressing", at: "phase")
      }
    }
  }
}
