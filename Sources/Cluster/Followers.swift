package import JSON
import Posix
import Synchronization

/// What a follower saw of its object.
package enum Sighting: Sendable {
  /// Its state; states in between may have been left out.
  case present(JSON)
  /// It is gone, and this was its last state where anybody knows.
  case gone(JSON?)
  /// Nothing new within the time that was asked for, or the task was cancelled.
  case nothing
}

/// Follows objects by their names, with one watch for each kind and namespace whatever their
/// number. A watch starts with its first follower and ends a while after its last.
package actor Followers {
  private struct Place: Hashable {
    let type: ResourceType
    /// nil: all.
    let namespace: String?
  }

  private let client: ClusterClient
  private let timing: ObjectWatch.Timing
  private let failed: @Sendable (ClusterError) -> Void
  private var watches: [Place: FollowedKind] = [:]

  /// How long a watch without followers goes on: the next one is likely to come soon.
  private static let lingerTime = Duration.seconds(60)

  /// - Parameter failed: takes what goes wrong with a watch and is tried again.
  package init(
    _ client: ClusterClient,
    timing: ObjectWatch.Timing = ObjectWatch.Timing(),
    failed: @escaping @Sendable (ClusterError) -> Void = { _ in }
  ) {
    self.client = client
    self.timing = timing
    self.failed = failed
  }

  /// How many watches there are.
  package var watchCount: Int { watches.count }

  /// Calls `body` with every state of an object from the present one on, until it answers.
  /// - Parameter patience: the longest time between two calls; nil: for ever.
  package func follow<Result: Sendable>(
    _ type: ResourceType,
    namespace: String,
    name: String,
    patience: @Sendable () -> Duration?,
    _ body: @Sendable (Sighting) async -> Result?
  ) async -> Result? {
    let place = Place(type: type, namespace: namespace)
    let watch = watch(at: place)
    let follower = await watch.add(name)
    defer { Task { await leave(place, watch, name, follower) } }
    if await watch.hasListed { await watch.look(for: name, follower) }
    while !Task.isCancelled {
      let sighting = await follower.next(atMost: patience(), on: client.loop)
      if Task.isCancelled { return nil }
      if let result = await body(sighting) { return result }
    }
    return nil
  }

  private func watch(at place: Place) -> FollowedKind {
    if let known = watches[place] { return known }
    let watch = FollowedKind(client, place.type, place.namespace, timing, failed)
    watches[place] = watch
    return watch
  }

  /// Every change of a kind, by the same watch as who follows single objects.
  /// - Parameter namespace: nil: all.
  func subscribe(_ type: ResourceType, namespace: String?) async -> Subscription {
    let subscription = Subscription()
    await watch(at: Place(type: type, namespace: namespace)).add(subscription)
    return subscription
  }

  func unsubscribe(
    _ subscription: Subscription,
    _ type: ResourceType,
    namespace: String?
  ) async {
    let place = Place(type: type, namespace: namespace)
    guard let watch = watches[place], let use = await watch.remove(subscription) else { return }
    // Its last reader is not to wait for that.
    Task { await left(place, watch, use) }
  }

  private func leave(
    _ place: Place,
    _ watch: FollowedKind,
    _ name: String,
    _ follower: Follower
  ) async {
    await left(place, watch, await watch.remove(name, follower))
  }

  private func left(_ place: Place, _ watch: FollowedKind, _ use: Int?) async {
    guard let use else { return }
    await client.loop.sleep(for: Self.lingerTime)
    guard await watch.isUnused(since: use), watches[place] === watch else { return }
    watches[place] = nil
    await watch.stop()
  }

  /// Ends every watch.
  package func close() async {
    let all = watches.values
    watches = [:]
    for watch in all { await watch.stop() }
  }
}

