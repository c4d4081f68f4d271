import Manifest
import Observe
import Posix

extension KubernetesMode {
  /// Loads the objects of the cluster anew. Those with errors stay as they were or are left out, and
  /// are told why; the others are put in force.
  /// - Parameters:
  ///   - isBehind: whether something else than at the last settling may be in force.
  ///   - putInForce: throws `PortFailure`, or why nothing has changed.
  func reload(
    _ parts: Parts,
    _ ports: Ports,
    _ instruments: Instruments,
    isBehind: Bool = false,
    isolation: isolated (any Actor)? = #isolation,
    putInForce: (PlanBuilder.Plan, ClusterSelection) async throws -> Void
  ) async -> Reload {
    var refused: [Int: String] = [:]
    while true {
      let load = await load(parts, refusedPorts: refused)
      guard let next = load.plan else { return .refused(load.messages, parts.logger) }
      do {
        if isNews(load) || isBehind || !ports.listens(onAllOf: next) {
          try await putInForce(next, load.selection)
        }
        await settle(load, instruments)
        return Reload(isDone: true, messages: load.messages)
      } catch let failure as PortFailure where refused[failure.port] == nil {
        // The objects that want this port are to blame, not the others.
        refused[failure.port] = "\(failure.error)"
      } catch {
        // Those that are refused whatever happens need not wait for the others.
        if error is PartitionsBehind { await reportRefused(load) }
        return .refused(load.messages + ["\(error)"], parts.logger)
      }
    }
  }

  /// The first plan is in force: says so.
  /// - Returns: false where it has to be loaded again, without what cannot be listened on.
  func settledFirst(
    _ ports: Ports,
    _ instruments: Instruments,
    isolation: isolated (any Actor)? = #isolation
  ) async -> Bool {
    guard let first = takeFirst(), let plan = first.plan, ports.listens(onAllOf: plan) else {
      return false
    }
    await settle(first, instruments)
    return true
  }
}

extension Ports {
  func listens(onAllOf plan: PlanBuilder.Plan) -> Bool {
    plan.routesByPort.allSatisfy { listens(on: $0.0) }
  }
}

extension Installation {
  /// Loads the objects of the cluster anew, for all that runs here or, where the work of the bus is
  /// shared, for this partition: then its process has loaded them for all (`Front`).
  func reload(_ kubernetes: KubernetesMode) async -> Reload {
    guard let share = startup.share else {
      return await kubernetes.reload(parts, ports, instruments) { plan, _ in
        try await self.putInForce(plan)
      }
    }
    do {
      let (plan, selection) = try kubernetes.chosenPlan(parts)
      if selection != self.selection { try await putInForce(plan.part(of: share)) }
      self.selection = selection
      return Reload(isDone: true, messages: [])
    } catch { return refused(["\(error)"]) }
  }
}

extension Parts {
  /// What is in force at first.
  /// - Returns: with what it came from in a cluster.
  /// - Throws: `Server.Refused` where files have an error; `ClusterLoadError`.
  func firstPlan(
    _ configuration: Server.Configuration,
    _ startup: Startup
  ) async throws -> (plan: PlanBuilder.Plan, selection: ClusterSelection) {
    guard let kubernetes = startup.kubernetes else {
      let builder = builder(Diagnostics())
      guard let plan = builder.build(configuration.manifests, checksMeaning: false) else {
        throw Server.Refused()
      }
      return (plan, ClusterSelection())
    }
    // Its process has chosen for the partition, and says how the objects stand.
    if startup.share != nil { return try kubernetes.chosenPlan(self) }
    let load = await kubernetes.firstLoad(self)
    guard let plan = load.plan else {
      throw ClusterLoadError(description: load.messages.joined(separator: " | "))
    }
    kubernetes.choose(load.selection)
    return (plan, load.selection)
  }
}
