import Glibc
import Posix

/// Why no hook was written, in words.
package struct GitInstallError: Error, Equatable, CustomStringConvertible {
  package let description: String
}

/// Writes the hook into a repository.
package enum GitInstall {
  /// The kernel cuts longer first lines, and separates them at blanks.
  private static let interpreterBytesMax = 100

  /// - Parameters:
  ///   - remote: where pushes go over HTTPS; nil: to the program that runs on `data`.
  ///   - chains: whether another hook that is there is kept and run first; otherwise it is refused.
  ///   - gates: whether a hook that asks before refs move is written too.
  /// - Returns: the hook's path, and the repository's with links resolved.
  package static func install(
    _ repository: String,
    data: String,
    to remote: HandOver? = nil,
    chains: Bool,
    gates: Bool = false
  ) throws(GitInstallError) -> (hook: String, repository: String) {
    do {
      return try write(repository, data: data, to: remote, chains: chains, gates: gates)
    } catch {
      if let error = error as? GitInstallError { throw error }
      throw GitInstallError(description: "\(error)")
    }
  }

  private static func write(
    _ repository: String,
    data: String,
    to remote: HandOver?,
    chains: Bool,
    gates: Bool
  ) throws -> (hook: String, repository: String) {
    let repository = try Files.resolved(repository)
    for part in ["HEAD", "objects", "refs"] where Files.kind(repository + "/" + part) == nil {
      throw GitInstallError(description: "\(repository) is no bare repository and no .git folder")
    }
    let program = try Files.resolved("/proc/self/exe")
    let isFit = program.utf8.allSatisfy { (0x21...0x7e).contains($0) }
    guard isFit, program.utf8.count <= interpreterBytesMax else {
      throw GitInstallError(
        description: "the program's path \(program) cannot stand in the first line of a hook: "
          + "install it under a path of at most \(interpreterBytesMax) bytes without blanks"
      )
    }
    let target: HandOver
    if let remote {
      if let problem = remote.problem { throw GitInstallError(description: problem) }
      target = remote
    } else {
      try Files.makeFolder(data)
      target = .socket(try Files.resolved(data) + "/push.sock")
    }
    try becomeOwner(of: repository)
    try Files.makeFolder(repository + "/hooks", mode: 0o755)
    var hooks = [(repository + "/hooks/post-receive", GitHook.receiveArgument)]
    if gates { hooks.append((repository + "/hooks/pre-receive", GitHook.gateArgument)) }
    // All that may refuse before anything is written.
    for (hook, argument) in hooks { try keepForeign(hook, argument, chains: chains) }
    try PushSpool.prepare(repository, target)
    for (hook, argument) in hooks {
      try Files.writeDurably(Array("#!\(program) \(argument)\n".utf8), to: hook, mode: 0o755)
    }
    return (hooks[0].0, repository)
  }

  private static func keepForeign(_ hook: String, _ argument: String, chains: Bool) throws {
    guard Files.kind(hook) != nil else { return }
    let start = try Files.read(hook, limit: 1 << 20).prefix(256)
    let firstLine = String(decoding: start.prefix { $0 != 0x0a }, as: UTF8.self)
    if firstLine.hasPrefix("#!"), firstLine.hasSuffix(" " + argument) { return }
    let kept = hook + GitHook.chainedSuffix
    guard chains else {
      throw GitInstallError(
        description: "\(hook) is somebody else's: --chain keeps it and runs both"
      )
    }
    guard Files.kind(kept) == nil else {
      throw GitInstallError(description: "\(kept) is in the way")
    }
    guard unsafe rename(hook, kept) == 0 else { throw SystemError("rename", hook) }
  }

  /// Files in a repository belong to its owner, whoever asks for the hook.
  private static func becomeOwner(of repository: String) throws(SystemError) {
    var status = stat()
    guard unsafe stat(repository, &status) == 0 else { throw SystemError("stat", repository) }
    guard geteuid() == 0, status.st_uid != 0 else { return }
    guard setegid(status.st_gid) == 0, seteuid(status.st_uid) == 0 else {
      throw SystemError("become the owner of", repository)
    }
  }
}
