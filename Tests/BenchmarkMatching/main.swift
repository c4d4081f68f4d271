import Event
import Expression
import Glibc
import JSON
import MatchingWorkload
import Posix
import Sensor

// What an event costs among many sensors: `swift run -c release benchmark-matching`
// Whether the index and asking every sensor agree: `... benchmark-matching --compare 1000000`

let usage = """
  benchmark-matching [--sensors N]              time and memory, among 1,000 and N (100,000)
  benchmark-matching --compare PAIRS [--seed N] random events and sets of sensors
  benchmark-matching --throughput EVENTS        from the log to the call of a trigger
  """

func number(after option: String) -> Int? {
  let words = CommandLine.arguments
  guard let place = words.firstIndex(of: option), place + 1 < words.count else { return nil }
  return Int(words[place + 1])
}

/// Memory of the process that is in use, in MiB.
func residentMiB() -> Double {
  guard let bytes = try? Files.read("/proc/self/statm", limit: 4096) else { return 0 }
  // The second number counts pages (proc(5), statm).
  let pages = String(decoding: bytes, as: UTF8.self).split(separator: " ").dropFirst().first
  return (pages.flatMap { Double($0) } ?? 0) * Double(sysconf(Int32(_SC_PAGESIZE))) / 1_048_576
}

struct Times {
  private var microseconds: [Double] = []

  mutating func add(_ time: Duration) { microseconds.append(time / .microseconds(1)) }

  mutating func at(_ part: Double) -> Double {
    microseconds.sort()
    return microseconds[min(microseconds.count - 1, Int(part * Double(microseconds.count)))]
  }
}

func rounded(_ number: Double) -> String { "\((number * 10).rounded() / 10)" }

/// - Returns: the median of matching alone, in microseconds.
func measure(_ count: Int) -> Double {
  let clock = ContinuousClock()
  let before = residentMiB()
  let start = clock.now
  let workload = PushWorkload(sensors: count)
  let compiled = clock.now
  var interlocking = Interlocking(workload.sensors)
  let indexed = clock.now
  let memory = residentMiB() - before
  let events = (0..<2000).map(workload.push)
  var (scan, whole, alone) = (Times(), Times(), Times())
  var (most, sum) = (0, 0)
  for event in events {
    let start = clock.now
    guard case .document = FilterData(event.data) else {
      preconditionFailure("the workload is JSON")
    }
    let scanned = clock.now
    var slots = Slots()
    let step = interlocking.step(event, at: "1", &slots, isActive: { _ in true })
    let matched = clock.now
    scan.add(scanned - start)
    whole.add(matched - scanned)
    alone.add((matched - scanned) - (scanned - start))
    most = max(most, step.decisions.count)
    sum += step.decisions.count
  }
  var (added, removed) = (Times(), Times())
  for number in 0..<1000 {
    let sensor = workload.sensors[number * 7919 % count]
    let start = clock.now
    interlocking.remove(sensor.id)
    let gone = clock.now
    interlocking.insert(sensor)
    removed.add(gone - start)
    added.add(clock.now - gone)
  }
  print("\(count) sensors, events of \(events[0].data.count) bytes")
  print(
    "  compiled in \((compiled - start) / .seconds(1)) s, indexed in \((indexed - compiled) / .seconds(1)) s"
  )
  print("  \(rounded(memory)) MiB for plans and index; \(rounded(residentMiB())) MiB in all")
  print(
    "  matching: \(rounded(Double(sum) / Double(events.count))) on average, \(most) at the most"
  )
  print(
    "  scan: median \(rounded(scan.at(0.5))) us; scan and match: median \(rounded(whole.at(0.5)))"
  )
  let median = alone.at(0.5)
  print("  match alone: median \(rounded(median)) us, 99 of 100 within \(rounded(alone.at(0.99)))")
  print("  add: median \(rounded(added.at(0.5))) us, most \(rounded(added.at(1)))")
  print("  remove: median \(rounded(removed.at(0.5))) us, most \(rounded(removed.at(1)))")
  return median
}

func compare(_ count: Int, seed: Int) -> Bool {
  var pairs = RandomPairs(seed: UInt64(seed))
  while pairs.compared < count {
    if let difference = pairs.compare(events: 50, sensors: 12) {
      print("seed \(seed), after \(pairs.compared) pairs: \(difference)")
      return false
    }
  }
  print(
    "\(pairs.compared) pairs agree: \(pairs.passed) events were wanted, \(pairs.failed) filters "
      + "failed, \(pairs.ruledOut) were ruled out by the index"
  )
  return true
}

if CommandLine.arguments.contains("--help") {
  print(usage)
} else if let count = number(after: "--throughput") {
  for round in 1...5 {
    print("round \(round): \(Int(try await throughput(events: count))) events a second")
  }
} else if let count = number(after: "--compare") {
  exit(compare(count, seed: number(after: "--seed") ?? 1) ? 0 : 1)
} else {
  let few = measure(1000)
  let many = measure(number(after: "--sensors") ?? 100_000)
  print("many sensors cost \(rounded(many / few)) times as much as 1000")
}
