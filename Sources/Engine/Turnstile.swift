import DequeModule
import Synchronization

/// Lets one task through at a time, in the order they came, so that what one begins is not seen
/// half done by another where it waits for I/O.
package final class Turnstile: Sendable {
  private struct State {
    var isTaken = false
    var waiting = Deque<CheckedContinuation<Void, Never>>()
  }

  private let state = Mutex(State())

  package init() {}

  /// Waits for its turn; `leave` must follow.
  package func enter() async {
    await withCheckedContinuation { continuation in
      // Looked at here and not before: an actor may turn to another task until this closure runs.
      let isFree = state.withLock { state in
        if state.isTaken { state.waiting.append(continuation) }
        defer { state.isTaken = true }
        return !state.isTaken
      }
      if isFree { continuation.resume() }
    }
  }

  package func leave() {
    let next = state.withLock { state in
      let next = state.waiting.popFirst()
      state.isTaken = next != nil
      return next
    }
    next?.resume()
  }
}
