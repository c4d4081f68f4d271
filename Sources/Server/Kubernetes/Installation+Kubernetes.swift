import Manifest
import Posix

extension Installation {
  /// Loads the objects of the cluster anew. Those with errors stay as they were or are left out, and
  /// are told why; the others are put in force.
  func reload(_ kubernetes: KubernetesMode) async -> Reload {
    var refused: [Int: String] = [:]
    while true {
      let load = await kubernetes.load(parts, refusedPorts: refused)
      guard let next = load.plan else { return self.refused(load.messages) }
      guard next.isOnSameBus(as: plan) else {
        return self.refused(load.messages + [PlanBuilder.Plan.otherBus])
      }
      let isListening = next.routesByPort.allSatisfy { ports.listens(on: $0.0) }
      if isListening, !kubernetes.isNews(load) {
        await kubernetes.settle(load, instruments)
        return Reload(isDone: true, messages: load.messages)
      }
      do {
        try await putInForce(next)
        await kubernetes.settle(load, instruments)
        return Reload(isDone: true, messages: load.messages)
      } catch let failure as PortFailure where refused[failure.port] == nil {
        // The objects that want this port are to blame, not the others.
        refused[failure.port] = "\(failure.error)"
      } catch { return self.refused(load.messages + ["\(error)"]) }
    }
  }
}

extension Installation {
  /// What is in force at first.
  /// - Throws: `Server.Refused` where files have an error.
  static func firstPlan(
    _ parts: Parts,
    _ configuration: Server.Configuration,
    _ kubernetes: KubernetesMode?
  ) async throws -> PlanBuilder.Plan {
    guard let kubernetes else {
      let builder = parts.builder(Diagnostics())
      guard let plan = builder.build(configuration.manifests, checksMeaning: false) else {
        throw Server.Refused()
      }
      return plan
    }
    return await kubernetes.firstLoad(parts).plan ?? .empty
  }

  /// The first plan is in force: says so, or loads again without what could not be listened on.
  func settle(_ kubernetes: KubernetesMode) async {
    guard let first = kubernetes.takeFirst(), first.plan != nil,
      plan.routesByPort.allSatisfy({ ports.listens(on: $0.0) })
    else {
      _ = await reload()
      return
    }
    await kubernetes.settle(first, instruments)
  }
}
