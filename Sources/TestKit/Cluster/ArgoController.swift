import Event
import JSON
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
    /// Images whose analysis fails.
    package var brokenImages: Set<String> = []
    /// How many steps an object lies still at the most before it moves.
    package var patience = 3
    /// Whether finished workflows are deleted as their TTL says.
    package var deletesByTTL = false
    /// Of a thousand steps, before how many the controllers are restarted: they stand still for a
    /// while, and the server ends all watches.
    package var restarts = 0

    package init() {}
  }

  private struct State {
    var random: Seeded
    var script = Script()
    var isStopping = false
    /// Steps until a restarted controller is there again.
    var absence = 0
    var task: Task<Void, Never>?
  }

  let cluster: TestCluster
  private let loop: EventLoop
  private let state: Mutex<State>

  /// - Throws: `SystemError`.
  package init(_ cluster: TestCluster, seed: UInt64, script: Script = Script()) throws {
    self.cluster = cluster
    loop = try EventLoop(name: "argo-controller")
    state = Mutex(State(random: Seeded(seed), script: script))
    // On a thread of its own: tests that wait for a process keep those that tasks share.
    let task = Task(executorPreference: loop) { @concurrent [weak self, loop] in
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

  var script: Script { state.withLock { $0.script } }

  private func chance(_ percent: Int) -> Bool {
    state.withLock { Int($0.random.next() % 100) < percent }
  }

  /// Whether an object moves in this step.
  private var moves: Bool {
    state.withLock { $0.random.next() % UInt64(max(1, $0.script.patience)) == 0 }
  }

  var now: String { Timestamp(nanoseconds: wallClockNanoseconds()).wholeSeconds }

  /// Moves every object on once; true: stop.
  private func step() -> Bool {
    let (isAbsent, isRestarted) = state.withLock { state in
      state.absence = max(0, state.absence - 1)
      let isRestarted = Int(state.random.next() % 1000) < state.script.restarts
      if isRestarted { state.absence = 20 }
      return (state.absence > 0, isRestarted)
    }
    if isRestarted { cluster.endWatches() }
    if isAbsent { return state.withLock { $0.isStopping } }
    for object in cluster.objects("workflows") where moves { workflow(object) }
    for object in cluster.objects("applications") where moves { application(object) }
    for object in cluster.objects("rollouts") where moves { rollout(object) }
    return state.withLock { $0.isStopping }
  }

  func place(_ object: JSON) -> (namespace: String, name: String) {
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
      guard script.deletesByTTL,
        let ttl = object.at("spec", "ttlStrategy", "secondsAfterCompletion")?.wholeNumber,
        let end = seconds(object.at("status", "finishedAt")), let now = seconds(.string(now)),
        now - end >= ttl
      else { return }
      cluster.remove("workflows", namespace, name)
      return
    }
    let shutdown = object.at("spec", "shutdown")?.asString ?? ""
    if object.at("spec", "suspend") == true && shutdown.isEmpty { return }
    let fails = chance(script.failingWorkflows)
    cluster.change("workflows", namespace, name) { object in
      switch phase {
      case "":
        object.set("Pending", at: "status", "phase")
      case "Pending":
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
        // Its parameters come out as they went in, and the image that a `sha` makes.
        let parameters = object.at("spec", "arguments", "parameters")?.items ?? []
        let image = parameters.first { $0["name"] == "sha" }?["value"]
        let passed = parameters.filter { $0["name"] == "revision" }
        object.set(
          [
            "outputs": [
              "parameters": .array([["name": "image", "value": image ?? "none"]] + passed)
            ]
          ],
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
    } else if let health = health(of: object), health != object.at("status", "health", "status") {
      cluster.change("applications", namespace, name) { object in
        object.set(health, at: "status", "health", "status")
        object.set(.string(now), at: "status", "reconciledAt")
      }
    }
  }

  /// The rollout that an application consists of: that of its name at its destination.
  private func rollout(of application: JSON) -> JSON? {
    guard let namespace = application.at("spec", "destination", "namespace")?.asString else {
      return nil
    }
    return cluster.object("rollouts", namespace, place(application).name)
  }

  /// nil: nothing was synced yet.
  private func health(of application: JSON) -> JSON? {
    guard application.at("status", "health", "status") != nil else { return nil }
    guard let rollout = rollout(of: application) else { return "Healthy" }
    let observed = rollout.at("status", "observedGeneration")?.asString ?? ""
    guard rollout.at("metadata", "generation")?.wholeNumber == Int(observed) else {
      return "Progressing"
    }
    switch rollout.at("status", "phase")?.asString {
    case "Healthy": return "Healthy"
    case "Paused": return "Suspended"
    case "Degraded": return "Degraded"
    default: return "Progressing"
    }
  }

  /// What a sync applies: the image of the revision.
  private func apply(_ revision: JSON, _ application: JSON) {
    guard let rollout = rollout(of: application) else { return }
    let (namespace, name) = place(rollout)
    cluster.change("rollouts", namespace, name) { object in
      let containers = object.at("spec", "template", "spec", "containers")?.items ?? []
      let changed = containers.map { container -> JSON in
        var container = container
        container.set(.string("\(name):\(revision.asString ?? "")"), at: "image")
        return container
      }
      if !changed.isEmpty {
        object.set(.array(changed), at: "spec", "template", "spec", "containers")
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
    if !isTerminating { apply(revision, object) }
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
      object.set(.string(now), at: "status", "reconciledAt")
      if isTerminating { return }
      object.set(revision, at: "status", "operationState", "syncResult", "revision")
      object.set("Synced", at: "status", "sync", "status")
      object.set(revision, at: "status", "sync", "revision")
      object.set("Progressing", at: "status", "health", "status")
      let history = object.at("status", "history")?.items ?? []
      let entry: JSON = ["id": JSON(history.count), "revision": revision]
      object.set(.array(history + [entry]), at: "status", "history")
    }
  }
}

/// Seconds of the day, enough to tell how long something is over.
private func seconds(_ time: JSON?) -> Int? {
  let parts = time?.asString?.split { "T:Z".contains($0) }.compactMap { Int($0) } ?? []
  guard parts.count == 3 else { return nil }
  return parts[0] * 3600 + parts[1] * 60 + parts[2]
}
