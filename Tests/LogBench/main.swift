import Bus
import Event
import EventLog
import Glibc
import Posix
import TestKit

// What the settings of the write path cost: durable appends of 7 KB by as many callers as given,
// each waiting for its own, in alternating rounds. Prints a table of medians.
//
//   swift run -c release log-bench [FOLDER [CALLERS [ROUNDS [MILLISECONDS [BROKER]]]]]
//
// FOLDER must be on the disk to be measured. Zeros ahead and the size of a batch are settings; a
// linger is a wait before each sync, in which more callers gather. With BROKER (host:port) the log by
// itself and the one whose truth is a topic are compared instead; `deploy/bench-kafka-bus` does so.

/// A folder whose syncs wait before they begin.
struct LingeringDisk: LogDisk {
  let folder: FolderDisk
  let lingerMicroseconds: UInt32

  func list(_ call: LogCall) throws(SystemError) -> [String] { try folder.list(call) }

  func open(
    _ name: String,
    create: Bool,
    _ call: LogCall
  ) throws(SystemError) -> any LogFile {
    LingeringFile(try folder.open(name, create: create, call), lingerMicroseconds)
  }

  func remove(_ name: String, _ call: LogCall) throws(SystemError) {
    try folder.remove(name, call)
  }

  func rename(_ name: String, to new: String, _ call: LogCall) throws(SystemError) {
    try folder.rename(name, to: new, call)
  }

  func syncFolder(_ call: LogCall) throws(SystemError) { try folder.syncFolder(call) }
  func freeBytes() -> Int? { folder.freeBytes() }
}

final class LingeringFile: LogFile {
  private let file: any LogFile
  private let lingerMicroseconds: UInt32

  init(_ file: any LogFile, _ lingerMicroseconds: UInt32) {
    self.file = file
    self.lingerMicroseconds = lingerMicroseconds
  }

  func size(_ call: LogCall) throws(SystemError) -> Int { try file.size(call) }

  func read(at offset: Int, count: Int, _ call: LogCall) throws(SystemError) -> [UInt8] {
    try file.read(at: offset, count: count, call)
  }

  func write(_ bytes: [UInt8], at offset: Int, _ call: LogCall) throws(SystemError) {
    try file.write(bytes, at: offset, call)
  }

  func sync(_ call: LogCall) throws(SystemError) {
    if lingerMicroseconds > 0 && call == .batchSync {
      var time = timespec(tv_sec: 0, tv_nsec: Int(lingerMicroseconds) * 1000)
      unsafe nanosleep(&time, nil)
    }
    try file.sync(call)
  }

  func truncate(to size: Int, _ call: LogCall) throws(SystemError) {
    try file.truncate(to: size, call)
  }
}

struct Setting {
  let name: String
  var aheadBytes = 1 << 20
  var batchBytes = 8 << 20
  var lingerMicroseconds: UInt32 = 0
  /// `host:port`; nil: the folder is all there is.
  var broker: String?
}

/// Appends until the time is over; durations of all appends in nanoseconds, sorted.
func round(_ setting: Setting, _ folder: String, _ plan: Plan, _ number: Int) async throws
  -> [Int64]
{
  var configuration = EventLog.Configuration()
  configuration.aheadBytes = setting.aheadBytes
  configuration.batchBytes = setting.batchBytes
  let disk = LingeringDisk(
    folder: FolderDisk(folder),
    lingerMicroseconds: setting.lingerMicroseconds
  )
  var kafka: KafkaSide?
  if let broker = setting.broker { kafka = try await KafkaSide(broker, folder, configuration) }
  let log = try kafka?.log ?? EventLog.open(disk: disk, configuration).log
  let end = MonotonicTime.now() + .milliseconds(plan.milliseconds)
  let took = try await withThrowingTaskGroup(of: [Int64].self) { group in
    for caller in 0..<plan.callers {
      group.addTask {
        var took: [Int64] = []
        var event = sampleEvent("", bytes: 7168)
        while MonotonicTime.now() < end {
          event.id = "\(number)-\(caller)-\(took.count)"
          let began = MonotonicTime.now()
          _ = try await log.append([.event(event)])
          took.append((MonotonicTime.now() - began).wholeNanoseconds)
        }
        return took
      }
    }
    return try await group.reduce(into: [], +=)
  }
  await log.close()
  kafka?.stop()
  return took.sorted()
}

struct Plan {
  var callers = 64
  var rounds = 5
  var milliseconds = 1000
}

let arguments = Array(CommandLine.arguments.dropFirst())
var plan = Plan()
if arguments.count > 1 { plan.callers = Int(arguments[1]) ?? plan.callers }
if arguments.count > 2 { plan.rounds = Int(arguments[2]) ?? plan.rounds }
if arguments.count > 3 { plan.milliseconds = Int(arguments[3]) ?? plan.milliseconds }
let broker = arguments.count > 4 ? arguments[4] : nil
let ownSettings = [
  Setting(name: "as it is"), Setting(name: "no zeros ahead", aheadBytes: 0),
  Setting(name: "4 MiB of zeros ahead", aheadBytes: 4 << 20),
  Setting(name: "batches of 64 KiB", batchBytes: 64 << 10),
  Setting(name: "batches of 256 KiB", batchBytes: 256 << 10),
  Setting(name: "linger 0.1 ms", lingerMicroseconds: 100),
  Setting(name: "linger 0.5 ms", lingerMicroseconds: 500),
  Setting(name: "linger 2 ms", lingerMicroseconds: 2000),
]
let settings =
  broker.map { [Setting(name: "the folder alone"), Setting(name: "on Kafka", broker: $0)] }
  ?? ownSettings
var results: [[(rate: Double, p50: Int64, p99: Int64)]] = settings.map { _ in [] }
for number in 0..<plan.rounds {
  for (place, setting) in settings.enumerated() {
    let folder = (arguments.first ?? ".") + "/.bench-log-\(number)-\(place)"
    try Files.makeFolder(folder)
    let took = try await round(setting, folder, plan, number)
    for name in try Files.list(folder) { try Files.remove(folder + "/" + name) }
    unsafe rmdir(folder)
    guard !took.isEmpty else { continue }
    let rate = Double(took.count) * 1000 / Double(plan.milliseconds)
    results[place].append((rate, took[took.count / 2], took[took.count * 99 / 100]))
  }
}

func median<N: Comparable>(_ numbers: [N]) -> N? {
  numbers.isEmpty ? nil : numbers.sorted()[numbers.count / 2]
}

print("\(plan.callers) callers, medians of \(plan.rounds) rounds of \(plan.milliseconds) ms")
print("| setting | appends/s | p50 ms | p99 ms |\n|---|---|---|---|")
for (setting, rounds) in zip(settings, results) {
  guard let rate = median(rounds.map(\.rate)), let p50 = median(rounds.map(\.p50)),
    let p99 = median(rounds.map(\.p99))
  else { continue }
  let (middle, high) = (Double(p50 / 1000) / 1000, Double(p99 / 1000) / 1000)
  print("| \(setting.name) | \(Int(rate)) | \(middle) | \(high) |")
}
