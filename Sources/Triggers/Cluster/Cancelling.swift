import Cluster
import Event
package import JSON
package import Plugin

/// The mark that a run is stopped for a firing, which its follower reads, after a restart too: the
/// firing's id, a space and why.
enum CancelMark {
  static let annotation = "signalbox/cancelled"

  static func text(_ id: FiringID, _ why: String) -> JSON {
    .string("\(id.text) \(why)")
  }

  /// Why `object` was marked for the firing; nil where it was not.
  static func why(_ object: JSON, _ id: String) -> String? {
    guard let text = object.at("metadata", "annotations", annotation)?.asString else { return nil }
    let parts = text.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.first.map({ $0 == id }) == true else { return nil }
    return parts.count > 1 ? String(parts[1]) : "it was stopped"
  }
}

extension CancelOutcome {
  /// What a refusal of the cluster means for the asking. What is gone has ended.
  init(_ error: any Error) {
    guard let error = error as? ClusterError else {
      self = .retry(after: nil, why: "\(error)")
      return
    }
    if error.code == 404 {
      self = .asked
    } else if error.isTransient {
      self = .retry(after: error.retryAfter, why: error.description)
    } else {
      self = .refused(why: error.description)
    }
  }
}

extension WorkflowTrigger {
  /// `spec.shutdown: Stop`: what runs is killed, exit handlers still run (spec section B.4).
  package func cancel(_ firing: Firing, started: JSON, why: String) async -> CancelOutcome {
    let namespace = started["namespace"]?.asString ?? ""
    let name = started["name"]?.asString ?? ""
    do {
      let client = try host.cluster.connection().client
      let type = try await client.resource(Self.version, kind: "Workflow")
      let state = WorkflowState(try await client.get(type, namespace: namespace, name: name))
      // Ended, or a namesake: its follower tells.
      guard state.uid == started["uid"]?.asString, !state.isOver else { return .asked }
      _ = try await client.patch(
        type,
        namespace: namespace,
        name: name,
        .merge,
        [
          // The uid keeps a namesake from being stopped.
          "metadata": [
            "uid": .string(state.uid),
            "annotations": [CancelMark.annotation: CancelMark.text(firing.id, why)],
          ],
          "spec": ["shutdown": "Stop"],
        ]
      )
      return .asked
    } catch { return CancelOutcome(error) }
  }
}

extension ApplicationTrigger {
  /// Terminates the firing's operation, or takes the request back where it was not picked up. One
  /// that was applied and waits for its health is only marked: there is nothing to stop.
  package func cancel(_ firing: Firing, started: JSON, why: String) async -> CancelOutcome {
    if started["operation"] == "refresh" { return .refused(why: "a refresh cannot be stopped") }
    let id = firing.id.text
    do {
      let target = try await target(
        started["namespace"]?.asString ?? "",
        started["name"]?.asString ?? ""
      )
      var attempt = 0
      while true {
        let state = try await target.state()
        guard state.isMine(id) || state.isRequested(id) else { return .asked }
        if target.type == nil { return try await cancel(state, target, firing, why) }
        var patch: JSON = [
          "metadata": [
            // The operation must still be the one that was looked at.
            "resourceVersion": .string(state.resourceVersion),
            "annotations": [CancelMark.annotation: CancelMark.text(firing.id, why)],
          ]
        ]
        if !state.isMine(id) {
          patch.set(.null, at: "operation")
        } else if state.phase == "Running" {
          patch.set("Terminating", at: "status", "operationState", "phase")
        }
        do throws(ClusterError) {
          _ = try await target.patch(patch)
          return .asked
        } catch {
          guard error.isConflict, attempt < 5 else { throw error }
          attempt += 1
        }
      }
    } catch { return CancelOutcome(error) }
  }
}

extension ApplicationTrigger {
  /// Through the server, which takes over annotations and terminates what runs, but takes no request
  /// back.
  private func cancel(
    _ state: ApplicationState,
    _ target: ApplicationTarget,
    _ firing: Firing,
    _ why: String
  ) async throws(ClusterError) -> CancelOutcome {
    _ = try await target.patch(
      ["metadata": ["annotations": [CancelMark.annotation: CancelMark.text(firing.id, why)]]]
    )
    guard state.isMine(firing.id.text) else {
      return .retry(after: .seconds(1), why: "the request was not picked up yet")
    }
    if state.phase == "Running" { _ = try await target.terminate(state) }
    return .asked
  }
}

extension RolloutTrigger {
  /// Aborts the rollout where it still rolls out what the firing asked for.
  package func cancel(_ firing: Firing, started: JSON, why: String) async -> CancelOutcome {
    let operation = started["operation"]?.asString ?? ""
    if ["abort", "restart"].contains(operation) {
      return .refused(why: "\(operation) of a rollout cannot be stopped")
    }
    do {
      let target = try await target(
        started["namespace"]?.asString ?? "",
        started["name"]?.asString ?? ""
      )
      let mark: JSON = [
        "metadata": [
          "uid": started["uid"] ?? "",
          "annotations": [CancelMark.annotation: CancelMark.text(firing.id, why)],
        ]
      ]
      let state = RolloutState(try await target.patch(mark))
      let isSame = started["template"] == nil || started["template"] == state.templateDigest
      guard isSame, !state.isAborted, !state.isLive else { return .asked }
      _ = try await target.patch(["status": ["abort": true]], "status")
      return .asked
    } catch { return CancelOutcome(error) }
  }
}
