import Glibc
import TLS

// Looks whether the time of a comparison tells where two values differ. Times of two kinds of
// input, taken in random order, are compared by Welch's t-test: a value that differs in its first
// byte, and one that differs in its last. A comparison that stops at the first difference is
// measured beside ours, so that the test is seen to find what it looks for.
//
//     swift run -c release timing-check [MEASUREMENTS]

let measurements = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 400_000
/// What chance alone goes beyond once in about 150,000 runs.
let threshold = 4.5

struct Sample {
  var count = 0.0
  var mean = 0.0
  var squares = 0.0

  mutating func add(_ value: Double) {
    count += 1
    let difference = value - mean
    mean += difference / count
    squares += difference * (value - mean)
  }
}

func nanoseconds() -> Int64 {
  var time = timespec()
  _ = unsafe clock_gettime(CLOCK_MONOTONIC, &time)
  return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}

func stoppingEquals(_ a: [UInt8], _ b: [UInt8]) -> Bool {
  guard a.count == b.count else { return false }
  for index in a.indices where a[index] != b[index] { return false }
  return true
}

/// The t of the two kinds' times.
func difference(_ equals: ([UInt8], [UInt8]) -> Bool) -> Double {
  let secret = secureRandomBytes(71)
  // Both kinds stand in one place of memory: where a value stands has a time of its own.
  var input = secret
  var times: [[Int64]] = [[], []]
  var matches = 0
  for bits in secureRandomBytes(measurements) {
    let kind = Int(bits & 1)
    let place = kind * 70
    input[place] ^= 0xff
    let began = nanoseconds()
    // Many at once: one is far below what the clock shows.
    for _ in 0..<16 where equals(secret, input) { matches += 1 }
    times[kind].append(nanoseconds() - began)
    input[place] ^= 0xff
  }
  precondition(matches == 0, "two values that differ were found equal")
  // What the scheduler put in between is no time of the comparison.
  let sorted = (times[0] + times[1]).sorted()
  let limit = sorted[sorted.count * 9 / 10]
  let samples = times.map { times in
    times.reduce(into: Sample()) { sample, time in if time <= limit { sample.add(Double(time)) } }
  }
  let variance = samples.map { $0.squares / max(1, $0.count - 1) / max(1, $0.count) }
  return (samples[0].mean - samples[1].mean) / (variance[0] + variance[1]).squareRoot()
}

// A busy machine can push one round over the threshold, not the best of three.
let ours = (0..<3).map { _ in abs(difference(constantTimeEquals)) }.min() ?? .infinity
let control = (0..<3).map { _ in abs(difference(stoppingEquals)) }.max() ?? 0
print("constantTimeEquals: |t| = \(ours), expected below \(threshold)")
print("a comparison that stops early: |t| = \(control), expected above \(threshold)")
exit(ours < threshold && control > threshold ? 0 : 1)
