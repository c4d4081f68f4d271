import Bus
import Engine
import Event
import EventLog
import EventSources
import HTTP
package import Logging
package import Manifest
import Plugin
package import Posix
import Sensor
import Triggers

/// One running installation: the log, the engine and the listeners.
package struct Server {
  package struct Configuration: Sendable {
    /// Manifest files and folders.
    package var manifests: [String]
    package var data: String
    package var secrets: String
    /// The numeric address that event sources listen on.
    package var address: String
    package var consoleAddress: String
    package var consolePort: Int
    /// Firings in a chain before it is cut.
    package var hopLimit: Int

    package init(
      manifests: [String],
      data: String,
      secrets: String,
      address: String,
      consoleAddress: String,
      consolePort: Int,
      hopLimit: Int
    ) {
      self.manifests = manifests
      self.data = data
      self.secrets = secrets
      self.address = address
      self.consoleAddress = consoleAddress
      self.consolePort = consolePort
      self.hopLimit = hopLimit
    }
  }

  /// The manifests have errors; they were reported.
  package struct Refused: Error {}

  /// Reads manifests as `run` would, and starts nothing.
  package static func validate(_ paths: [String], secrets: String) -> [Diagnostic] {
    let diagnostics = Diagnostics()
    let store = FolderSecrets(folder: secrets)
    let logger = Logger(label: "signalbox")
    _ = builder(store, nil, nil, "", logger, diagnostics).build(paths)
    return diagnostics.sorted
  }

  /// Runs until `stop` is readable.
  /// - Parameter report: takes what is found in the manifests, and what was started, in words.
  /// - Throws: `Refused`, `LogError`, `SystemError`, `BusError` or `NoteError` when it cannot start.
  package static func run(
    _ configuration: Configuration,
    logger: Logger,
    stop: borrowing FileDescriptor,
    report: (String) -> Void
  ) async throws {
    let diagnostics = Diagnostics()
    let store = FolderSecrets(folder: configuration.secrets)
    // Before the log: manifests with errors leave no trace.
    let check = builder(store, nil, nil, "", logger, diagnostics).build(configuration.manifests)
    for diagnostic in diagnostics.sorted { report("\(diagnostic)") }
    guard check != nil else { throw Refused() }
    let (log, recovery) = try EventLog.open(folder: configuration.data + "/log")
    if recovery.cutBytes > 0 { report("cut a torn tail of \(recovery.cutBytes) bytes") }
    for damage in recovery.damages { report("damage in the log: \(damage)") }
    let engineLoop = try EventLoop(name: "engine")
    let jobs = configuration.data + "/jobs"
    let plan = builder(store, log, engineLoop, jobs, logger, Diagnostics())
      .build(configuration.manifests)
    guard let plan else { throw Refused() }

    let loops = try (0..<max(1, coreCount())).map { try EventLoop(name: "http-\($0)") }
    var engineConfiguration = Engine.Configuration()
    engineConfiguration.hopLimit = configuration.hopLimit
    let engine = Engine(
      bus: log,
      plan: plan.engine,
      loop: engineLoop,
      configuration: engineConfiguration,
      observer: EngineObserver(),
      logger: logger,
      clock: { Timestamp(nanoseconds: wallClockNanoseconds()) },
      random: { Double.random(in: 0..<1) }
    )
    let waiting = try await engine.recover()
    try CommandTrigger.clean(jobs, keeping: waiting)
    await engine.start()

    var servers: [HTTPServer] = []
    for (port, routes) in Dictionary(grouping: plan.routes, by: \.port).sorted(by: {
      $0.key < $1.key
    }) {
      let server = try await HTTPServer(
        address: configuration.address,
        port: port,
        loops: loops,
        handler: Router(routes)
      )
      servers.append(server)
      let paths = routes.map(\.path).joined(separator: " ")
      report("listening on \(configuration.address):\(port) for \(paths)")
    }
    servers.append(
      try await HTTPServer(
        address: configuration.consoleAddress,
        port: configuration.consolePort,
        loops: loops,
        handler: Console(log: log, engine: engine)
      )
    )
    report("console on \(configuration.consoleAddress):\(configuration.consolePort)")
    for source in plan.sources { report("event source \(source)") }
    for sensor in plan.engine.interlocking.sensors { report("sensor \(sensor.id)") }
    report("ready; \(recovery.records) records on the log, \(waiting.count) firings to finish")

    await readable(stop, on: loops[0])
    report("shutting down")
    for server in servers { await server.shutdown(grace: .seconds(10)) }
    await engine.stop()
    await log.close()
    engine.loop.stop()
    for loop in loops { loop.stop() }
  }

  private static func builder(
    _ secrets: FolderSecrets,
    _ bus: EventLog?,
    _ loop: EventLoop?,
    _ jobs: String,
    _ logger: Logger,
    _ diagnostics: Diagnostics
  ) -> PlanBuilder {
    PlanBuilder(
      sourceKinds: eventSourceKinds,
      triggerKinds: triggerKinds,
      sourceHost: BusSourceHost(secrets: secrets, bus: bus, logger: logger),
      triggerHost: EngineTriggerHost(
        secrets: secrets,
        logger: logger,
        jobs: jobs,
        loop: loop
      ),
      diagnostics: diagnostics
    )
  }

  private static func readable(_ descriptor: borrowing FileDescriptor, on loop: EventLoop) async {
    let fd = descriptor.raw
    await withCheckedContinuation { continuation in
      loop.post {
        let holder = Holder()
        do throws(SystemError) {
          holder.watch = try loop.watch(fd, for: .readable) { _ in
            holder.watch?.cancel()
            holder.watch = nil
            continuation.resume()
          }
        } catch { continuation.resume() }
      }
    }
  }

  private final class Holder {
    var watch: EventLoop.Watch?
  }
}
