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

  static let version = "argoproj.io/v1alpha1"

  let spec: RolloutSpec
  let host: any TriggerHost

  package static func refusal(ofParameter destination: String) -> String? {
    if destination == "rollout" || destination.hasPrefix("images.") { return nil }
    return "found '\(destination)', expected rollout or images.NAME"
  }

  package init(_ spec: RolloutSpec, original: RolloutSpec?, host: any TriggerHost, _ block: Block) {
    self.spec = spec
    self.host = host
    warnWithoutCluster(host, block)
    checkReach(spec.namespace, "namespace", host, block)
  }

  package func forget(_ id: FiringID) { Claim.remove(id.text, host) }

  /// One rollout of a cluster.
  struct Target {
    let connection: ClusterAccess.Connection
    let type: ResourceType
    let namespace: String
    let name: String
    var client: ClusterClient { connection.client }

    func state() async throws(ClusterError) -> RolloutState {
      RolloutState(try await client.get(type, namespace: namespace, name: name))
    }

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

  func target(_ namespace: String, _ name: String) async throws(ClusterError) -> Target {
    let connection = try host.cluster.connection()
    let type = try await connection.client.resource(Self.version, kind: "Rollout")
    return Target(connection: connection, type: type, namespace: namespace, name: name)
  }

  package func fire(_ firing: Firing) async -> Outcome {
    do {
      let target = try await target(spec.namespace ?? firing.namespace, spec.rollout)
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
    var state = try await target.state()
    var known: JSON?
    do { known = try claim.read() } catch { throw ClusterError(.credential, "\(error)") }
    if spec.operation == .promote, known == nil {
      switch try await pause(target) {
      case .ended(let outcome): return outcome
      case .paused(let paused): state = paused
      }
    }
    let note: JSON =
      known ?? [
        "place": state.place,
        "time": .string(Timestamp(nanoseconds: wallClockNanoseconds()).wholeSeconds),
      ]
    do { if known == nil { try claim.write(note) } } catch {
      throw ClusterError(.credential, "\(error)")
    }
    // Promoting twice would end a second pause: where it has moved since, that was this firing or
    // is no longer its affair.
    let hasMoved = note["place"] != state.place
    var change = TemplateChange(template: state.templateDigest)
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
      switch try await changeTemplate(target, state, claim) {
      case .success(let made): change = made
      case .failure(let refusal): return .reject(why: refusal.description, result: state.result)
      }
    }
    var result = reference(state.object, target.type)
    result.set(.string(spec.operation.rawValue), at: "operation")
    result.set(note["place"], at: "place")
    result.set(note["time"], at: "time")
    result.set(change.template, at: "template")
    if let generation = change.workloadGeneration {
      result.set(JSON(generation), at: "workloadGeneration")
    }
    return spec.isFollowed ? .started(result: result) : .done(result: state.result)
  }

  private enum Waited: Sendable {
    case paused(RolloutState)
    case ended(Outcome)
  }

  /// Waits for the pause that is to be ended: promoting what still moves would skip a step, and an
  /// analysis may be that step.
  private func pause(_ target: Target) async throws(ClusterError) -> Waited {
    let timeout = spec.timeout
    let deadline = MonotonicTime.now() + timeout
    let waited = await target.connection.followers.follow(
      target.type,
      namespace: target.namespace,
      name: target.name,
      patience: { max(.zero, deadline - MonotonicTime.now()) }
    ) { sighting -> Waited? in
      switch sighting {
      case .present(let object):
        let state = RolloutState(object)
        switch state.phase {
        case "Paused": return .paused(state)
        case "Healthy" where state.isLive:
          return .ended(.skipped(why: "there is nothing to promote", result: state.result))
        case "Degraded":
          return .ended(
            .reject(why: "the rollout is degraded: \(state.message)", result: state.result)
          )
        default: return nil
        }
      case .gone: return .ended(.reject(why: "the rollout was deleted", result: .null))
      case .nothing:
        guard MonotonicTime.now() >= deadline else { return nil }
        return .ended(.reject(why: "the rollout did not pause within \(timeout)", result: .null))
      }
    }
    return waited ?? .ended(.retry(after: nil, why: "shutting down", result: .null))
  }

  /// The plugin's rules for a rollout that is paused, with the version as a lock (section D.2).
  private func promote(_ target: Target, _ state: RolloutState) async throws(ClusterError)
    -> Outcome?
  {
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
    }
    var version: JSON = .string(state.resourceVersion)
    if state.isPaused {
      let changed = try await target.patch(
        ["metadata": ["resourceVersion": version], "spec": ["paused": false]]
      )
      version = changed.at("metadata", "resourceVersion") ?? version
    }
    if status.members.isEmpty { return Optional.none }
    _ = try await target.patch(
      ["metadata": ["resourceVersion": version], "status": status],
      "status"
    )
    return Optional.none
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
      let target = try await target(
        started["namespace"]?.asString ?? "",
        started["name"]?.asString ?? ""
      )
      let outcome = await target.connection.followers.follow(
        target.type,
        namespace: target.namespace,
        name: target.name,
        patience: { max(.zero, deadline - MonotonicTime.now()) }
      ) { sighting -> Outcome? in
        switch sighting {
        case .present(let object):
          let state = RolloutState(object)
          let cancelled = CancelMark.why(object, firing.id.text)
          // The Deployment's new template has not come through yet.
          if let least = started["workloadGeneration"]?.wholeNumber,
            state.workloadObservedGeneration < least
          {
            break
          }
          if let cancelled, let ending = Self.ending(state, started, cancelled) { return ending }
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

  /// How one ends that was asked to stop; nil while it does not stand yet.
  private static func ending(
    _ state: RolloutState,
    _ started: JSON,
    _ cancelled: String
  ) -> Outcome? {
    let isOther = started["template"] != nil && started["template"] != state.templateDigest
    guard isOther || state.isAborted && state.phase == "Degraded" else {
      return Optional<Outcome>.none
    }
    return .cancelled(why: cancelled, result: state.result)
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
