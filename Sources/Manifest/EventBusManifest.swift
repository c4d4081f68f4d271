/// An `EventBus` document (spec section 5.1). `kafka` puts the bus on a topic; every other kind means
/// the embedded log.
package struct EventBusManifest: Sendable {
  package let namespace: String
  package let name: String
  package let mark: Mark
  /// `jetstream`, `jetstreamExotic`, `kafka` or `nats`.
  package let kind: String
  /// The block under `kafka`.
  package let kafka: Node?
  package let kafkaPath: String
  package let settings: LogSettings
}

/// What `signalbox` in an EventBus says about the log; nil: the default. One log serves all buses:
/// where several speak the larger value holds.
package struct LogSettings: Equatable, Sendable {
  /// `retention.maxAge`: what is older goes, unless somebody needs it.
  package var maxAge: Duration?
  /// `retention.maxBytes`: above it events are refused with 503.
  package var maxBytes: Int?
  /// `retention.holdFor`: how long the place of a sensor that was removed is kept.
  package var holdFor: Duration?
  /// `deduplication.window`: how long an id is remembered.
  package var window: Duration?
  /// `deadLetters.maxAge` and `.maxCount`: beyond, the oldest go.
  package var deadLetterAge: Duration?
  package var deadLettersMax: Int?

  package init() {}

  /// Below this a single segment would not fit.
  package static let leastBytes = 1 << 20

  init(from own: Block) {
    if let retention = own.block("retention") {
      maxAge = retention.duration("maxAge")
      maxBytes = retention.integer("maxBytes", in: Self.leastBytes...Int.max)
      holdFor = retention.duration("holdFor")
      retention.finish()
    }
    if let deduplication = own.block("deduplication") {
      window = deduplication.duration("window")
      deduplication.finish()
    }
    if let letters = own.block("deadLetters") {
      deadLetterAge = letters.duration("maxAge")
      deadLettersMax = letters.integer("maxCount", in: 0...100_000)
      letters.finish()
    }
    own.finish()
  }

  /// The larger of each setting.
  package func merged(with other: LogSettings) -> LogSettings {
    var merged = LogSettings()
    merged.maxAge = [maxAge, other.maxAge].compactMap(\.self).max()
    merged.maxBytes = [maxBytes, other.maxBytes].compactMap(\.self).max()
    merged.holdFor = [holdFor, other.holdFor].compactMap(\.self).max()
    merged.window = [window, other.window].compactMap(\.self).max()
    merged.deadLetterAge = [deadLetterAge, other.deadLetterAge].compactMap(\.self).max()
    merged.deadLettersMax = [deadLettersMax, other.deadLettersMax].compactMap(\.self).max()
    return merged
  }
}

extension DocumentReader {
  func eventBus(_ identity: Identity, _ spec: Block) -> EventBusManifest {
    let kinds = ["jetstream", "jetstreamExotic", "kafka", "nats"]
    let found = kinds.filter { spec.contains($0) }
    if found.count != 1 {
      let what = found.isEmpty ? "none" : found.joined(separator: ", ")
      spec.error(nil, "found \(what), expected one of \(kinds.joined(separator: ", "))")
    }
    let kafka = spec.node("kafka")
    for kind in found where kind != "kafka" {
      let known = knownBusKeys[kind] ?? []
      guard let bus = spec.block(kind) else { continue }
      for key in known where bus.contains(key) {
        bus.report(.info, key, "has no meaning for the embedded log and is not used")
      }
      bus.finish()
    }
    let settings = spec.block("signalbox").map { LogSettings(from: $0) } ?? LogSettings()
    spec.finish()
    return EventBusManifest(
      namespace: identity.namespace,
      name: identity.name,
      mark: identity.mark,
      kind: found.first ?? "",
      kafka: kafka,
      kafkaPath: spec.child("kafka"),
      settings: settings
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
