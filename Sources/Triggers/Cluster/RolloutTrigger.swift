import Cluster
package import Event
package import JSON
package import Manifest
package import Plugin
import Posix

/// `argoRollout`: promotes, aborts, retries, restarts, pauses or undoes a Rollout, or gives it an
/// image, with the requests of section D.2, and follows it to its next stop (section D.3).
package struct RolloutTrigger: Trigger {
  package static let kind = "argoRollout"
  package static let concurrency = 16
  package static let runsPrograms = false
  package static let isFollowed = true

  private static let version = "argoproj.io/v1alpha1"

  private let spec: RolloutSpec
  private let host: any TriggerHost

  package static func refusal(ofParameter destination: String) -> String? {
    if destination == "rollout" || destination.hasPrefix("images.") { return nil }
    return "found '\(destination)', expected rollout or images.NAME"
  }

  package init(_ spec: RolloutSpec, original: RolloutSpec?, host: any TriggerHost, _ block: Block) {
    self.spec = spec
    self.host = host
    warnWithoutCluster(host, block)
  }

  package func forget(_ id: FiringID) { Claim.remove(id.text, host) }

  private struct Target {
    let client: ClusterClient
    let type: ResourceType
    let namespace: String
    let name: String

    func patch(_ patch: JSON, _ subresource: String? = nil) async throws(ClusterError) -> JSON {
      try await client.patch(
        type,
        namespace: namespace,
        name: name,
        subresource: subresource,
        .merge,
        patch
      )
    }
  }

  package func fire(_ firing: Firing) async -> Outcome {
    do {
      let client = try host.cluster.connection().client
      let target = Target(
        client: client,
        type: try await client.resource(Self.version, kind: "Rollout"),
        namespace: spec.namespace ?? firing.namespace,
        name: spec.rollout
      )
      let claim = Claim(firing, host)
      var attempt = 0
      while true {
        do throws(ClusterError) { return try await act(target, claim) } catch {
          // Somebody wrote in between: what there is to do is looked up anew.
          guard error.isConflict, attempt < 5 else { throw error }
          attempt += 1
        }
      }
    } catch { return Outcome(error) }
  }

  private func act(_ target: Target, _ claim: Claim) async throws(ClusterError) -> Outcome {
    let state = RolloutState(
      try await target.client.get(target.type, namespace: target.namespace, name: target.name)
    )
    let note: JSON
    do {
      note =
        try claim.read() ?? [
          "place": state.place,
          "time": .string(Timestamp(nanoseconds: wallClockNanoseconds()).wholeSeconds),
        ]
      try claim.write(note)
    } catch { throw ClusterError(.credential, "\(error)") }
    // Promoting twice would skip a step: where it has moved since, that was this firing or is no
    // longer its affair.
    let hasMoved = note["place"] != state.place
    switch spec.operation {
    case .promote, .promoteFull:
      if !hasMoved, let ending = try await promote(target, state) { return ending }
    case .abort:
      if !state.isAborted { _ = try await target.patch(["status": ["abort": true]], "status") }
    case .retry:
      if !hasMoved && !state.isAborted {
        return .skipped(why: "the rollout is not aborted", result: state.result)
      }
      if state.isAborted { _ = try await target.patch(["status": ["abort": false]], "status") }
    case .pause: _ = try await target.patch(["spec": ["paused": true]])
    case .restart:
      _ = try await target.patch(["spec": ["restartAt": note["time"] ?? .null]])
    case .setImage, .undo:
      if let ending = try await changeTemplate(target, state) { return ending }
    }
    var result = reference(state.object, target.type)
    result.set(.string(spec.operation.rawValue), at: "operation")
    result.set(note["place"], at: "place")
    result.set(note["time"], at: "time")
    return spec.isFollowed ? .started(result: result) : .done(result: state.result)
  }

  /// The plugin's rules, with the version as a lock so that no step is skipped (section D.2).
  private func promote(_ target: Target, _ state: RolloutState) async throws(ClusterError)
    -> Outcome?
  {
    if state.isPaused { _ = try await target.patch(["spec": ["paused": false]]) }
    var status = JSON.object([])
    if spec.operation == .promoteFull {
      guard state.podHash != state.stableHash else {
        return .skipped(why: "the rollout is live already", result: state.result)
      }
      status.set(true, at: "promoteFull")
    } else if state.isCanary && state.isInconclusive
      && state.steps.indices.contains(state.stepIndex)
      && state.steps[state.stepIndex]["analysis"] != nil
    {
      status = [
        "pauseConditions": nil, "controllerPause": false,
        "currentStepIndex": JSON(state.stepIndex + 1),
      ]
    } else if !state.pauses.isEmpty {
      status.set(.null, at: "pauseConditions")
    } else if state.isCanary && state.stepIndex < state.steps.count {
      status = ["pauseConditions": nil, "currentStepIndex": JSON(state.stepIndex + 1)]
    } else if !state.isPaused {
      return .skipped(why: "there is nothing to promote", result: state.result)
    } else {
      return Optional.none
    }
    var patch: JSON = ["status": status]
    if !state.isPaused {
      patch.set(.string(state.resourceVersion), at: "metadata", "resourceVersion")
    }
    _ = try await target.patch(patch, "status")
    return Optional.none
  }

  /// Gives the template other images, or that of an earlier revision.
  private func changeTemplate(_ target: Target, _ state: RolloutState) async throws(ClusterError)
    -> Outcome?
  {
    if state.object.at("spec", "workloadRef") != nil {
      return .reject(
        why: "the template is that of a Deployment (workloadRef), which is not supported yet",
        result: state.result
      )
    }
    let template: JSON
    if spec.operation == .undo {
      guard let earlier = try await earlierTemplate(target, state) else {
        return .reject(why: "no ReplicaSet has that revision", result: state.result)
      }
      template = earlier
    } else {
      template = withImages(state.object.at("spec", "template") ?? [:])
    }
    if template == state.object.at("spec", "template") { return Optional.none }
    // The version in the object is the lock.
    var object = state.object
    object.set(template, at: "spec", "template")
    _ = try await target.client.replace(
      target.type,
      namespace: target.namespace,
      name: target.name,
      object
    )
    return Optional.none
  }

  private func withImages(_ template: JSON) -> JSON {
    var template = template
    for list in ["initContainers", "containers"] {
      guard let containers = template.at("spec", list)?.items, !containers.isEmpty else { continue }
      let changed = containers.map { container -> JSON in
        var container = container
        for (name, image) in spec.images
        where name == "*" || container["name"] == .string(name) {
          container.set(.string(image), at: "image")
        }
        return container
      }
      template.set(.array(changed), at: "spec", list)
    }
    return template
  }

  /// The template of the ReplicaSet with the revision, without the label that the controller adds.
  private func earlierTemplate(_ target: Target, _ state: RolloutState) async throws(ClusterError)
    -> JSON?
  {
    let type = try await target.client.resource("apps/v1", kind: "ReplicaSet")
    let uid = state.object.at("metadata", "uid")
    let all = try await target.client.list(type, namespace: target.namespace)
    let owned = all.compactMap { set -> (revision: Int, template: JSON)? in
      guard
        (set.at("metadata", "ownerReferences")?.items ?? []).contains(where: { $0["uid"] == uid }),
        let text = set.at("metadata", "annotations", "rollout.argoproj.io/revision")?.asString,
        let revision = Int(text), var template = set.at("spec", "template")
      else { return Optional.none }
      template.set(nil, at: "metadata", "labels", "rollouts-pod-template-hash")
      return (revision, template)
    }.sorted { $0.revision > $1.revision }
    if spec.revision != 0 { return owned.first { $0.revision == spec.revision }?.template }
    return owned.dropFirst().first?.template
  }

  // MARK: To the next stop

  package func follow(
    _ firing: Firing,
    started: JSON,
    report: @escaping ProgressReport
  ) async -> Outcome {
    let operation = started["operation"]?.asString ?? ""
    let place = started["place"] ?? .null
    let timeout = spec.timeout
    let deadline = MonotonicTime.now() + timeout
    do {
      let connection = try host.cluster.connection()
      let type = try await connection.client.resource(Self.version, kind: "Rollout")
      let outcome = await connection.followers.follow(
        type,
        namespace: started["namespace"]?.asString ?? "",
        name: started["name"]?.asString ?? "",
        patience: { max(.zero, deadline - MonotonicTime.now()) }
      ) { sighting -> Outcome? in
        switch sighting {
        case .present(let object):
          let state = RolloutState(object)
          if let ending = Self.ending(state, operation, place) { return ending }
          await report("step-\(state.stepIndex)", state.result)
        case .gone(let last):
          return .unknown(
            why: "the rollout was deleted",
            result: last.map { RolloutState($0).result } ?? started
          )
        case .nothing: break
        }
        guard MonotonicTime.now() >= deadline else { return Optional<Outcome>.none }
        return .reject(why: "the rollout came to no stop within \(timeout)", result: started)
      }
      return outcome ?? .retry(after: nil, why: "no longer followed", result: started)
    } catch { return .retry(after: .seconds(5), why: "\(error)", result: started) }
  }

  /// An aborted rollout stays degraded until the retry or the other template is seen.
  private static func isNewFailure(_ state: RolloutState, _ place: JSON) -> Bool {
    guard place["abort"] == true else { return true }
    return state.isAborted
      ? state.place["abortedAt"] != place["abortedAt"] : state.place["podHash"] != place["podHash"]
  }

  /// nil while it moves, and while what was asked for is not to be seen yet.
  private static func ending(_ state: RolloutState, _ operation: String, _ place: JSON) -> Outcome?
  {
    if operation == "abort" {
      guard state.isAborted, state.phase == "Degraded" else { return Optional<Outcome>.none }
      return .done(result: state.result)
    }
    switch state.phase {
    case "Healthy" where state.isLive: return .done(result: state.result)
    case "Degraded" where isNewFailure(state, place):
      return .reject(why: "the rollout is degraded: \(state.message)", result: state.result)
    case "Paused" where state.place != place:
      if state.isInconclusive {
        return .reject(why: "an analysis came to no result: \(state.message)", result: state.result)
      }
      return .done(result: state.result)
    default: return Optional<Outcome>.none
    }
  }
}
