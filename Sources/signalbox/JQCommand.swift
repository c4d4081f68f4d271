import ArgumentParser
import Expression

/// Runs jq programs for another process; no command for people.
struct JQCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "__jq", shouldDisplay: false)

  func run() { JQService.run() }
}
