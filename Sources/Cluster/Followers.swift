package import JSON
import Posix

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
    let namespace: String
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
    let watch: FollowedKind
    if let known = watches[place] {
      watch = known
    } else {
      watch = FollowedKind(client, type, namespace, timing, failed)
      watches[place] = watch
    }
    let follower = await watch.add(name)
    defer { Task { await leave(place, watch, name, follower) } }
    if await watch.hasListed { await lookOnce(type, place, name, follower) }
    while !Task.isCancelled {
      let sighting = await follower.next(atMost: patience(), on: client.loop)
      if Task.isCancelled { return nil }
      if let result = await body(sighting) { return result }
    }
    return nil
  }

  /// A watch that stands tells changes only: what is there is asked for.
  private func lookOnce(
    _ type: ResourceType,
    _ place: Place,
    _ name: String,
    _ follower: Follower
  ) async {
    do throws(ClusterError) {
      follower.see(
        .present(try await client.get(type, namespace: place.namespace, name: name)),
        isLate: true
      )
    } catch {
      if error.isNotFound {
        follower.see(.gone(nil), isLate: true)
      } else {
        failed(error)
        await watches[place]?.relist()
      }
    }
  }

  private func leave(
    _ place: Place,
    _ watch: FollowedKind,
    _ name: String,
    _ follower: Follower
  ) async {
    let use = await watch.remove(name, follower)
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
  private let watch: ObjectWatch
  private let failed: @Sendable (ClusterError) -> Void
  private var followers: [String: [Follower]] = [:]
  /// The names that a list under way has not brought yet.
  private var missing: Set<String>?
  private var isSynced = false
  private var task: Task<Void, Never>?
  private var uses = 0

  init(
    _ client: ClusterClient,
    _ type: ResourceType,
    _ namespace: String,
    _ timing: ObjectWatch.Timing,
    _ failed: @escaping @Sendable (ClusterError) -> Void
  ) {
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
    return followers.isEmpty ? uses : nil
  }

  func isUnused(since use: Int) -> Bool { followers.isEmpty && uses == use }

  /// Begins anew with a list.
  func relist() async {
    await stop()
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
  }

  private func deliver(_ object: ObservedObject, _ sighting: (JSON) -> Sighting) {
    guard let interested = followers[object.name], let json = object.json else { return }
    for follower in interested { follower.see(sighting(json)) }
  }
}
