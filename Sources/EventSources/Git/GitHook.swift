import Event
import Glibc
import JSON
import Posix

/// What runs in a repository: the `post-receive` hook, and the hand-over that the bus starts. The
/// hook file is no script but names this program as its interpreter, so nothing passes through a
/// shell.
package enum GitHook {
  /// The program's first argument as a hook; the path of the hook file follows.
  package static let receiveArgument = "git-receive"
  /// As the hook that asks before refs move; its path follows.
  package static let gateArgument = "git-gate"
  /// As the hand-over; the repository's path follows.
  package static let drainArgument = "git-drain"
  /// What a hook of the repository's owner is called when both are run.
  package static let chainedSuffix = ".chained"

  private static let inputBytesMax = 16 << 20
  /// A push never waits longer for us.
  private static let patience = Duration.seconds(2)
  /// A gate that does not answer within this is closed.
  private static let gatePatience = Duration.seconds(10)

  /// The hook. What fails is told to who pushes, and found again by the bus; the push stands.
  package static func receive(_ hook: String) -> Int32 {
    do throws(SystemError) {
      let (repository, input) = try called(hook)
      let status = try chained(hook, input)
      let deadline = MonotonicTime.now() + patience
      let spool = try PushSpool(repository)
      let refs = refs(input)
      if !refs.isEmpty {
        try spool.add { number in
          let push: JSON = [
            "repository": ["id": .string(spool.id), "path": .string(repository)],
            "number": JSON(number), "refs": .array(refs), "pusher": .string(pusher),
            "options": .array(pushOptions), "time": .string(now()),
          ]
          return push.encoded()
        }
      }
      do throws(SystemError) { try handOver(spool, until: deadline) } catch {
        complain("signalbox: the push waits in \(repository)/signalbox/spool: \(error)")
      }
      return status
    } catch {
      complain("signalbox: the push was not noted: \(error)")
      return 0
    }
  }

  /// The repository of a hook, and what git tells it of the refs.
  private static func called(
    _ hook: String
  ) throws(SystemError) -> (repository: String, input: [UInt8]) {
    let repository = Files.parent(of: Files.parent(of: try Files.resolved(hook)))
    let input = try Files.readToEnd(
      FileDescriptor(owning: dup(0)),
      "standard input",
      limit: inputBytesMax
    )
    return (repository, input)
  }

  /// The hook that asks: the push goes on where the bus says so, and nowhere else.
  package static func gate(_ hook: String) -> Int32 {
    do throws(SystemError) {
      let (repository, input) = try called(hook)
      let status = try chained(hook, input)
      if status != 0 { return status }
      let deadline = MonotonicTime.now() + gatePatience
      let spool = try PushSpool(repository)
      let push: JSON = [
        "repository": ["id": .string(spool.id), "path": .string(repository)], "number": 0,
        "refs": .array(refs(input)), "pusher": .string(pusher), "options": .array(pushOptions),
        "time": .string(now()),
      ]
      let described = Git.described(push, in: repository, until: deadline)
      let answer = try spool.ask("/gate", described.encoded(), until: deadline)
      guard answer["allowed"] == .bool(true) else {
        complain("signalbox: refused: \(answer["error"]?.asString ?? "the bus gave no reason")")
        return 1
      }
      return 0
    } catch {
      complain("signalbox: refused, as the gate cannot be asked: \(error)")
      return 1
    }
  }

  /// The hand-over: waiting pushes, then the refs as they are, so that the bus sees what no hook
  /// told it.
  package static func drain(_ repository: String) -> Int32 {
    let deadline = MonotonicTime.now() + .seconds(50)
    do throws(SystemError) {
      let spool = try PushSpool(repository)
      try handOver(spool, until: deadline)
      let names = Git.output(
        ["for-each-ref", "--format=%(objectname) %(refname)"],
        in: repository,
        until: deadline
      )
      guard let names else {
        complain("signalbox: git shows no refs of \(repository)")
        return 1
      }
      let refs = String(decoding: names, as: UTF8.self).split(separator: "\n").map { line in
        let parts = line.split(separator: " ", maxSplits: 1).map(String.init)
        return JSON.Member(key: parts.last ?? "", value: .string(parts.first ?? ""))
      }
      let report: JSON = [
        "id": .string(spool.id), "path": .string(repository), "refs": .object(refs),
      ]
      try spool.post("/refs", report.encoded(), until: deadline)
      return 0
    } catch {
      complain("signalbox: \(error)")
      return 1
    }
  }

  private static func handOver(
    _ spool: PushSpool,
    until deadline: MonotonicTime
  ) throws(SystemError) {
    try spool.drain(until: deadline) { push, deadline in
      Git.described(push, in: spool.repository, until: deadline)
    }
  }

  /// Lines of old commit, new commit and ref (githooks(5)).
  private static func refs(_ input: [UInt8]) -> [JSON] {
    String(decoding: input, as: UTF8.self).split(separator: "\n").compactMap { line in
      let parts = line.split(separator: " ", maxSplits: 2).map(String.init)
      guard parts.count == 3 else { return nil }
      return [
        "before": .string(parts[0]), "after": .string(parts[1]), "ref": .string(parts[2]),
      ]
    }
  }

  /// Whom the transport let in, or who runs git.
  private static var pusher: String {
    for name in ["REMOTE_USER", "GL_USER", "GITOLITE_USER", "USER", "LOGNAME"] {
      if let value = Processes.environment(name), !value.isEmpty { return value }
    }
    return "uid \(getuid())"
  }

  private static var pushOptions: [JSON] {
    let count = Processes.environment("GIT_PUSH_OPTION_COUNT").flatMap { Int($0) } ?? 0
    return (0..<min(max(count, 0), 100)).compactMap { index in
      Processes.environment("GIT_PUSH_OPTION_\(index)").map { .string($0) }
    }
  }

  private static func now() -> String {
    Timestamp(nanoseconds: wallClockNanoseconds()).wholeSeconds
  }

  /// Runs the hook that was there before ours, with the same input and environment.
  private static func chained(_ hook: String, _ input: [UInt8]) throws(SystemError) -> Int32 {
    let path = hook + chainedSuffix
    guard Files.kind(path) == .file else { return 0 }
    let program = Program(
      path: path,
      arguments: [path],
      environment: try Git.inheritedEnvironment()
    )
    let standard = try FileDescriptor.memory("push", input)
    let process = try program.start(descriptors: [standard.raw, 1, 2])
    var status: Int32 = 0
    while unsafe waitpid(process, &status, 0) < 0, errno == EINTR {}
    return status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f
  }

  private static func complain(_ text: String) {
    let line = Array((text + "\n").utf8)
    _ = unsafe write(2, line, line.count)
  }
}
