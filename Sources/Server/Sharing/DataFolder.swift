import KafkaBus
import Posix

/// A data folder holds one log, `log`, or those of partitions, `partition-N`.
struct DataFolder {
  private let path: String

  init(_ path: String) { self.path = path }

  /// What is there must not be passed over in silence: it holds what waits, and who has fired.
  /// - Parameter partitions: of the bus; 1: there is one log.
  /// - Throws: `KafkaBusError.mismatch` where the folder is of the other kind, or `SystemError`.
  func check(partitions: Int) throws {
    guard Files.kind(path) == .folder else { return }
    if partitions > 1 {
      let log = path + "/log"
      guard Files.kind(log) == .folder else { return }
      // The folder alone may be there for its lock.
      guard try Files.list(log).contains(where: { $0.hasSuffix(".log") }) else { return }
      throw KafkaBusError.mismatch(
        "\(log) holds a log, which \(partitions) partitions of the bus would pass over, expected a data "
          + "folder without: use another one, or one partition"
      )
    }
    let found = try Files.list(path).filter { $0.hasPrefix("partition-") }.sorted()
    guard let first = found.first else { return }
    throw KafkaBusError.mismatch(
      "\(path)/\(first) is of a bus with partitions, which one log would pass over: use another data "
        + "folder, or the EventBus that the folder was made with"
    )
  }
}
