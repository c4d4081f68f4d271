package import KafkaClient
package import Posix

/// Decides which process owns the bus: who the group gives the one partition of `<topic>-owner`.
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
      var found: Outcome?
      do throws(KafkaError) { found = try await next() } catch { return .failed(error) }
      if found == wanted { return wanted }
    }
  }

  private func next() async throws(KafkaError) -> Outcome? {
    switch await consumer.next(messages: 0, bytes: 1) {
    case .assigned(let places):
      // The topic stays empty; assigning is how a member says that it has heard.
      try await consumer.assign(places.map { KafkaOffset($0, 0) })
      return places.isEmpty ? nil : .owner
    case .revoked(let places, _):
      try await consumer.unassign(places)
      return places.isEmpty ? nil : .lost
    case .failed(let error): throw error
    case .messages, .unreadable, .outOfRange, .nothing: return nil
    }
  }

  /// Leaves, so that another process is elected at once.
  package func leave() async { await consumer.close() }
}
