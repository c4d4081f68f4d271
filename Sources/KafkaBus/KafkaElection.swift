package import KafkaClient
package import Posix

/// Decides which process owns what: who the group gives a partition of `<topic>-owner` owns that
/// partition of the bus.
///
/// Owning by itself proves nothing: a process that was stopped for a while learns late that it lost.
/// What keeps it from writing is that its successor opened the transactional id.
package struct KafkaElection: Sendable {
  private let settings: KafkaBus.Settings
  private let consumer: KafkaConsumer

  package enum Outcome: Sendable, Equatable {
    case owner
    case lost
    /// The client is of no use any more.
    case failed(KafkaError)
    /// The task was cancelled.
    case cancelled
  }

  /// - Throws: `KafkaSettingError`.
  package init(
    _ settings: KafkaBus.Settings,
    loop: EventLoop,
    observer: KafkaObserver
  ) throws(KafkaSettingError) {
    self.settings = settings
    consumer = try KafkaConsumer(settings.member, loop: loop, observer: observer)
  }

  /// Takes part from now on.
  /// - Throws: `KafkaError`.
  package func join() async throws(KafkaError) {
    try await consumer.subscribe(to: [settings.ownerTopic])
  }

  /// Waits until this process becomes the owner.
  package func won() async -> Outcome {
    await outcome(of: .owner)
  }

  /// Waits until this process is the owner no more.
  package func lost() async -> Outcome {
    await outcome(of: .lost)
  }

  private func outcome(of wanted: Outcome) async -> Outcome {
    while true {
      if Task.isCancelled { return .cancelled }
      var found: Change?
      do throws(KafkaError) { found = try await next() } catch { return .failed(error) }
      switch found {
      case .given? where wanted == .owner, .taken? where wanted == .lost: return wanted
      case .given, .taken, nil: break
      }
    }
  }

  /// What the group decided.
  package enum Change: Sendable, Equatable {
    /// This process owns these partitions from now on.
    case given([Int])
    case taken([Int])
  }

  /// Waits for the group's next decision; nil: it was none, or the task was cancelled.
  /// - Throws: `KafkaError` when the client is of no use any more.
  package func next() async throws(KafkaError) -> Change? {
    switch await consumer.next(messages: 0, bytes: 1) {
    case .assigned(let places):
      // The topic stays empty; assigning is how a member says that it has heard.
      try await consumer.assign(places.map { KafkaOffset($0, 0) })
      return places.isEmpty ? nil : .given(places.map { Int($0.partition) })
    case .revoked(let places, _):
      try await consumer.unassign(places)
      return places.isEmpty ? nil : .taken(places.map { Int($0.partition) })
    case .failed(let error): throw error
    case .messages, .unreadable, .outOfRange, .nothing: return nil
    }
  }

  /// Leaves, so that another process is elected at once.
  package func leave() async { await consumer.close() }
}
