import Cluster
import JSON
import Plugin
import Posix
import Synchronization

/// When an operation of ours has ended, and how (spec section C.5): `Succeeded` is not healthy, and
/// the state of an earlier operation may still stand where ours will.
final class SyncWatch: Sendable {
  private struct State {
    var last: ApplicationState?
    var degradedSince: MonotonicTime?
    var wasSeen = false
  }

  private let spec: ApplicationSpec
  private let id: String
  private let isRefresh: Bool
  private let deadline: MonotonicTime
  private let state = Mutex(State())

  init(_ spec: ApplicationSpec, _ id: String, isRefresh: Bool) {
    self.spec = spec
    self.id = id
    self.isRefresh = isRefresh
    deadline = MonotonicTime.now() + spec.timeout
  }

  /// Until something may change without a word from the cluster.
  var patience: Duration? {
    state.withLock { state in
      let grace = state.degradedSince.map { $0 + spec.grace }
      return max(.zero, min(deadline, grace ?? deadline) - MonotonicTime.now())
    }
  }

  /// nil while it goes on.
  /// - Parameter seen: nil: as before.
  func ending(_ seen: ApplicationState?) -> Outcome? {
    state.withLock { state in
      if let seen { state.last = seen }
      guard let now = state.last else { return timedOut(nil) }
      if let ending = isRefresh ? refreshed(now) : synced(now, &state) { return ending }
      return timedOut(now)
    }
  }

  private func timedOut(_ now: ApplicationState?) -> Outcome? {
    guard MonotonicTime.now() >= deadline else { return Optional<Outcome>.none }
    let words = now?.isBlockedByWindow == true ? ": a sync window blocks it" : ""
    return .reject(
      why: "it did not end within \(spec.timeout)\(words)",
      result: now?.result ?? .null
    )
  }

  private func refreshed(_ now: ApplicationState) -> Outcome? {
    now.refresh == nil ? .done(result: now.result) : Optional<Outcome>.none
  }

  private func synced(_ now: ApplicationState, _ state: inout State) -> Outcome? {
    if now.isMine(id) || now.isRequested(id) { state.wasSeen = true }
    let cancelled = CancelMark.why(now.object, id)
    guard now.isMine(id) else {
      if let cancelled, !now.isRequested(id) {
        return .cancelled(why: cancelled, result: now.result)
      }
      // Requested, not picked up; or another operation has taken its place.
      if now.isRequested(id) || now.isBusy || !state.wasSeen { return lost(now, state) }
      return .unknown(why: "another operation took the place of this one", result: now.result)
    }
    guard now.isOver(id) else { return Optional<Outcome>.none }
    if let cancelled, now.phase != "Succeeded" {
      return .cancelled(why: cancelled, result: now.result)
    }
    if now.phase != "Succeeded" {
      return .reject(why: "the sync ended as \(now.phase): \(now.message)", result: now.result)
    }
    if now.isDryRun || spec.goal == .applied { return .done(result: now.result) }
    switch now.health {
    case "Healthy" where now.isSynced || spec.operation == .rollback:
      return .done(result: now.result)
    // A rollout or job that waits for somebody: what was to be applied is.
    case "Suspended" where now.isSynced || spec.operation == .rollback:
      return .done(result: now.result)
    case _ where cancelled != nil:
      return .cancelled(why: cancelled ?? "", result: now.result)
    case "Degraded":
      let since = state.degradedSince ?? MonotonicTime.now()
      state.degradedSince = since
      guard MonotonicTime.now() >= since + spec.grace else { return Optional<Outcome>.none }
      return .reject(why: "the application is degraded", result: now.result)
    default:
      state.degradedSince = Optional.none
      return Optional<Outcome>.none
    }
  }

  /// Neither requested nor under way although we never saw it: a request that was written while the
  /// last operation ended is lost without trace (section C.4).
  private func lost(_ now: ApplicationState, _ state: State) -> Outcome? {
    if now.isRequested(id) || now.isBusy { return Optional<Outcome>.none }
    return .unknown(
      why: "the request is no longer there and no operation carries it",
      result: now.result
    )
  }
}
