import Posix
import Synchronization

/// The bodies that came lately, so that one which comes again as another delivery is told from a
/// new one: somebody who caught a signed request can send it under any delivery id. In memory
/// only: what came before the start of the program is not remembered.
final class RecentBodies: Sendable {
  /// A body is remembered for one to two of these, as long as a forge offers to send it again.
  static let span = Duration.seconds(2 * 86_400)
  /// Twice as many are remembered at the most, about 30 MiB.
  static let countMax = 50_000

  /// Delivery by body: what came in this span, and in the one before it.
  private struct Memory {
    var young: [String: String] = [:]
    var old: [String: String] = [:]
    var began: MonotonicTime?
  }

  private let memory = Mutex(Memory())

  /// Whether `body` came lately under another delivery; remembers a new one.
  func isRepeated(_ body: String, delivery: String, at now: MonotonicTime) -> Bool {
    memory.withLock { memory in
      let began = memory.began ?? now
      if now >= began + Self.span || memory.young.count >= Self.countMax {
        memory.old = now >= began + Self.span + Self.span ? [:] : memory.young
        memory.young = [:]
        memory.began = now
      } else {
        memory.began = began
      }
      if let first = memory.young[body] ?? memory.old[body] { return first != delivery }
      memory.young[body] = delivery
      return false
    }
  }
}
