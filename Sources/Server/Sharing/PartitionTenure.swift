import Engine
import EventLog
import KafkaBus
import KafkaClient
import Logging
import Posix
import Synchronization

/// Runs the installation of one partition for as long as the group leaves it to this process.
struct PartitionTenure {
  private let service: Service
  private let startup: Startup
  private let share: PartitionShare
  private let spec: KafkaBusSpec
  private let loop: EventLoop
  private let trouble: LastingTrouble

  init(
    _ service: Service,
    _ startup: Startup,
    _ share: PartitionShare,
    _ spec: KafkaBusSpec,
    _ loop: EventLoop,
    _ trouble: LastingTrouble
  ) {
    self.service = service
    self.startup = startup
    self.share = share
    self.spec = spec
    self.loop = loop
    self.trouble = trouble
  }

  /// Returns early after telling of what no waiting mends.
  /// - Parameter taken: rung when it is another process's, or when the program stops.
  func run(until taken: Bell) async {
    // Whoever was frozen learns in the first wait that it owns the partition no more, and does not
    // shut out who does.
    var backoff = Backoff([3, 3, 5, 10, 15])
    while true {
      do {
        guard try await round(until: taken) == .lost else { return }
        backoff.reset()
        note(.warning, "the partition has to be read anew")
      } catch {
        if Self.isLasting(error) { return trouble.tell(error) }
        note(.error, "the partition cannot be run; trying again: \(error)")
      }
      if await startup.loop.readable(of: [taken.raw], within: backoff.next()) != nil { return }
    }
  }

  /// Of this machine's folder, or of this version: others may well run the partition.
  private static func isLasting(_ error: any Error) -> Bool {
    switch error {
    case LogError.locked: false
    case is LogError, is KafkaBusError, is NoteError: true
    default: false
    }
  }

  private func round(until taken: Bell) async throws -> Service.End {
    let access = try KafkaBusAccess(
      spec,
      partition: share.partition,
      loop: loop,
      logger: service.logger
    )
    var configuration = service.configuration
    configuration.data += "/partition-\(share.partition)"
    configuration.watchesManifests = false
    // Manifests are read anew for all partitions at once (`Front.reload`).
    let reloading = try Bell()
    defer { withExtendedLifetime(reloading) {} }
    let report = service.report
    let prefix = "partition \(share.partition): "
    let inner = Service(
      configuration: configuration,
      logger: service.logger,
      stopping: taken.raw,
      reloading: reloading.raw,
      report: { report(prefix + $0) }
    )
    let startup = Startup(
      sockets: ListeningSockets(),
      patience: .seconds(30),
      loop: startup.loop,
      handedOver: try Bell(),
      changed: try Bell(),
      kubernetes: startup.kubernetes,
      kafkaBus: access,
      share: share
    )
    return try await inner.run(startup, lost: access.lost)
  }

  private func note(_ level: Logger.Level, _ line: String) {
    service.logger.log(
      level: level,
      "\(line)",
      metadata: ["bus": "\(spec.topic)", "partition": "\(share.partition)"]
    )
  }
}

/// Why a program cannot go on with its part of a shared bus.
final class LastingTrouble: Sendable {
  let bell: Bell
  private let first = Mutex<(any Error)?>(nil)

  /// - Throws: `SystemError`.
  init() throws(SystemError) { bell = try Bell() }

  var error: (any Error)? { first.withLock { $0 } }

  func tell(_ error: any Error) {
    first.withLock { $0 = $0 ?? error }
    bell.ring()
  }
}
