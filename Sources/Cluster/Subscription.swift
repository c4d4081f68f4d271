import DequeModule
import Synchronization

/// Every change of one watch for one reader, bounded: a reader that falls too far behind loses the
/// subscription and begins again where it was.
final class Subscription: Sendable {
  private struct State {
    var changes = Deque<WatchChange>()
    var bytes = 0
    /// The watch has its list behind it.
    var hasBegun = false
    /// A list is told from its beginning only.
    var isListing = false
    var isLost = false
    var waiter: CheckedContinuation<Void, Never>?
  }

  private let state = Mutex(State())
  /// Bytes of changes that may wait.
  private static let limit = 16 << 20

  /// The watch stands: what happens from now on is told.
  func begin() { wake { $0.hasBegun = true } }

  func put(_ change: WatchChange) {
    wake { state in
      switch change {
      case .listBegan: state.isListing = true
      case .listEnded: state.hasBegun = true
      default: break
      }
      if change.isOfList && !state.isListing || state.isLost { return }
      if case .listEnded = change { state.isListing = false }
      state.bytes += change.size
      guard state.bytes <= Self.limit else {
        (state.changes, state.isLost) = ([], true)
        return
      }
      state.changes.append(change)
    }
  }

  /// Waits until the watch stands and forgets what it told so far; false: the task was cancelled.
  func begun() async -> Bool {
    await wait { $0.hasBegun }
    return state.withLock { state in
      (state.changes, state.bytes, state.isListing) = ([], 0, false)
      return state.hasBegun
    }
  }

  /// The next change; nil when too much waited or the task was cancelled. One reader.
  func next() async -> WatchChange? {
    await wait { !$0.changes.isEmpty || $0.isLost }
    return state.withLock { state in
      guard let change = state.changes.popFirst() else { return nil }
      state.bytes -= change.size
      return change
    }
  }

  private func wake(_ change: (inout State) -> Void) {
    let waiter = state.withLock { state in
      change(&state)
      defer { state.waiter = nil }
      return state.waiter
    }
    waiter?.resume()
  }

  /// Returns when `isReady` holds or the task is cancelled.
  private func wait(until isReady: @Sendable (borrowing State) -> Bool) async {
    while !Task.isCancelled, !state.withLock({ isReady($0) }) {
      await withTaskCancellationHandler {
        await withCheckedContinuation { continuation in
          let isOver = state.withLock { state in
            if isReady(state) || Task.isCancelled { return true }
            state.waiter = continuation
            return false
          }
          if isOver { continuation.resume() }
        }
      } onCancel: {
        wake { _ in }
      }
    }
  }
}

extension WatchChange {
  /// Whether it is a part of a list.
  var isOfList: Bool {
    switch self {
    case .listBegan, .listed, .listEnded: true
    default: false
    }
  }

  fileprivate var size: Int {
    switch self {
    case .listed(let object), .added(let object), .modified(let object), .deleted(let object):
      object.bytes.count + 200
    case .listBegan, .listEnded, .bookmark: 200
    }
  }
}
