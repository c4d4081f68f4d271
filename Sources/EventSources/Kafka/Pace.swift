import Posix

/// Spreads events over time: at most so many in a second, a tenth of that at once.
struct Pace {
  private let perSecond: Int
  private var nextAt: MonotonicTime?

  init(perSecond: Int) { self.perSecond = perSecond }

  var batch: Int { max(1, perSecond / 10) }

  /// How long to wait until more may be read.
  mutating func wait(after count: Int, at now: MonotonicTime) -> Duration? {
    let from = max(nextAt ?? now, now)
    let next = from + .nanoseconds(Int64(count) * 1_000_000_000 / Int64(perSecond))
    nextAt = next
    return next > now ? next - now : nil
  }
}
