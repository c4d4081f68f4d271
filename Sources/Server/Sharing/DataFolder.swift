package import Bus
package import EventLog
import KafkaBus
import Posix

/// A data folder holds one log, `log`, or those of partitions, `partition-N`: as many of a bus whose
/// work is shared as ran here.
package struct DataFolder: Sendable {
  package let path: String

  /// One log, and the folder that it would have to itself.
  package struct Part: Sendable {
    /// nil: the only log of the data folder.
    package let partition: Int?
    package let path: String

    package var log: String { path + "/log" }

    /// What begins a line that is about it, where there may be others.
    package var prefix: String { partition.map { "partition \($0): " } ?? "" }

    /// Has errors of `body` say which partition they are about, where there may be others.
    package func naming<Result>(_ body: () throws -> Result) throws -> Result {
      do { return try body() } catch {
        throw partition == nil ? error : Problem("\(prefix)\(error)")
      }
    }

    /// The same part of another data folder.
    package func at(_ folder: DataFolder) -> Part {
      Part(partition: partition, path: partition.map(folder.path(of:)) ?? folder.path)
    }

    /// Says of which log a position is.
    package func name(_ position: Position) -> String {
      partition.map { Self.name(position.description, in: $0) } ?? position.description
    }

    static func name(_ position: String, in partition: Int) -> String { "\(partition):\(position)" }
  }

  /// A data folder that holds something else than is asked for, in words.
  package struct Problem: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
  }

  private static let name = "partition-"

  package init(_ path: String) { self.path = path }

  /// Whether it is, or will be, of a bus with partitions: its process holds the folder's own lock.
  package var isShared: Bool {
    (try? holdsLog()) != true && (Files.kind(path + "/lock") == .file || !partitions.isEmpty)
  }

  /// The logs that are here, by partition; one at least.
  /// - Throws: `Problem` where a bus with partitions has none here yet.
  package func parts() throws(Problem) -> [Part] {
    let found = found
    if found.isEmpty { throw Problem("no partition of the bus has run on \(path) yet") }
    return found
  }

  /// The same; none where a bus with partitions has none here yet.
  var found: [Part] {
    guard isShared else { return [Part(partition: nil, path: path)] }
    return partitions.map { Part(partition: $0, path: path(of: $0)) }
  }

  private func path(of partition: Int) -> String { "\(path)/\(Self.name)\(partition)" }

  /// Keeps every program from running on it.
  /// - Throws: `LogError`.
  package func lock() throws(LogError) -> FolderLock {
    try FolderLock(isShared ? path : path + "/log")
  }

  /// The folder of the log alone may be there for its lock.
  private func holdsLog() throws(SystemError) -> Bool {
    let log = path + "/log"
    guard Files.kind(log) == .folder else { return false }
    return try Files.list(log).contains { $0.hasSuffix(".log") }
  }

  /// Those that have a log here. One that cannot be looked at is among them: reading it says why.
  private var partitions: [Int] {
    let names = (try? Files.list(path)) ?? []
    return names.compactMap { name in
      guard name.hasPrefix(Self.name), let number = Int(name.dropFirst(Self.name.count)),
        (0..<KafkaBusSpec.partitionsMax).contains(number), name == "\(Self.name)\(number)",
        !Files.isMissing("\(path)/\(name)/log")
      else { return nil }
      return number
    }.sorted()
  }

  /// For logs that are to be copied there.
  /// - Throws: what says that the folder is of the other kind.
  package func check(canHold parts: [Part]) throws {
    try check(partitions: parts.first?.partition == nil ? 1 : max(2, parts.count))
  }

  /// What is there must not be passed over in silence: it holds what waits, and who has fired.
  /// - Parameter partitions: of the bus; 1: there is one log.
  /// - Throws: `KafkaBusError.mismatch` where the folder is of the other kind, or `SystemError`.
  func check(partitions: Int) throws {
    guard Files.kind(path) == .folder else { return }
    if partitions > 1 {
      guard try holdsLog() else { return }
      throw KafkaBusError.mismatch(
        "\(path)/log holds a log, which \(partitions) partitions of the bus would pass over, expected "
          + "a data folder without: use another one, or one partition"
      )
    }
    let found = try Files.list(path).filter { $0.hasPrefix(Self.name) }.sorted()
    guard let first = found.first else { return }
    throw KafkaBusError.mismatch(
      "\(path)/\(first) is of a bus with partitions, which one log would pass over: use another data "
        + "folder, or the EventBus that the folder was made with"
    )
  }
}
