import Cluster
import Event
import JSON
package import Manifest
package import Plugin

/// `resource`: objects of a cluster that are made, changed and deleted (spec section 2.7).
package struct ResourceSource: EventSource {
  package typealias Spec = ResourceSpec

  package static let kind = "resource"

  package static let hasOwnFilter = true

  private let spec: ResourceSpec
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
    await readObjects(
      apiVersion: spec.apiVersion,
      plural: spec.resource,
      namespace: spec.namespace,
      name,
      host
    ) { type in ResourceTeller(spec: spec, type: type, name: name, host: host) }
  }
}

/// Tells each change as Argo Events does (spec section 1.3).
private struct ResourceTeller: ObjectTeller {
  let spec: ResourceSpec
  let type: ResourceType
  let name: EventSourceName
  let host: any SourceHost

  var wantsBodies: Bool { spec.kinds.contains(.updated) }

  func note(of object: ObservedObject) -> JSON? { spec.filter.takes(object) ? [:] : nil }

  func events(_ change: ObjectChange) -> [Event] {
    guard spec.kinds.contains(change.kind) else { return [] }
    var data = Array("{\"type\":\"\(change.kind.rawValue)\",\"body\":".utf8)
    data += shown(change.object.bytes)
    data += ",\"oldBody\":".utf8
    data +=
      change.kind == .updated ? change.body.map(shown) ?? Array("null".utf8) : Array("null".utf8)
    var rest: [JSON.Member] = [
      .init(key: "group", value: .string(spec.group)),
      .init(key: "version", value: .string(spec.version)),
      .init(key: "resource", value: .string(spec.resource)),
    ]
    if !spec.metadata.isEmpty {
      rest.append(.init(key: "metadata", value: .object(spec.metadata)))
    }
    data.append(0x2c)
    data += JSON.object(rest).encoded().dropFirst()
    let object = change.object
    // An object is made and deleted once; its changes are told apart by their version.
    let state = change.kind == .updated ? object.resourceVersion : ""
    return [
      Event(
        id: Event.stableID(
          "resource",
          name.namespace,
          name.source,
          name.event,
          change.kind.rawValue,
          object.uid,
          state
        ),
        namespace: name.namespace,
        bus: name.bus,
        source: name.source,
        type: ResourceSource.kind,
        subject: name.event,
        time: host.now(),
        data: data
      )
    ]
  }

  /// What Secret objects hold stays in the cluster.
  private func shown(_ bytes: [UInt8]) -> [UInt8] {
    guard type.group.isEmpty, type.kind == "Secret", var object = try? JSON(parsing: bytes) else {
      return bytes
    }
    for key in ["data", "stringData"] {
      for member in object[key]?.members ?? [] { object.set("***", at: key, member.key) }
    }
    let applied = "kubectl.kubernetes.io/last-applied-configuration"
    if object.at("metadata", "annotations", applied) != nil {
      object.set("***", at: "metadata", "annotations", applied)
    }
    return object.encoded()
  }
}

/// A manifest that needs a cluster loads without one; its source then waits for it.
func warnWithoutCluster(_ host: any SourceHost, _ block: Block) {
  do throws(ClusterError) { _ = try host.cluster.configuration() } catch {
    block.warning(nil, "it will have no events: \(error)")
  }
}

/// Says at load that objects are asked for which are out of reach.
/// - Parameter namespace: nil: all.
func checkReach(_ namespace: String?, _ host: any SourceHost, _ block: Block) {
  if let refusal = host.cluster.scope.refusal(of: namespace) { block.error("namespace", refusal) }
}

/// Reads one kind of object until the task is cancelled, waiting for a cluster that is not there or
/// does not serve the kind yet.
func readObjects(
  apiVersion: String,
  plural: String,
  namespace: String?,
  _ name: EventSourceName,
  _ host: any SourceHost,
  _ teller: (ResourceType) -> any ObjectTeller
) async {
  guard host.loop != nil else { return }
  var wait = Duration.seconds(1)
  @Sendable func told(_ error: ClusterError) {
    host.log(
      .warning,
      "objects of the cluster could not be read; trying again",
      [("source", "\(name)"), ("resource", plural), ("error", "\(error)")]
    )
  }
  while !Task.isCancelled {
    do throws(ClusterError) {
      let connection = try host.cluster.connection()
      let type = try await connection.client.resource(apiVersion, plural: plural)
      let reader = ObjectReader(teller(type), plural, name, host)
      await reader.run(ObjectFeed(connection, type, namespace: namespace), failed: told)
      return
    } catch {
      if Task.isCancelled { return }
      told(error)
      await host.sleep(for: wait)
      wait = min(wait * 2, .seconds(60))
    }
  }
}
