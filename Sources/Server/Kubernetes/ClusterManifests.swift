import Cluster
import JSON
import Logging
import Posix

/// Our objects in a cluster as they are now, by one watch for each kind and namespace.
actor ClusterManifests {
  /// One watch.
  private struct Place: Hashable, CustomStringConvertible {
    let kind: String
    /// nil: all.
    let namespace: String?

    var description: String { "\(kind) of " + (namespace ?? "all namespaces") }
  }

  private let access: ClusterAccess
  private let places: [Place]
  private let loop: EventLoop
  private let contact: Contact
  private let logger: Logger
  /// Rung when documents have changed and are quiet again.
  private let bell: Bell

  private var known: [ClusterDocument.Key: ClusterDocument] = [:]
  /// Each object as it was seen last, whole.
  private var objects: [ClusterDocument.Key: JSON] = [:]
  /// What lists under way have not brought yet.
  private var missing: [Place: Set<ClusterDocument.Key>] = [:]
  private var listed: Set<Place> = []
  private var tasks: [Task<Void, Never>] = []
  private var changes = 0
  private var ringing: Task<Void, Never>?
  private var waiter: CheckedContinuation<Void, Never>?

  /// How long a change waits for the next one, and how often: `kubectl apply` writes one object after
  /// the other.
  private static let quiet = Duration.milliseconds(100)
  private static let rounds = 10
  private static let longestWait = Duration.seconds(30)

  /// - Parameter namespaces: none: all.
  init(
    _ access: ClusterAccess,
    namespaces: [String],
    loop: EventLoop,
    contact: Contact,
    bell: Bell,
    logger: Logger
  ) {
    self.access = access
    self.loop = loop
    self.contact = contact
    self.bell = bell
    self.logger = logger
    let named: [String?] = namespaces.isEmpty ? [nil] : namespaces.map { $0 }
    places = ClusterDocument.kinds.keys.sorted().flatMap { kind in
      named.map { Place(kind: kind, namespace: $0) }
    }
  }

  /// Begins to watch; waits until everything was listed once, at most so long.
  func start(patience: Duration) async {
    for place in places { tasks.append(Task { await self.follow(place) }) }
    let timer = Task { [loop] in
      await loop.sleep(for: patience)
      self.stopWaiting()
    }
    await withCheckedContinuation { continuation in
      if isListed { continuation.resume() } else { waiter = continuation }
    }
    timer.cancel()
  }

  func stop() async {
    for task in tasks { task.cancel() }
    ringing?.cancel()
    for task in tasks { await task.value }
    await ringing?.value
    stopWaiting()
  }

  private func stopWaiting() {
    waiter?.resume()
    waiter = nil
  }

  private var isListed: Bool { listed.count == places.count }

  /// nil until everything was listed: what is not known yet is not gone.
  var documents: [ClusterDocument]? { isListed ? known.values.sorted { $0.key < $1.key } : nil }

  /// The whole object as it was seen last.
  func object(_ key: ClusterDocument.Key) -> JSON? { objects[key] }

  /// The object as it came back from a write.
  func note(_ object: JSON) {
    guard let document = ClusterDocument(object), objects[document.key] != nil else { return }
    objects[document.key] = object
  }

  /// - Throws: `ClusterError`.
  func type(of kind: String) async throws(ClusterError) -> (ClusterClient, ResourceType) {
    let client = try access.connection().client
    let plural = ClusterDocument.kinds[kind] ?? ""
    return (client, try await client.resource(ClusterDocument.apiVersion, plural: plural))
  }

  // MARK: Watching

  private func follow(_ place: Place) async {
    var failures = 0
    while !Task.isCancelled {
      do throws(ClusterError) {
        let (client, type) = try await type(of: place.kind)
        let watch = ObjectWatch(client, type, namespace: place.namespace)
        await watch.run(
          failed: { [weak self] error in self?.failed(place, error) },
          handle: { [weak self] change in await self?.take(change, place) }
        )
        return
      } catch {
        if Task.isCancelled { return }
        failed(place, error)
        let wait = Duration.milliseconds(500 << min(failures, 7))
        failures += 1
        await loop.sleep(for: max(min(wait, Self.longestWait), error.retryAfter ?? .zero))
      }
    }
  }

  private nonisolated func failed(_ place: Place, _ error: ClusterError) {
    contact.fail("\(place)", error)
    logger.warning(
      "the manifests of the cluster could not be read; trying again",
      metadata: ["of": "\(place)", "error": "\(error)"]
    )
  }

  private func take(_ change: WatchChange, _ place: Place) {
    contact.restore("\(place)")
    switch change {
    case .listBegan:
      missing[place] = Set(
        known.keys.filter {
          $0.kind == place.kind && (place.namespace == nil || $0.namespace == place.namespace)
        }
      )
    case .listed(let object):
      if let key = put(object) { missing[place]?.remove(key) }
    case .listEnded:
      for key in missing[place] ?? [] { remove(key) }
      missing[place] = nil
      if listed.insert(place).inserted, isListed {
        contact.begin()
        stopWaiting()
        changed()
      }
    case .added(let object), .modified(let object): _ = put(object)
    case .deleted(let object):
      if let json = object.json, let document = ClusterDocument(json) { remove(document.key) }
    case .bookmark: break
    }
  }

  private func put(_ observed: ObservedObject) -> ClusterDocument.Key? {
    guard let json = observed.json, let document = ClusterDocument(json) else { return nil }
    objects[document.key] = json
    let old = known.updateValue(document, forKey: document.key)
    if old?.content != document.content || old?.uid != document.uid { changed() }
    return document.key
  }

  private func remove(_ key: ClusterDocument.Key) {
    objects[key] = nil
    if known.removeValue(forKey: key) != nil { changed() }
  }

  private func changed() {
    changes += 1
    guard ringing == nil else { return }
    ringing = Task { await self.ring() }
  }

  private func ring() async {
    var (seen, round) = (-1, 0)
    while seen != changes, round < Self.rounds {
      (seen, round) = (changes, round + 1)
      await loop.sleep(for: Self.quiet)
      if Task.isCancelled { return }
    }
    ringing = nil
    bell.ring()
  }
}
