import ArgumentParser
import Dispatch
import EventSources
import Expression
import Glibc
import Triggers

/// Where the program begins. Some of its parts are no commands of people but processes that the
/// program or git starts; they are told apart before anything is parsed, and before the
/// machinery of concurrency starts, which does not bear the limits that one of them sets itself.
@main
enum Entry {
  static func main() {
    let arguments = Array(CommandLine.arguments.dropFirst())
    if arguments == [Supervisor.argument] { exit(Supervisor.run()) }
    if arguments == [JQService.argument] {
      JQService.run()
      exit(0)
    }
    if arguments.count == 2, arguments[0] == GitHook.receiveArgument {
      exit(GitHook.receive(arguments[1]))
    }
    if arguments.count == 2, arguments[0] == GitHook.gateArgument {
      exit(GitHook.gate(arguments[1]))
    }
    if arguments.count == 2, arguments[0] == GitHook.drainArgument {
      exit(GitHook.drain(arguments[1]))
    }
    Task.detached {
      await Signalbox.main(nil)
      exit(0)
    }
    // The main queue must be served: what runs on the main actor runs there.
    dispatchMain()
  }
}
