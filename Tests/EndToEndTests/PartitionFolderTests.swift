import Bus
import Event
import EventLog
import Foundation
import JSON
import Posix
import Synchronization
import TestKit
import Testing

/// Commands that read the data folder of a bus with partitions: `partition-0` and `partition-2`, as
/// on a machine that never had the others.
@Suite struct PartitionFolderTests {
  /// Appends to the logs of partitions, at log times that the test sets, in seconds.
  ///
  /// Logs stay open: a process that another test starts meanwhile may hold their locks for a moment.
  private final class Folder: Sendable {
    let data: String
    private let now = Atomic<Int64>(0)
    private let logs = Mutex<[Int: EventLog]>([:])

    init(data: String) { self.data = data }

    func append(_ partition: Int, at seconds: Int64, _ events: Event...) async throws {
      now.store(seconds * 1_000_000_000, ordering: .relaxed)
      _ = try await log(partition).append(events.map { .event($0) })
    }

    private func log(_ partition: Int) throws -> EventLog {
      try logs.withLock { logs in
        if let log = logs[partition] { return log }
        var settings = EventLog.Configuration()
        let time: @Sendable () -> Int64 = { [self] in now.load(ordering: .relaxed) }
        settings.clock = LogClock(wall: time, monotonic: time)
        settings.identityWindow = .seconds(100)
        let folder = "\(data)/partition-\(partition)/log"
        let log = try EventLog.open(folder: folder, settings).log
        try FolderRole.copy(of: "partition \(partition) of the topic bus").write(to: folder)
        logs[partition] = log
        return log
      }
    }

    func close() async { for log in logs.withLock({ $0.values.map(\.self) }) { await log.close() } }

    /// Runs a command on the whole folder.
    func run(_ arguments: String...) throws -> (status: Int32, output: String) {
      try signalbox(arguments + ["--data", data])
    }

    /// What a command prints, when it ends well.
    func lines(_ arguments: String...) throws -> [String] {
      let answer = try signalbox(arguments + ["--data", data])
      #expect(answer.status == 0, "\(answer.output)")
      return answer.output.split(separator: "\n").map(String.init)
    }
  }

  private func withFolder(_ body: (String, Folder) async throws -> Void) async throws {
    try await withTemporaryFolder { temporary in
      let folder = Folder(data: temporary + "/data")
      do { try await body(temporary, folder) } catch {
        await folder.close()
        throw error
      }
      await folder.close()
    }
  }

