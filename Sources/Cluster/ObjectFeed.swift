import Posix
import Synchronization

/// Every change of the objects of a kind from a remembered version on, by the watch that all share.
///
/// A second, short watch makes up for what happened before the shared one stood; what both bring is
/// told once. Versions are compared for equality only (spec section A.5).
package struct ObjectFeed: Sendable {
  private let connection: ClusterAccess.Connection
  private let type: ResourceType
  private let namespace: String?
  private let timing: ObjectWatch.Timing

  /// For how long the second watch goes on: the server's shortest time.
  private static let catchUpSeconds = 1

  /// - Parameter namespace: nil: all.
  package init(
    _ connection: ClusterAccess.Connection,
    _ type: ResourceType,
    namespace: String?,
    timing: ObjectWatch.Timing = ObjectWatch.Timing()
  ) {
    self.connection = connection
    self.type = type
    self.namespace = namespace
    self.timing = timing
  }

  private var watch: ObjectWatch {
    ObjectWatch(connection.client, type, namespace: namespace, timing: timing)
  }

  /// The objects as they were at `version`.
  /// - Throws: `ClusterError`; 410 where the server has forgotten it.
  package func objects(
    as version: String,
    handle: @escaping @Sendable (ObservedObject) async -> Void
  ) async throws(ClusterError) {
    _ = try await watch.list(as: version) { change in
      if case .listed(let object) = change { await handle(object) }
    }
  }

  /// Goes on until the task is cancelled.
  /// - Parameters:
  ///   - version: where an earlier feed got to; nil: begin with a list.
  ///   - failed: takes what went wrong and will be tried again.
  ///   - handle: takes changes in their order. A list comes first where there was no version, and
  ///     later wherever the server has forgotten the place.
  package func run(
    from version: String?,
    failed: @escaping @Sendable (ClusterError) -> Void,
    handle: @escaping @Sendable (WatchChange) async -> Void
  ) async {
    var version = version
    var failures = 0
    while !Task.isCancelled {
      do throws(ClusterError) {
        // It ends when too much waited: then again from where it got to.
        version = try await subscribed(from: version, handle)
        failures = 0
      } catch {
        if Task.isCancelled { return }
        failures += 1
        if error.isGone {
          version = nil
          if failures == 1 { continue }
        } else {
          if error.code == 401, failures == 1, await connection.client.renewCredential() {
            continue
          }
          failed(error)
        }
        await connection.client.loop.sleep(for: timing.wait(failures, error.retryAfter))
      }
    }
  }

  private func subscribed(
    from version: String?,
    _ handle: @escaping @Sendable (WatchChange) async -> Void
  ) async throws(ClusterError) -> String? {
    let followers = connection.followers
    let subscription = await followers.subscribe(type, namespace: namespace)
    do throws(ClusterError) {
      let reached = try await read(subscription, from: version, handle)
      await followers.unsubscribe(subscription, type, namespace: namespace)
      return reached
    } catch {
      await followers.unsubscribe(subscription, type, namespace: namespace)
      throw error
    }
  }

  /// - Returns: how far it got.
  private func read(
    _ subscription: Subscription,
    from start: String?,
    _ handle: @escaping @Sendable (WatchChange) async -> Void
  ) async throws(ClusterError) -> String? {
    guard await subscription.begun() else { return start }
    var version: String
    if let start { version = start } else { version = try await watch.list(handle) }
    // What the shared watch tells meanwhile waits, and is known by uid and version.
    let told = Told()
    try await watch.watch(version, seconds: Self.catchUpSeconds) { change in
      told.add(change)
      await handle(change)
    } reached: {
      version = $0
    }
    while let change = await subscription.next() {
      if told.takes(change) { continue }
      await handle(change)
      version = change.resourceVersion ?? version
    }
    return version
  }
}

/// What the second watch has told.
private final class Told: Sendable {
  private let states = Mutex<Set<String>>([])

  func add(_ change: WatchChange) {
    guard let state = change.state else { return }
    states.withLock { _ = $0.insert(state) }
  }

  /// Whether it was told.
  func takes(_ change: WatchChange) -> Bool {
    states.withLock { states in
      if states.isEmpty { return false }
      // Whatever was before is behind us.
      if case .bookmark = change { states = [] }
      guard let state = change.state else { return false }
      return states.remove(state) != nil
    }
  }
}

extension WatchChange {
  /// One state of one object; a list's are compared by whoever takes them.
  fileprivate var state: String? {
    switch self {
    case .added(let object), .modified(let object): "\(object.uid) \(object.resourceVersion)"
    case .deleted(let object): "\(object.uid) deleted"
    default: nil
    }
  }
}
