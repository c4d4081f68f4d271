import ArgumentParser
import Bus
import EventLog

/// `signalbox log`: looks at the records of a data folder, also while a server writes to it.
struct LogCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "log",
    abstract: "Check the records of a data folder.",
    subcommands: [Verify.self]
  )

  struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Read every record and report damage. Exit status 1 if there is any."
    )

    @OptionGroup var folder: DataOption

    func run() throws {
      let report = try EventLogReader(folder: folder.data + "/log").read { _ in }
      print("\(report.records) records in \(report.segments) segments")
      if report.tailBytes > 0 {
        print("\(report.tailBytes) bytes at the end are no whole record (being written, or torn)")
      }
      for damage in report.damages { print("damage: \(damage)") }
      if !report.damages.isEmpty { throw ExitCode(1) }
    }
  }
}
