import ArgumentParser

/// The command line.
@main
struct Signalbox: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "signalbox",
    abstract: "An event-driven automation bus: events in, sensors decide, triggers act.",
    version: "0.1.0-dev",
    subcommands: [EventsCommand.self, LogCommand.self]
  )
}

/// Where the data folder is.
struct DataOption: ParsableArguments {
  @Option(help: "The data folder.")
  var data = "./data"
}
