import ArgumentParser
import EventLog
import EventSources
import ForgeAPI
import Glibc
import HTTPClient
import Manifest
import Plugin
import Server

/// `signalbox hooks`: hooks at forges, as event sources ask for them. A running program keeps them
/// by itself; these commands show, and do it where none runs.
struct HooksCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "hooks",
    abstract: "Hooks at GitHub, GitLab, Gitea, Bitbucket and Gerrit, as event sources ask.",
    subcommands: [Plan.self, Apply.self, Check.self]
  )

  struct Sources: ParsableArguments {
    @Argument(help: "Manifest files and folders.")
    var paths = ["eventsources"]

    @OptionGroup var secrets: SecretsOption

    /// The event sources of the manifests.
    func made(_ http: HTTPClient) throws -> [any EventSource] {
      let (sources, found) = Server.sources(paths, secrets: secrets.secrets, http: http)
      for diagnostic in found where diagnostic.severity != .info { print(diagnostic) }
      if found.contains(where: { $0.severity == .error }) { throw ExitCode(1) }
      return sources
    }
  }

  struct Plan: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show what would be done at the forges; nothing is changed.",
      discussion: """
        Where an entry has no token, or does not say how the forge reaches it, the settings are \
        printed that make the same hook by hand. What the log in DATA tells of hooks whose entries \
        are gone is shown too: the program that runs there ends them.
        """
    )

    @OptionGroup var sources: Sources
    @OptionGroup var folder: DataOption

    func run() async throws {
      let noted = try PlacesFolder(data: folder.data)
      let made = try await HooksCommand.eachTarget(sources) { keeper, target in
        let records = HookRecord.all(in: noted.places[keeper.name] ?? [:])
        let known = records.first { $0.target == target }?.id
        for step in try await keeper.plan(target, known: known).steps {
          print("  \(target): \(step)")
        }
        return true
      }
      for hook in noted.leftHooks(made).hooks {
        print("\(hook.name): \(hook.record.target): \(hook.description)")
      }
    }
  }

  struct Apply: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make the hooks as the manifests say.",
      discussion: """
        A program that runs on DATA keeps them itself, so this is refused while one does. Secrets \
        are written where something else differs, or with --write-secrets: no forge tells them.
        """
    )

    @OptionGroup var sources: Sources
    @OptionGroup var folder: DataOption

    @Flag(help: "Write hooks also where nothing differs, for a secret that was changed.")
    var writeSecrets = false

    func run() async throws {
      let lock: FolderLock
      do throws(LogError) { lock = try DataFolder(folder.data).lock() } catch {
        HooksCommand.complain("a program that runs on \(folder.data) keeps the hooks: \(error)")
        throw ExitCode(1)
      }
      try await HooksCommand.eachTarget(sources) { keeper, target in
        for step in try await keeper.plan(target).steps {
          var step = step
          if writeSecrets, case .keep(let id) = step { step = .update(id: id, ["to be written"]) }
          _ = try await keeper.carryOut(step, at: target)
          print("  \(target): done: \(step)")
        }
        return true
      }
      withExtendedLifetime(lock) {}
    }
  }

  struct Check: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Say whether hooks are as they should be. Exit status 1 where one is not.",
      discussion: "At GitHub and GitLab the latest deliveries are looked at too."
    )

    @OptionGroup var sources: Sources

    func run() async throws {
      try await HooksCommand.eachTarget(sources) { keeper, target in
        let (steps, hooks) = try await keeper.plan(target)
        var isGood = true
        for step in steps {
          print("  \(target): \(step)")
          if step.isChange { isGood = false }
        }
        for case .keep(let id) in steps {
          if let trouble = hooks.first(where: { $0.id == id })?.trouble {
            print("  \(target): the forge has stopped calling it: \(trouble)")
            isGood = false
          }
          if keeper.registration.access.kind.deliveryRow != nil {
            print("  \(target): \(try await HooksCommand.lastCalls(keeper, id, target))")
          }
        }
        return isGood
      }
    }
  }

  /// How the latest calls of a hook went.
  private static func lastCalls(
    _ keeper: HookKeeper,
    _ hook: String,
    _ target: HookTarget
  ) async throws(ForgeError) -> String {
    do throws(ForgeError) {
      let page = try await keeper.client?.deliveries(of: hook, at: target, page: nil)
      let calls = page?.deliveries ?? []
      let failed = calls.filter { !(200...299).contains($0.status) }.count
      return "\(failed) of the last \(calls.count) calls failed"
    } catch {
      // GitLab before version 17.3.
      guard error.kind == .refused(status: 404) else { throw error }
      return "the forge does not tell how its calls went"
    }
  }

  /// Visits every target that somebody may look at, and prints the settings of the others.
  /// - Parameter visit: whether all is well there.
  /// - Returns: all event sources of the manifests.
  @discardableResult
  private static func eachTarget(
    _ sources: Sources,
    _ visit: (HookKeeper, HookTarget) async throws -> Bool
  ) async throws -> [any EventSource] {
    let http = try HTTPClient()
    var isGood = true
    let made = try sources.made(http)
    let keepers = made.compactMap { ($0 as? any HookOwner)?.keeper }
    if keepers.isEmpty { print("no event source has hooks at a forge") }
    for keeper in keepers {
      let root = keeper.registration.access.root ?? "an address that is not said"
      guard keeper.registration.isManaged, keeper.client != nil else {
        print("\(keeper.name): nobody may call \(keeper.kind); by hand:")
        for target in keeper.registration.targets { print("  \(target)") }
        for line in keeper.settings { print("  \(line)") }
        continue
      }
      print("\(keeper.name): \(keeper.kind) at \(root), calls \(keeper.registration.url ?? "")")
      for target in keeper.registration.targets {
        do {
          if try await !visit(keeper, target) { isGood = false }
        } catch let error as ForgeError {
          print("  \(target): failed: \(error)")
          isGood = false
        }
      }
    }
    await http.close()
    if !isGood { throw ExitCode(1) }
    return made
  }

  private static func complain(_ text: String) {
    let line = Array((text + "\n").utf8)
    _ = unsafe write(2, line, line.count)
  }
}
