import ArgumentParser
import Bus
import Event
import EventLog
import Glibc
import JSON

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
      let bar = ProgressLine()
      let report = try EventLogReader(folder: folder.data + "/log").read(progress: bar.show) { _ in
      }
      bar.clear()
      try report.tell()
    }
  }

  struct Dump: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print every record, the program's own notes included, as one JSON object a line.",
      discussion: "Damage goes to standard error; exit status 1 if there is any."
    )

    @OptionGroup var folder: DataOption

    @Option(help: "Begin behind this position.")
    var after: String?

    @OptionGroup var since: SinceOption

    func validate() throws {
      if let after, Position(after) == nil { throw ValidationError("--after is a position") }
      if after != nil && since.since != nil {
        throw ValidationError("give --after or --since, not both")
      }
    }

    func run() throws {
      // Standard output may be a terminal too: then the lines are progress enough.
      let bar = ProgressLine(isQuiet: isatty(1) == 1)
      let start = try since.start() ?? after.flatMap { Position($0) }.map { .after($0) }
      let report = try EventLogReader(folder: folder.data + "/log").read(
        start ?? .first,
        progress: bar.show
      ) { print($0.json.text) }
      bar.clear()
      for damage in report.damages { writeError("damage: \(damage)\n") }
      if !report.damages.isEmpty { throw ExitCode(1) }
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
      let bar = ProgressLine()
      let report = try EventLogReader(folder: folder.data + "/log").backup(
        to: destination + "/log",
        progress: bar.show
      )
      bar.clear()
      try report.tell()
    }
  }
}

extension EventLogReader.Report {
  fileprivate func tell() throws {
    print("\(records) records in \(segments) segments")
    if tailBytes > 0 {
      print("\(tailBytes) bytes at the end are no whole record (being written, or torn)")
    }
    for damage in damages { print("damage: \(damage)") }
    if !damages.isEmpty { throw ExitCode(1) }
  }
}

extension Record {
  fileprivate var json: JSON {
    var members: [JSON.Member] = [
      .init(key: "position", value: .string(position.description)),
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

private func writeError(_ text: String) {
  let bytes = Array(text.utf8)
  _ = unsafe write(2, bytes, bytes.count)
}
