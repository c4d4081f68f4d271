import Cluster
import JSON

/// What a rollout is to roll out after a change of its template.
struct TemplateChange {
  /// `RolloutState.templateDigest`.
  let template: JSON
  /// Of the object that `workloadRef` names, after the change; the rollout must have seen it.
  var workloadGeneration: Int?
}

/// Other templates for a rollout: other images, or those of an earlier revision. With `workloadRef`
/// the template is that of the object it names (spec sections D.1 and D.2).
extension RolloutTrigger {
  /// Changes the template once for the firing: which template that is was noted before, so that a
  /// repetition neither goes one revision further back nor overwrites what came since.
  func changeTemplate(
    _ target: Target,
    _ state: RolloutState,
    _ claim: Claim
  ) async throws(ClusterError) -> Result<TemplateChange, ClusterError> {
    var (object, type) = (state.object, target.type)
    let workload = state.object.at("spec", "workloadRef")
    if let workload {
      type = try await target.client.resource(
        workload["apiVersion"]?.asString ?? "",
        kind: workload["kind"]?.asString ?? ""
      )
      object = try await target.client.get(
        type,
        namespace: target.namespace,
        name: workload["name"]?.asString ?? ""
      )
    }
    let old = object.at("spec", "template") ?? [:]
    let wanted: JSON
    if let noted = try noted(claim) {
      wanted = noted.wanted
      guard old == wanted || RolloutState.digest(of: old) == noted.original else {
        return .failure(ClusterError(.configuration, "another template came in between"))
      }
    } else {
      guard let chosen = try await template(for: old, target, state) else {
        let what =
          spec.revision == 0
          ? "there is no earlier revision" : "no ReplicaSet has revision \(spec.revision)"
        return .failure(ClusterError(.configuration, what))
      }
      wanted = chosen
      try note(wanted, RolloutState.digest(of: old), state, claim)
    }
    if old != wanted {
      var changed = object
      changed.set(wanted, at: "spec", "template")
      object = try await target.client.replace(
        type,
        namespace: target.namespace,
        name: object.at("metadata", "name")?.asString ?? "",
        changed
      )
    }
    if workload == nil {
      return .success(TemplateChange(template: RolloutState(object).templateDigest))
    }
    return .success(
      TemplateChange(
        template: state.templateDigest,
        workloadGeneration: object.at("metadata", "generation")?.wholeNumber
      )
    )
  }

  private func noted(
    _ claim: Claim
  ) throws(ClusterError) -> (wanted: JSON, original: JSON)? {
    do {
      guard let note = try claim.read(), let wanted = note["wanted"] else { return nil }
      return (wanted, note["original"] ?? .null)
    } catch { throw ClusterError(.credential, "\(error)") }
  }

  private func note(
    _ wanted: JSON,
    _ original: JSON,
    _ state: RolloutState,
    _ claim: Claim
  ) throws(ClusterError) {
    do {
      var note = try claim.read() ?? ["place": state.place]
      note.set(wanted, at: "wanted")
      note.set(original, at: "original")
      try claim.write(note)
    } catch { throw ClusterError(.credential, "\(error)") }
  }

  /// nil: nothing has the revision.
  private func template(
    for old: JSON,
    _ target: Target,
    _ state: RolloutState
  ) async throws(ClusterError) -> JSON? {
    spec.operation == .undo ? try await earlierTemplate(target, state) : withImages(old)
  }

  private func withImages(_ template: JSON) -> JSON {
    var template = template
    for list in ["initContainers", "containers", "ephemeralContainers"] {
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
  private func earlierTemplate(
    _ target: Target,
    _ state: RolloutState
  ) async throws(ClusterError) -> JSON? {
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
}
