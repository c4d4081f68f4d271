/// How often a failed attempt is repeated and how long to wait between (spec section 2.2,
/// "Backoff").
package struct RetrySchedule: Equatable, Sendable {
  /// All attempts, the first included; at least 1.
  package let attempts: Int
  package let wait: Duration
  package let factor: Double
  package let jitter: Double

  /// No wait is longer, whatever the factor makes of it.
  package static let longestWait = Duration.seconds(3600)

  /// One attempt.
  package static let once = RetrySchedule(attempts: 1, wait: .zero, factor: 1, jitter: 0)

  package init(attempts: Int, wait: Duration, factor: Double, jitter: Double) {
    self.attempts = attempts
    self.wait = wait
    self.factor = factor
    self.jitter = jitter
  }

  /// The wait after attempt `number` (from 1) failed; nil when it was the last.
  /// - Parameter random: from 0 up to, not including, 1.
  package func delay(after number: Int, random: Double) -> Duration? {
    guard number < attempts else { return nil }
    var seconds = Double(wait.components.seconds) + Double(wait.components.attoseconds) / 1e18
    for _ in 1..<max(number, 1) where seconds < 1e6 { seconds *= factor }
    seconds += random * jitter * seconds
    let longest = Double(Self.longestWait.components.seconds)
    return .milliseconds(Int64(min(max(seconds, 0), longest) * 1000))
  }
}
