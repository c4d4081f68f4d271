import Cluster
import Engine
import EventLog
import EventSources
import Expression
import HTTPClient
import KafkaClient
import Logging
import Manifest
import Observe
import Plugin
import Posix
import Triggers

/// What plans are built with.
struct Parts: Sendable {
  let secrets: FolderSecrets
  /// nil where nothing runs.
  let bus: EventLog?
  let loop: EventLoop?
  /// nil where nothing runs.
  var sourceLoop: EventLoop?
  /// nil where nothing runs.
  var kafka: KafkaProducers?
  let places = SourcePlaces()
  let http: HTTPClient?
  let allowOutbound: AllowList
  let key: InstallationKey?
  let jobs: String
  let instruments: Instruments
  let logger: Logger
  var cluster = ClusterAccess.none
  /// This program again, as what runs jq.
  var jq = JQWorkers(program: "/proc/self/exe")
  let bodies = RecentBodies()
  var compat = Compatibility.fixed
  /// Where the work of the bus is shared: what takes events; nil: they are appended to `bus`.
  var intake: SharedIntake?
  /// nil: all manifests are the operator's own.
  var namespaces: NamespaceRules?

  /// Those for reading manifests; nothing runs.
  static func reading(
    _ secrets: FolderSecrets,
    _ logger: Logger,
    _ compat: Compatibility,
    http: HTTPClient? = nil
  ) -> Parts {
    Parts(
      secrets: secrets,
      bus: nil,
      loop: nil,
      http: http,
      allowOutbound: AllowList(),
      key: nil,
      jobs: "",
      instruments: Instruments(in: Metrics()),
      logger: logger,
      compat: compat
    )
  }

  var sourceHost: BusSourceHost {
    BusSourceHost(
      secrets: secrets,
      bus: bus,
      intake: intake,
      loop: sourceLoop,
      http: http,
      places: places,
      key: key,
      bodies: bodies,
      instruments: instruments,
      logger: logger,
      cluster: cluster
    )
  }

  func builder(_ diagnostics: Diagnostics) -> PlanBuilder {
    var builder = PlanBuilder(
      sourceKinds: eventSourceKinds,
      triggerKinds: triggerKinds,
      sourceHost: sourceHost,
      triggerHost: EngineTriggerHost(
        secrets: secrets,
        logger: logger,
        http: http,
        allowOutbound: allowOutbound,
        key: key,
        jobs: jobs,
        loop: loop,
        kafka: kafka,
        cluster: cluster
      ),
      jq: jq,
      diagnostics: diagnostics,
      compat: compat
    )
    builder.namespaces = namespaces
    return builder
  }
}
