import ArgumentParser
import Manifest

/// The command line.
struct Signalbox: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "signalbox",
    abstract: "An event-driven automation bus: events in, sensors decide, triggers act.",
    version: "0.1.0-dev",
    subcommands: [
      RunCommand.self, ValidateCommand.self, TestCommand.self, EventsCommand.self,
      ExplainCommand.self, SendCommand.self, DeadLettersCommand.self, LogCommand.self,
      MigrateCommand.self, ReloadCommand.self, EvalCommand.self, GitCommand.self, HooksCommand.self,
    ]
  )
}

/// Where the data folder is.
struct DataOption: ParsableArguments {
  @Option(help: "The data folder; of a bus with partitions also DATA/partition-N, for one alone.")
  var data = "./data"
}

/// How what is doubtful in Argo Events is read.
struct CompatOption: ParsableArguments {
  @Option(
    help: "fixed or argo-1.9: how manifests that say nothing read what is doubtful in Argo Events."
  )
  var compat = "fixed"

  func validate() throws {
    if Compatibility(word: compat) == nil {
      throw ValidationError("--compat: found '\(compat)', expected fixed or argo-1.9")
    }
  }

  var value: Compatibility { Compatibility(word: compat) ?? .fixed }
}

/// Where secrets are.
struct SecretsOption: ParsableArguments {
  @Option(help: "The folder of secrets: <name>/<key>.")
  var secrets = "./secrets"
}
