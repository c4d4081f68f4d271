import Glibc

/// An instant of a clock that never jumps, in nanoseconds since an arbitrary start
/// (`CLOCK_MONOTONIC`). Deadlines and durations are measured with it.
package struct MonotonicTime: Comparable, Hashable, Sendable {
  package let nanoseconds: Int64

  package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  package static func now() -> MonotonicTime {
    MonotonicTime(nanoseconds: readClock(CLOCK_MONOTONIC))
  }

  package static func < (a: MonotonicTime, b: MonotonicTime) -> Bool {
    a.nanoseconds < b.nanoseconds
  }

  package static func + (time: MonotonicTime, wait: Duration) -> MonotonicTime {
    MonotonicTime(nanoseconds: time.nanoseconds + wait.wholeNanoseconds)
  }

  package static func - (a: MonotonicTime, b: MonotonicTime) -> Duration {
    .nanoseconds(a.nanoseconds - b.nanoseconds)
  }
}

/// Nanoseconds since 1970-01-01T00:00:00Z by the wall clock (`CLOCK_REALTIME`), which may jump.
package func wallClockNanoseconds() -> Int64 { readClock(CLOCK_REALTIME) }

private func readClock(_ clock: clockid_t) -> Int64 {
  var time = timespec()
  unsafe clock_gettime(clock, &time)
  return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}

extension Duration {
  /// The duration in nanoseconds, rounded towards zero.
  package var wholeNanoseconds: Int64 {
    let (seconds, attoseconds) = components
    return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
  }

  /// The duration in seconds.
  package var inSeconds: Double { Double(wholeNanoseconds) / 1e9 }
}

/// The processors this process may use.
package func coreCount() -> Int { max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }
