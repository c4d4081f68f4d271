import Cluster
import Expression
package import HTTPClient
package import Logging
package import Manifest
import Observe
package import Plugin
package import Posix

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
    /// Where requests may go when an event chose the target.
    package var allowOutbound: AllowList
    /// Whether to take the place of the program that runs on `data`, its listening sockets
    /// included.
    package var takesOver = false
    /// Bodies of requests in memory together, in bytes; beyond: 503.
    package var bodyMemoryBytes = 64 << 20
    /// Proxies whose word about the address of a client is taken.
    package var trustedProxies: [NetworkRange] = []
    /// Whether trusted proxies begin each connection with a header of the PROXY protocol.
    package var usesProxyProtocol = false
    /// Requests a second that one address may send, and how many at once; nil: any number.
    package var clientRate: (perSecond: Int, burst: Int)?
    /// A file that gets a line for each request; nil: none.
    package var accessLog: String?
    /// Whether manifests are read anew when their files change.
    package var watchesManifests = false
    /// The kubeconfig of the cluster that triggers act on; nil: as kubectl finds it.
    package var kubeconfig: String?
    /// The manifests are objects of that cluster; nil: they are files.
    package var kubernetes: KubernetesOptions?
    /// How what is doubtful is read where a manifest says nothing.
    package var compat = Compatibility.fixed

    package init(
      manifests: [String],
      data: String,
      secrets: String,
      address: String,
      consoleAddress: String,
      consolePort: Int,
      hopLimit: Int,
      allowOutbound: AllowList
    ) {
      self.manifests = manifests
      self.data = data
      self.secrets = secrets
      self.address = address
      self.consoleAddress = consoleAddress
      self.consolePort = consolePort
      self.hopLimit = hopLimit
      self.allowOutbound = allowOutbound
    }
  }

  /// The manifests have errors; they were reported.
  package struct Refused: Error {}

  /// Reads manifests as `run` would, and starts nothing.
  /// - Parameter program: the path of this program, which checks jq programs.
  package static func validate(
    _ paths: [String],
    secrets: String,
    kubeconfig: String? = nil,
    compat: Compatibility = .fixed,
    program: String = "/proc/self/exe"
  ) -> [Diagnostic] {
    check(paths, secrets: secrets, kubeconfig: kubeconfig, compat: compat, program: program).found
  }

  /// Where manifests do something else than in Argo Events 1.9.
  package static func contrasts(_ paths: [String], compat: Compatibility) -> [Contrast] {
    let set = SensorCompiler.reader(Diagnostics()).read(paths)
    return set.eventSources.flatMap { $0.contrasts(compat) }
      + set.sensors.flatMap { $0.contrasts(compat) }
  }

  /// What is wrong with manifests, and the ports they want.
  private static func check(
    _ paths: [String],
    secrets: String,
    kubeconfig: String? = nil,
    compat: Compatibility,
    program: String = "/proc/self/exe"
  ) -> (found: [Diagnostic], ports: [Int], kafkaBus: KafkaBusSpec?) {
    let (plan, found) = build(
      paths,
      secrets,
      ClusterAccess(kubeconfig: kubeconfig, http: nil, loop: nil),
      JQWorkers(program: program, count: 1),
      compat,
      http: nil
    )
    return (found, plan?.routesByPort.map(\.0) ?? [], plan?.kafkaBus)
  }

  /// What is wrong with manifests, and the bus on Kafka they name.
  static func kafkaBus(_ options: MigrationOptions) -> (found: [Diagnostic], bus: KafkaBusSpec?) {
    let (found, _, bus) = check(
      options.manifests,
      secrets: options.secrets,
      compat: options.compat
    )
    return (found, bus)
  }

  /// The event sources of manifests, made as `run` would make them; nothing runs or is listened to.
  /// - Parameter http: what their requests go through.
  /// - Returns: no sources where a manifest has an error.
  package static func sources(
    _ paths: [String],
    secrets: String,
    http: HTTPClient
  ) -> (sources: [any EventSource], found: [Diagnostic]) {
    let (plan, found) = build(
      paths,
      secrets,
      ClusterAccess.none,
      JQWorkers(program: "/proc/self/exe", count: 1),
      Compatibility.fixed,
      http: http
    )
    return (plan?.made.map(\.source) ?? [], found)
  }

  private static func build(
    _ paths: [String],
    _ secrets: String,
    _ cluster: ClusterAccess,
    _ jq: JQWorkers,
    _ compat: Compatibility,
    http: HTTPClient?
  ) -> (plan: PlanBuilder.Plan?, found: [Diagnostic]) {
    let diagnostics = Diagnostics()
    var parts = Parts.reading(
      FolderSecrets(folder: secrets),
      Logger(label: "signalbox"),
      compat,
      http: http
    )
    parts.cluster = cluster
    parts.jq = jq
    let plan = parts.builder(diagnostics).build(paths)
    return (plan, diagnostics.sorted)
  }

  /// Receives the sockets of the program that runs, and has it stop once nothing that can be
  /// known beforehand is in the way.
  private static func takeOver(
    _ configuration: Configuration,
    _ ports: [Int],
    _ sockets: ListeningSockets,
    _ report: (String) -> Void
  ) throws {
    guard let predecessor = try Predecessor.ask(configuration.data, sockets) else {
      return report("nothing runs on \(configuration.data) that could be taken over")
    }
    report("received the sockets of process \(predecessor.process) for ports \(sockets.ports)")
    for port in ports {
      try sockets.check(configuration.address, port)
      try sockets.bind(configuration.address, port)
    }
    try sockets.check(configuration.consoleAddress, configuration.consolePort)
    if configuration.consolePort != 0 {
      try sockets.bind(configuration.consoleAddress, configuration.consolePort)
    }
    try predecessor.dismiss()
  }

  /// Runs until `stop` is readable; reads the manifests anew when `reload` is.
  /// - Parameter report: takes what is found in the manifests, and what was started, in words.
  /// - Throws: `Refused`, `ClusterError`, `LogError`, `SystemError`, `BusError`, `NoteError`, or an error in words
  ///   when it cannot start.
  package static func run(
    _ configuration: Configuration,
    logger: Logger,
    stop: borrowing FileDescriptor,
    reload: borrowing FileDescriptor,
    report: @escaping @Sendable (String) -> Void
  ) async throws {
    // Before the log: manifests with errors leave no trace.
    let (found, ports, fileBus) = check(
      configuration.kubernetes == nil ? configuration.manifests : [],
      secrets: configuration.secrets,
      kubeconfig: configuration.kubeconfig,
      compat: configuration.compat
    )
    for diagnostic in found { report("\(diagnostic)") }
    if found.contains(where: { $0.severity == .error }) { throw Refused() }
    let partitions = fileBus?.partitions ?? 1
    if partitions > 1, configuration.takesOver {
      // Before the program that runs is told to stop.
      report(
        "--takeover is not for a bus with partitions: the other programs work on while this one is "
          + "replaced"
      )
      throw Refused()
    }
    let sockets = ListeningSockets()
    try sockets.addActivated()
    let isActivated = !sockets.isEmpty
    if isActivated { report("sockets were there already for ports \(sockets.ports)") }
    if configuration.takesOver { try takeOver(configuration, ports, sockets, report) }
    let loop = try EventLoop(name: "requests")
    let changed = try Bell()
    let kubernetes = try configuration.kubernetes.map { options in
      try KubernetesMode(
        options,
        kubeconfig: configuration.kubeconfig,
        data: configuration.data,
        loop: loop,
        bell: changed,
        logger: logger
      )
    }
    try await kubernetes?.start()
    let startup = Startup(
      sockets: sockets,
      // The one before may still be finishing.
      patience: isActivated || configuration.takesOver ? .seconds(30) : .zero,
      loop: loop,
      handedOver: try Bell(),
      changed: changed,
      kubernetes: kubernetes
    )
    let service = Service(
      configuration: configuration,
      logger: logger,
      stopping: stop.raw,
      reloading: reload.raw,
      report: report
    )
    try await run(service, startup, fileBus)
    await kubernetes?.stop()
    loop.stop()
  }

  private static func run(
    _ service: Service,
    _ startup: Startup,
    _ fileBus: KafkaBusSpec?
  ) async throws {
    var (startup, kafkaBus) = (startup, fileBus)
    if let kubernetes = startup.kubernetes {
      let choice = await kubernetes.chooseBus(service, &startup)
      guard choice.isDecided else { return }
      kafkaBus = choice.kafka
    }
    try DataFolder(service.configuration.data).check(partitions: kafkaBus?.partitions ?? 1)
    guard let kafkaBus else {
      _ = try await service.run(startup, lost: try Bell())
      return
    }
    if kafkaBus.partitions > 1 {
      if startup.standby == nil {
        startup.standby = await Standby(service, startup) {
          "not ready: brokers have not answered yet"
        }
      }
      do { try await KafkaSharing(service, kafkaBus, startup).run() } catch {
        await startup.standby?.end()
        throw error
      }
      await startup.standby?.end()
    } else {
      try await KafkaTenure(service, kafkaBus, startup).run()
    }
  }
}
