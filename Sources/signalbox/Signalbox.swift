import ArgumentParser
import Glibc
import Triggers

/// The command line.
@main
struct Signalbox: AsyncParsableCommand {
  /// The supervisor of a job is no command of users: it is told apart before anything is parsed.
  static func main() async {
    if CommandLine.arguments.dropFirst().elementsEqual([Supervisor.argument]) {
      Glibc.exit(Supervisor.run())
    }
    await main(nil)
  }

  static let configuration = CommandConfiguration(
    commandName: "signalbox",
    abstract: "An event-driven automation bus: events in, sensors decide, triggers act.",
    version: "0.1.0-dev",
    subcommands: [
      RunCommand.self, ValidateCommand.self, EventsCommand.self, SendCommand.self,
      LogCommand.self, ReloadCommand.self, EvalCommand.self, JQCommand.self,
    ]
  )
}

/// Where the data folder is.
struct DataOption: ParsableArguments {
  @Option(help: "The data folder.")
  var data = "./data"
}

/// Where secrets are.
struct SecretsOption: ParsableArguments {
  @Option(help: "The folder of secrets: <name>/<key>.")
  var secrets = "./secrets"
}
