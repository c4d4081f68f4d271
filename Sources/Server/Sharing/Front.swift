import Cluster
import Engine
import EventLog
import HTTP
import HTTPClient
import KafkaClient
import Logging
import Manifest
import Observe
import Plugin
import Posix
import Sensor

/// What every process of a shared bus does, whatever partitions it owns: it listens for all event
/// sources and has what comes stored where it belongs; and it has the console.
actor Front {
  private let configuration: Server.Configuration
  private let logger: Logger
  private let startup: Startup
  /// One process to a data folder.
  private let lock: FolderLock
  private let report: @Sendable (String) -> Void
  nonisolated let loops: [EventLoop]
  nonisolated let limits: HTTPLimits
  nonisolated let key: InstallationKey
  nonisolated let figures = PartitionFigures()
  private nonisolated let sourceLoop: EventLoop
  private let metrics = Metrics()
  private let instruments: Instruments
  /// nil: the manifests are files.
  private let kubernetes: KubernetesMode?
  private let accessLog: AccessLog?
  private let http: HTTPClient
  private let ports: Ports
  private let parts: Parts
  private let intake: SharedIntake
  private let partitions: Int
  private let pushRoutes = PortRoutes([])
  private var plan: PlanBuilder.Plan
  private var fingerprint: Int
  private var servers: [HTTPServer] = []
  /// Whether a partition has other manifests in force than was asked for.
  private var isBehind = false
  private var retry: Task<Void, Never>?
  /// One reload at a time.
  private let turnstile = Turnstile()
  /// After so long a partition that could not follow is asked again.
  private static let patience = Duration.seconds(5)

  /// - Throws: `Server.Refused`, `LogError.locked` or `SystemError`.
  init(
    _ service: Service,
    _ startup: Startup,
    _ intake: SharedIntake,
    partitions: Int
  ) async throws {
    configuration = service.configuration
    logger = service.logger
    report = service.report
    self.startup = startup
    kubernetes = startup.kubernetes
    self.partitions = partitions
    self.intake = intake
    lock = try FolderLock(configuration.data)
    key = try InstallationKey(configuration.data, FolderSecrets(folder: configuration.secrets))
    loops = try Installation.makeLoops()
    sourceLoop = try EventLoop(name: "sources")
    let own = configuration.ownLimits
    limits = own
    accessLog = try configuration.openAccessLog(logger)
    instruments = Instruments(in: metrics)
    ports = Ports(
      configuration,
      startup.sockets,
      loops,
      configuration.portLimits(own),
      accessLog,
      instruments,
      logger,
      report: report
    )
    http = try HTTPClient()
    var parts = Parts(
      secrets: FolderSecrets(folder: configuration.secrets),
      bus: nil,
      loop: nil,
      sourceLoop: sourceLoop,
      kafka: nil,
      http: http,
      allowOutbound: configuration.allowOutbound,
      key: key,
      jobs: configuration.data + "/jobs",
      instruments: instruments,
      logger: logger,
      compat: configuration.compat
    )
    parts.intake = intake
    // Nothing acts on it here; that it is configured is part of what manifests are held against.
    parts.cluster = ClusterAccess(kubeconfig: configuration.kubeconfig, http: http, loop: nil)
    parts.namespaces = kubernetes?.rules(parts.secrets)
    self.parts = parts
    fingerprint = parts.fingerprint(of: configuration.manifests)
    let plan = try await parts.firstPlan(configuration, startup).plan
    self.plan = plan
    intake.route(by: plan.routing(partitions))
    metrics.showBodies(own)
    metrics.gauge(
      "signalbox_partitions_owned",
      help: "Partitions of the bus that run in this process."
    ) { [figures] in Double(figures.all.count) }
    kubernetes?.register(in: metrics)
    ProcessNumbers.register(in: metrics)
  }

  /// Listens.
  /// - Throws: `SystemError` when an address cannot be had. In a cluster the event sources of such a
  ///   port are left out.
  func start() async throws {
    try await ports.openFirst(plan.routesByPort, mustHaveAll: kubernetes == nil)
    await startup.standby?.end()
    servers.append(
      try await startup.sockets.serve(
        configuration.consoleAddress,
        configuration.consolePort,
        FrontConsole(
          figures: figures,
          loops: loops,
          metrics: metrics,
          host: configuration.consoleAddress,
          contact: kubernetes?.contact
        ),
        loops,
        limits: limits
      )
    )
    pushRoutes.replace(with: plan.pushRoutes)
    servers.append(
      try await HTTPServer(
        path: configuration.data + "/push.sock",
        loops: [loops[0]],
        handler: pushRoutes
      )
    )
    servers.append(
      try await HTTPServer(
        path: configuration.data + "/control.sock",
        loops: [loops[0]],
        handler: FrontControl(front: self)
      )
    )
    if !plan.pushRoutes.isEmpty {
      report(
        "pushes of local repositories are taken; what no hook tells of is not looked for while the bus "
          + "has partitions"
      )
    }
    report("console on \(configuration.consoleAddress):\(configuration.consolePort)")
    startup.sockets.closeOwn()
    if let kubernetes, await !kubernetes.settledFirst(ports, instruments) {
      _ = await reload()
    }
    for source in plan.sources { report("event source \(source)") }
    for sensor in plan.engine.interlocking.sensors {
      let partition = EventRouting.partition(of: sensor.id, among: partitions)
      report("sensor \(sensor.id) in partition \(partition)")
    }
    report("ready")
  }

  /// Reads the manifests anew and puts them in force here and in all partitions; or nowhere, when
  /// something is wrong with them. One after the other.
  func reload() async -> Reload {
    await turnstile.enter()
    defer { turnstile.leave() }
    // Whoever asks for it may give up; it does not stop half way.
    return await Task { await self.reloadNow() }.value
  }

  private func reloadNow() async -> Reload {
    accessLog?.reopen()
    if let kubernetes { return await reload(kubernetes) }
    let read = parts.read(configuration.manifests, after: plan)
    fingerprint = read.fingerprint
    guard let next = read.plan else { return .refused(read.messages, logger) }
    do {
      try await putInForce(next)
      return Reload(isDone: true, messages: read.messages)
    } catch { return .refused(read.messages + ["\(error)"], logger) }
  }

  /// The same of the objects of a cluster.
  private func reload(_ kubernetes: KubernetesMode) async -> Reload {
    await kubernetes.reload(parts, ports, instruments, isBehind: isBehind) { plan, selection in
      try await self.putInForce(plan, selection)
    }
  }

  /// Sensors are there before events are sent to them, and that before there are new events.
  /// - Throws: `PortFailure` or `PartitionsBehind`. Then what is taken here follows the plan before, and
  ///   partitions that cannot follow are asked again soon.
  /// - Parameter selection: what it was made of in a cluster.
  private func putInForce(
    _ next: PlanBuilder.Plan,
    _ selection: ClusterSelection = ClusterSelection()
  ) async throws {
    let opened = try await ports.open(next.routesByPort)
    kubernetes?.choose(selection)
    var failures: [String] = []
    for (partition, entry) in figures.all {
      let reload = await entry.installation.reload()
      if !reload.isDone { failures += reload.messages.map { "partition \(partition): \($0)" } }
    }
    isBehind = !failures.isEmpty
    guard failures.isEmpty else {
      await ports.close(opened)
      retry?.cancel()
      retry = Task {
        await startup.loop.sleep(for: Self.patience)
        if !Task.isCancelled { startup.changed.ring() }
      }
      throw PartitionsBehind(
        description: "partitions cannot follow yet, and are asked again: "
          + failures.joined(separator: " | ")
      )
    }
    intake.route(by: next.routing(partitions))
    await ports.replace(with: next.routesByPort, opened)
    pushRoutes.replace(with: next.pushRoutes)
    plan = next
  }

  /// Reads them anew if they hold something else than they did.
  func reloadIfChanged() async {
    if kubernetes != nil {
      _ = await reload()
      return
    }
    if isBehind || parts.fingerprint(of: configuration.manifests) != fingerprint {
      _ = await reload()
    }
  }

  /// For questions about all of the partitions, by the manifests in force.
  var answers: PartitionAnswers { PartitionAnswers(figures, of: partitions, plan.engine) }

  /// Takes no more requests and finishes those that were accepted.
  func stop() async {
    retry?.cancel()
    await withDiscardingTaskGroup { group in
      for server in ports.servers {
        group.addTask { await server.shutdown(grace: .seconds(10)) }
      }
      for server in servers { group.addTask { await server.shutdown(grace: .seconds(1)) } }
    }
    await http.close()
    accessLog?.close()
  }

  /// Once nothing uses them any more.
  nonisolated func stopLoops() { for loop in loops + [sourceLoop] { loop.stop() } }
}

/// Partitions of this process that could not put manifests in force.
struct PartitionsBehind: Error, CustomStringConvertible {
  let description: String
}
