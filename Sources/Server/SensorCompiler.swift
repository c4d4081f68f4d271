import Cluster
package import Engine
import EventSources
package import Expression
import HTTPClient
import Logging
package import Manifest
import Observe
import Plugin
import Sensor
import Triggers

/// Compiles sensors so that they can be tried: by the same rules as `run`, with nothing started,
/// nothing sent and no secret read.
package struct SensorCompiler: Sendable {
  private let jq: JQWorkers
  private let world: TemplateWorld
  private let compat: Compatibility

  /// - Parameters:
  ///   - program: the path of this program, which runs jq.
  ///   - world: what templates and scripts see of the machine.
  ///   - compat: how sensors are read that say nothing of it.
  package init(program: String, world: TemplateWorld, compat: Compatibility = .fixed) {
    jq = JQWorkers(program: program, count: 1)
    self.world = world
    self.compat = compat
  }

  /// Reads manifests; what is wrong with them goes to the diagnostics.
  package static func reader(_ diagnostics: Diagnostics) -> ManifestReader {
    ManifestReader(
      sourceKinds: Set(eventSourceKinds.map(\.kind)),
      triggerKinds: Set(triggerKinds.map(\.kind)),
      diagnostics
    )
  }

  /// A plan of this sensor alone; nil when there was an error.
  package func plan(_ sensor: SensorManifest, _ diagnostics: Diagnostics) -> EnginePlan? {
    let (plan, triggers) = builder(diagnostics).compile(sensor)
    return diagnostics.hasErrors ? nil : EnginePlan(sensors: [plan], triggers: triggers)
  }

  /// One part of a dependency's filters, by itself.
  package struct Clause: Sendable {
    /// Such as `data[0]: body.ref`.
    package let name: String
    package let filter: EventFilter
    package let mark: Mark
  }

  /// What of a dependency's filters can be true or false by itself.
  package func clauses(of dependency: DependencyManifest) -> [Clause] {
    let builder = builder(Diagnostics())
    return (dependency.filters?.parts ?? []).map {
      Clause(name: $0.name, filter: builder.filter($0.filters), mark: $0.mark ?? dependency.mark)
    }
  }

  private func builder(_ diagnostics: Diagnostics) -> PlanBuilder {
    let logger = Logger(label: "signalbox")
    return PlanBuilder(
      sourceKinds: eventSourceKinds,
      triggerKinds: triggerKinds,
      sourceHost: BusSourceHost(
        secrets: PlaceholderSecrets(),
        bus: nil,
        loop: nil,
        http: nil,
        places: SourcePlaces(),
        key: nil,
        bodies: RecentBodies(),
        instruments: Instruments(in: Metrics()),
        logger: logger,
        cluster: .none
      ),
      triggerHost: EngineTriggerHost(
        secrets: PlaceholderSecrets(),
        logger: logger,
        http: nil,
        allowOutbound: AllowList(),
        key: nil,
        jobs: "",
        loop: nil,
        kafka: nil,
        cluster: .none
      ),
      jq: jq,
      diagnostics: diagnostics,
      compat: compat,
      world: world
    )
  }
}

/// A value for every secret: what is tried must not need the real ones.
private struct PlaceholderSecrets: SecretStore {
  let holdsPlaceholders = true

  func secret(name: String, key: String) throws(SecretError) -> Secret {
    Secret(Array("secret \(name)/\(key)".utf8))
  }

  func liveSecrets(name: String, key: String) throws(SecretError) -> [Secret] {
    [try secret(name: name, key: key)]
  }
}