  private func event(_ id: String, _ source: String = "hooks", causedBy parent: String? = nil)
    -> Event
  {
    Event(
      id: id,
      source: source,
      type: "webhook",
      subject: "go",
      time: Timestamp(nanoseconds: 0),
      data: Array(#"{"id": "\#(id)"}"#.utf8),
      cause: parent.map { parent in
        Cause(
          firing: FiringID(
            namespace: "default",
            sensor: "s",
            trigger: "t",
            replay: 0,
            dependencies: [("d", "hooks", parent)]
          ),
          events: [parent],
          hops: 1,
          path: []
        )
      }
    )
  }

  /// The clock of partition 2's owner is behind: it had the outcome of what came later.
  private func fill(_ folder: Folder) async throws {
    try await folder.append(0, at: 10, event("early"))
    try await folder.append(2, at: 20, event("outcome", "outcomes", causedBy: "push"))
    try await folder.append(2, at: 25, event("next", "outcomes", causedBy: "outcome"))
    try await folder.append(0, at: 30, event("push"), event("both"))
    try await folder.append(0, at: 40, event("outcome", "outcomes", causedBy: "push"))
    try await folder.append(2, at: 50, event("both"))
  }

  /// The third word on of each line.
  private func ids(_ lines: [String]) -> [String] {
    lines.map { $0.split(separator: " ").dropFirst().first.map(String.init) ?? $0 }
  }

  @Test("events of partitions come in the order of log time, copies once, with their partitions")
  func events() async throws {
    try await withFolder { temporary, folder in
      try await fill(folder)
      let start = "1970-01-01T00:00:00Z  "
      #expect(
        try folder.lines("events") == [
          start + "early  hooks  go  partition 0",
          start + "outcome  outcomes  go  partitions 0, 2  caused by push",
          start + "next  outcomes  go  partition 2  caused by outcome",
          start + "push  hooks  go  partition 0", start + "both  hooks  go  partitions 0, 2",
        ]
      )
      let places = try folder.lines("events", "--json").map { line in
        let json = try JSON(parsing: Array(line.utf8))
        return "\(json["position"]?.asString ?? "") \(json["partitions"]?.text ?? "")"
      }
      #expect(places == ["0:1 [0]", "2:1 [0,2]", "2:2 [2]", "0:2 [0]", "0:3 [0,2]"])
      #expect(ids(try folder.lines("events", "--source", "hooks")) == ["early", "push", "both"])
      #expect(
        ids(try folder.lines("events", "--since", "1970-01-01T00:00:35Z")) == ["outcome", "both"]
      )
      // One partition is what one log is.
      let one = try signalbox(["events", "--data", temporary + "/data/partition-2"]).output
      #expect(
        one == """
          \(start)outcome  outcomes  go  caused by push
          \(start)next  outcomes  go  caused by outcome
          \(start)both  hooks  go

          """
      )
    }
  }

  @Test("what a partition took again, its window over, is shown again, and its copies once")
  func again() async throws {
    try await withFolder { _, folder in
      try await folder.append(0, at: 10, event("both"))
      try await folder.append(2, at: 11, event("both"))
      try await folder.append(0, at: 1000, event("between"), event("both"))
      try await folder.append(2, at: 1001, event("between"), event("both"))
      try await folder.append(0, at: 2000, event("end"), event("both"))
      let shown = ["both", "between", "both", "end", "both"]
      #expect(ids(try folder.lines("events")) == shown)
      let lines = try folder.lines("events", "--source", "hooks")
      #expect(lines.filter { $0.hasSuffix("both  hooks  go  partitions 0, 2") }.count == 3)
    }
  }

  @Test("a chain is found and nested although the clocks of its partitions put its end first")
  func chain() async throws {
    try await withFolder { _, folder in
      // Each is passed on to a partition whose clock is further behind.
      try await folder.append(4, at: 1, event("d", "outcomes", causedBy: "c"))
      try await folder.append(4, at: 2, event("e", "outcomes", causedBy: "d"))
      try await folder.append(3, at: 10, event("c", "outcomes", causedBy: "b"))
      try await folder.append(3, at: 11, event("d", "outcomes", causedBy: "c"))
      try await folder.append(2, at: 20, event("b", "outcomes", causedBy: "a"))
      try await folder.append(2, at: 21, event("c", "outcomes", causedBy: "b"))
      try await folder.append(1, at: 30, event("a", "outcomes", causedBy: "push"))
      try await folder.append(1, at: 31, event("b", "outcomes", causedBy: "a"))
      try await folder.append(0, at: 40, event("push"), event("other"))
      try await folder.append(0, at: 41, event("a", "outcomes", causedBy: "push"))
      let start = "1970-01-01T00:00:00Z  "
      #expect(
        try folder.lines("events", "--cause", "push") == [
          start + "push  hooks  go  partition 0",
          "  " + start + "a  outcomes  go  partitions 0, 1",
          "    " + start + "b  outcomes  go  partitions 1, 2",
          "      " + start + "c  outcomes  go  partitions 2, 3",
          "        " + start + "d  outcomes  go  partitions 3, 4",
          "          " + start + "e  outcomes  go  partition 4",
        ]
      )
      let shown = try folder.lines("events", "--cause", "push", "--json").map { line in
        try JSON(parsing: Array(line.utf8))["id"]?.asString ?? ""
      }
      #expect(shown == ["d", "e", "c", "b", "a", "push"])
    }
  }

  @Test("events are followed in all partitions, also in one that comes later")
  func following() async throws {
    try await withFolder { temporary, folder in
      try await fill(folder)
      let process = Process()
      process.executableURL = URL(fileURLWithPath: builtProgram("signalbox"))
      process.arguments = ["events", "--follow", "--data", folder.data]
      let pipe = Pipe()
      process.standardOutput = pipe
      process.standardError = pipe
      try process.run()
      defer {
        process.terminate()
        process.waitUntilExit()
      }
      let output = PrintedOutput(pipe)
      #expect(output.wait(for: "both  hooks  go  partitions 0, 2\n"))
      try await folder.append(1, at: 45, event("old"))
      try await folder.append(1, at: 60, event("both"), event("new"))
      #expect(output.wait(for: "new  hooks  go  partition 1\n"), "\(output.all)")
      // What was shown is not shown again.
      #expect(output.all.components(separatedBy: "  both  ").count == 2, "\(output.all)")
      // What it had before others had come further is not shown.
      #expect(!output.all.contains("  old  "), "\(output.all)")
    }
  }

  @Test("log verify, dump and backup go through all partitions")
  func log() async throws {
    try await withFolder { temporary, folder in
      try await fill(folder)
      #expect(
        try folder.lines("log", "verify") == [
          "partition 0: 4 records in 1 segments", "partition 2: 3 records in 1 segments",
        ]
      )
      func positions(_ arguments: String...) throws -> [String] {
        let answer = try signalbox(["log", "dump", "--data", folder.data] + arguments)
        #expect(answer.status == 0, "\(answer.output)")
        return try answer.output.split(separator: "\n").map {
          try JSON(parsing: Array($0.utf8))["position"]?.asString ?? ""
        }
      }
      #expect(try positions() == ["0:1", "2:1", "2:2", "0:2", "0:3", "0:4", "2:3"])
      #expect(try positions("--after", "2:1") == ["2:2", "2:3"])
      let nowhere = try folder.run("log", "dump", "--after", "1")
      #expect(nowhere.status == 1)
      #expect(nowhere.output.contains("found '1', expected 0:POSITION, 2:POSITION"))

      let copy = temporary + "/copy"
      #expect(try folder.lines("log", "backup", copy).count == 2)
      #expect(
        try signalbox(["events", "--json", "--data", copy]).output
          == folder.run("events", "--json").output
      )
      // One log does not go where partitions are, nor partitions where one is.
      let into = try signalbox(["log", "backup", copy, "--data", folder.data + "/partition-0"])
      #expect(into.status == 1 && into.output.contains("is of a bus with partitions"))
      let single = temporary + "/single"
      #expect(
        try signalbox(["log", "backup", single, "--data", folder.data + "/partition-0"]).status == 0
      )
      let other = try folder.run("log", "backup", single)
      #expect(other.status == 1 && other.output.contains("\(single)/log holds a log"))
      #expect(try Files.list(single) == ["log"])
    }
  }

  @Test("damage says in which partition it is")
  func damage() async throws {
    try await withFolder { temporary, folder in
      try await fill(folder)
      let log = folder.data + "/partition-2/log"
      let name = try #require(try Files.list(log).first { $0.hasSuffix(".log") })
      var bytes = try Files.read(log + "/" + name, limit: 64 << 20)
      let place = try #require(bytes.firstRange(of: Array("outcome".utf8)))
      bytes[place.lowerBound] ^= 1
      try Files.writeDurably(bytes, to: log + "/" + name)
      for command in [["events"], ["log", "verify"], ["log", "dump"]] {
        let answer = try signalbox(command + ["--data", folder.data])
        #expect(answer.status == 1 && answer.output.contains("partition 2: "), "\(answer.output)")
        #expect(answer.output.contains("offsets 1 to 1 lost"), "\(answer.output)")
      }
    }
  }

  @Test("a partition that cannot be read is named, and the others are gone through")
  func unreadable() async throws {
    try await withFolder { temporary, folder in
      try await fill(folder)
      try loseHeader(folder.data + "/partition-0/log")
      let words = "neither copy of its header can be read"
      for command in [["log", "verify"], ["log", "backup", temporary + "/copy"]] {
        let lines = try signalbox(command + ["--data", folder.data])
        #expect(lines.status == 1, "\(lines.output)")
        let told = lines.output.split(separator: "\n")
        #expect(told.count == 2 && told[0].hasPrefix("partition 0: "), "\(lines.output)")
        #expect(told.first?.contains(words) == true || command[1] == "backup")
        #expect(told.last == "partition 2: 3 records in 1 segments")
      }
      for command in [["events"], ["deadletters"], ["hooks", "plan", temporary]] {
        let answer = try signalbox(command + ["--data", folder.data])
        #expect(answer.status != 0 && answer.output.contains(words), "\(answer.output)")
        #expect(answer.output.contains("partition 0: "), "\(answer.output)")
      }
    }
  }

  @Test("a partition that cannot be looked at is not passed over")
  func invisible() async throws {
    try await withFolder { _, folder in
      try await fill(folder)
      try Files.makeFolder(folder.data + "/partition-1")
      // There is no log there yet.
      #expect(try folder.lines("log", "verify").count == 2)
      let log = folder.data + "/partition-1/log"
      try FileManager.default.createSymbolicLink(atPath: log, withDestinationPath: log)
      let answer = try folder.run("log", "verify")
      #expect(answer.status == 1)
      let lines = answer.output.split(separator: "\n")
      #expect(lines.count == 3 && lines[1].hasPrefix("partition 1: "), "\(answer.output)")
    }
  }

  @Test("a folder with partitions is not moved to a topic of one")
  func migration() async throws {
    try await withFolder { temporary, folder in
      try await fill(folder)
      let bus = """
        apiVersion: argoproj.io/v1alpha1
        kind: EventBus
        metadata: {name: default}
        spec: {kafka: {url: "127.0.0.1:1"}}
        """
      try write(bus, temporary + "/bus.yaml")
      let answer = try folder.run("migrate", "--to", "kafka", temporary + "/bus.yaml")
      #expect(answer.status == 1)
      #expect(answer.output.contains("partition-0 is of a bus with partitions"), "\(answer.output)")
      #expect(try Files.list(folder.data) == ["partition-0", "partition-2"])
    }
  }

  @Test("a process that owns no partition yet is told of")
  func nothing() async throws {
    try await withTemporaryFolder { temporary in
      let lock = try FolderLock(temporary + "/data")
      for command in [["events"], ["log", "verify"], ["deadletters"]] {
        let answer = try signalbox(command + ["--data", temporary + "/data"])
        #expect(answer.status == 1)
        #expect(answer.output.contains("no partition of the bus has run on "), "\(answer.output)")
      }
      withExtendedLifetime(lock) {}
    }
  }
}
