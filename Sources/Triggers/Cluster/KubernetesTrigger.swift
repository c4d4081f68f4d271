import Cluster
package import Event
import JSON
package import Manifest
package import Plugin
import Posix

/// `k8s`: makes, changes or deletes one object of a cluster (spec section 4.4).
package struct KubernetesTrigger: Trigger {
  package static let kind = "k8s"
  package static let concurrency = 16
  package static let runsPrograms = false
  package static let parametersChangeObject = true

  private let spec: KubernetesSpec
  private let host: any TriggerHost

  package static func refusal(ofParameter destination: String) -> String? {
    objectRefusal(destination)
  }

  package init(
    _ spec: KubernetesSpec,
    original: KubernetesSpec?,
    host: any TriggerHost,
    _ block: Block
  ) {
    self.spec = spec
    self.host = host
    warnWithoutCluster(host, block)
    spec.source?.checkReach(host, block)
  }

  package func forget(_ id: FiringID) { Claim.remove(id.text, host) }

  package func fire(_ firing: Firing) async -> Outcome {
    do {
      let connection = try host.cluster.connection()
      let client = connection.client
      guard let source = spec.source else {
        return .reject(why: "the trigger has no source", result: .null)
      }
      var object = try await source.object(host, client, namespace: firing.namespace)
      if !spec.isLive { object = try firing.edit(object) }
      let target = try await Target(object, client, firing)
      let done: Done
      switch spec.operation {
      case .create: done = try await create(object, target, firing)
      case .update: done = try await update(object, target, firing)
      case .patch: done = try await patch(object, target, firing)
      case .delete: return try await delete(target)
      }
      switch done {
      case .ended(let outcome): return outcome
      case .object(let object):
        let result = reference(object, target.type)
        guard let labels = spec.labels else { return .done(result: result) }
        return await labels.wait(for: object, target.type, connection, result)
      }
    } catch { return Outcome(error) }
  }

  private enum Done {
    /// As the cluster has it now.
    case object(JSON)
    case ended(Outcome)
  }

  /// What the operation is about.
  private struct Target {
    let client: ClusterClient
    let type: ResourceType
    let namespace: String
    let name: String

    init(_ object: JSON, _ client: ClusterClient, _ firing: Firing) async throws(ClusterError) {
      guard let version = object["apiVersion"]?.asString, let kind = object["kind"]?.asString else {
        throw ClusterError(.configuration, "the object has no apiVersion or no kind")
      }
      self.client = client
      type = try await client.resource(version, kind: kind)
      let named = object.at("metadata", "namespace")?.asString ?? ""
      namespace = named.isEmpty ? firing.namespace : named
      name = object.at("metadata", "name")?.asString ?? ""
    }
  }

  private func create(_ object: JSON, _ target: Target, _ firing: Firing) async throws -> Done {
    let keyed = KeyedObject(
      client: target.client,
      type: target.type,
      namespace: target.namespace,
      firing: firing,
      claim: Claim(firing, host)
    )
    let now = Timestamp(nanoseconds: wallClockNanoseconds())
    let life = WorkflowBuilder.shortestTTL(of: object)
    switch try await keyed.create(keyed.keyed(object, now: now), lifeSeconds: life) {
    case .object(let made): return .object(made)
    case .unknown(let why): return .ended(.unknown(why: why, result: .null))
    case .foreign(let why): return .ended(.reject(why: why, result: .null))
    }
  }

  /// Not found: created. Otherwise what the new object says wins over what is there, lists whole.
  private func update(_ object: JSON, _ target: Target, _ firing: Firing) async throws -> Done {
    let client = target.client
    do throws(ClusterError) {
      var problem: (any Error)?
      let changed = try await client.update(
        target.type,
        namespace: target.namespace,
        name: target.name
      ) { (live) throws(ClusterError) in
        var wanted = object
        if spec.isLive {
          do { wanted = try firing.edit(live) } catch {
            problem = error
            return Optional.none
          }
        }
        for key in ["resourceVersion", "uid", "creationTimestamp", "managedFields"] {
          wanted.set(nil, at: "metadata", key)
        }
        return live.merged(with: wanted)
      }
      if let problem { return .ended(.reject(why: "\(problem)", result: .null)) }
      return .object(changed)
    } catch {
      guard error.isNotFound, !spec.isLive else { throw error }
      return try await create(object, target, firing)
    }
  }

  private func patch(_ object: JSON, _ target: Target, _ firing: Firing) async throws -> Done {
    if spec.strategy == .json { return try await jsonPatch(object, target, firing) }
    do throws(ClusterError) {
      return .object(
        try await target.client.patch(
          target.type,
          namespace: target.namespace,
          name: target.name,
          spec.strategy,
          object
        )
      )
    } catch {
      guard error.isNotFound else { throw error }
      return try await create(object, target, firing)
    }
  }

  /// Operations that a repetition would do twice, such as adding to a list: the version as it was
  /// seen first is a lock, and the firing's id in an annotation tells that it was done.
  private func jsonPatch(
    _ object: JSON,
    _ target: Target,
    _ firing: Firing
  ) async throws -> Done {
    if let problem = KubernetesSpec.problem(inPatch: object) {
      return .ended(.reject(why: problem, result: .null))
    }
    let claim = Claim(firing, host)
    let annotations = ["metadata", "annotations"]
    var attempt = 0
    while true {
      let live = try await target.client.get(
        target.type,
        namespace: target.namespace,
        name: target.name
      )
      let mark = live.at(annotations + [KeyedObject.label])
      if mark == .string(firing.id.text) { return .object(live) }
      if let note = try claim.read(), note["mark"] != mark ?? .null {
        let why = "the patch may have been applied; another one was since then"
        return .ended(.unknown(why: why, result: reference(live, target.type)))
      }
      try claim.write(["mark": mark ?? .null])
      var operations: [JSON] = [
        [
          "op": "test", "path": "/metadata/resourceVersion",
          "value": live.at("metadata", "resourceVersion") ?? .null,
        ]
      ]
      if live.at(annotations) == nil {
        operations.append(["op": "add", "path": "/metadata/annotations", "value": [:]])
      }
      operations.append([
        "op": "add",
        "path": .string(
          "/metadata/annotations/" + KeyedObject.label.replacing("/", with: "~1")
        ),
        "value": .string(firing.id.text),
      ])
      operations += object["patch"]?.items ?? []
      do throws(ClusterError) {
        return .object(
          try await target.client.patch(
            target.type,
            namespace: target.namespace,
            name: target.name,
            .json,
            .array(operations)
          )
        )
      } catch {
        // The lock is a test like those of the manifest: which one failed shows at the next look.
        guard error.code == 422 || error.isConflict, attempt < 3 else { throw error }
        let now = try await target.client.get(
          target.type,
          namespace: target.namespace,
          name: target.name
        )
        let isSame =
          now.at("metadata", "resourceVersion") == live.at("metadata", "resourceVersion")
        if isSame { throw error }
        attempt += 1
      }
    }
  }

  /// Not found is what was wanted.
  private func delete(_ target: Target) async throws -> Outcome {
    let named: JSON = [
      "metadata": ["namespace": .string(target.namespace), "name": .string(target.name)]
    ]
    do throws(ClusterError) {
      _ = try await target.client.delete(
        target.type,
        namespace: target.namespace,
        name: target.name
      )
      return .done(result: reference(named, target.type))
    } catch {
      guard error.isNotFound else { throw error }
      return .done(result: reference(named, target.type))
    }
  }
}

