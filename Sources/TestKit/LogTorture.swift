import Bus
import Event
package import EventLog
import Glibc
import Posix
import Synchronization

/// Lives and crashes of a log, from a seed: what was acknowledged and is held must be there,
/// whatever failed and whatever the disk forgot.
package struct LogTorture {
  package struct Result: Sendable {
    /// Crashes that were survived or not.
    package var points = 0
    package var acknowledged = 0
    /// How often each call was made to fail.
    package var failed: [LogCall: Int] = [:]
    /// What did not hold, in words, with its seed.
    package var failures: [String] = []

    package init() {}

    package mutating func add(_ other: Result) {
      points += other.points
      acknowledged += other.acknowledged
      failed.merge(other.failed) { $0 + $1 }
      failures += other.failures
    }
  }

  private let seed: UInt64
  private let site: LogCall?
  private var random: Seeded
  private var disk: FaultyDisk
  private var result = Result()
  /// Events that were acknowledged and may not go.
  private var stored: [String: (position: Position, event: Event)] = [:]
  private var horizon: UInt64 = 0
  private var seconds = Seconds()

  private final class Seconds: Sendable {
    private let now = Mutex<Int64>(1_000_000)

    func next() -> Int64 {
      now.withLock {
        $0 += 1
        return $0 * 1_000_000_000
      }
    }
  }

  /// - Parameter site: the call that is made to fail in each life; nil: any, or none.
  package init(seed: UInt64, failing site: LogCall? = nil) {
    self.seed = seed
    self.site = site
    random = Seeded(seed)
    disk = FaultyDisk(seed: seed)
  }

  /// Three lives, each with a fault or two and a crash, then one flipped bit.
  package mutating func run() async -> Result {
    for life in 0..<3 {
      fault()
      await live("\(life)")
      result.failed.merge(disk.failed) { $0 + $1 }
      disk = disk.crashed(random.next())
      result.points += 1
      await check()
    }
    await flip()
    result.acknowledged = stored.count
    return result
  }

  private mutating func fault() {
    let codes = [EIO, ENOSPC, EINTR]
    func code(_ random: inout Seeded) -> Int32 {
      codes[Int.random(in: 0..<codes.count, using: &random)]
    }
    switch Int.random(in: 0..<4, using: &random) {
    case _ where site != nil:
      disk.inject(site, code(&random))
      // Some calls are made only where another one failed before.
      disk.inject(.batchWrite, EIO, skipping: Int.random(in: 0..<9, using: &random))
    case 0: break
    case 1:
      disk.inject(nil, code(&random), skipping: Int.random(in: 0..<150, using: &random))
    case 2:
      let sites = LogCall.allCases
      let site = sites[Int.random(in: 0..<sites.count, using: &random)]
      disk.inject(site, code(&random), skipping: Int.random(in: 0..<3, using: &random))
    default:
      for _ in 0..<3 {
        disk.inject(nil, code(&random), skipping: Int.random(in: 0..<150, using: &random))
      }
    }
    if Bool.random(using: &random) { disk.crash(after: Int.random(in: 0..<150, using: &random)) }
  }

  private func configuration() -> EventLog.Configuration {
    var configuration = EventLog.Configuration()
    configuration.segmentBytes = 900
    configuration.aheadBytes = seed % 2 == 0 ? 0 : 900
    // A third of the seeds, whose calls then come in an order that differs from run to run.
    configuration.sealsAside = seed % 3 == 0
    configuration.maxAge = .seconds(12)
    configuration.seed = { [seed] in UInt32(truncatingIfNeeded: seed &* 0x9e37_79b9) }
    configuration.clock = LogClock(wall: { [seconds] in seconds.next() }, monotonic: { 0 })
    return configuration
  }

  private mutating func live(_ life: String) async {
    let log: EventLog
    do throws(LogError) {
      log = try EventLog.open(disk: disk, configuration()).log
    } catch { return }
    var ids: [String] = []
    for step in 0..<10 {
      if Int.random(in: 0..<5, using: &random) == 0 { await hold(log) }
      var drafts: [Draft] = []
      for number in 0...Int.random(in: 0..<3, using: &random) {
        if Int.random(in: 0..<4, using: &random) == 0 {
          drafts.append(.note(Note(kind: 3, bytes: [1, 2, 3])))
        }
        let id = "\(life)-\(step)-\(number)"
        let old = ids.randomElement(using: &random)
        let isRepeat = Int.random(in: 0..<6, using: &random) == 0
        drafts.append(.event(event(isRepeat ? old ?? id : id)))
        ids.append(id)
      }
      // A caller tries again, in another order, as senders do.
      for attempt in [drafts, drafts.reversed()] {
        do throws(BusError) {
          note(attempt, try await log.append(attempt))
          break
        } catch { continue }
      }
    }
    await log.close()
  }

  private mutating func event(_ id: String) -> Event {
    var event = sampleEvent(id, bytes: Int.random(in: 0..<300, using: &random))
    event.digest = String(format(id.utf8.reduce(UInt64(seed)) { $0 &* 31 &+ UInt64($1) }))
    // Sometimes another event under the same id.
    if Int.random(in: 0..<12, using: &random) == 0 { event.digest = "0000000000000000" }
    return event
  }

  private func format(_ number: UInt64) -> String { String(number, radix: 16) + "0000000" }

  private mutating func note(_ drafts: [Draft], _ answers: [Appended]) {
    for (draft, answer) in zip(drafts, answers) {
      guard case .event(var event) = draft else { continue }
      if let other = answer.otherID { event.id = other }
      // A duplicate of what may have gone says nothing.
      if stored[event.id] == nil && !answer.isDuplicate {
        stored[event.id] = (answer.position, event)
      }
      if let known = stored[event.id], known.position != answer.position {
        fail("\(event.id) was answered \(known.position) and \(answer.position)")
      }
    }
  }

  /// Lets go of the older half, but for a few records.
  private mutating func hold(_ log: EventLog) async {
    let offsets = stored.values.map(\.position.offset).sorted()
    guard let middle = offsets.dropFirst(offsets.count / 2).first else { return }
    horizon = max(horizon, middle)
    var records: Set<Position> = []
    for (id, entry) in stored.sorted(by: { $0.key < $1.key })
    where entry.position.offset < horizon {
      if Int.random(in: 0..<4, using: &random) == 0 {
        records.insert(entry.position)
      } else {
        stored[id] = nil
      }
    }
    log.hold(
      Holds(ranges: ["cursor": Position(offset: horizon)], records: ["slots": records])
    )
    await log.keepUp()
  }

  private mutating func fail(_ why: String) { result.failures.append("seed \(seed): \(why)") }

  /// Opens a copy of what the crash left and compares: the next life begins with what is left.
  private mutating func check() async {
    let disk = disk.copy()
    do {
      let log = try EventLog.open(disk: disk, configuration()).log
      let records = try log.read(after: nil, limit: .max, bytes: .max)
      compare(records, missing: 0)
      if let entry = stored.sorted(by: { $0.key < $1.key }).first?.value {
        let again = try await log.append([.event(entry.event)])
        if !again[0].isDuplicate || again[0].position != entry.position {
          fail("\(entry.event.id) is not known as a duplicate")
        }
      }
      await log.close()
      var seen: [Record] = []
      _ = try EventLogReader(disk: disk).read { seen.append($0) }
      if seen.prefix(records.count) != records[...] { fail("a reader sees another log") }
    } catch { fail("the log does not open: \(error)") }
  }

  /// - Parameter missing: how many events may be missing.
  private mutating func compare(_ records: [Record], missing most: Int) {
    if zip(records, records.dropFirst()).contains(where: { $0.position >= $1.position }) {
      fail("positions do not ascend")
    }
    var found: [String: (position: Position, event: Event)] = [:]
    for record in records {
      guard case .event(let event) = record.content, event.source == "suite" else { continue }
      if found[event.id] != nil { fail("\(event.id) is there twice") }
      found[event.id] = (record.position, event)
    }
    var missing: [String] = []
    for (id, entry) in stored {
      guard let there = found[id] else {
        missing.append(id)
        continue
      }
      if there.position != entry.position || there.event.data != entry.event.data {
        fail("\(id) has changed")
      }
    }
    if missing.count > most { fail("missing: \(missing.sorted().joined(separator: ", "))") }
  }

  /// One wrong bit anywhere costs one record at the most.
  private mutating func flip() async {
    guard let name = disk.names.filter({ !disk[$0].isEmpty }).randomElement(using: &random) else {
      return
    }
    let bit = Int.random(in: 0..<disk[name].count * 8, using: &random)
    disk[name][bit / 8] ^= 1 << (bit % 8)
    do {
      let log = try EventLog.open(disk: disk, configuration()).log
      let records = try log.read(after: nil, limit: .max, bytes: .max)
      compare(records, missing: name.hasSuffix(".log") ? 1 : 0)
      await log.close()
    } catch { fail("after bit \(bit) of \(name) the log does not open: \(error)") }
  }
}
