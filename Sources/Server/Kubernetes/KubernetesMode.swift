import Cluster
import Engine
import EventSources
import HTTPClient
import JSON
import Logging
import Manifest
import Observe
import Plugin
import Posix
import Synchronization

/// Manifests that come from a cluster: watched, loaded like files, told how they stand.
final class KubernetesMode: Sendable {
  private struct State {
    /// What was in force at the last settling.
    var inForce = ClusterSelection()
    /// What the partitions of a shared bus have to have in force.
    var chosen = ClusterSelection()
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
    /// nil: the embedded log.
    let kafka: KafkaBusSpec?
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
    state.withLock { $0.bus = RunningBus(kafka: bus) }
  }

  /// A program cannot leave the bus that it runs on.
  private func refuse(_ bus: EventBusManifest, _ diagnostics: Diagnostics) {
    diagnostics.add(Diagnostic(.error, bus.mark, field: bus.kafkaPath, PlanBuilder.Plan.otherBus))
  }

  /// A plan of documents, unless some of them have errors.
  private func build(
    _ chosen: [ClusterDocument],
    _ parts: Parts,
    _ refusedPorts: [Int: String]
  ) -> (plan: PlanBuilder.Plan?, found: [Diagnostic]) {
    let diagnostics = Diagnostics()
    var builder = parts.builder(diagnostics)
    builder.refusedPorts = refusedPorts
    let set = SensorCompiler.reader(diagnostics).read(
      objects: chosen.map { ($0.key.description, $0.content) }
    )
    let running = state.withLock { $0.bus }
    if let running {
      let others = set.buses.filter {
        $0.kafka.map { nodeFingerprint($0) } != running.kafka?.written
      }
      for bus in others { refuse(bus, diagnostics) }
      if !others.isEmpty { return (nil, diagnostics.sorted) }
    }
    let plan = builder.build(set, checksMeaning: true)
    // Of the same words two EventBuses may make two topics.
    if let running, let bus = plan?.kafkaBus, bus.fingerprint != running.kafka?.fingerprint,
      let first = set.buses.first
    {
      refuse(first, diagnostics)
      return (nil, diagnostics.sorted)
    }
    return (plan, diagnostics.sorted)
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
      self.build(chosen, parts, refusedPorts)
    }
    var load = loader.load()
    var rounds = 1
    while rounds < Self.roundsMax, await secrets.readWanted() {
      load = loader.load()
      rounds += 1
    }
    let refused = load.selection.refused
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
  func isNews(_ load: ClusterLoad) -> Bool { state.withLock { $0.inForce != load.selection } }

  // MARK: Partitions

  /// What a process is about to put in force, its partitions first.
  func choose(_ selection: ClusterSelection) { state.withLock { $0.chosen = selection } }

  /// The plan of what was chosen last, for a partition.
  /// - Throws: `ClusterLoadError` where it cannot be in force any more.
  func chosenPlan(
    _ parts: Parts
  ) throws(ClusterLoadError) -> (plan: PlanBuilder.Plan, selection: ClusterSelection) {
    let selection = state.withLock { $0.chosen }
    let (plan, found) = build(selection.documents, parts, [:])
    guard var plan else {
      let errors = found.filter { $0.severity == .error }
      throw ClusterLoadError(description: errors.map(\.description).joined(separator: " | "))
    }
    plan.engine.refused = selection.refused
    return (plan, selection)
  }

  /// Tells the objects how they stand, although nothing runs yet.
  func report(_ load: ClusterLoad) async {
    if await manifests.documents != nil { await reporter.report(load.verdicts) }
  }

  /// The same of those alone of which nothing can be in force.
  func reportRefused(_ load: ClusterLoad) async {
    guard await manifests.documents != nil else { return }
    await reporter.report(load.verdicts.filter { $0.force == .none })
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
      state.inForce = load.selection
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
    // The running bus needs its own, also where its EventBus has gone.
    if let bus = state.withLock({ $0.bus?.kafka }) { _ = bus.connection.secretValues(bus.secrets) }
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
