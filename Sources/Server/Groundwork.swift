import EventLog
import HTTPClient
import Logging
import Manifest
import Observe
import Posix

/// What an installation stands on: its log, its threads and its numbers. They are there before it and
/// are given back when it does not come about, or the next try would find the folder in use.
struct Groundwork: Sendable {
  let metrics = Metrics()
  let instruments: Instruments
  let settings: LogSettings
  let log: EventLog
  let recovery: EventLog.Recovery
  let upkeepInterval: Duration
  let engineLoop: EventLoop
  let sourceLoop: EventLoop
  let http: HTTPClient

  /// Opens the log.
  /// - Throws: `LogError`, `SystemError`, or what opening a bus on Kafka does.
  init(
    _ configuration: Server.Configuration,
    _ logger: Logger,
    _ startup: Startup
  ) async throws {
    instruments = Instruments(in: metrics)
    var log = EventLog.Configuration()
    log.hooks = Self.hooks(instruments, logger)
    settings =
      await startup.kubernetes?.logSettings() ?? LogSettings.read(configuration.manifests)
    log.apply(settings)
    upkeepInterval = log.upkeepInterval
    engineLoop = try EventLoop(name: "engine")
    sourceLoop = try EventLoop(name: "sources")
    http = try HTTPClient()
    do { (self.log, recovery) = try await startup.open(configuration.data + "/log", log) } catch {
      await http.close()
      engineLoop.stop()
      sourceLoop.stop()
      throw error
    }
  }

  private static func hooks(
    _ instruments: Instruments,
    _ logger: Logger
  ) -> EventLog.Hooks {
    var hooks = EventLog.Hooks()
    hooks.synced = { records, _, took in
      instruments.batchRecords.observe(Double(records))
      instruments.syncSeconds.observe(took.inSeconds)
    }
    hooks.damaged = { logger.error("damage in the log", metadata: ["damage": "\($0)"]) }
    hooks.troubled = { logger.error("trouble with the log", metadata: ["error": "\($0)"]) }
    hooks.released = {
      logger.info("old segments were removed", metadata: ["segments": "\($0)", "bytes": "\($1)"])
    }
    hooks.pressed = { figures in
      let held = figures.heldBytes.sorted { $0.value > $1.value }.map { "\($0.key): \($0.value)" }
      logger.warning(
        "the log has reached half of its limit",
        metadata: [
          "bytes": "\(figures.bytes)", "limit": "\(figures.maxBytes)",
          "heldBytes": "\(held.joined(separator: ", "))",
        ]
      )
    }
    return hooks
  }

  /// Gives back what nobody has begun to use.
  func abandon() async {
    await log.close()
    await http.close()
    engineLoop.stop()
    sourceLoop.stop()
  }
}
