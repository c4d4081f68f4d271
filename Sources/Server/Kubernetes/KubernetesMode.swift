import Cluster
import Engine
import EventSources
import HTTPClient
import JSON
import Logging
import Manifest
import Observe
import Posix
import Synchronization

/// Manifests that come from a cluster: watched, loaded like files, told how they stand.
final class KubernetesMode: Sendable {
  private struct State {
    /// What was in force at the last settling.
    var inForce: [ClusterDocument] = []
    /// Each document that exists as it was when it was in force last.
    var last: [ClusterDocument.Key: ClusterDocument] = [:]
    /// What an earlier run left, until the cluster has answered.
    var remembered: [ClusterDocument]?
    var first: ClusterLoad?
    /// What was logged of the manifests last.
    var messages: [String] = []
    /// What the program runs on, once that is decided.
    var bus: RunningBus?
  }

  private struct RunningBus {
    /// Of the `kafka` of its EventBus; nil: the embedded log.
    let kafka: String?
  }

  let contact = Contact()
  let options: KubernetesOptions
  private let access: ClusterAccess
  private let http: HTTPClient
  private let loop: EventLoop
  private let manifests: ClusterManifests
  private let secrets: ClusterSecrets
  private let reporter: StatusReporter
  private let memory: ManifestMemory
  private let bell: Bell
  private let logger: Logger
  private let state = Mutex(State())
  private let upkeep = Mutex<Task<Void, Never>?>(nil)

  /// How long the start waits for the cluster where nothing is known from before, and where
  /// something is.
  private static let patience = (unknown: Duration.seconds(10), known: Duration.seconds(3))
  /// Secrets are read anew this often, and less often where there are more than 50.
  private static let shortestInterval = Duration.seconds(5)
  private static let roundsMax = 5

  /// - Parameter bell: rung when the manifests are to be loaded anew.
  /// - Throws: `ClusterError` where no cluster is configured, or `SystemError`.
  init(
    _ options: KubernetesOptions,
    kubeconfig: String?,
    data: String,
    loop: EventLoop,
    bell: Bell,
    logger: Logger
  ) throws {
    self.options = options
    self.loop = loop
    self.logger = logger
    self.bell = bell
    http = try HTTPClient()
    access = ClusterAccess(
      kubeconfig: kubeconfig,
      http: http,
      loop: loop,
      report: { logger.warning("the cluster", metadata: ["message": "\($0)"]) }
    )
    _ = try access.configuration()
    manifests = ClusterManifests(
      access,
      namespaces: options.namespaces,
      loop: loop,
      contact: contact,
      bell: bell,
      logger: logger
    )
    secrets = ClusterSecrets(access, contact)
    reporter = StatusReporter(manifests, loop: loop, contact: contact, logger: logger)
    memory = ManifestMemory(data: data)
  }

  /// Begins to watch, and waits a little for the cluster. Without it goes on with what an earlier run
  /// left.
  /// - Throws: `SystemError` or `ManifestMemory.Unreadable` where that cannot be read.
  func start() async throws {
    if let remembered = try memory.read() {
      contact.begin()
      state.withLock { state in
        state.remembered = remembered
        state.last = Dictionary(remembered.map { ($0.key, $0) }) { _, last in last }
      }
    }
    let isKnown = state.withLock { $0.remembered != nil }
    await manifests.start(patience: isKnown ? Self.patience.known : Self.patience.unknown)
    upkeep.withLock { $0 = Task { await self.keepUp() } }
  }

  func stop() async {
    let task = upkeep.withLock { $0 }
    task?.cancel()
    await task?.value
    await reporter.stop()
    await manifests.stop()
    await access.close()
    await http.close()
  }

  /// Asks whether the cluster is there, and for Secrets.
  private func keepUp() async {
    while !Task.isCancelled {
      let interval = max(Self.shortestInterval, .milliseconds(100) * secrets.count)
      await loop.sleep(for: interval)
      if Task.isCancelled { return }
      do throws(ClusterError) {
        try await access.connection().client.ping()
        contact.restore("server")
        contact.answered()
      } catch {
        contact.fail("server", error)
        continue
      }
      let isNew = await secrets.readWanted()
      let hasChanged = await secrets.refresh()
      if isNew || hasChanged { bell.ring() }
    }
  }

  // MARK: Loading

  /// What there is; nil: that is not known, neither from the cluster nor from an earlier run.
  private var known: [ClusterDocument]? {
    get async {
      if let documents = await manifests.documents {
        state.withLock { $0.remembered = nil }
        return documents
      }
      return state.withLock { $0.remembered }
    }
  }

  private func documents() async -> [ClusterDocument] { await known ?? [] }

  var isKnown: Bool { get async { await known != nil } }

  private func buses(_ diagnostics: Diagnostics) async -> [EventBusManifest] {
    let buses = await documents().filter { $0.key.kind == "EventBus" }
    return SensorCompiler.reader(diagnostics).read(
      objects: buses.map { ($0.key.description, $0.content) }
    ).buses
  }

