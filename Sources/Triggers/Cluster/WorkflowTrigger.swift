import Cluster
package import Event
import JSON
package import Manifest
package import Plugin
import Posix

/// `argoWorkflow`: starts runs of Argo Workflows and follows them to their end, or steers one that
/// is there, through the cluster's API alone (spec sections B.2 and B.4).
package struct WorkflowTrigger: Trigger {
  package static let kind = "argoWorkflow"
  package static let concurrency = 16
  package static let runsPrograms = false
  package static let isFollowed = true
  package static let parametersChangeObject = true

  static let version = "argoproj.io/v1alpha1"

  let spec: WorkflowSpec
  let host: any TriggerHost

  package static func refusal(ofParameter destination: String) -> String? {
    objectRefusal(destination)
  }

  package init(
    _ spec: WorkflowSpec,
    original: WorkflowSpec?,
    host: any TriggerHost,
    _ block: Block
  ) {
    self.spec = spec
    self.host = host
    warnWithoutCluster(host, block)
    spec.source?.checkReach(host, block)
    spec.server?.check(host, block)
  }

  package func forget(_ id: FiringID) { Claim.remove(id.text, host) }

  package func fire(_ firing: Firing) async -> Outcome {
    do {
      let client = try host.cluster.connection().client
      guard let source = spec.source else {
        return .reject(why: "the trigger has no source", result: .null)
      }
      let named = try firing.edit(
        try await source.object(host, client, namespace: firing.namespace)
      )
      let given = named.at("metadata", "namespace")?.asString ?? ""
      let namespace = given.isEmpty ? firing.namespace : given
      if spec.operation.makesRun {
        return try await start(named, namespace, client, firing)
      }
      if spec.operation == .retry { return try await retry(named, namespace, client, firing) }
      return try await steer(named, namespace, client)
    } catch { return Outcome(error) }
  }

  // MARK: New runs

  private func start(
    _ named: JSON,
    _ namespace: String,
    _ client: ClusterClient,
    _ firing: Firing
  ) async throws -> Outcome {
    let type = try await client.resource(Self.version, kind: "Workflow")
    let now = Timestamp(nanoseconds: wallClockNanoseconds())
    var workflow = try await run(named, namespace, client, now)
    apply(&workflow)
    WorkflowBuilder.spellParameters(in: &workflow)
    let keyed = KeyedObject(
      client: client,
      type: type,
      namespace: namespace,
      firing: firing,
      claim: Claim(firing, host)
    )
    let made = try await keyed.create(
      keyed.keyed(workflow, now: now),
      lifeSeconds: WorkflowBuilder.shortestTTL(of: workflow)
    )
    switch made {
    case .object(let object):
      let result = reference(object, type)
      return spec.isFollowed ? .started(result: result) : .done(result: result)
    case .unknown(let why): return .unknown(why: why, result: .null)
    case .foreign(let why): return .reject(why: why, result: .null)
    }
  }

  /// The workflow to create.
  private func run(
    _ named: JSON,
    _ namespace: String,
    _ client: ClusterClient,
    _ now: Timestamp
  ) async throws(ClusterError) -> JSON {
    let kind = named["kind"]?.asString ?? ""
    switch spec.operation {
    case .submitFrom:
      let type = try await client.resource(Self.version, kind: kind)
      let source = try await client.get(type, namespace: namespace, name: name(of: named))
      var workflow = try WorkflowBuilder.run(of: source, kind: kind, time: now.wholeSeconds)
      // What the manifest says beside the template's name belongs to the run.
      for key in ["labels", "annotations"] {
        for member in named.at("metadata", key)?.members ?? [] {
          workflow.set(member.value, at: "metadata", key, member.key)
        }
      }
      let parameters = (named.at("spec", "arguments", "parameters")?.items ?? []).compactMap {
        parameter -> (name: String, value: String)? in
        guard let name = parameter["name"]?.asString, let value = parameter["value"] else {
          return nil
        }
        return (name, value.asString ?? value.text)
      }
      WorkflowBuilder.set(parameters, in: &workflow)
      return workflow
    case .resubmit:
      let type = try await client.resource(Self.version, kind: "Workflow")
      return WorkflowBuilder.resubmission(
        of: try await client.get(type, namespace: namespace, name: name(of: named))
      )
    default:
      guard kind == "Workflow" else {
        throw ClusterError(.configuration, "found kind '\(kind)', expected Workflow")
      }
      return named
    }
  }

  func name(of object: JSON) -> String { object.at("metadata", "name")?.asString ?? "" }

  private func apply(_ workflow: inout JSON) {
    let arguments = spec.arguments
    WorkflowBuilder.set(arguments.parameters, in: &workflow)
    for label in arguments.labels {
      workflow.set(.string(label.value), at: "metadata", "labels", label.name)
    }
    for annotation in arguments.annotations {
      workflow.set(.string(annotation.value), at: "metadata", "annotations", annotation.name)
    }
    if let entrypoint = arguments.entrypoint {
      workflow.set(.string(entrypoint), at: "spec", "entrypoint")
    }
    if let account = arguments.serviceAccount {
      workflow.set(.string(account), at: "spec", "serviceAccountName")
    }
    if let priority = arguments.priority { workflow.set(JSON(priority), at: "spec", "priority") }
    if let name = arguments.name { workflow.set(.string(name), at: "metadata", "name") }
    if let base = arguments.generateName {
      workflow.set(nil, at: "metadata", "name")
      workflow.set(.string(base), at: "metadata", "generateName")
    }
  }

  // MARK: Runs that are there

  private func steer(
    _ named: JSON,
    _ namespace: String,
    _ client: ClusterClient
  ) async throws -> Outcome {
    let type = try await client.resource(Self.version, kind: "Workflow")
    let name = name(of: named)
    let object = try await client.get(type, namespace: namespace, name: name)
    let state = WorkflowState(object)
    func patched(_ patch: JSON) async throws(ClusterError) -> Outcome {
      let changed = try await client.patch(type, namespace: namespace, name: name, .merge, patch)
      return .done(result: reference(changed, type))
    }
    switch spec.operation {
    case .suspend:
      if state.isOver { return .reject(why: "the workflow has ended", result: state.result) }
      return try await patched(["spec": ["suspend": true]])
    case .stop, .terminate:
      // Ended is what was wanted.
      if state.isOver { return .done(result: state.result) }
      let strategy = spec.operation == .stop ? "Stop" : "Terminate"
      return try await patched(["spec": ["shutdown": .string(strategy)]])
    default: return try await resume(type, namespace, name, client, state)
    }
  }

  /// Takes the suspension back and lets waiting nodes go on (spec section B.4).
  private func resume(
    _ type: ResourceType,
    _ namespace: String,
    _ name: String,
    _ client: ClusterClient,
    _ state: WorkflowState
  ) async throws -> Outcome {
    if state.isOver { return .reject(why: "the workflow has ended", result: state.result) }
    if state.hasDistantNodes {
      guard let server else {
        return .reject(
          why: "the nodes of the workflow are not in the object: only argo-server can resume them, "
            + "and signalbox.server does not name one",
          result: state.result
        )
      }
      return .done(result: reference(try await server.resume(namespace, name), type))
    }
    var refusal: String?
    let time = Timestamp(nanoseconds: wallClockNanoseconds()).wholeSeconds
    let changed = try await client.update(type, namespace: namespace, name: name) {
      (live) throws(ClusterError) in
      var live = live
      live.set(nil, at: "spec", "suspend")
      for id in WorkflowState(live).waitingNodes {
        guard let node = live.at("status", "nodes", id) else { continue }
        switch Self.resumed(node, time) {
        case .success(let node): live.set(node, at: "status", "nodes", id)
        case .failure(let missing):
          refusal = missing.description
          return Optional.none
        }
      }
      return live
    }
    if let refusal { return .reject(why: refusal, result: .null) }
    return .done(result: reference(changed, type))
  }

  /// A waiting node as succeeded; outputs that somebody should have supplied become their default.
  private static func resumed(_ node: JSON, _ time: String) -> Result<JSON, ClusterError> {
    var node = node
    node.set("Succeeded", at: "phase")
    node.set(.string(time), at: "finishedAt")
    let parameters = node.at("outputs", "parameters")?.items ?? []
    if parameters.isEmpty { return .success(node) }
    var filled: [JSON] = []
    for var parameter in parameters {
      if parameter.at("valueFrom", "supplied") != nil && parameter["value"] == nil {
        guard let value = parameter.at("valueFrom", "default") else {
          let name = parameter["name"]?.asString ?? ""
          return .failure(
            ClusterError(.configuration, "the output '\(name)' has no value and no default")
          )
        }
        parameter.set(value, at: "value")
        parameter.set(nil, at: "valueFrom")
      }
      filled.append(parameter)
    }
    node.set(.array(filled), at: "outputs", "parameters")
    return .success(node)
  }
}
