/// What all manifests of one `run` say, read and checked one by one.
package struct ManifestSet: Sendable {
  package var eventSources: [EventSourceManifest] = []
  package var sensors: [SensorManifest] = []
  package var buses: [EventBusManifest] = []
  /// Files of tests alone.
  package var testFiles: [TestFile] = []

  package init() {}
}

/// An `EventSource` document (spec section 2.1).
package struct EventSourceManifest: Sendable {
  package let namespace: String
  package let name: String
  /// `spec.eventBusName`.
  package let bus: String
  package let mark: Mark
  /// `spec.signalbox.compat`; nil: as the installation has it.
  package let compat: Compatibility?
  package let entries: [EventSourceEntry]
}

/// One event of an event source. Its fields are for the plugin of its kind to read.
package struct EventSourceEntry: Sendable {
  /// The key under `spec`, such as `github`.
  package let kind: String
  /// The event name, unique in its manifest whatever the kind.
  package let name: String
  /// Where the event name is written.
  package let mark: Mark
  /// The path of the entry from the document's root, such as `spec.github.push`.
  package let path: String
  package let node: Node
}

/// The names under which Argo Events knows its event sources (spec section 1.3).
let knownSourceKinds = [
  "webhook", "sns", "github", "gitlab", "bitbucket", "bitbucketserver", "gerrit", "kafka",
  "calendar", "file", "sftp", "hdfs", "resource", "generic", "nats", "mqtt", "amqp", "redis",
  "redisStream", "nsq", "pulsar", "emitter", "minio", "sqs", "pubSub", "azureEventsHub",
  "azureQueueStorage", "azureServiceBus", "slack", "stripe", "storageGrid", "mns",
]

extension DocumentReader {
  func eventSource(_ identity: Identity, _ spec: Block) -> EventSourceManifest {
    if identity.name == OutcomePhase.sourceName {
      identity.block.error("name", "found 'outcomes', which is reserved for what triggers report")
    }
    let bus = busName(spec)
    spec.kubernetesOnly("replicas", "service", "template", "revisionHistoryLimit")
    // Published examples still carry it; the kind is the key that an event stands under.
    if spec.contains("type") { spec.report(.info, "type", "has no effect, here as in Argo Events") }
    let compat = compatibility(spec)
    var entries: [EventSourceEntry] = []
    for kind in Set(knownSourceKinds).union(sourceKinds).sorted() {
      if !sourceKinds.contains(kind) { refuse(kind, spec) }
      entries += spec.named(kind).map { entry in
        EventSourceEntry(
          kind: kind,
          name: entry.key,
          mark: entry.mark,
          path: spec.child(kind) + "." + entry.key,
          node: entry.node
        )
      }
    }
    var places: [String: Mark] = [:]
    for entry in entries.sorted(by: {
      ($0.mark.line, $0.mark.column) < ($1.mark.line, $1.mark.column)
    }) {
      checkName(entry.name, entry.mark, entry.path)
      if let first = places[entry.name] {
        diagnostics.add(
          Diagnostic(
            .error,
            entry.mark,
            field: entry.path,
            "found the event name '\(entry.name)' again, expected one entry of that name in an "
              + "event source; the first is at \(first)"
          )
        )
      } else {
        places[entry.name] = entry.mark
      }
    }
    spec.finish()
    if entries.isEmpty {
      spec.error(
        nil,
        "found no event, expected at least one under a kind such as webhook or github"
      )
    }
    return EventSourceManifest(
      namespace: identity.namespace,
      name: identity.name,
      bus: bus,
      mark: identity.mark,
      compat: compat,
      entries: entries.filter { sourceKinds.contains($0.kind) }
    )
  }

  /// A kind that is not built yet: what is misspelt in it is told all the same.
  private func refuse(_ kind: String, _ spec: Block) {
    spec.notSupportedYet(kind)
    for entry in spec.named(kind) {
      let path = spec.child(kind) + "." + entry.key
      KnownFields.sources[kind]?.check(entry.node, path: path, diagnostics)
    }
  }
}