  /// What the EventBus objects say about the log.
  func logSettings() async -> LogSettings {
    await buses(Diagnostics()).reduce(LogSettings()) { $0.merged(with: $1.settings) }
  }

  /// Whether some EventBus object wants a bus on Kafka.
  var wantsKafka: Bool { get async { await buses(Diagnostics()).contains { $0.kafka != nil } } }

  /// From here on EventBus objects that want another bus are told so.
  func run(on bus: KafkaBusSpec?) {
    state.withLock { $0.bus = RunningBus(kafka: bus?.fingerprint) }
  }

  /// A program cannot leave the bus that it runs on: tells those that want another one.
  private func refuses(_ buses: [EventBusManifest], _ diagnostics: Diagnostics) -> Bool {
    guard let running = state.withLock({ $0.bus }) else { return false }
    let others = buses.filter { $0.kafka.map { nodeFingerprint($0) } != running.kafka }
    for bus in others {
      diagnostics.add(
        Diagnostic(.error, bus.mark, field: bus.kafkaPath, PlanBuilder.Plan.otherBus)
      )
    }
    return !others.isEmpty
  }

  func rules(_ folder: FolderSecrets) -> NamespaceRules {
    NamespaceRules(grants: options.grants) { [secrets] in
      NamespaceSecrets(folder: folder, cluster: secrets, namespace: $0)
    }
  }

  /// A plan of what can be in force now. Nothing changes.
  func load(_ parts: Parts, refusedPorts: [Int: String]) async -> ClusterLoad {
    let documents = await documents()
    let last = state.withLock { $0.last }
    let loader = ClusterLoader(documents: documents, last: last) { chosen in
      let diagnostics = Diagnostics()
      var builder = parts.builder(diagnostics)
      builder.refusedPorts = refusedPorts
      let set = SensorCompiler.reader(diagnostics).read(
        objects: chosen.map { ($0.key.description, $0.content) }
      )
      if self.refuses(set.buses, diagnostics) { return (nil, diagnostics.sorted) }
      let plan = builder.build(set, checksMeaning: true)
      return (plan, diagnostics.sorted)
    }
    var load = loader.load()
    var rounds = 1
    while rounds < Self.roundsMax, await secrets.readWanted() {
      load = loader.load()
      rounds += 1
    }
    let refused = load.refusedSensors
    load.plan?.engine.refused = refused
    return load
  }

  func firstLoad(_ parts: Parts) async -> ClusterLoad {
    let load = await load(parts, refusedPorts: [:])
    state.withLock { $0.first = load }
    return load
  }

  func takeFirst() -> ClusterLoad? {
    state.withLock { state in
      defer { state.first = nil }
      return state.first
    }
  }

  /// Whether `load` puts something else in force than is.
  func isNews(_ load: ClusterLoad) -> Bool { state.withLock { $0.inForce != load.inForce } }

  /// Tells the objects how they stand, although nothing runs yet.
  func report(_ load: ClusterLoad) async {
    if await manifests.documents != nil { await reporter.report(load.verdicts) }
  }

  /// `load` is in force: remembers it and tells the objects.
  func settle(_ load: ClusterLoad, _ instruments: Instruments) async {
    let now = await documents()
    let messages = state.withLock { state in
      defer { state.messages = load.messages }
      return load.messages.filter { !state.messages.contains($0) }
    }
    for message in messages {
      logger.warning("a manifest of the cluster", metadata: ["message": "\(message)"])
    }
    let last = state.withLock { state in
      state.inForce = load.inForce
      for document in load.inForce { state.last[document.key] = document }
      let present = Dictionary(now.map { ($0.key, $0.uid) }) { _, last in last }
      state.last = state.last.filter { present[$0.key] == $0.value.uid }
      return state.last
    }
    do throws(SystemError) {
      try memory.write(last.values.sorted { $0.key < $1.key })
    } catch {
      logger.warning("the manifests could not be remembered", metadata: ["error": "\(error)"])
    }
    secrets.forgetUnused()
    show(load.verdicts, instruments)
    await report(load)
  }

  private func show(_ verdicts: [DocumentVerdict], _ instruments: Instruments) {
    for kind in ClusterDocument.kinds.keys {
      let ours = verdicts.filter { $0.key.kind == kind }
      for state in ["current", "previous", "refused"] {
        let count = ours.count { $0.force.word == state }
        instruments.clusterObjects.set(Double(count), [kind, state])
      }
    }
  }

  func register(in metrics: Metrics) {
    metrics.gauge(
      "signalbox_kubernetes_connected",
      help: "Whether the cluster that the manifests come from answers."
    ) { [contact] in contact.isGood ? 1 : 0 }
  }
}

extension DocumentVerdict.Force {
  fileprivate var word: String {
    switch self {
    case .current: "current"
    case .previous: "previous"
    case .none: "refused"
    }
  }
}
