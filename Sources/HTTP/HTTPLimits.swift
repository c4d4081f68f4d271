import Synchronization

/// Bounds on what one peer, and all together, may cost.
package struct HTTPLimits: Sendable {
  /// Request line and headers, in bytes; beyond: 431.
  package var headBytes = 32 << 10
  /// Header fields; beyond: 431.
  package var headerCount = 100
  /// All request bodies in memory together, in bytes; beyond: 503.
  package var bodiesBytes = 64 << 20
  /// From the first byte of a request to the end of its head; beyond: 408.
  package var headTime = Duration.seconds(10)
  /// From the end of the head to the end of the body; beyond: 408.
  package var bodyTime = Duration.seconds(60)
  /// Between two requests on a connection.
  package var idleTime = Duration.seconds(75)
  /// Without progress while an answer is being sent.
  package var sendTime = Duration.seconds(30)
  /// For a peer to read an early refusal while it still sends.
  package var lingerTime = Duration.seconds(5)
  /// Open connections; beyond, new ones get 503 and are closed.
  package var connections = 10_000

  package init() {}
}

/// Bytes of all bodies in memory together.
final class BodyBudget: Sendable {
  private let used = Atomic<Int>(0)
  private let limit: Int

  init(_ limit: Int) { self.limit = limit }

  func reserve(_ count: Int) -> Bool {
    if used.add(count, ordering: .relaxed).newValue <= limit { return true }
    used.subtract(count, ordering: .relaxed)
    return false
  }

  func release(_ count: Int) { used.subtract(count, ordering: .relaxed) }
}
