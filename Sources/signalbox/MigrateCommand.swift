import ArgumentParser
import Logging
import Observe
import Posix
import Server

/// `signalbox migrate`: from the log of a data folder to a bus on Kafka.
struct MigrateCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "migrate",
    abstract: "Move the log of a data folder to the bus on Kafka that the manifests name.",
    discussion: """
      Stop the program that runs on the folder first. The EventBus with kafka in the manifests says \
      which topic takes the log: all its records, with them positions, windows, cursors and what \
      waits to fire. The folder becomes a copy of the topic; a program goes on with it by `signalbox \
      run` with the same manifests.

      Interrupted at any step it can be run again. Until it was, no program starts on the folder, or \
      on a part of the log; with --undo the folder is in force again, unless a program has begun on the \
      topic.
      """
  )

  @Argument(help: "Manifest files and folders.")
  var paths = RunCommand.standardPaths

  @Option(help: "Where to: kafka.")
  var to: String?

  @Flag(help: "Take a move back on whose topic no program has begun.")
  var undo = false

  @OptionGroup var folder: DataOption
  @OptionGroup var secrets: SecretsOption
  @OptionGroup var compat: CompatOption

  func validate() throws {
    if let to, to != "kafka" { throw ValidationError("--to: found '\(to)', expected kafka") }
    if to == nil && !undo { throw ValidationError("give --to kafka, or --undo") }
  }

  func run() async throws {
    Signals.ignoreBrokenPipes()
    let handler = LineLogHandler(
      label: "signalbox",
      level: .warning,
      format: .text,
      isColoured: LogOutput.standardError.wantsColour,
      output: .standardError,
      now: wallClockNanoseconds
    )
    let logger = Logger(label: "signalbox") { _ in handler }
    let options = Server.MigrationOptions(
      manifests: paths,
      data: folder.data,
      secrets: secrets.secrets,
      compat: compat.value
    )
    do {
      if undo {
        try await Server.undoMigration(options, logger: logger, report: RunCommand.write)
      } else {
        try await Server.migrate(options, logger: logger, report: RunCommand.write)
      }
    } catch is Server.Refused {
      RunCommand.write("nothing was moved: the manifests have errors")
      throw ExitCode(1)
    }
  }
}
