import ArgumentParser
import Dispatch
import Expression
import Glibc
import Triggers

/// Where the program begins. Two of its parts are no commands of people but processes that the
/// program starts as itself; they are told apart before anything is parsed, and before the
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
    Task.detached {
      await Signalbox.main(nil)
      exit(0)
    }
    // The main queue must be served: what runs on the main actor runs there.
    dispatchMain()
  }
}
