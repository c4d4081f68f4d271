import ArgumentParser
import EventSources
import Glibc
import Posix

/// `signalbox git`: hooks in plain repositories.
struct GitCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "git",
    abstract: "Hooks in plain Git repositories.",
    subcommands: [Install.self, Drain.self]
  )

  struct Install: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Write a post-receive hook into a repository.",
      discussion: """
        Pushes are numbered, kept in REPOSITORY/signalbox until they are on the log, and handed to \
        DATA/push.sock; a push waits two seconds at the most. As root it works as the \
        repository's owner.
        """
    )

    @OptionGroup var folder: DataOption

    @Argument(help: "The repository: a bare one, or the .git folder of another.")
    var repository: String

    @Flag(help: "Keep a hook that is there, and run it first.")
    var chain = false

    @Flag(
      help: """
        Write a pre-receive hook too, which lets a push in only where the running program's source \
        says so.
        """
    )
    var gate = false

    func run() throws {
      do throws(GitInstallError) {
        let installed = try GitInstall.install(
          repository,
          data: folder.data,
          chains: chain,
          gates: gate
        )
        print("installed \(installed.hook)")
        print("in a manifest: spec.git.NAME.repository: \(installed.repository)")
      } catch {
        let line = Array("\(error)\n".utf8)
        _ = unsafe write(2, line, line.count)
        throw ExitCode(1)
      }
    }
  }

  struct Drain: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Hand the pushes that wait in a repository to the running program."
    )

    @Argument(help: "The repository.")
    var repository: String

    func run() throws {
      let status = GitHook.drain(try Files.resolved(repository))
      if status != 0 { throw ExitCode(status) }
    }
  }
}
