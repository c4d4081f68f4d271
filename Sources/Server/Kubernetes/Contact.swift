import Cluster
import Posix
import Synchronization

/// Whether the cluster answers, for probes and metrics.
final class Contact: Sendable {
  private struct State {
    /// By what was asked for.
    var failures: [String: (error: ClusterError, since: MonotonicTime)] = [:]
    var hasBegun = false
  }

  private let state = Mutex(State())

  /// There is something to run: the objects were listed, or were known from before.
  func begin() { state.withLock { $0.hasBegun = true } }

  func fail(_ place: String, _ error: ClusterError) {
    state.withLock { $0.failures[place] = (error, $0.failures[place]?.since ?? .now()) }
  }

  /// `place` was answered.
  func restore(_ place: String) { state.withLock { $0.failures[place] = nil } }

  /// The server answered something: what failed for want of an answer is on its way again.
  func answered() {
    state.withLock { state in
      state.failures = state.failures.filter { _, failure in
        switch failure.error.kind {
        case .transport: false
        case .status: failure.error.code < 500 && failure.error.code != 429
        default: true
        }
      }
    }
  }

  /// Whether nothing is wrong.
  var isGood: Bool { state.withLock { $0.failures.isEmpty } }

  /// What `/readyz` says: without objects nothing can be received; with them the cluster's absence
  /// keeps nobody from being served.
  var readiness: (isReady: Bool, note: String) {
    state.withLock { state in
      let oldest = state.failures.min { $0.value.since < $1.value.since }
      guard let oldest else {
        return state.hasBegun ? (true, "") : (false, "the objects are being listed")
      }
      let seconds = Int((MonotonicTime.now() - oldest.value.since).inSeconds)
      let trouble = "for \(seconds) s the cluster has been failing: \(oldest.value.error)"
      return (state.hasBegun, trouble)
    }
  }
}
