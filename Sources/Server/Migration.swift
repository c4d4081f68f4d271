import EventLog
import KafkaBus
import KafkaClient
package import Logging
package import Manifest
import Plugin
import Posix
import Synchronization

extension Server {
  /// What a move to a bus on Kafka is told.
  package struct MigrationOptions: Sendable {
    /// Manifest files and folders; their EventBus says where the bus is.
    package var manifests: [String]
    package var data: String
    package var secrets: String
    package var compat: Compatibility

    package init(
      manifests: [String],
      data: String,
      secrets: String,
      compat: Compatibility = .fixed
    ) {
      (self.manifests, self.data, self.secrets) = (manifests, data, secrets)
      self.compat = compat
    }
  }

  /// Why a log was not moved, or not moved back.
  package struct MigrationError: Error, CustomStringConvertible {
    package let description: String
  }

  /// Moves the log of a data folder to the bus on Kafka that manifests name.
  /// - Parameter report: takes what is found in the manifests, and how far it is, in words.
  /// - Throws: `Refused`, `MigrationError`, or `SystemError`.
  package static func migrate(
    _ options: MigrationOptions,
    logger: Logger,
    report: @escaping @Sendable (String) -> Void
  ) async throws {
    let migration = try Migration(options, logger, report)
    try await migration.run()
  }

  /// Takes back a move on whose topic no program has begun.
  /// - Throws: as `migrate`.
  package static func undoMigration(
    _ options: MigrationOptions,
    logger: Logger,
    report: @escaping @Sendable (String) -> Void
  ) async throws {
    let migration = try Migration(options, logger, report)
    try await migration.undo()
  }
}

/// A move between a data folder and the topic of manifests, in words.
private struct Migration {
  private let options: Server.MigrationOptions
  private let access: KafkaBusAccess
  private let log: EventLog.Configuration
  private let report: @Sendable (String) -> Void
  private let folder: String

  init(
    _ options: Server.MigrationOptions,
    _ logger: Logger,
    _ report: @escaping @Sendable (String) -> Void
  ) throws {
    let (found, bus) = Server.kafkaBus(options)
    for diagnostic in found { report("\(diagnostic)") }
    if found.contains(where: { $0.severity == .error }) { throw Server.Refused() }
    guard let bus else {
      throw Server.MigrationError(
        description: "no EventBus in \(options.manifests.joined(separator: ", ")) has kafka, "
          + "expected one that says where the log is to be moved"
      )
    }
    guard bus.partitions == 1 else {
      throw Server.MigrationError(
        description: "the EventBus has \(bus.partitions) partitions, expected 1: one log cannot be "
          + "parted among several"
      )
    }
    try DataFolder(options.data).check(partitions: 1)
    self.options = options
    self.report = report
    folder = options.data + "/log"
    access = try KafkaBusAccess(
      bus,
      loop: try EventLoop(name: "bus"),
      logger: logger
    )
    var log = EventLog.Configuration()
    log.apply(LogSettings.read(options.manifests))
    log.hooks.damaged = { report("damage in the log, which is not moved: \($0)") }
    log.hooks.troubled = { report("trouble with the log: \($0)") }
    self.log = log
  }

  private var topic: String { access.spec.topic }

  private func move(_ tell: @escaping @Sendable (LogMove.Step) -> Void) throws -> LogMove {
    LogMove(
      try access.settings(),
      folder: folder,
      log,
      loop: access.loop,
      observer: access.observer,
      step: tell
    )
  }

  func run() async throws {
    defer { access.loop.stop() }
    report("moving \(folder) to the topic \(topic)")
    let progress = Progress(topic, report)
    let outcome = try await told("was not moved to the topic \(topic)") {
      try await move(progress.tell).run()
    }
    switch outcome {
    case .empty: report("\(folder) has no records: there is nothing to move")
    case .before(nil): report("\(folder) is a copy of the topic \(topic) already")
    case .before(let last?):
      report("the topic \(topic) held everything already, up to record \(last)")
    case .moved(let records):
      report("moved \(records) records; \(folder) is a copy of the topic \(topic) from here on")
    }
    let paths = options.manifests.joined(separator: " ")
    report(
      "next: signalbox run \(paths) --data \(options.data) --secrets \(options.secrets), here and "
        + "with the same manifests on other machines"
    )
  }

  func undo() async throws {
    defer { access.loop.stop() }
    let wasMarked = try await told("stays marked") { try await move { _ in }.undo() }
    guard wasMarked else { return report("\(folder) is not marked: there is nothing to undo") }
    report("\(folder) is on its own again; what the topic \(topic) has of it is left there")
    report("next: signalbox run with manifests whose EventBus has no kafka")
  }

  /// Runs `body`; what it throws is told with the folder, and without secrets.
  private func told<Result>(
    _ what: String,
    _ body: () async throws -> Result
  ) async throws -> Result {
    do { return try await body() } catch {
      let mask = SecretMask(access.spec.connection.secretValues(access.spec.secrets))
      var words = "\(folder) \(what): \(error)"
      if isOnTheMove {
        words +=
          "; no program starts on it until `signalbox migrate` was run once more, or with --undo"
      }
      throw Server.MigrationError(description: mask.applied(to: words))
    }
  }

  private var isOnTheMove: Bool {
    do throws(SystemError) {
      if case .moving = try FolderRole(of: folder) { return true }
    } catch { report("\(folder)/replica: \(error)") }
    return false
  }
}

/// Tells how far a move is, not more often than every twentieth of it.
private final class Progress: Sendable {
  private let topic: String
  private let report: @Sendable (String) -> Void
  private let told = Mutex<UInt64>(0)

  init(_ topic: String, _ report: @escaping @Sendable (String) -> Void) {
    (self.topic, self.report) = (topic, report)
  }

  func tell(_ step: LogMove.Step) {
    switch step {
    case .shutOut: report("whoever wrote to the topic \(topic) before is shut out")
    case .compared(through: 0): report("the topic \(topic) is empty")
    case .compared(let last):
      report("the topic \(topic) holds the folder's records up to \(last)")
    case .marked: report("the folder is marked: no program starts on it before the move is whole")
    case .written(let last, let end):
      let part = last == end ? 20 : last * 20 / max(1, end)
      let isNews = told.withLock { told in
        defer { told = max(told, part) }
        return part > told
      }
      if isNews { report("written: up to record \(last) of \(end)") }
    case .whole: report("the topic \(topic) is whole")
    case .apart: report("no program begins on the topic \(topic) from here on")
    }
  }
}
