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
  /// The wall clock went another way than the monotonic one.
  struct Jump: Equatable {
    /// What it should have shown, and what it showed.
    let expected: Int64
    let found: Int64
  }

  private static let jump: Int64 = 60_000_000_000

  private let clock: LogClock
  private var last: Int64
  private var lastMonotonic: Int64
  private var lastWall: Int64

  init(_ clock: LogClock, last: Int64) {
    self.clock = clock
    self.last = last
    lastMonotonic = clock.monotonic()
    lastWall = clock.wall()
  }

  /// What the next batch would be stamped with now.
  func peek() -> Int64 {
    let wall = clock.wall()
    return last > wall ? last + max(0, clock.monotonic() - lastMonotonic) : wall
  }

  /// Never goes back behind a time that the log holds.
  mutating func pass(_ time: Int64) {
    if time > last { (last, lastMonotonic) = (time, clock.monotonic()) }
  }

  /// The time of the next batch, and whether the wall clock jumped by more than 60 s before it.
  mutating func next() -> (time: Int64, jump: Jump?) {
    let wall = clock.wall()
    let monotonic = clock.monotonic()
    let passed = max(0, monotonic - lastMonotonic)
    let expected = lastWall + passed
    defer { (lastMonotonic, lastWall) = (monotonic, wall) }
    if last > wall, last - wall > 2_000_000_000 {
      last += passed
    } else {
      last = max(last, wall)
    }
    let isJump = abs(wall - expected) > Self.jump
    return (last, isJump ? Jump(expected: expected, found: wall) : nil)
  }
}
