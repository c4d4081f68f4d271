/// Reads one document after the other; what it finds wrong goes to the diagnostics.
struct DocumentReader {
  let sourceKinds: Set<String>
  let triggerKinds: Set<String>
  let diagnostics: Diagnostics

  static let apiVersion = "argoproj.io/v1alpha1"
  static let kinds = ["EventBus", "EventSource", "Sensor"]

  /// Who a document is.
  struct Identity {
    let namespace: String
    let name: String
    let mark: Mark
    let block: Block
    let document: Node
  }

  func read(_ node: Node, into set: inout ManifestSet) {
    let root = Block(node, path: "", diagnostics)
    guard case .mapping = node.value else { return }
    let version = root.requiredString("apiVersion")
    let kind = root.requiredString("kind")
    guard !version.isEmpty, !kind.isEmpty else { return }
    guard version == Self.apiVersion else {
      if Self.kinds.contains(kind) {
        root.error("apiVersion", "found '\(version)', expected '\(Self.apiVersion)'")
      } else {
        root.warning("kind", "found '\(kind)', which is not ours to read; skipped")
      }
      return
    }
    guard Self.kinds.contains(kind) else {
      if neighbours.contains(kind) {
        root.warning("kind", "found '\(kind)', which is not ours to read; skipped")
      } else {
        let hint = nearestName(to: kind, in: Self.kinds).map { "; did you mean '\($0)'?" } ?? ""
        let kinds = Self.kinds.joined(separator: ", ")
        root.error("kind", "found '\(kind)', expected one of \(kinds)\(hint)")
      }
      return
    }
    guard let identity = identity(root) else { return }
    // Written by the cluster, of no interest here.
    root.accept("status")
    guard let spec = root.block("spec") else {
      root.error("spec", "found nothing, expected a mapping")
      return
    }
    switch kind {
    case "EventSource": set.eventSources.append(eventSource(identity, spec))
    case "Sensor": set.sensors.append(sensor(identity, spec))
    default: set.buses.append(eventBus(identity, spec))
    }
    root.finish()
  }

  private func identity(_ root: Block) -> Identity? {
    guard let metadata = root.block("metadata") else {
      root.error("metadata", "found nothing, expected a mapping with a name")
      return nil
    }
    let name = metadata.requiredString("name")
    let namespace = metadata.string("namespace") ?? "default"
    if !name.isEmpty, !isSubdomain(name) {
      metadata.error(
        "name",
        "found '\(name)', expected at most 253 lower-case letters, digits, '-' and '.', "
          + "beginning and ending with a letter or digit"
      )
    }
    if !isLabel(namespace) {
      metadata.error(
        "namespace",
        "found '\(namespace)', expected at most 63 lower-case letters, digits and '-', "
          + "beginning and ending with a letter or digit"
      )
    }
    for key in ["labels", "annotations"] { _ = metadata.stringMap(key) }
    metadata.accept(
      "creationTimestamp",
      "deletionGracePeriodSeconds",
      "deletionTimestamp",
      "finalizers",
      "generateName",
      "generation",
      "managedFields",
      "ownerReferences",
      "resourceVersion",
      "selfLink",
      "uid"
    )
    metadata.finish()
    return Identity(
      namespace: namespace,
      name: name,
      mark: metadata.mark(of: "name"),
      block: metadata,
      document: root.node
    )
  }

  // MARK: Shared by the kinds

  func busName(_ spec: Block) -> String {
    guard let name = spec.string("eventBusName"), !name.isEmpty else { return "default" }
    if !isSubdomain(name) {
      spec.error("eventBusName", "found '\(name)', expected the name of an EventBus")
    }
    return name
  }

  /// `signalbox.compat` of an event source, all that is added to its spec as a whole; nil where it
  /// says nothing.
  func compatibility(_ spec: Block) -> Compatibility? {
    guard let own = spec.block("signalbox") else { return nil }
    let kind = (name: "event sources", differences: Difference.ofEventSources)
    let compat = Compatibility(from: own, of: kind)
    own.finish()
    return compat
  }

  /// Names become parts of event attributes, which are bounded and printable.
  func checkName(_ name: String, _ mark: Mark, _ path: String) {
    let isPrintable = name.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7f }
    if name.isEmpty || name.utf8.count > 253 || !isPrintable {
      diagnostics.add(
        Diagnostic(
          .error,
          mark,
          field: path,
          "found a name that is empty, longer than 253 bytes or has control characters"
        )
      )
    }
  }
}

/// Kinds of the same group that live beside ours in people's folders.
private let neighbours: Set<String> = [
  "AnalysisRun", "AnalysisTemplate", "AppProject", "Application", "ApplicationSet",
  "ClusterAnalysisTemplate", "ClusterWorkflowTemplate", "CronWorkflow", "Experiment", "Rollout",
  "Workflow", "WorkflowArtifactGCTask", "WorkflowEventBinding", "WorkflowTaskResult",
  "WorkflowTaskSet", "WorkflowTemplate",
]

/// An RFC 1123 label: what Kubernetes takes as a namespace.
private func isLabel(_ name: String) -> Bool { name.utf8.count <= 63 && isDashedName(name[...]) }

/// Labels with dots between them: what Kubernetes takes as a name (RFC 1123).
private func isSubdomain(_ name: String) -> Bool {
  name.utf8.count <= 253
    && name.split(separator: ".", omittingEmptySubsequences: false).allSatisfy(isDashedName)
}

private func isDashedName(_ name: Substring) -> Bool {
  name.utf8.first != 0x2d && name.utf8.last != 0x2d && !name.isEmpty
    && name.utf8.allSatisfy {
      (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2d
    }
}
