/// An `EventBus` document (spec section 5.1). Every kind that can be loaded means the embedded log.
package struct EventBusManifest: Sendable {
  package let namespace: String
  package let name: String
  package let mark: Mark
  /// `jetstream`, `jetstreamExotic` or `nats`.
  package let kind: String
}

extension DocumentReader {
  func eventBus(_ identity: Identity, _ spec: Block) -> EventBusManifest {
    let kinds = ["jetstream", "jetstreamExotic", "kafka", "nats"]
    let found = kinds.filter { spec.contains($0) }
    if found.count != 1 {
      let what = found.isEmpty ? "none" : found.joined(separator: ", ")
      spec.error(nil, "found \(what), expected one of \(kinds.joined(separator: ", "))")
    }
    spec.notSupportedYet("kafka")
    for kind in found where kind != "kafka" {
      let known = knownBusKeys[kind] ?? []
      guard let bus = spec.block(kind) else { continue }
      for key in known where bus.contains(key) {
        bus.report(.info, key, "has no meaning for the embedded log and is not used")
      }
      bus.finish()
    }
    spec.finish()
    return EventBusManifest(
      namespace: identity.namespace,
      name: identity.name,
      mark: identity.mark,
      kind: found.first ?? ""
    )
  }
}

private let knownBusKeys = [
  "jetstream": [
    "version", "replicas", "persistence", "settings", "streamConfig", "startArgs", "maxPayload",
    "containerTemplate", "metricsContainerTemplate", "reloaderContainerTemplate", "metadata",
    "nodeSelector", "tolerations", "securityContext", "imagePullSecrets", "priorityClassName",
    "priority", "affinity", "serviceAccountName",
  ],
  "jetstreamExotic": ["url", "accessSecret", "streamConfig", "tls"],
  "nats": ["native", "exotic"],
]
