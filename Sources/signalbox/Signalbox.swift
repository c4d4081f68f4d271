import ArgumentParser

/// The command line.
struct Signalbox: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "signalbox",
    abstract: "An event-driven automation bus: events in, sensors decide, triggers act.",
    version: "0.1.0-dev",
    subcommands: [
      RunCommand.self, ValidateCommand.self, TestCommand.self, EventsCommand.self, SendCommand.self,
      LogCommand.self, ReloadCommand.self, EvalCommand.self, GitCommand.self, HooksCommand.self,
      DeadLettersCommand.self,
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
