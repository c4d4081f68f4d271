import Synchronization
import Testing

@testable import Engine

@Suite struct TurnstileTests {
  @Test("one at a time goes through, and nobody is left standing")
  func oneAtATime() async {
    let turnstile = Turnstile()
    let tally = Tally()
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<200 {
        group.addTask {
          for _ in 0..<20 {
            await turnstile.enter()
            tally.enter()
            await Task.yield()
            tally.leave()
            turnstile.leave()
          }
        }
      }
    }
    #expect(tally.most == 1)
  }
}

private final class Tally: Sendable {
  private let counts = Mutex((inside: 0, most: 0))
  var most: Int { counts.withLock { $0.most } }

  func enter() {
    counts.withLock { counts in
      counts.inside += 1
      counts.most = max(counts.most, counts.inside)
    }
  }

  func leave() { counts.withLock { $0.inside -= 1 } }
}