/// One watch and those who follow objects by it.
private actor FollowedKind {
  private let client: ClusterClient
  private let type: ResourceType
  private let namespace: String?
  private let watch: ObjectWatch
  private let failed: @Sendable (ClusterError) -> Void
  private var followers: [String: [Follower]] = [:]
  private var subscriptions: [Subscription] = []
  /// The names that a list under way has not brought yet.
  private var missing: Set<String>?
  private var isSynced = false
  /// Who waits to be told of what is there.
  private var lookUps: [(name: String, follower: Follower)] = []
  private var looking: Task<Void, Never>?
  private var task: Task<Void, Never>?
  private var uses = 0

  init(
    _ client: ClusterClient,
    _ type: ResourceType,
    _ namespace: String?,
    _ timing: ObjectWatch.Timing,
    _ failed: @escaping @Sendable (ClusterError) -> Void
  ) {
    self.client = client
    self.type = type
    self.namespace = namespace
    watch = ObjectWatch(client, type, namespace: namespace, timing: timing)
    self.failed = failed
  }

  /// Whether a list came too early for whoever begins now.
  var hasListed: Bool { isSynced || missing != nil }

  func add(_ name: String) -> Follower {
    let follower = Follower()
    followers[name, default: []].append(follower)
    uses += 1
    start()
    return follower
  }

  /// A number to ask `isUnused` with where nobody is left.
  func remove(_ name: String, _ follower: Follower) -> Int? {
    followers[name]?.removeAll { $0 === follower }
    if followers[name]?.isEmpty == true { followers[name] = nil }
    return isUnused ? uses : nil
  }

  func add(_ subscription: Subscription) {
    subscriptions.append(subscription)
    if isSynced { subscription.begin() }
    uses += 1
    start()
  }

  func remove(_ subscription: Subscription) -> Int? {
    subscriptions.removeAll { $0 === subscription }
    return isUnused ? uses : nil
  }

  private var isUnused: Bool { followers.isEmpty && subscriptions.isEmpty }

  func isUnused(since use: Int) -> Bool { isUnused && uses == use }

  /// So many are asked for one by one; more of them by one list.
  private static let singleLookUps = 50

  /// A watch that stands tells changes only: what is there is asked for.
  func look(for name: String, _ follower: Follower) {
    lookUps.append((name, follower))
    guard looking == nil else { return }
    looking = Task { [weak self] in await self?.lookAll() }
  }

  private func lookAll() async {
    while !lookUps.isEmpty, !Task.isCancelled {
      let batch = lookUps
      lookUps = []
      do throws(ClusterError) {
        if batch.count > Self.singleLookUps {
          try await list(batch)
        } else {
          for (name, follower) in batch { try await get(name, follower) }
        }
      } catch {
        if Task.isCancelled { break }
        failed(error)
        await relist()
      }
    }
    looking = nil
  }

  private func get(_ name: String, _ follower: Follower) async throws(ClusterError) {
    do throws(ClusterError) {
      let object = try await client.get(type, namespace: namespace, name: name)
      follower.see(.present(object), isLate: true)
    } catch {
      guard error.isNotFound else { throw error }
      follower.see(.gone(nil), isLate: true)
    }
  }

  private func list(_ batch: [(name: String, follower: Follower)]) async throws(ClusterError) {
    let waiting = LateFollowers(batch)
    _ = try await watch.list { change in
      if case .listed(let object) = change { waiting.see(object) }
    }
    waiting.end()
  }

  /// Begins anew with a list.
  private func relist() async {
    await halt()
    start()
  }

  private func start() {
    guard task == nil else { return }
    let watch = watch
    let failed = failed
    task = Task { [weak self] in
      await watch.run(failed: failed) { [weak self] change in await self?.handle(change) }
    }
  }

  func stop() async {
    looking?.cancel()
    await halt()
  }

  private func halt() async {
    let task = task
    self.task = nil
    isSynced = false
    missing = nil
    task?.cancel()
    await task?.value
  }

  private func handle(_ change: WatchChange) {
    switch change {
    case .listBegan:
      isSynced = false
      missing = Set(followers.keys)
    case .listed(let object):
      missing?.remove(object.name)
      deliver(object) { .present($0) }
    case .listEnded:
      // Who came while the list was on its way may have been missed by it: it looks for itself.
      for name in missing ?? [] {
        for follower in followers[name] ?? [] { follower.see(.gone(nil)) }
      }
      missing = nil
      isSynced = true
    case .added(let object), .modified(let object): deliver(object) { .present($0) }
    case .deleted(let object): deliver(object) { .gone($0) }
    case .bookmark: break
    }
    for subscription in subscriptions { subscription.put(change) }
  }

  private func deliver(_ object: ObservedObject, _ sighting: (JSON) -> Sighting) {
    guard let interested = followers[object.name], let json = object.json else { return }
    for follower in interested { follower.see(sighting(json)) }
  }
}

/// Those who are told of what is there by a list of their own.
private final class LateFollowers: Sendable {
  private let waiting: Mutex<[String: [Follower]]>

  init(_ batch: [(name: String, follower: Follower)]) {
    waiting = Mutex(Dictionary(grouping: batch, by: \.name).mapValues { $0.map(\.follower) })
  }

  func see(_ object: ObservedObject) {
    let followers = waiting.withLock { $0.removeValue(forKey: object.name) } ?? []
    guard !followers.isEmpty, let json = object.json else { return }
    for follower in followers { follower.see(.present(json), isLate: true) }
  }

  /// What was not listed is not there.
  func end() {
    let rest = waiting.withLock { $0.values.flatMap { $0 } }
    for follower in rest { follower.see(.gone(nil), isLate: true) }
  }
}
