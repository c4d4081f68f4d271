import Posix

/// The clocks of the log, in nanoseconds.
package struct LogClock: Sendable {
  package let wall: @Sendable () -> Int64
  package let monotonic: @Sendable () -> Int64

  package init(
    wall: @escaping @Sendable () -> Int64,
    monotonic: @escaping @Sendable () -> Int64
  ) {
    self.wall = wall
    self.monotonic = monotonic
  }

  package static let system = LogClock(
    wall: { wallClockNanoseconds() },
    monotonic: { MonotonicTime.now().nanoseconds }
  )
}

/// Log time: the wall clock, but never back. When the wall clock is more than 2 s behind, time
/// goes on by the monotonic clock, so that it does not stand still until the wall catches up.
struct LogTime {
  private let clock: LogClock
  private var last: Int64
  private var lastMonotonic: Int64

  init(_ clock: LogClock, last: Int64) {
    self.clock = clock
    self.last = last
    lastMonotonic = clock.monotonic()
  }

  mutating func next() -> Int64 {
    let wall = clock.wall()
    let monotonic = clock.monotonic()
    defer { lastMonotonic = monotonic }
    if last > wall, last - wall > 2_000_000_000 {
      last += max(0, monotonic - lastMonotonic)
    } else {
      last = max(last, wall)
    }
    return last
  }
}
