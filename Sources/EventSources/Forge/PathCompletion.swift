import Event
import ForgeAPI
import Glibc
import JSON
import Manifest
import Plugin
import Posix

/// Where a forge names not all paths of a push, they are asked for before the push is stored:
///
///     signalbox: {completePaths: {api: true}}              the comparison of the forge's API
///     signalbox: {completePaths: {clones: /srv/mirrors}}   git in /srv/mirrors/OWNER/NAME.git
///
/// The forge waits for its answer meanwhile, so there is little time; what cannot be had in it leaves
/// the push as it was, with `truncated`.
struct PathCompletion: Sendable {
  private enum Way { case api, clones(String) }

  private let way: Way
  private static let patience = Duration.seconds(5)
  private static let outputBytesMax = 8 << 20

  /// Reads an entry's `signalbox` block; nil where nothing is to be completed.
  init?(from own: Block?) {
    guard let block = own?.block("completePaths") else { return nil }
    let api = block.bool("api") ?? false
    let clones = block.string("clones")
    block.finish()
    switch (api, clones) {
    case (true, nil): way = .api
    case (false, let folder?):
      guard folder.hasPrefix("/") else {
        block.error("clones", "found '\(folder)', expected an absolute path")
        return nil
      }
      way = .clones(folder.hasSuffix("/") ? String(folder.dropLast()) : folder)
    default:
      block.error(nil, "expected one of api: true, clones: FOLDER")
      return nil
    }
  }

  var needsAPI: Bool { if case .api = way { true } else { false } }

  /// - Parameter client: the forge's, for its API.
  func completed(
    _ told: Told,
    _ client: ForgeClient?,
    _ name: EventSourceName,
    _ host: any SourceHost
  ) async -> Told {
    guard let push = told.incomplete, let repository = push.repository.fullName?.string,
      let before = push.before?.string, let after = push.after?.string, Git.isCommit(before),
      Git.isCommit(after)
    else { return told }
    let deadline = MonotonicTime.now() + Self.patience
    var why: String?
    var paths: [String]?
    switch way {
    case .api:
      do throws(ForgeError) {
        paths = try await client?.changedPaths(repository, from: before, to: after, until: deadline)
        if paths == nil { why = "the forge does not tell all of them" }
      } catch { why = "\(error)" }
    case .clones(let folder):
      guard isRepositoryName(repository) else { return told }
      let clone = "\(folder)/\(repository).git"
      paths = await difference(clone, before, after, host)
      if paths == nil {
        // The clone may not have the commits yet.
        _ = await output(["fetch", "--quiet", "--prune"], clone, deadline, host)
        paths = await difference(clone, before, after, host)
      }
      if paths == nil { why = "git in \(clone) does not tell them" }
    }
    guard let paths else {
      host.show(.errors("paths"), from: name)
      host.log(
        .warning,
        "the paths of a push stay incomplete",
        [("source", "\(name)"), ("repository", repository), ("why", why ?? "")]
      )
      return told
    }
    return Told(told, push, paths: paths)
  }

  private func difference(
    _ clone: String,
    _ before: String,
    _ after: String,
    _ host: any SourceHost
  ) async -> [String]? {
    let arguments = ["diff", "--name-only", "--no-renames", "-z", before, after]
    return await output(arguments, clone, .now() + .seconds(2), host)?.split(separator: 0)
      .map { String(decoding: $0, as: UTF8.self) }
  }

  /// What git prints; nil where it fails or takes too long.
  private func output(
    _ arguments: [String],
    _ clone: String,
    _ deadline: MonotonicTime,
    _ host: any SourceHost
  ) async -> [UInt8]? {
    let program = Program(
      path: Git.path,
      arguments: ["git", "-c", "safe.directory=*", "--git-dir", clone] + arguments,
      environment: Git.environment()
    )
    do throws(SystemError) {
      let null = try FileDescriptor.open("/dev/null", O_RDWR)
      let output = try FileDescriptor.memory("output", [])
      let process = try program.start(descriptors: [null.raw, output.raw, null.raw])
      let handle = try? ProcessHandle(process)
      await host.loop?.waitForEnd(of: handle, atMost: max(.milliseconds(1), deadline - .now()))
      guard let end = Processes.reap(process)?.end else {
        _ = kill(-process, SIGKILL)
        await host.loop?.waitForEnd(of: handle, atMost: .seconds(5))
        _ = Processes.reap(process)
        return nil
      }
      guard end == .exited(0), try output.size() <= Self.outputBytesMax else { return nil }
      _ = lseek(output.raw, 0, SEEK_SET)
      return try Files.readToEnd(output, "git", limit: Self.outputBytesMax)
    } catch { return nil }
  }
}
