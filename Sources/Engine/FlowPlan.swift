package import Event
import Posix
import Sensor

/// What holds back the firings of a trigger that are decided on.
package struct FlowPlan: Equatable, Sendable {
  package var rate: RateLimit?
  package var concurrency: ConcurrencyLimit?
  /// Nothing is started; firings wait on the log until it is taken away.
  package var isSuspended = false

  package init() {}
}

/// `concurrency`: how many firings of one key may be unfinished at once.
package struct ConcurrencyLimit: Equatable, Sendable {
  package enum Mode: String, Sendable, CaseIterable {
    /// Those beyond wait.
    case queue
    /// Those beyond are not carried out.
    case skip
    /// The oldest are stopped, in the target's own way, and those that wait are not carried out
    /// where there are newer ones.
    case cancelOlder
  }

  package let count: Int
  package let mode: Mode

  package init(count: Int, mode: Mode) {
    self.count = count
    self.mode = mode
  }
}

/// `rateLimit` by the generic cell rate algorithm: one firing every `spacing` in the long run, and
/// `burst` at once after as many spacings of rest.
package struct RateLimit: Equatable, Sendable {
  package let spacing: Duration
  /// At least 1.
  package let burst: Int

  package init(spacing: Duration, burst: Int) {
    precondition(burst >= 1, "a rate limit lets one through at least")
    self.spacing = spacing
    self.burst = burst
  }

  /// When the next firing may start, where `mark` is what the last one left.
  package func earliest(after mark: Timestamp?, now: Timestamp) -> Timestamp {
    guard let mark else { return now }
    // A clock that was set back must not make anybody wait longer than the burst is worth.
    let believable = min(mark, now.adding(spacing * burst))
    let slack = spacing * (burst - 1)
    return Timestamp(nanoseconds: believable.nanoseconds - slack.wholeNanoseconds)
  }

  /// What a firing that starts at `now` leaves.
  package func mark(after mark: Timestamp?, now: Timestamp) -> Timestamp {
    guard let mark, mark > now else { return now.adding(spacing) }
    return min(mark, now.adding(spacing * burst)).adding(spacing)
  }
}

/// Why firings of a trigger that could run do not.
package struct Hold: Equatable, Sendable {
  package enum Kind: String, Sendable, CaseIterable {
    case rateLimit, delay, suspend, concurrency
    /// Its sensor has an error and is not in force.
    case refused
  }

  package let kind: Kind
  /// When it ends by itself; nil: when something else happens.
  package let until: Timestamp?
  /// Firings in memory that wait.
  package let waiting: Int
}
