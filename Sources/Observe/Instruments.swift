/// What Signalbox counts, by the names that dashboards rely on.
package struct Instruments: Sendable {
  /// `port`, `status`: answers given.
  package let requests: Counter
  /// `source`, `event`: events that are durable; redeliveries are not among them.
  package let appended: Counter
  /// `source`, `event`, `reason`: input that left no event behind.
  package let refused: Counter
  /// `source`, `event`, `key`: senders that proved to hold the `current` or `previous` secret.
  package let verified: Counter
  /// `source`, `event`: bodies that came again as another delivery.
  package let repeatedBodies: Counter
  /// Records written by one sync.
  package let batchRecords: Histogram
  /// Seconds that one sync took.
  package let syncSeconds: Histogram
  /// `sensor`, `dependency`: events that passed a dependency's filters.
  package let matched: Counter
  /// `sensor`, `trigger`: decisions to act.
  package let firings: Counter
  /// `sensor`, `trigger`, `phase`: outcome events.
  package let outcomes: Counter

  /// `sensor`, `dependency`: events that a filter could not judge.
  package let filterErrors: Counter
  /// `port`: connections open now.
  package let connections: Gauge
  /// `port`, `how`: requests and connections cut short: slow peers, floods, broken protocol.
  package let misuses: Counter
  /// `source`, `event`: events that had been stored before.
  package let duplicates: Counter
  /// `sensor`, `trigger`: chains that were cut at the hop limit.
  package let loopsStopped: Counter
  /// `sensor`, `part`, `kind`: firings and events that became dead letters.
  package let deadLetters: Counter
  /// `sensor`, `trigger`, `hold`: firings in memory that wait for it to end.
  package let held: Gauge
  /// `sensor`, `trigger`, `why`: events that a window let go without a firing.
  package let letGo: Counter

  /// `source`, `event`, `number`, `of`: what sources say of what they read, such as the `lag` of a
  /// partition.
  package let sourceNumbers: Gauge
  /// `source`, `event`, `error`: errors of what sources read.
  package let sourceErrors: Counter

  /// `kind`, `state`: our objects in the cluster, by whether what they say is in force.
  package let clusterObjects: Gauge

  package init(in metrics: Metrics) {
    clusterObjects = metrics.gauge(
      "signalbox_kubernetes_objects",
      help: "Our objects in the cluster: current, previous (an earlier version stays) or refused.",
      labels: ["kind", "state"]
    )
    sourceNumbers = metrics.gauge(
      "signalbox_source_number",
      help: "What event sources say of what they read.",
      labels: ["source", "event", "number", "of"]
    )
    sourceErrors = metrics.counter(
      "signalbox_source_errors_total",
      help: "Errors of what event sources read.",
      labels: ["source", "event", "error"]
    )
    requests = metrics.counter(
      "signalbox_http_requests_total",
      help: "HTTP requests answered.",
      labels: ["port", "status"]
    )
    misuses = metrics.counter(
      "signalbox_http_misuse_total",
      help: "HTTP requests and connections cut short.",
      labels: ["port", "how"]
    )
    appended = metrics.counter(
      "signalbox_events_appended_total",
      help: "Events stored durably.",
      labels: ["source", "event"]
    )
    refused = metrics.counter(
      "signalbox_events_refused_total",
      help: "Input refused before it became an event.",
      labels: ["source", "event", "reason"]
    )
    verified = metrics.counter(
      "signalbox_senders_verified_total",
      help: "Requests whose sender holds a secret, by which value of it fitted.",
      labels: ["source", "event", "key"]
    )
    repeatedBodies = metrics.counter(
      "signalbox_repeated_bodies_total",
      help: "Events whose signed body came before under another delivery id.",
      labels: ["source", "event"]
    )
    batchRecords = metrics.histogram(
      "signalbox_log_batch_records",
      help: "Records made durable by one sync.",
      buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
    )
    syncSeconds = metrics.histogram(
      "signalbox_log_sync_seconds",
      help: "Time of one write and sync of the log.",
      buckets: [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1]
    )
    matched = metrics.counter(
      "signalbox_sensor_matched_total",
      help: "Events that passed the filters of a dependency.",
      labels: ["sensor", "dependency"]
    )
    firings = metrics.counter(
      "signalbox_firings_total",
      help: "Decisions to fire a trigger.",
      labels: ["sensor", "trigger"]
    )
    outcomes = metrics.counter(
      "signalbox_outcomes_total",
      help: "Outcome events by phase.",
      labels: ["sensor", "trigger", "phase"]
    )
    filterErrors = metrics.counter(
      "signalbox_sensor_filter_errors_total",
      help: "Events that a filter of a dependency could not judge.",
      labels: ["sensor", "dependency"]
    )
    connections = metrics.gauge(
      "signalbox_http_connections",
      help: "Connections open now.",
      labels: ["port"]
    )
    duplicates = metrics.counter(
      "signalbox_events_duplicate_total",
      help: "Redeliveries of events that were stored already.",
      labels: ["source", "event"]
    )
    deadLetters = metrics.counter(
      "signalbox_dead_letters_total",
      help: "Firings of a trigger that failed, and events that a dependency could not judge.",
      labels: ["sensor", "part", "kind"]
    )
    held = metrics.gauge(
      "signalbox_firings_held",
      help: "Firings that are held back, by what holds them.",
      labels: ["sensor", "trigger", "hold"]
    )
    letGo = metrics.counter(
      "signalbox_window_events_let_go_total",
      help: "Events that passed and did not fire: throttled, superseded, expired or evicted.",
      labels: ["sensor", "trigger", "why"]
    )
    loopsStopped = metrics.counter(
      "signalbox_loops_stopped_total",
      help: "Chains of automations that were cut at the hop limit.",
      labels: ["sensor", "trigger"]
    )
  }
}
