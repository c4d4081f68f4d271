import ArgumentParser
import Bus
import Event
import EventLog
import Glibc
import JSON
import Posix
import Server

/// `signalbox log`: looks at the records of a data folder, also while a server writes to it.
struct LogCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "log",
    abstract: "Check, print or copy the records of a data folder.",
    subcommands: [Verify.self, Dump.self, Backup.self]
  )

  struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Read every record and report damage. Exit status 1 if there is any."
    )

    @OptionGroup var folder: DataOption

    func run() throws {
      try eachLog(of: folder) { part, progress throws(LogError) in
        try EventLogReader(folder: part.log).read(progress: progress) { _ in }
      }
    }
  }

  struct Dump: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print every record, the program's own notes included, as one JSON object a line.",
      discussion: "Damage goes to standard error; exit status 1 if there is any."
    )

    @OptionGroup var folder: DataOption

    @Option(help: "Begin behind this position, PARTITION:POSITION of a bus with partitions.")
    var after: String?

    @OptionGroup var since: SinceOption

    func validate() throws {
      if let after, Place.parts(of: after) == nil {
        throw ValidationError("--after is a position")
      }
      if after != nil && since.since != nil {
        throw ValidationError("give --after or --since, not both")
      }
    }

    func run() throws {
      // The segments of all partitions are open at once.
      try raiseDescriptorLimit()
      // Standard output may be a terminal too: then the lines are progress enough.
      let bar = ProgressLine(isQuiet: isatty(1) == 1)
      var parts = try DataFolder(folder.data).parts()
      var start = try since.start() ?? .first
      if let after {
        let place = try Place(after, among: parts)
        parts = [place.part]
        start = .after(place.position)
      }
      var pass = try MergedPass(parts) { _ in start }
      var shown = 0
      while let (part, record) = try pass.next() {
        let progress = pass.progress
        if progress.done - shown > 1 << 20 {
          shown = progress.done
          bar.show(progress)
        }
        print(record.json(at: part.name(record.position)).text)
      }
      bar.clear()
      var isDamaged = false
      for (part, report) in pass.reports {
        for damage in report.damages { writeError("damage: \(part.prefix)\(damage)\n") }
        isDamaged = isDamaged || !report.damages.isEmpty
      }
      if isDamaged { throw ExitCode(1) }
    }
  }

  struct Backup: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Copy the log into a folder, also while a server writes to it.",
      discussion:
        "DIR then is a data folder. Exit status 1 if there is damage, which is copied too."
    )

    @OptionGroup var folder: DataOption

    @Argument(help: "The folder to copy to; it must hold no log yet.")
    var destination: String

    func run() throws {
      let there = DataFolder(destination)
      try there.check(canHold: try DataFolder(folder.data).parts())
      try eachLog(of: folder) { part, progress throws(LogError) in
        try EventLogReader(folder: part.log).backup(
          to: part.at(there).log,
          progress: progress
        )
      }
    }
  }
}

/// A position that may name its partition.
private struct Place {
  let part: DataFolder.Part
  let position: Position

  /// - Throws: `DataFolder.Problem` for a partition that is not here, or none where there are some.
  init(_ text: String, among parts: [DataFolder.Part]) throws(DataFolder.Problem) {
    let found = Self.parts(of: text)
    guard let found, let part = parts.first(where: { $0.partition == found.partition }) else {
      let there = parts.compactMap(\.partition).map { "\($0):POSITION" }.joined(separator: ", ")
      throw DataFolder.Problem(
        "--after: found '\(text)', expected \(there.isEmpty ? "a position of one log" : there)"
      )
    }
    (self.part, position) = (part, found.position)
  }

  static func parts(of text: String) -> (partition: Int?, position: Position)? {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    guard let last = parts.last, let position = Position(last), parts.count <= 2 else { return nil }
    if parts.count == 1 { return (nil, position) }
    return Int(parts[0]).map { ($0, position) }
  }
}

/// Goes through the logs of a data folder and tells of each.
/// - Throws: `ExitCode` 1 in the end where any is damaged, or one of several cannot be read.
private func eachLog(
  of folder: DataOption,
  _ read: (DataFolder.Part, (EventLogReader.Progress) -> Void) throws(LogError) ->
    EventLogReader.Report
) throws {
  var isDamaged = false
  for part in try DataFolder(folder.data).parts() {
    let bar = ProgressLine()
    let report: EventLogReader.Report
    do throws(LogError) { report = try read(part, bar.show) } catch {
      if part.partition == nil { throw error }
      // The others may be whole.
      bar.clear()
      print("\(part.prefix)\(error)")
      isDamaged = true
      continue
    }
    bar.clear()
    report.tell(part.prefix)
    isDamaged = isDamaged || !report.damages.isEmpty
  }
  if isDamaged { throw ExitCode(1) }
}

extension EventLogReader.Report {
  fileprivate func tell(_ prefix: String) {
    print("\(prefix)\(records) records in \(segments) segments")
    if tailBytes > 0 {
      print("\(prefix)\(tailBytes) bytes at the end are no whole record (being written, or torn)")
    }
    for damage in damages { print("\(prefix)damage: \(damage)") }
  }
}

extension Record {
  fileprivate func json(at place: String) -> JSON {
    var members: [JSON.Member] = [
      .init(key: "position", value: .string(place)),
      .init(key: "logTime", value: .string(time.description)),
    ]
    switch content {
    case .note(let note):
      members.append(.init(key: "note", value: JSON(Int(note.kind))))
      members.append(.init(key: "content", value: textOrJSON(note.bytes)))
    case .event(let event):
      members += [
        .init(key: "id", value: .string(event.id)),
        .init(key: "namespace", value: .string(event.namespace)),
        .init(key: "bus", value: .string(event.bus)),
        .init(key: "source", value: .string(event.source)),
        .init(key: "type", value: .string(event.type)),
        .init(key: "subject", value: .string(event.subject)),
        .init(key: "time", value: .string(event.time.description)),
        .init(key: "data", value: textOrJSON(event.data)),
      ]
      if let cause = event.cause {
        members.append(.init(key: "firing", value: .string(cause.firing.text)))
      }
    }
    return .object(members)
  }

  private func textOrJSON(_ bytes: [UInt8]) -> JSON {
    (try? JSON(parsing: bytes)) ?? .string(String(decoding: bytes, as: UTF8.self))
  }
}

/// How far a command is, on one line of a terminal; nothing where standard error is none.
private struct ProgressLine {
  private let isShown: Bool

  init(isQuiet: Bool = false) { isShown = !isQuiet && isatty(2) == 1 }

  func show(_ progress: EventLogReader.Progress) {
    guard isShown, progress.total > 0 else { return }
    let (done, total) = (progress.done >> 20, progress.total >> 20)
    writeError("\r\(done) of \(total) MiB, \(progress.done * 100 / progress.total) %\u{1b}[K")
  }

  func clear() { if isShown { writeError("\r\u{1b}[K") } }
}

func writeError(_ text: String) {
  let bytes = Array(text.utf8)
  _ = unsafe write(2, bytes, bytes.count)
}
