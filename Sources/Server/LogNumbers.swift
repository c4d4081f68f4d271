import EventLog
import EventSources
import Manifest
import Observe
import Plugin
import Posix
import Synchronization
import Triggers

/// The log in metrics.
struct LogNumbers: Sendable {
  private let metrics: Metrics
  private let held: Gauge

  init(_ metrics: Metrics) {
    self.metrics = metrics
    held = metrics.gauge(
      "signalbox_log_held_bytes",
      help: "Bytes of the log that cannot go, by who needs them.",
      labels: ["holder"]
    )
  }

  func register(_ log: EventLog) {
    let known = Known()
    let held = held
    metrics.gauge("signalbox_log_bytes", help: "Size of the log.") {
      let figures = log.figures
      // Asked for at each scrape, so the other gauge is set here; one who let go holds 0 bytes.
      for holder in known.add(figures.heldBytes.keys) {
        held.set(Double(figures.heldBytes[holder] ?? 0), [holder])
      }
      return Double(figures.bytes)
    }
    metrics.gauge(
      "signalbox_log_limit_bytes",
      help: "Size of the log at which events are refused."
    ) { Double(log.figures.maxBytes) }
    metrics.gauge("signalbox_log_records", help: "Records on the log.") {
      Double(log.figures.records)
    }
    metrics.gauge("signalbox_log_oldest_seconds", help: "Age of the first record.") {
      log.figures.oldest.map { Double(wallClockNanoseconds() - $0) / 1e9 }
    }
    metrics.gauge(
      "signalbox_dedupe_window_seconds",
      help: "How far back a repeated event is known."
    ) {
      log.figures.identitiesSince.map { Double(wallClockNanoseconds() - $0) / 1e9 }
    }
  }

  private final class Known: Sendable {
    private let names = Mutex<Set<String>>([])

    func add(_ more: some Sequence<String>) -> Set<String> {
      names.withLock { names in
        names.formUnion(more)
        return names
      }
    }
  }
}

extension LogSettings {
  /// What the EventBus manifests say. Their errors were reported before.
  static func read(_ manifests: [String]) -> LogSettings {
    let reader = ManifestReader(
      sourceKinds: Set(eventSourceKinds.map(\.kind)),
      triggerKinds: Set(triggerKinds.map(\.kind)),
      Diagnostics()
    )
    return reader.read(manifests).buses.reduce(LogSettings()) { $0.merged(with: $1.settings) }
  }
}

extension EventLog.Configuration {
  /// The limit may be smaller than a segment: then segments are smaller, so that some can go.
  mutating func apply(_ settings: LogSettings) {
    if let maxAge = settings.maxAge {
      self.maxAge = maxAge
      segmentAge = min(segmentAge, max(.seconds(1), maxAge / 8))
      upkeepInterval = min(upkeepInterval, segmentAge)
    }
    if let maxBytes = settings.maxBytes {
      self.maxBytes = maxBytes
      segmentBytes = min(segmentBytes, max(64 << 10, maxBytes / 16))
    }
    if let window = settings.window { identityWindow = window }
  }
}
