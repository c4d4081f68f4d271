import JSON
import Posix
import Synchronization

/// The latest of one object for one follower: what it did not get to in time is left out, but for
/// the object's end, which brings its last state along.
final class Follower: Sendable {
  private struct State {
    var sighting: Sighting?
    var hasSeen = false
    var waiter: CheckedContinuation<Void, Never>?
    /// Counts waits, so that a timer of an earlier one does not end a later one.
    var wait = 0
  }

  private let state = Mutex(State())

  /// - Parameter isLate: counts only where the watch has brought nothing yet.
  func see(_ sighting: Sighting, isLate: Bool = false) {
    let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
      if isLate && state.hasSeen { return nil }
      state.hasSeen = true
      switch (state.sighting, sighting) {
      // Gone without a last state: the one before stays in its place.
      case (.present(let last), .gone(nil)): state.sighting = .gone(last)
      default: state.sighting = sighting
      }
      defer { state.waiter = nil }
      return state.waiter
    }
    waiter?.resume()
  }

  /// The next sighting; `nothing` when `limit` has passed or the task is cancelled.
  func next(atMost limit: Duration?, on loop: EventLoop) async -> Sighting {
    let wait = state.withLock { state in
      state.wait += 1
      return state.wait
    }
    if let found = take() { return found }
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isReady = state.withLock { state in
          if state.sighting != nil || Task.isCancelled { return true }
          state.waiter = continuation
          return false
        }
        if isReady { return continuation.resume() }
        if let limit {
          loop.post { [weak self] in loop.timer(after: limit) { self?.giveUp(wait) } }
        }
      }
    } onCancel: {
      giveUp(wait)
    }
    return take() ?? .nothing
  }

  private func take() -> Sighting? {
    state.withLock { state in
      defer { state.sighting = nil }
      return state.sighting
    }
  }

  private func giveUp(_ wait: Int) {
    let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
      guard state.wait == wait else { return nil }
      defer { state.waiter = nil }
      return state.waiter
    }
    waiter?.resume()
  }
}
