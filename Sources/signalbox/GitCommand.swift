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

    @Option(
      help: "An https URL of a program elsewhere that pushes are handed to, in place of DATA."
    )
    var url: String?

    @Option(help: "The file that holds the token for it, which hooks read.")
    var tokenFile: String?

    @Option(help: "A file of PEM certificates that it is verified by, in place of the system's.")
    var caFile: String?

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
      var remote: HandOver?
      if let url {
        guard let tokenFile else { throw ValidationError("--url needs --token-file") }
        remote = .https(
          url: url,
          token: try Files.resolved(tokenFile),
          authorities: try caFile.map { try Files.resolved($0) }
        )
      } else if tokenFile != nil || caFile != nil {
        throw ValidationError("--token-file and --ca-file need --url")
      }
      do throws(GitInstallError) {
        let installed = try GitInstall.install(
          repository,
          data: folder.data,
          to: remote,
          chains: chain,
          gates: gate
        )
        print("installed \(installed.hook)")
        if remote == nil {
          print("in a manifest: spec.git.NAME.repository: \(installed.repository)")
        }
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