/// What events may choose of an object: everything but what kind of object it is, where it is read
/// from and what is done to it.
func objectRefusal(_ destination: String) -> String? {
  let first = destination.prefix { $0 != "." }
  if destination == "source" { return "found 'source': an event cannot choose all of it" }
  if first == "apiVersion" || first == "kind" {
    return "found '\(destination)': an event cannot choose what kind of object it is"
  }
  let fixed = ["operation", "patchStrategy", "source.file", "source.url", "source.configmap"]
  if fixed.contains(where: { destination == $0 || destination.hasPrefix($0 + ".") }) {
    return "found '\(destination)': an event cannot choose it"
  }
  return nil
}

/// Says at load what would be refused with the first firing.
func checkReach(
  _ namespace: String?,
  _ field: String,
  _ host: any TriggerHost,
  _ block: Block
) {
  guard let namespace, !namespace.isEmpty else { return }
  if let refusal = host.cluster.scope.refusal(of: namespace) { block.error(field, refusal) }
}

/// A manifest that needs a cluster loads without one; its firings will fail.
func warnWithoutCluster(_ host: any TriggerHost, _ block: Block) {
  do throws(ClusterError) { _ = try host.cluster.configuration() } catch {
    block.warning(nil, "its firings will fail: \(error)")
  }
}
