import Glibc
import JSON
import Posix

/// The folder of one attempt of one firing, `<jobs>/<firing id>/<attempt>`: whoever makes it runs
/// the command, so it is made once.
///
///     lock     held by the supervisor from before the folder has its name until it ends
///     owner    {"process","started","boot"}: who that is
///     output   what the command wrote, the first `outputBytes` of it
///     result   how it ended; written durably, then never changed
struct JobFolder {
  /// Bytes of output that are kept.
  static let outputBytes = 1 << 20

  let jobs: String
  let firing: String
  let attempt: Int

  var parent: String { jobs + "/" + firing }
  var path: String { parent + "/\(attempt)" }

  enum State: Equatable {
    /// Nothing was started: nobody made the folder.
    case absent
    /// Its supervisor lives; nil where it is not to be seen from here, such as from another
    /// process namespace.
    case running(ProcessID?)
    case finished(JobResult)
    /// Its supervisor ended without leaving a result.
    case lost(String)
  }

  func state() throws(SystemError) -> State {
    if let result = try result() { return .finished(result) }
    guard Files.kind(path) == .folder else { return .absent }
    let lock = try FileDescriptor.open(path + "/lock", O_RDWR)
    guard try lock.tryLock() else { return .running(try owner()) }
    // It may have ended between the two looks.
    if let result = try result() { return .finished(result) }
    let bootID = try Processes.bootID()
    return .lost(
      try field("boot") == bootID
        ? "its supervisor was killed while it ran"
        : "the machine was restarted while it ran"
    )
  }

  /// Makes the folder as the calling process's, with its lock held; nil when somebody else has
  /// made it.
  func claim() throws(SystemError) -> Claim? {
    let own = getpid()
    try Files.makeFolder(parent)
    let temporary = jobs + "/.new-\(own)-\(firing)-\(attempt)"
    try Files.remove(temporary)
    try Files.makeFolder(temporary)
    let owner: JSON = [
      "process": .number("\(own)"),
      "started": .string(try Processes.startTime(of: own)),
      "boot": .string(try Processes.bootID()),
    ]
    try Files.writeDurably(owner.encoded(), to: temporary + "/owner")
    let lock = try FileDescriptor.open(temporary + "/lock", O_RDWR | O_CREAT)
    guard try lock.tryLock() else { throw SystemError("flock", temporary, code: EWOULDBLOCK) }
    let output = try FileDescriptor.open(temporary + "/output", O_WRONLY | O_CREAT | O_EXCL)
    try Files.syncFolder(temporary)
    // A folder that has its name is never empty, so rename cannot replace one.
    if unsafe rename(temporary, path) != 0 {
      let code = errno
      try Files.remove(temporary)
      if code == ENOTEMPTY || code == EEXIST { return nil }
      throw SystemError("rename", path, code: code)
    }
    try Files.syncFolder(parent)
    try Files.syncFolder(jobs)
    return Claim(lock: lock, output: output)
  }

  /// What the owner of a folder holds until it ends.
  final class Claim {
    private let lock: FileDescriptor
    let output: FileDescriptor

    init(lock: consuming FileDescriptor, output: consuming FileDescriptor) {
      self.lock = lock
      self.output = output
    }
  }

  private func result() throws(SystemError) -> JobResult? {
    let bytes: [UInt8]
    do throws(SystemError) { bytes = try Files.read(path + "/result", limit: 1 << 20) } catch {
      if error.code == ENOENT || error.code == ENOTDIR { return nil }
      throw error
    }
    guard let result = JobResult(bytes) else {
      throw SystemError("read", path + "/result", code: EBADMSG)
    }
    return result
  }

  private func owner() throws(SystemError) -> ProcessID? {
    guard case .number(let text)? = try ownerFile()["process"], let process = ProcessID(text),
      try field("boot") == Processes.bootID()
    else { return nil }
    let started: String
    do throws(SystemError) { started = try Processes.startTime(of: process) } catch { return nil }
    return try field("started") == started ? process : nil
  }

  private func field(_ name: String) throws(SystemError) -> String? {
    guard case .string(let text)? = try ownerFile()[name] else { return nil }
    return text
  }

  private func ownerFile() throws(SystemError) -> JSON {
    let bytes = try Files.read(path + "/owner", limit: 4096)
    do throws(JSONError) { return try JSON(parsing: bytes) } catch {
      throw SystemError("read", path + "/owner", code: EBADMSG)
    }
  }

  /// Removes what earlier runs of the program left behind: the folders of firings outside
  /// `unfinished`, and folders that never got their name. One whose supervisor lives stays.
  static func clean(_ jobs: String, keeping unfinished: Set<String>) throws(SystemError) {
    guard Files.kind(jobs) == .folder else { return }
    for name in try Files.list(jobs) where !unfinished.contains(name) {
      let folder = jobs + "/" + name
      let folders =
        name.hasPrefix(".") ? [folder] : try Files.list(folder).map { folder + "/" + $0 }
      var isHeld = false
      for folder in folders where Files.kind(folder + "/lock") == .file {
        let lock = try FileDescriptor.open(folder + "/lock", O_RDWR)
        if try !lock.tryLock() { isHeld = true }
      }
      if !isHeld { try Files.remove(folder) }
    }
  }
}

/// How a command ended.
struct JobResult: Equatable {
  enum End: Equatable {
    case exited(Int)
    case signalled(Int)
    /// It was never started.
    case notStarted(String)
  }

  var end: End
  /// It was stopped because its time was up.
  var isTimedOut = false
  /// Nanoseconds from its start to its end.
  var duration: Int64 = 0
  /// Bytes it wrote in all.
  var outputBytes = 0
  /// The last bytes of them, as text.
  var tail = ""

  init(_ end: End) { self.end = end }

  func encoded() -> [UInt8] {
    let end: JSON.Member =
      switch self.end {
      case .exited(let status): .init(key: "exitStatus", value: JSON(status))
      case .signalled(let signal): .init(key: "signal", value: JSON(signal))
      case .notStarted(let why): .init(key: "notStarted", value: .string(why))
      }
    return JSON.object([
      end,
      .init(key: "timedOut", value: .bool(isTimedOut)),
      .init(key: "duration", value: .number("\(duration)")),
      .init(key: "outputBytes", value: JSON(outputBytes)),
      .init(key: "tail", value: .string(tail)),
    ]).encoded()
  }

  /// nil for anything that `encoded` did not make.
  init?(_ bytes: [UInt8]) {
    guard let json = try? JSON(parsing: bytes),
      case .bool(let isTimedOut)? = json["timedOut"],
      let duration = json.integer("duration"), let outputBytes = json.integer("outputBytes"),
      case .string(let tail)? = json["tail"]
    else { return nil }
    if let status = json.integer("exitStatus") {
      end = .exited(status)
    } else if let signal = json.integer("signal") {
      end = .signalled(signal)
    } else if case .string(let why)? = json["notStarted"] {
      end = .notStarted(why)
    } else {
      return nil
    }
    self.isTimedOut = isTimedOut
    self.duration = Int64(duration)
    self.outputBytes = outputBytes
    self.tail = tail
  }
}

extension JSON {
  func integer(_ key: String) -> Int? {
    guard case .number(let text)? = self[key] else { return nil }
    return Int(text)
  }

  func strings(_ key: String) -> [String]? {
    guard case .array(let items)? = self[key] else { return nil }
    let texts = items.compactMap { item -> String? in
      if case .string(let text) = item { return text }
      return nil
    }
    return texts.count == items.count ? texts : nil
  }
}
