import Bus
import DequeModule

/// The firings of one trigger: which wait, how many run, and from where the rest is on the log.
///
/// A state machine without I/O. At most `capacity` waiting firings are in memory; what comes
/// after stays on the log and is read again when its turn comes, so a trigger that is stuck costs
/// a bounded amount of memory and holds up nobody else.
struct Lane {
  static let capacity = 1024

  /// A firing's place: the decision record, and its number within.
  struct Place: Equatable {
    let record: Position
    let number: Int
  }

  private(set) var running = 0
  var concurrency: Int
  private var waiting = Deque<Intent>()
  /// The first firing that is only on the log; later ones of this trigger are there too.
  private(set) var spilled: Place?

  init(concurrency: Int) { self.concurrency = concurrency }

  /// Whether the log has to be read for more.
  var wantsRefill: Bool { waiting.isEmpty && spilled != nil && running < concurrency }

  var isIdle: Bool { running == 0 && waiting.isEmpty && spilled == nil }

  var waitingCount: Int { waiting.count }

  mutating func add(_ intent: Intent, at place: Place) {
    if spilled != nil { return }
    if waiting.count >= Self.capacity {
      spilled = place
      return
    }
    waiting.append(intent)
  }

  /// A firing found on the log when starting: it waits in memory, whatever the number.
  mutating func recover(_ intent: Intent) { waiting.append(intent) }

  /// The firings read again from the log, in order, and where those that did not fit begin.
  mutating func refill(_ intents: [Intent], rest: Place?) {
    waiting.append(contentsOf: intents)
    spilled = rest
  }

  /// The next firing to run; nil when none waits or enough run.
  mutating func next() -> Intent? {
    guard running < concurrency, let intent = waiting.popFirst() else { return nil }
    running += 1
    return intent
  }

  mutating func finished() { running -= 1 }
}
