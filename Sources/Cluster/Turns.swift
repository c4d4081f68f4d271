import Synchronization

/// Who came last for one thing: of several that wait for it, only the newest need act.
package final class Turns: Sendable {
  package struct Turn: Sendable {
    fileprivate let key: String
    fileprivate let number: Int
  }

  private let last = Mutex<[String: Int]>([:])

  package init() {}

  package func take(_ key: String) -> Turn {
    last.withLock { last in
      let number = (last[key] ?? 0) + 1
      last[key] = number
      return Turn(key: key, number: number)
    }
  }

  package func isLast(_ turn: Turn) -> Bool { last.withLock { $0[turn.key] == turn.number } }
}
