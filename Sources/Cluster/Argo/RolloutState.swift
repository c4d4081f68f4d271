package import JSON

/// What a Rollout says (spec section D.3).
package struct RolloutState: Sendable {
  package let object: JSON

  package init(_ object: JSON) { self.object = object }

  private func status(_ keys: String...) -> JSON? { object["status"]?.at(keys) }

  package var resourceVersion: String { object.at("metadata", "resourceVersion")?.asString ?? "" }
  package var generation: String {
    (object.at("metadata", "generation")?.wholeNumber).map(String.init) ?? ""
  }

  /// The rules of section D.3, which `status.phase` alone breaks.
  package var phase: String {
    if status("observedGeneration")?.asString != generation { return "Progressing" }
    if status("controllerPause") == true && pauses.isEmpty { return "Progressing" }
    let workload = object.at("metadata", "annotations", "rollout.argoproj.io/workload-generation")
    if object.at("spec", "workloadRef") != nil, let workload,
      workload != status("workloadObservedGeneration")
    {
      return "Progressing"
    }
    return status("phase")?.asString ?? "Progressing"
  }

  /// The generation of the object named by `workloadRef` that it has seen; -1: none.
  package var workloadObservedGeneration: Int {
    Int(status("workloadObservedGeneration")?.asString ?? "") ?? -1
  }

  package var message: String { status("message")?.asString ?? "" }
  package var pauses: [JSON] { status("pauseConditions")?.items ?? [] }
  package var isAborted: Bool { status("abort") == true }
  package var isPaused: Bool { object.at("spec", "paused") == true }
  package var stepIndex: Int { status("currentStepIndex")?.wholeNumber ?? 0 }
  package var steps: [JSON] { object.at("spec", "strategy", "canary", "steps")?.items ?? [] }
  package var isCanary: Bool { object.at("spec", "strategy", "canary") != nil }
  package var podHash: String { status("currentPodHash")?.asString ?? "" }
  package var stableHash: String { status("stableRS")?.asString ?? "" }

  package var templateDigest: JSON { Self.digest(of: object.at("spec", "template") ?? [:]) }

  /// Tells one template from another.
  package static func digest(of template: JSON) -> JSON {
    // FNV-1a, 64 bits.
    let digest = template.text.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) {
      ($0 ^ UInt64($1)) &* 0x100_0000_01b3
    }
    return .string(String(digest, radix: 16))
  }

  /// Whether the version of the spec is the one that serves everybody.
  package var isLive: Bool { phase == "Healthy" && stableHash == podHash }

  /// Stopped by an analysis that came to no result.
  package var isInconclusive: Bool {
    pauses.contains { $0["reason"] == "InconclusiveAnalysisRun" }
  }

  /// What tells one stop of the rollout from the next one.
  package var place: JSON {
    [
      "podHash": .string(podHash), "step": JSON(stepIndex),
      "pause": pauses.first?["startTime"] ?? .null,
      "abort": .bool(isAborted), "abortedAt": status("abortedAt") ?? .null,
    ]
  }

  /// The analysis runs that its status names, with their results.
  package var analyses: [JSON] {
    let places: [[String]] = [
      ["canary", "currentStepAnalysisRunStatus"], ["canary", "currentBackgroundAnalysisRunStatus"],
      ["blueGreen", "prePromotionAnalysisRunStatus"],
      ["blueGreen", "postPromotionAnalysisRunStatus"],
    ]
    return places.compactMap { object["status"]?.at($0) }
  }

  /// What an outcome tells about it.
  package var result: JSON {
    var result: JSON = [
      "kind": "Rollout", "namespace": object.at("metadata", "namespace") ?? "",
      "name": object.at("metadata", "name") ?? "", "phase": .string(phase),
      "message": .string(message), "podHash": .string(podHash), "stableHash": .string(stableHash),
      "step": JSON(stepIndex), "steps": JSON(steps.count),
    ]
    if isAborted { result.set(true, at: "aborted") }
    if let weight = status("canary", "weights", "canary", "weight") {
      result.set(weight, at: "weight")
    }
    let analyses = self.analyses
    if !analyses.isEmpty { result.set(.array(analyses), at: "analysis") }
    let images = (object.at("spec", "template", "spec", "containers")?.items ?? [])
      .compactMap { $0["image"] }
    if !images.isEmpty { result.set(.array(images), at: "images") }
    for key in ["rolloutStartedAt", "finishedAt", "completionStatus"] {
      if let value = status("duration", key) { result.set(value, at: key) }
    }
    return result
  }
}
