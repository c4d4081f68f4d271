import Synchronization

/// A body that is sent while it comes to be, such as a watch: whoever holds it writes from
/// anywhere, the connection takes what has gathered whenever the client takes bytes.
package final class ResponseStream: Sendable {
  private struct State {
    var gathered: [UInt8] = []
    /// Nothing more will be written.
    var isFinished = false
    /// The client was too slow: it must not take what it has got for the whole.
    var isCut = false
    /// Nobody reads any more.
    var isGone = false
    var wake: (@Sendable () -> Void)?
  }

  private let state = Mutex(State())
  private let limit: Int
  private let onEnd: @Sendable () -> Void

  /// - Parameter limit: bytes that may wait for the client; a slower one is cut off.
  /// - Parameter onEnd: called once, from any thread, when the client is gone.
  package init(limit: Int = 8 << 20, onEnd: @escaping @Sendable () -> Void = {}) {
    self.limit = limit
    self.onEnd = onEnd
  }

  /// Whether the bytes will be sent; false once the stream has ended on either side.
  @discardableResult
  package func write(_ bytes: [UInt8]) -> Bool {
    let (isTaken, wake) = state.withLock { state -> (Bool, (@Sendable () -> Void)?) in
      guard !state.isFinished, !state.isGone else { return (false, nil) }
      guard state.gathered.count + bytes.count <= limit else {
        (state.isFinished, state.isCut, state.gathered) = (true, true, [])
        return (false, state.wake)
      }
      let mustWake = state.gathered.isEmpty
      state.gathered += bytes
      return (true, mustWake ? state.wake : nil)
    }
    wake?()
    return isTaken
  }

  /// Ends the body; what was written before is still sent.
  package func finish() {
    let wake = state.withLock { state in
      state.isFinished = true
      return state.wake
    }
    wake?()
  }

  // MARK: The connection's side

  /// - Parameter wake: called from any thread when there is something to take.
  func attach(_ wake: @escaping @Sendable () -> Void) {
    state.withLock { $0.wake = wake }
  }

  /// What has gathered, at most `count` bytes of it, and whether that is the end; nil: the body
  /// breaks off here.
  func take(_ count: Int = .max) -> (bytes: [UInt8], isLast: Bool)? {
    state.withLock { state in
      if state.isCut { return nil }
      if state.gathered.count <= count {
        defer { state.gathered = [] }
        return (state.gathered, state.isFinished)
      }
      defer { state.gathered.removeFirst(count) }
      return (Array(state.gathered.prefix(count)), false)
    }
  }

  /// The client is gone.
  func abandon() {
    let isFirst = state.withLock { state in
      defer { (state.isGone, state.gathered, state.wake) = (true, [], nil) }
      return !state.isGone
    }
    if isFirst { onEnd() }
  }
}
