package import Cluster
import EventSources
import JSON
import Manifest
import Plugin
import Sensor

/// What the operator lets manifests of single namespaces do beyond what all may.
package struct NamespaceGrants: Sendable, Equatable {
  /// Namespaces whose manifests may reach the machine that the program runs on.
  package var machine: Set<String> = []
  /// By namespace: others that its manifests may read and act in; `*` for all, and for objects that
  /// are in none.
  package var others: [String: Set<String>] = [:]

  package init() {}

  /// - Parameter texts: each `NAMESPACE=OTHER`.
  /// - Throws: `NamespaceGrantError` for a text that is none.
  package mutating func allow(_ texts: [String]) throws(NamespaceGrantError) {
    for text in texts {
      let parts = text.split(separator: "=", omittingEmptySubsequences: false).map(String.init)
      guard parts.count == 2, isNamespace(parts[0]), parts[1] == "*" || isNamespace(parts[1]) else {
        throw NamespaceGrantError(text: text)
      }
      others[parts[0], default: []].insert(parts[1])
    }
  }

  /// Where manifests of `namespace` may read and act.
  package func scope(of namespace: String) -> ClusterScope {
    let others = others[namespace] ?? []
    return others.contains("*") ? .everywhere : ClusterScope(others.union([namespace]))
  }
}

package struct NamespaceGrantError: Error, CustomStringConvertible {
  let text: String

  package var description: String {
    "found '\(text)', expected NAMESPACE=OTHER or NAMESPACE=* with names of namespaces"
  }
}

/// Whether Kubernetes takes it as the name of a namespace (RFC 1123).
package func isNamespace(_ name: String) -> Bool {
  (1...63).contains(name.utf8.count) && !name.hasPrefix("-") && !name.hasSuffix("-")
    && name.utf8.allSatisfy {
      (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2d
    }
}

/// What holds for manifests where each namespace is somebody else's.
struct NamespaceRules: Sendable {
  let grants: NamespaceGrants
  /// The secrets that manifests of a namespace may name.
  let secrets: @Sendable (_ namespace: String) -> any SecretStore
}

extension PlanBuilder {
  /// What event sources of a namespace get.
  func sourceHost(in namespace: String) -> BusSourceHost {
    guard let namespaces else { return sourceHost }
    var host = sourceHost
    host.secrets = namespaces.secrets(namespace)
    host.cluster = host.cluster.scoped(to: namespaces.grants.scope(of: namespace))
    return host
  }

  /// What triggers of a namespace get.
  func triggerHost(in namespace: String) -> EngineTriggerHost {
    guard let namespaces else { return triggerHost }
    var host = triggerHost
    host.secrets = namespaces.secrets(namespace)
    host.cluster = host.cluster.scoped(to: namespaces.grants.scope(of: namespace))
    return host
  }

  /// Who may write objects into a namespace may not thereby read files or run programs here.
  func checkMachine(_ kind: EventSourceKind, _ entry: EventSourceEntry, _ namespace: String) {
    guard kind.reachesMachine, let refusal = machineRefusal(of: kind.kind, namespace) else {
      return
    }
    report(entry.mark, entry.path, refusal)
  }

  /// The same of a trigger, which may also read its object from a file.
  func checkMachine(
    _ kind: TriggerKind,
    _ spec: Node,
    _ manifest: TriggerManifest,
    _ namespace: String
  ) {
    if kind.runsPrograms, let refusal = machineRefusal(of: kind.kind, namespace) {
      report(manifest.mark, manifest.specPath, refusal)
    }
    if spec["source"]?["file"] != nil, let refusal = machineRefusal(of: "file", namespace) {
      report(manifest.mark, manifest.specPath + ".source.file", refusal)
    }
  }

  private func machineRefusal(of kind: String, _ namespace: String) -> String? {
    guard let namespaces, !namespaces.grants.machine.contains(namespace) else { return nil }
    return "'\(kind)' reaches the machine that Signalbox runs on, which manifests of the namespace "
      + "'\(namespace)' may not; --allow-command \(namespace) lets them"
  }
}

extension PlanBuilder {
  /// A command that anybody could have run.
  func refuse(_ command: TriggerID, reachedFrom key: EventKey, _ manifests: [SensorManifest]) {
    for manifest in manifests
    where manifest.namespace == command.sensor.namespace && manifest.name == command.sensor.name {
      report(
        manifest.mark,
        "spec.triggers",
        "anybody can send events to the event source '\(key.source)', and they reach the command "
          + "'\(command.name)': give the event source a secret, or let it say signalbox: "
          + "{unauthenticated: true}"
      )
    }
  }
}
