/// The waits before what failed is tried again: they grow, and begin anew once it worked.
struct Backoff {
  private let seconds: [Int]
  private var failures = 0

  init(_ seconds: [Int] = [1, 2, 4, 8, 15]) { self.seconds = seconds }

  mutating func next() -> Duration {
    defer { failures += 1 }
    return .seconds(seconds[min(failures, seconds.count - 1)])
  }

  mutating func reset() { failures = 0 }
}
