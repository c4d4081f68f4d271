import Cluster
package import Event
package import JSON
package import Manifest
package import Plugin
import Posix

/// `argoCD`: syncs, refreshes, rolls back an Application or stops what it does, through the object
/// itself, and follows a sync to its end (spec sections C.4 and C.5).
package struct ApplicationTrigger: Trigger {
  package static let kind = "argoCD"
  package static let concurrency = 16
  package static let runsPrograms = false
  package static let isFollowed = true

  private static let version = "argoproj.io/v1alpha1"

  let spec: ApplicationSpec
  let host: any TriggerHost
  var namespace: String { spec.namespace ?? "argocd" }

  package static func refusal(ofParameter destination: String) -> String? {
    if ["application", "revision"].contains(destination) { return nil }
    return "found '\(destination)', expected application or revision"
  }

  package init(
    _ spec: ApplicationSpec,
    original: ApplicationSpec?,
    host: any TriggerHost,
    _ block: Block
  ) {
    self.spec = spec
    self.host = host
    if let server = spec.server {
      server.check(host, block)
    } else {
      warnWithoutCluster(host, block)
      checkReach(namespace, "namespace", host, block)
    }
  }

  package func forget(_ id: FiringID) { Claim.remove(id.text, host) }

  func target(
    _ namespace: String,
    _ name: String
  ) async throws(ClusterError) -> ApplicationTarget {
    let access: ApplicationTarget.Access
    if let server = spec.server {
      access = .server(ArgoAPI(spec: server, host: host))
    } else {
      let connection = try host.cluster.connection()
      let type = try await connection.client.resource(Self.version, kind: "Application")
      access = .object(connection, type)
    }
    return ApplicationTarget(access: access, namespace: namespace, name: name, host: host)
  }

  package func fire(_ firing: Firing) async -> Outcome {
    do {
      let target = try await target(namespace, spec.application)
      switch spec.operation {
      case .refresh: return try await refresh(target, firing)
      case .terminate: return try await terminate(target)
      case .sync, .rollback: return try await request(target, firing)
      }
    } catch { return Outcome(error) }
  }

  private func refresh(_ target: ApplicationTarget, _ firing: Firing) async throws -> Outcome {
    let object = try await target.refresh(spec.isHard ? "hard" : "normal")
    let state = ApplicationState(object)
    // The server has waited for it.
    guard target.type != nil, spec.isFollowed else { return .done(result: state.result) }
    return .started(result: named(state, .refresh))
  }

  private func terminate(_ target: ApplicationTarget) async throws -> Outcome {
    let state = try await target.state()
    guard state.phase == "Running" else {
      return .skipped(why: "no operation runs", result: state.result)
    }
    return .done(result: try await target.terminate(state).result)
  }

  // MARK: Operations

  /// Requests an operation once for the firing.
  private func request(_ target: ApplicationTarget, _ firing: Firing) async throws -> Outcome {
    let claim = Claim(firing, host)
    let id = firing.id.text
    let turn = ApplicationTarget.turns.take(target.place)
    while true {
      if Task.isCancelled { return .retry(after: nil, why: "shutting down", result: .null) }
      let state = try await target.state()
      if state.isRequested(id) || state.isMine(id) { return started(state) }
      if let note = try claim.read(), note["requested"] == true,
        note["operation"] != .string(state.startedAt)
      {
        return .unknown(
          why: "an operation may have been requested; another one ran since then",
          result: state.result
        )
      }
      if state.isDeleted { return .reject(why: "the application is being deleted", result: .null) }
      if state.isBusy {
        if let ending = try await wait(target, state, turn) { return ending }
        continue
      }
      let operation: JSON
      switch self.operation(state, id) {
      case .success(let made): operation = made
      case .failure(let error): return .reject(why: error.description, result: state.result)
      }
      try claim.write(["requested": true, "operation": .string(state.startedAt)])
      do throws(ClusterError) {
        return started(try await target.request(operation, state))
      } catch {
        guard target.isBusy(error) else { throw error }
        await host.waitForEnd(of: nil, atMost: .milliseconds(20))
      }
    }
  }

  private func started(_ state: ApplicationState) -> Outcome {
    let result = named(state, spec.operation)
    return spec.isFollowed ? .started(result: result) : .done(result: result)
  }

  /// What a follower gets.
  private func named(_ state: ApplicationState, _ operation: ApplicationSpec.Operation) -> JSON {
    [
      "apiVersion": .string(Self.version), "kind": "Application",
      "namespace": .string(namespace), "name": .string(state.name),
      "operation": .string(operation.rawValue),
    ]
  }

  /// Until the operation under way has ended; an ending where this firing does not wait for it.
  private func wait(
    _ target: ApplicationTarget,
    _ state: ApplicationState,
    _ turn: Turns.Turn
  ) async throws -> Outcome? {
    if spec.busy == .fail {
      return .retry(after: nil, why: "another operation is in progress", result: state.result)
    }
    let coalesces = spec.busy == .coalesce
    let turns = ApplicationTarget.turns
    let outcome = await target.watch(patience: { .seconds(1) }) { sighting -> Waited? in
      if coalesces && !turns.isLast(turn) { return .overtaken }
      switch sighting {
      case .present(let object): return ApplicationState(object).isBusy ? nil : .free
      case .gone: return .free
      case .nothing: return nil
      }
    }
    guard outcome == .overtaken else { return Optional.none }
    return .skipped(
      why: "a newer firing waits for the same application and stands for this one",
      result: state.result
    )
  }

  private enum Waited: Sendable { case free, overtaken }

  /// The operation as the object takes it: nothing is inherited there (section C.3).
  private func operation(
    _ state: ApplicationState,
    _ id: String
  ) -> Result<JSON, ClusterError> {
    var operation: JSON = [
      "initiatedBy": ["username": "signalbox"],
      "info": [["name": .string(ApplicationState.infoName), "value": .string(id)]],
    ]
    var sync: JSON = ["prune": .bool(spec.isPruning)]
    if spec.isDryRun { sync.set(true, at: "dryRun") }
    if spec.operation == .rollback {
      if state.isAutomated {
        return .failure(
          ClusterError(.configuration, "a rollback cannot be while auto-sync is enabled")
        )
      }
      let history = state.history
      let entry =
        spec.historyID.map { id in history.first { $0["id"]?.wholeNumber == id } }
        ?? history.dropLast().last
      guard let entry else {
        return .failure(ClusterError(.configuration, "the history has no such entry"))
      }
      for key in ["revision", "revisions", "source", "sources"] {
        if let value = entry[key] { sync.set(value, at: key) }
      }
      sync.set([:], at: "syncStrategy", "apply")
    } else {
      if let revision = spec.revision { sync.set(.string(revision), at: "revision") }
      let force: JSON = spec.isForced ? ["force": true] : [:]
      sync.set(force, at: "syncStrategy", spec.strategy)
      let options = spec.syncOptions.map { $0.map(JSON.string) } ?? state.syncOptions
      if !options.isEmpty { sync.set(.array(options), at: "syncOptions") }
      if !spec.resources.isEmpty { sync.set(.array(spec.resources), at: "resources") }
      if let retry = spec.retry ?? state.retry { operation.set(retry, at: "retry") }
    }
    operation.set(sync, at: "sync")
    return .success(operation)
  }

  // MARK: To the end

  package func follow(
    _ firing: Firing,
    started: JSON,
    report: @escaping ProgressReport
  ) async -> Outcome {
    do {
      let target = try await target(
        started["namespace"]?.asString ?? "",
        started["name"]?.asString ?? ""
      )
      let watch = SyncWatch(spec, firing.id.text, isRefresh: started["operation"] == "refresh")
      let outcome = await target.watch(patience: { watch.patience }) { sighting -> Outcome? in
        switch sighting {
        case .present(let object):
          let state = ApplicationState(object)
          if state.isBlockedByWindow { await report("sync-window", state.result) }
          return watch.ending(state)
        case .gone:
          return .unknown(why: "the application was deleted", result: started)
        case .nothing: return watch.ending(nil)
        }
      }
      return outcome ?? .retry(after: nil, why: "no longer followed", result: started)
    } catch { return .retry(after: .seconds(5), why: "\(error)", result: started) }
  }
}
