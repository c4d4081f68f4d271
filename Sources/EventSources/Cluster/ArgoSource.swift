import Cluster
import Event
import JSON
package import Manifest
package import Plugin

/// `argo`: Workflows, Applications, Rollouts and AnalysisRuns that change their phase, whoever
/// started them.
package struct ArgoSource: EventSource {
  package typealias Spec = ArgoSpec

  package static let kind = "argo"

  package static let hasOwnFilter = true

  private let spec: ArgoSpec
  private let name: EventSourceName
  private let host: any SourceHost

  package init(_ spec: Spec, name: EventSourceName, host: any SourceHost, _ block: Block) {
    self.spec = spec
    self.name = name
    self.host = host
    warnWithoutCluster(host, block)
    checkReach(spec.namespace, host, block)
  }

  /// Who may change objects is for the cluster to say.
  package var isAuthenticated: Bool { true }

  package func run() async {
    await withDiscardingTaskGroup { group in
      for kind in spec.kinds {
        group.addTask { [spec, name, host] in
          await readObjects(
            apiVersion: "argoproj.io/v1alpha1",
            plural: kind.plural,
            namespace: spec.namespace,
            name,
            host
          ) { _ in ArgoTeller(spec: spec, kind: kind, name: name, host: host) }
        }
      }
    }
  }
}

/// Tells changes of phase.
private struct ArgoTeller: ObjectTeller {
  let spec: ArgoSpec
  let kind: ArgoSpec.Kind
  let name: EventSourceName
  let host: any SourceHost

  var wantsBodies: Bool { false }

  /// What of an object has phases: an application its operations and its health, the others only
  /// themselves.
  private func phases(_ object: JSON) -> [(aspect: String, phase: String)] {
    switch kind {
    case .workflow: return [("run", WorkflowState(object).phase)]
    case .analysisRun: return [("run", object.at("status", "phase")?.asString ?? "")]
    case .rollout:
      // Before the controller has seen it, it has none.
      return [("run", object["status"] == nil ? "" : RolloutState(object).phase)]
    case .application:
      let state = ApplicationState(object)
      return [("operation", state.phase), ("health", state.health)]
    }
  }

  func note(of object: ObservedObject) -> JSON? {
    guard spec.filter.takes(object), let json = object.json else { return nil }
    var note: JSON = [:]
    for (aspect, phase) in phases(json) { note.set(.string(phase), at: aspect) }
    // Two operations in a row may both be seen as ended only.
    if kind == .application {
      note.set(.string(ApplicationState(json).startedAt), at: "operationStartedAt")
    }
    return note
  }

  func events(_ change: ObjectChange) -> [Event] {
    guard let object = change.object.json, object["kind"] != nil else { return [] }
    let started = kind == .application ? ApplicationState(object).startedAt : ""
    return phases(object).compactMap { aspect, phase in
      let last = change.note?[aspect]?.asString ?? ""
      let isOther =
        aspect == "operation" && change.note?["operationStartedAt"]?.asString ?? "" != started
      guard !phase.isEmpty, phase != last || isOther else { return nil }
      guard spec.phases.isEmpty || spec.phases.contains(phase) else { return nil }
      return event(change.object, object, aspect, phase, last)
    }
  }

  private func event(
    _ observed: ObservedObject,
    _ object: JSON,
    _ aspect: String,
    _ phase: String,
    _ last: String
  ) -> Event {
    var data: JSON = [
      "kind": .string(kind.rawValue), "namespace": .string(observed.namespace),
      "name": .string(observed.name), "uid": .string(observed.uid), "aspect": .string(aspect),
      "phase": .string(phase), "lastPhase": .string(last),
    ]
    if let labels = object.at("metadata", "labels") { data.set(labels, at: "labels") }
    if let firing = firing(object) { data.set(.string(firing), at: "firing") }
    data.set(result(object), at: "result")
    if !spec.metadata.isEmpty { data.set(.object(spec.metadata), at: "metadata") }
    return Event(
      id: Event.stableID(
        "argo",
        name.namespace,
        name.source,
        name.event,
        observed.uid,
        observed.resourceVersion,
        aspect
      ),
      namespace: name.namespace,
      bus: name.bus,
      source: name.source,
      type: ArgoSource.kind,
      subject: name.event,
      time: host.now(),
      data: data.encoded()
    )
  }

  /// The firing of ours that started it.
  private func firing(_ object: JSON) -> String? {
    if let id = object.at("metadata", "labels", "signalbox/firing")?.asString { return id }
    let info = object.at("status", "operationState", "operation", "info")?.items ?? []
    return info.first { $0["name"] == .string(ApplicationState.infoName) }?["value"]?.asString
  }

  private func result(_ object: JSON) -> JSON {
    switch kind {
    case .workflow: return WorkflowState(object).result
    case .application: return ApplicationState(object).result
    case .rollout: return RolloutState(object).result
    case .analysisRun:
      var result: JSON = [
        "kind": "AnalysisRun", "message": object.at("status", "message") ?? "",
        "metrics": .array((object.at("status", "metricResults")?.items ?? []).map(metric)),
      ]
      for key in ["startedAt", "completedAt"] {
        if let value = object.at("status", key) { result.set(value, at: key) }
      }
      if let owner = object.at("metadata", "ownerReferences")?.items.first {
        result.set(["kind": owner["kind"] ?? "", "name": owner["name"] ?? ""], at: "owner")
      }
      return result
    }
  }

  /// Without its measurements.
  private func metric(_ metric: JSON) -> JSON {
    var short = JSON.object([])
    for key in ["name", "phase", "successful", "failed", "inconclusive", "error", "message"] {
      if let value = metric[key] { short.set(value, at: key) }
    }
    return short
  }
}
