import JSON

/// Rollouts (sections D.3 and E.3): one step of their machine at a time.
extension ArgoController {
  func rollout(_ object: JSON) {
    let (namespace, name) = place(object)
    let hash = hash(of: object.at("spec", "template"))
    replicaSet(of: object, namespace, name, hash)
    let image = object.at("spec", "template", "spec", "containers")?.items.first?["image"]?.asString
    let fails = script.failsAnalysis || image.map(script.brokenImages.contains) ?? false
    let generation = object.at("metadata", "generation")?.wholeNumber ?? 0
    var analysis: String?
    var isMoved = false
    cluster.change("rollouts", namespace, name) { object in
      // Asked once more for the part beside the status.
      guard !isMoved, object.at("metadata", "generation")?.wholeNumber == generation,
        self.hash(of: object.at("spec", "template")) == hash
      else { return }
      isMoved = true
      var status = object["status"] ?? [:]
      begin(&status, object, hash, generation)
      if let started = move(&status, object, fails: fails) {
        analysis = "\(name)-\(hash)-\(started)"
      }
      if let analysis {
        status.set(.string(analysis), at: "canary", "currentStepAnalysisRunStatus", "name")
      }
      object.set(status, at: "status")
    }
    if let analysis, cluster.object("analysisruns", namespace, analysis) == nil {
      _ = try? cluster.put(
        "analysisruns",
        namespace,
        [
          "metadata": ["name": .string(analysis)],
          "status": ["phase": fails ? "Failed" : "Successful"],
        ]
      )
    }
  }

  private func hash(of template: JSON?) -> String {
    let sum = (template?.text ?? "").utf8.reduce(5381) { ($0 &* 33) ^ Int($1) }
    return String(sum.magnitude % 1_000_000)
  }

  /// One ReplicaSet for each template; the one in use has the highest revision.
  private func replicaSet(of object: JSON, _ namespace: String, _ name: String, _ hash: String) {
    let key = "rollout.argoproj.io/revision"
    let uid = object.at("metadata", "uid") ?? .null
    let sets = cluster.objects("replicasets", namespace).filter {
      $0.at("metadata", "ownerReferences")?.items.first?["uid"] == uid
    }
    func revision(_ set: JSON) -> Int {
      Int(set.at("metadata", "annotations", key)?.asString ?? "") ?? 0
    }
    let own = sets.first { place($0).name == "\(name)-\(hash)" }
    let highest = sets.map(revision).max() ?? 0
    if let own, revision(own) == highest { return }
    let next = JSON.string(String(highest + 1))
    if own != nil {
      cluster.change("replicasets", namespace, "\(name)-\(hash)") {
        $0.set(next, at: "metadata", "annotations", key)
      }
      return
    }
    var template = object.at("spec", "template") ?? [:]
    template.set(.string(hash), at: "metadata", "labels", "rollouts-pod-template-hash")
    _ = try? cluster.put(
      "replicasets",
      namespace,
      [
        "metadata": [
          "name": .string("\(name)-\(hash)"), "annotations": [key: next],
          "ownerReferences": [["kind": "Rollout", "name": .string(name), "uid": uid]],
        ],
        "spec": ["template": template],
      ]
    )
  }

  /// Takes note of a new template, which ends an abort.
  private func begin(_ status: inout JSON, _ object: JSON, _ hash: String, _ generation: Int) {
    let steps = steps(object)
    if status["stableRS"] == nil { status.set(.string(hash), at: "stableRS") }
    if status["currentPodHash"] != .string(hash) {
      status.set(.string(hash), at: "currentPodHash")
      let isStable = status["stableRS"] == .string(hash)
      status.set(JSON(isStable ? steps.count : 0), at: "currentStepIndex")
      for key in [
        "abort", "abortedAt", "pauseConditions", "controllerPause", "promoteFull", "canary",
      ] {
        status.set(nil, at: key)
      }
    }
    if generation != Int(status["observedGeneration"]?.asString ?? "") {
      status.set(.string(String(generation)), at: "observedGeneration")
      status.set("Progressing", at: "phase")
    }
  }

  private func steps(_ object: JSON) -> [JSON] {
    object.at("spec", "strategy", "canary", "steps")?.items ?? []
  }

  /// - Returns: the step whose analysis has ended.
  private func move(_ status: inout JSON, _ object: JSON, fails: Bool) -> Int? {
    let steps = steps(object)
    if status["abort"] == true {
      if status["abortedAt"] == nil { status.set(.string(now), at: "abortedAt") }
      status.set("Degraded", at: "phase")
      status.set("RolloutAborted: Rollout aborted", at: "message")
      for key in ["controllerPause", "pauseConditions"] { status.set(nil, at: key) }
      return nil
    }
    status.set(nil, at: "abortedAt")
    if object.at("spec", "paused") == true {
      status.set("Paused", at: "phase")
      status.set("manually paused", at: "message")
      return nil
    }
    if status["promoteFull"] == true { status.set(JSON(steps.count), at: "currentStepIndex") }
    let index = status["currentStepIndex"]?.wholeNumber ?? 0
    if status["controllerPause"] == true {
      if status["pauseConditions"]?.items.isEmpty == false { return nil }
      status.set(nil, at: "controllerPause")
      status.set(JSON(index + 1), at: "currentStepIndex")
      status.set("Progressing", at: "phase")
      return nil
    }
    guard steps.indices.contains(index) else {
      status.set(status["currentPodHash"], at: "stableRS")
      status.set(nil, at: "promoteFull")
      status.set("Healthy", at: "phase")
      status.set(nil, at: "message")
      return nil
    }
    return step(index, steps[index], &status, fails: fails)
  }

  private func step(
    _ index: Int,
    _ step: JSON,
    _ status: inout JSON,
    fails: Bool
  ) -> Int? {
    if step["pause"] != nil {
      status.set(true, at: "controllerPause")
      status.set([["reason": "CanaryPauseStep", "startTime": .string(now)]], at: "pauseConditions")
      status.set("Paused", at: "phase")
      status.set("CanaryPauseStep", at: "message")
      return nil
    }
    let run = ["canary", "currentStepAnalysisRunStatus"][...]
    if step["analysis"] != nil && status.at("canary", "currentStepAnalysisRunStatus") == nil {
      status.set(["status": "Running"], at: run)
      return nil
    }
    if step["analysis"] != nil {
      status.set(.string(fails ? "Failed" : "Successful"), at: run + ["status"])
      if fails {
        status.set(true, at: "abort")
      } else {
        status.set(JSON(index + 1), at: "currentStepIndex")
      }
      status.set("Progressing", at: "phase")
      return index
    }
    if let weight = step["setWeight"] {
      status.set(weight, at: "canary", "weights", "canary", "weight")
    }
    status.set(JSON(index + 1), at: "currentStepIndex")
    status.set("Progressing", at: "phase")
    return nil
  }
}
