import DequeModule

/// Lets one task of an actor through at a time, in the order they came, so that what one begins
/// is not seen half done by another where it waits for I/O. Not for use from several actors.
final class Turnstile {
  private var isTaken = false
  private var waiting = Deque<CheckedContinuation<Void, Never>>()

  /// Waits for its turn; `leave` must follow.
  func enter() async {
    if !isTaken {
      isTaken = true
      return
    }
    await withCheckedContinuation { waiting.append($0) }
  }

  func leave() {
    if let next = waiting.popFirst() { next.resume() } else { isTaken = false }
  }
}
