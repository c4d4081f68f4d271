import Bus
import Cluster
import Engine
import Event
import EventLog
import EventSources
import Expression
import HTTP
import HTTPClient
import JSON
import KafkaClient
import Logging
import Manifest
import Observe
import Plugin
import Posix
import Sensor
import Triggers

/// What runs: the log, the engine, the listeners, and the plan in force.
actor Installation {
  let configuration: Server.Configuration
  let logger: Logger
  private let secrets: FolderSecrets
  let log: EventLog
  let engine: Engine
  let loops: [EventLoop]
  private let ownLimits: HTTPLimits
  let accessLog: AccessLog?
  private let sourceLoop: EventLoop
  let works: SourceWorks
  private let report: @Sendable (String) -> Void
  let metrics: Metrics
  let instruments: Instruments
  var plan: PlanBuilder.Plan
  /// What the manifests held when they were read last; nil: that could not be put in force.
  var fingerprint: Int?
  /// The objects of a cluster that a partition's plan was made of.
  var selection: ClusterSelection
  /// One reload at a time.
  let turnstile = Turnstile()
  let ports: Ports
  let startup: Startup
  private(set) var console: HTTPServer?
  /// The work for a partition of a shared bus.
  var shared: Task<Void, Never>?
  /// The partition is another process's from here on.
  var hasLeft = false
  private var control: HTTPServer?
  private var pushes: HTTPServer?
  let pushRoutes = PortRoutes([])

  /// Recovers; nothing is listened to or fired yet.
  /// - Throws: `Server.Refused`, `SystemError`, `BusError` or `NoteError`; then `ground` is still the
  ///   caller's.
  init(
    _ ground: Groundwork,
    _ configuration: Server.Configuration,
    _ logger: Logger,
    _ startup: Startup,
    report: @escaping @Sendable (String) -> Void
  ) async throws {
    self.startup = startup
    self.configuration = configuration
    self.logger = logger
    self.report = report
    secrets = FolderSecrets(folder: configuration.secrets)
    ownLimits = startup.share?.limits ?? configuration.ownLimits
    let limits = configuration.portLimits(ownLimits)
    accessLog = startup.share == nil ? try configuration.openAccessLog(logger) : nil
    metrics = ground.metrics
    instruments = ground.instruments
    log = ground.log
    let (instruments, recovery, settings) = (ground.instruments, ground.recovery, ground.settings)
    let kubernetes = startup.kubernetes
    if !FolderDisk.isDurable {
      report("BUILT WITHOUT SYNC, for measurements: a crash loses events")
    }
    if recovery.cutBytes > 0 { report("cut a torn tail of \(recovery.cutBytes) bytes") }
    for damage in recovery.damages { report("damage in the log: \(damage)") }
    loops = try startup.share?.loops ?? Self.makeLoops()
    ports = Ports(
      configuration,
      startup.sockets,
      loops,
      limits,
      accessLog,
      instruments,
      logger,
      report: report
    )
    sourceLoop = ground.sourceLoop
    works = SourceWorks(sourceLoop)
    let http = ground.http
    var parts = Parts(
      secrets: secrets,
      bus: log,
      loop: ground.engineLoop,
      sourceLoop: sourceLoop,
      kafka: KafkaProducers(loop: sourceLoop),
      http: http,
      allowOutbound: configuration.allowOutbound,
      key: try startup.share?.key ?? InstallationKey(configuration.data, secrets),
      jobs: configuration.data + "/jobs",
      instruments: instruments,
      logger: logger,
      cluster: ClusterAccess(
        kubeconfig: configuration.kubeconfig,
        http: http,
        loop: ground.engineLoop,
        report: { logger.warning("the cluster", metadata: ["message": "\($0)"]) }
      ),
      compat: configuration.compat
    )
    parts.namespaces = kubernetes?.rules(secrets)
    parts.intake = startup.share?.intake
    fingerprint = SensorCompiler.reader(Diagnostics()).fingerprint(of: configuration.manifests)
    let first = try await parts.firstPlan(configuration, startup)
    let plan = first.plan.part(of: startup.share)
    self.plan = plan
    selection = first.selection
    var engineConfiguration = Engine.Configuration()
    engineConfiguration.hopLimit = configuration.hopLimit
    engineConfiguration.partition = startup.share?.partition
    if let holdFor = settings.holdFor { engineConfiguration.holdFor = holdFor }
    if let age = settings.deadLetterAge { engineConfiguration.deadLetterAge = age }
    if let count = settings.deadLettersMax { engineConfiguration.deadLettersMax = count }
    engineConfiguration.upkeepInterval = ground.upkeepInterval
    engine = Engine(
      bus: log,
      places: parts.places,
      plan: plan.engine,
      loop: ground.engineLoop,
      configuration: engineConfiguration,
      observer: EngineObserver(counting: instruments),
      logger: logger,
      clock: { Timestamp(nanoseconds: wallClockNanoseconds()) },
      random: { Double.random(in: 0..<1) }
    )
    self.parts = parts
    let engine = engine
    metrics.gauge(
      "signalbox_lag_seconds",
      help: "How long the engine has been behind the log."
    ) { engine.lag(at: .now()).inSeconds }
    if startup.share == nil { metrics.showBodies(limits) }
    metrics.gauge(
      "signalbox_dead_letters",
      help: "Firings and events that failed and wait for a person."
    ) { Double(engine.deadLetterCount) }
    metrics.gauge("signalbox_windows", help: "Windows of sensors that are open.") {
      Double(engine.openWindows)
    }
    LogNumbers(metrics).register(log)
    if startup.share == nil {
      kubernetes?.register(in: metrics)
      ProcessNumbers.register(in: metrics)
    }
    let waiting = try await engine.recover()
    try CommandTrigger.clean(parts.jobs, keeping: waiting)
    report("\(recovery.records) records on the log, \(waiting.count) firings to finish")
  }

  let parts: Parts

  /// Fires what waits and listens.
  /// - Throws: `SystemError` when an address cannot be had. In a cluster the event sources of such a
  ///   port are left out.
  func start() async throws {
    await engine.start()
    if startup.share == nil { try await listen() }
    await works.replace(with: plan.made, leavingBy: parts.sourceHost)
    control = try await HTTPServer(
      path: configuration.data + "/control.sock",
      loops: [loops[0]],
      handler: Control(installation: self)
    )
    if startup.share == nil, let kubernetes = startup.kubernetes,
      await !kubernetes.settledFirst(ports, instruments)
    {
      _ = await reload()
    }
    for source in plan.sources { report("event source \(source)") }
    for sensor in plan.engine.interlocking.sensors { report("sensor \(sensor.id)") }
    if let share = startup.share { join(share) }
    report("ready")
  }

  private func listen() async throws {
    // Where objects want one that cannot be had, the load that follows tells them.
    try await ports.openFirst(plan.routesByPort, mustHaveAll: startup.kubernetes == nil)
    await startup.standby?.end()
    console = try await startup.sockets.serve(
      configuration.consoleAddress,
      configuration.consolePort,
      Console(
        log: log,
        engine: engine,
        loops: loops + [engine.loop, sourceLoop],
        metrics: metrics,
        host: configuration.consoleAddress,
        contact: startup.kubernetes?.contact
      ),
      loops,
      limits: ownLimits
    )
    pushRoutes.replace(with: plan.pushRoutes)
    pushes = try await HTTPServer(
      path: configuration.data + "/push.sock",
      loops: [loops[0]],
      handler: pushRoutes
    )
    report("console on \(configuration.consoleAddress):\(configuration.consolePort)")
    startup.sockets.closeOwn()
  }

  /// One for each core.
  static func makeLoops() throws -> [EventLoop] {
    try (0..<max(1, coreCount())).map { try EventLoop(name: "http-\($0)") }
  }

  /// Stops taking requests, finishes those that were accepted, and closes the log.
  func stop() async {
    if let control { await control.shutdown(grace: .seconds(1)) }
    if let pushes { await pushes.shutdown(grace: .seconds(1)) }
    await leave()
    // All at once: one that waits for an answer must not keep the others serving.
    await withDiscardingTaskGroup { group in
      for server in ports.servers {
        group.addTask { await server.shutdown(grace: .seconds(10)) }
      }
      if let console { group.addTask { await console.shutdown(grace: .seconds(1)) } }
      group.addTask { [works] in await works.replace(with: []) }
    }
    await engine.stop()
    await parts.cluster.close()
    await parts.http?.close()
    await parts.kafka?.close()
    await log.close()
    accessLog?.close()
    engine.loop.stop()
    if startup.share == nil { loops.forEach { $0.stop() } }
    sourceLoop.stop()
  }

  /// What there is, for people and programs on this machine.
  func status() async -> JSON {
    let held: [JSON] = await engine.holds.map { trigger, hold in
      [
        "trigger": .string("\(trigger)"), "hold": .string(hold.kind.rawValue),
        "waiting": JSON(hold.waiting),
        "until": hold.until.map { .string($0.description) } ?? .null,
      ]
    }
    return [
      "held": .array(held),
      "committed": log.committed.map { .string($0.description) } ?? .null,
      "lagSeconds": .number("\(engine.lag(at: .now()).inSeconds)"),
      "eventSources": .array(plan.sources.map { .string($0) }),
      "sensors": .array(plan.engine.interlocking.sensors.map { .string("\($0.id)") }),
    ]
  }
}
