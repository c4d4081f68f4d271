import Synchronization

/// Bytes on their way from the HTTP client's thread to a task, in order and bounded.
final class ByteStream: Sendable {
  private struct State {
    var gathered: [UInt8] = []
    var isEnded = false
    var waiter: CheckedContinuation<Void, Never>?
  }

  private let state = Mutex(State())
  private let limit: Int

  init(limit: Int) { self.limit = limit }

  /// Whether there was room: a reader this far behind does better to begin again.
  func put(_ bytes: [UInt8]) -> Bool {
    let (isTaken, waiter) = state.withLock { state in
      guard state.gathered.count + bytes.count <= limit else {
        return (false, nil as CheckedContinuation<Void, Never>?)
      }
      state.gathered += bytes
      defer { state.waiter = nil }
      return (true, state.waiter)
    }
    waiter?.resume()
    return isTaken
  }

  func end() {
    let waiter = state.withLock { state in
      state.isEnded = true
      defer { state.waiter = nil }
      return state.waiter
    }
    waiter?.resume()
  }

  /// What has gathered, waiting for it; nil at the end. One reader.
  func next() async -> [UInt8]? {
    while true {
      let (bytes, isEnded) = state.withLock { state in
        defer { state.gathered = [] }
        return (state.gathered, state.isEnded)
      }
      if !bytes.isEmpty { return bytes }
      if isEnded { return nil }
      await withCheckedContinuation { continuation in
        let isReady = state.withLock { state in
          if !state.gathered.isEmpty || state.isEnded { return true }
          state.waiter = continuation
          return false
        }
        if isReady { continuation.resume() }
      }
    }
  }
}

/// Cuts a stream of bytes at its line ends.
struct LineSplitter {
  private var rest: [UInt8] = []

  /// Calls `line` with each line that is whole, without its end; empty ones are left out.
  mutating func take(_ bytes: [UInt8], _ line: ([UInt8]) throws(ClusterError) -> Void)
    throws(ClusterError)
  {
    var start = bytes.startIndex
    while let end = bytes[start...].firstIndex(of: 0x0a) {
      var whole = rest + bytes[start..<end]
      rest = []
      if whole.last == 0x0d { whole.removeLast() }
      if !whole.isEmpty { try line(whole) }
      start = end + 1
    }
    rest += bytes[start...]
  }

  var count: Int { rest.count }
}
