import Bus
import CLinux
import Event
import EventLog
import Foundation
import Synchronization
import TestKit

func crc32c(_ bytes: some Sequence<UInt8>, from seed: UInt32 = 0) -> UInt32 {
  let bytes = Array(bytes)
  return unsafe bytes.withUnsafeBytes { unsafe clinux_crc32c(seed, $0.baseAddress, $0.count) }
}

func littleEndian<I: FixedWidthInteger>(_ number: I) -> [UInt8] {
  (0..<I.bitWidth / 8).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
}

/// Answers one number after the other, the last for ever.
final class Ticks: Sendable {
  private let rest: Mutex<[Int64]>

  init(_ numbers: [Int64]) { rest = Mutex(numbers) }

  func next() -> Int64 {
    rest.withLock { $0.count > 1 ? $0.removeFirst() : $0[0] }
  }
}

/// A clock that shows what it was set to, in seconds.
final class Hand: Sendable {
  private let now: Mutex<Int64>

  init(_ seconds: Int64) { now = Mutex(seconds * 1_000_000_000) }

  func set(_ seconds: Int64) { now.withLock { $0 = seconds * 1_000_000_000 } }

  var clock: LogClock {
    LogClock(wall: { self.now.withLock { $0 } }, monotonic: { self.now.withLock { $0 } })
  }
}

/// Holds threads back until it is opened.
final class Gate: Sendable {
  private let semaphore = DispatchSemaphore(value: 0)
  private let arrivals = AsyncStream<Void>.makeStream()

  func pass() {
    arrivals.continuation.yield()
    semaphore.wait()
  }

  /// Returns when a thread stands at the gate.
  func arrival() async { for await _ in arrivals.stream { return } }

  func open(for threads: Int = 1) { for _ in 0..<threads { semaphore.signal() } }
}

let headerBytes = 64
let firstSegment = "00000000000000000001.log"

func configuration(segmentBytes: Int = 64 << 20) -> EventLog.Configuration {
  var configuration = EventLog.Configuration()
  configuration.segmentBytes = segmentBytes
  // Files of the length of their records; tests that want zeros ahead say so.
  configuration.aheadBytes = 0
  configuration.sealsAside = false
  configuration.seed = { 0x1234_5678 }
  return configuration
}

/// A closed log of `count` small events, `e0` and so on.
func filled(_ count: Int, segmentBytes: Int = 64 << 20) async throws -> FaultyDisk {
  let disk = FaultyDisk()
  let (log, _) = try EventLog.open(disk: disk, configuration(segmentBytes: segmentBytes))
  for number in 0..<count { _ = try await log.append([.event(sampleEvent("e\(number)"))]) }
  await log.close()
  return disk
}

/// The names of the segments.
func segments(_ disk: FaultyDisk) -> [String] { disk.names.filter { $0.hasSuffix(".log") } }

/// Opens the log, reads everything and closes it.
func contents(
  _ disk: FaultyDisk,
  segmentBytes: Int = 64 << 20
) async throws -> (ids: [String], recovery: EventLog.Recovery) {
  let (log, recovery) = try EventLog.open(disk: disk, configuration(segmentBytes: segmentBytes))
  let records = Result { try log.read(after: nil, limit: .max, bytes: .max) }
  await log.close()
  return (try records.get().compactMap(\.id), recovery)
}

extension Record {
  /// The id of an event; nil for notes.
  var id: String? {
    guard case .event(let event) = content else { return nil }
    return event.id
  }
}

/// Where the records of a sound file begin and, last, where it ends.
func borders(_ bytes: [UInt8]) -> [Int] {
  var borders = [headerBytes]
  while let last = borders.last, last < bytes.count {
    let length = bytes[last..<last + 4].reversed().reduce(0) { $0 << 8 | Int($1) }
    borders.append(last + 20 + length)
  }
  return borders
}
