import Glibc
import JSON
import Posix

/// The program git, asked about a repository.
enum Git {
  static let path = "/usr/bin/git"
  /// More commits of a push than this are not described.
  static let commitsMax = 1000
  private static let outputBytesMax = 8 << 20

  /// What a command prints; nil when it fails, prints too much or takes too long. Blocks.
  static func output(
    _ arguments: [String],
    in repository: String,
    until deadline: MonotonicTime
  ) -> [UInt8]? {
    do throws(SystemError) {
      let program = Program(
        path: path,
        // Hooks of one repository may be looked at by another user, who runs nothing of it.
        arguments: ["git", "-c", "safe.directory=*", "--git-dir", repository] + arguments,
        environment: environment()
      )
      let null = try FileDescriptor.open("/dev/null", O_RDWR)
      let output = try FileDescriptor.memory("output", [])
      let process = try program.start(descriptors: [null.raw, output.raw, null.raw])
      let isGood = ended(process, until: deadline) == .exited(0)
      guard isGood, try output.size() <= outputBytesMax else { return nil }
      _ = lseek(output.raw, 0, SEEK_SET)
      return try Files.readToEnd(output, "git", limit: outputBytesMax)
    } catch { return nil }
  }

  private static func ended(_ process: ProcessID, until deadline: MonotonicTime) -> ProcessEnd? {
    while true {
      if let (_, end) = Processes.reap(process) { return end }
      if MonotonicTime.now() >= deadline {
        // Its group: git may have started programs of its own.
        _ = kill(-process, SIGKILL)
        var status: Int32 = 0
        while unsafe waitpid(process, &status, 0) < 0, errno == EINTR {}
        return nil
      }
      _ = poll(nil, 0, 2)
    }
  }

  /// What git needs to find the user's settings and keys, and never asks a person anything.
  static func environment(
    sshCommand: String = Git.sshCommand,
    further: [String] = []
  ) -> [String] {
    let names = [
      "PATH", "HOME", "LANG", "TZ", "SSH_AUTH_SOCK",
      // Where a push that is still to be let in keeps its objects.
      "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH",
    ]
    return names.compactMap { name in Processes.environment(name).map { "\(name)=\($0)" } }
      + ["GIT_TERMINAL_PROMPT=0", "GIT_SSH_COMMAND=\(sshCommand)"] + further
  }

  /// Without a terminal to ask on.
  static let sshCommand = "ssh -oBatchMode=yes -oConnectTimeout=20"

  /// The whole environment of this process.
  static func inheritedEnvironment() throws(SystemError) -> [String] {
    try Files.read("/proc/self/environ", limit: 4 << 20).split(separator: 0)
      .map { String(decoding: $0, as: UTF8.self) }
  }

  // MARK: Commits of a push

  /// The push with `commits`, `forced` and `truncated` for each of its refs, as far as there is
  /// time.
  static func described(_ push: JSON, in repository: String, until deadline: MonotonicTime) -> JSON
  {
    guard case .object(var members) = push, case .array(let refs)? = push["refs"],
      let place = members.firstIndex(where: { $0.key == "refs" })
    else { return push }
    // A part of what is left: the push must still be handed over.
    let now = MonotonicTime.now()
    let end = now + (deadline - now) / 2
    members[place].value = .array(refs.map { described(ref: $0, in: repository, until: end) })
    return .object(members)
  }

  private static func described(
    ref: JSON,
    in repository: String,
    until deadline: MonotonicTime
  ) -> JSON {
    guard case .object(let members) = ref, case .string(let before)? = ref["before"],
      case .string(let after)? = ref["after"], isCommit(before), isCommit(after)
    else { return ref }
    var further: [JSON.Member] = []
    if isZero(after) {
      further = [.init(key: "commits", value: []), .init(key: "truncated", value: false)]
    } else {
      // A new branch brings what no other ref has.
      let range =
        isZero(before)
        ? [after, "--not", "--exclude=\(name(ref))", "--glob=refs/*"] : ["\(before)..\(after)"]
      let text = output(
        [
          "log", "--reverse", "-z", "--name-status", "--no-renames", "-m", "--first-parent",
          "--max-count=\(commitsMax + 1)", "--format=%x00%H%x00%an%x00%ae%x00%aI%x00%B%x00",
        ] + range,
        in: repository,
        until: deadline
      )
      let commits = text.map(GitLog.commits)
      let isCut = commits.map { $0.count > commitsMax } ?? true
      further = [
        .init(key: "commits", value: .array(Array((commits ?? []).suffix(commitsMax)))),
        .init(key: "truncated", value: .bool(isCut)),
      ]
      if !isZero(before) {
        let base = output(["merge-base", before, after], in: repository, until: deadline)
        let text = base.map { String(decoding: $0, as: UTF8.self).filter { !$0.isNewline } }
        if let text { further.append(.init(key: "forced", value: .bool(text != before))) }
      }
    }
    return .object(members + further)
  }

  private static func name(_ ref: JSON) -> String {
    if case .string(let name)? = ref["ref"] { name } else { "" }
  }

  /// Whether it can stand as an argument: nothing but hexadecimal digits.
  static func isCommit(_ text: String) -> Bool {
    (40...64).contains(text.utf8.count)
      && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
  }

  static func isZero(_ commit: String) -> Bool { commit.utf8.allSatisfy { $0 == 0x30 } }
}

/// What `git log` printed in our format: everything ends with NUL, which stands in no name, message
/// or path. A commit is its id, four fields, then pairs of status and path; a status is never as
/// long as an id.
enum GitLog {
  /// Commits as a push has them, in the order printed.
  static func commits(_ text: [UInt8]) -> [JSON] {
    var tokens = text.split(separator: 0, omittingEmptySubsequences: false)
      .map { String(decoding: $0, as: UTF8.self) }[...]
    var commits: [JSON] = []
    while let token = tokens.popFirst() {
      guard Git.isCommit(token), tokens.count >= 4 else { continue }
      let fields = [token] + tokens.prefix(4)
      tokens = tokens.dropFirst(4)
      var paths: [String: [JSON]] = [:]
      while let next = tokens.first, !Git.isCommit(next) {
        tokens = tokens.dropFirst()
        let status = next.filter { !$0.isNewline }
        guard !status.isEmpty, let path = tokens.popFirst() else { continue }
        paths[["A", "D"].contains(status) ? status : "M", default: []].append(.string(path))
      }
      commits.append(
        [
          "id": .string(fields[0]), "message": .string(fields[4]),
          "author": ["name": .string(fields[1]), "email": .string(fields[2])],
          "time": .string(fields[3]), "added": .array(paths["A"] ?? []),
          "modified": .array(paths["M"] ?? []), "removed": .array(paths["D"] ?? []),
        ]
      )
    }
    return commits
  }
}
