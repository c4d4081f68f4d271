package import Posix

/// What a log's folder is besides a log, by its file `replica`: the words in it name the replica.
///
/// A folder that is behind its replica must not be written to without it, and not with another
/// one. A folder whose log is on its way to a replica must not be written to at all: what the
/// replica has of it would no longer be a beginning of the same log.
package enum FolderRole: Equatable, Sendable {
  /// The log is in the folder alone.
  case alone
  /// Its log is on the way to the replica of this name.
  case moving(to: String)
  /// A copy of what the replica of this name holds.
  case copy(of: String)

  private static let moving = "moving to "

  private static func path(_ folder: String) -> String { folder + "/replica" }

  /// - Throws: `SystemError`.
  package init(of folder: String) throws(SystemError) {
    let path = Self.path(folder)
    guard Files.kind(path) != nil else {
      self = .alone
      return
    }
    let words = String(decoding: try Files.read(path, limit: 4096), as: UTF8.self)
    if words.hasPrefix(Self.moving) {
      self = .moving(to: String(words.dropFirst(Self.moving.count)))
    } else {
      self = .copy(of: words)
    }
  }

  /// Writes it down; it holds from then on, also after a crash.
  /// - Throws: `SystemError`; the old one holds, or this one.
  package func write(to folder: String) throws(SystemError) {
    let path = Self.path(folder)
    switch self {
    case .alone:
      try Files.remove(path)
      try Files.syncFolder(folder)
    case .moving(let name): try Files.writeDurably(Array((Self.moving + name).utf8), to: path)
    case .copy(let name): try Files.writeDurably(Array(name.utf8), to: path)
    }
  }
}

extension EventLog {
  static func checkRole(_ folder: String, _ configuration: Configuration) throws(LogError) {
    let wanted = configuration.replica?.name
    switch try role(of: folder) {
    case .alone: return
    case .copy(let name):
      guard name != wanted else { return }
      let asked = wanted.map { "as a copy of \($0)" } ?? "without it"
      throw .unreadable("\(folder) is a copy of \(name); it cannot be written to \(asked)")
    case .moving(let name):
      throw .unreadable(
        "\(folder) is being moved to \(name); `signalbox migrate` once more finishes that, "
          + "`signalbox migrate --undo` gives it up"
      )
    }
  }

  private static func role(of folder: String) throws(LogError) -> FolderRole {
    do throws(SystemError) { return try FolderRole(of: folder) } catch {
      throw .system("\(folder)/replica: \(error)")
    }
  }

  /// Opens the log of a folder that is moved to a replica, or was; nothing may be appended to it.
  /// - Parameter name: that of the replica.
  /// - Throws: `LogError`, also for a folder that is a copy of another replica.
  package static func open(
    folder: String,
    _ configuration: Configuration,
    movingTo name: String
  ) throws(LogError) -> (log: EventLog, recovery: Recovery, role: FolderRole) {
    let lock = try FolderLock(folder)
    let role = try role(of: folder)
    switch role {
    case .alone, .moving(to: name), .copy(of: name): break
    case .moving(let other):
      throw .unreadable("\(folder) is being moved to \(other); it cannot be moved to \(name)")
    case .copy(let other):
      throw .unreadable("\(folder) is a copy of \(other); it cannot be moved to \(name)")
    }
    let (log, recovery) = try open(disk: FolderDisk(folder), lock: lock, configuration)
    return (log, recovery, role)
  }

  /// From here on the folder is opened with this replica only.
  /// - Throws: `SystemError`.
  package static func mark(
    _ folder: String,
    asCopyOf replica: any LogReplica
  ) throws(SystemError) {
    let role = FolderRole.copy(of: replica.name)
    if try FolderRole(of: folder) != role { try role.write(to: folder) }
  }
}
