import KafkaClient
import Posix
import Synchronization
import TestKit
import Testing

/// Takes down what a client tells.
final class Notebook: Sendable {
  private let lines = Mutex<[String]>([])
  private let errors = Mutex<[String]>([])

  var logged: [String] { lines.withLock { $0 } }
  var failures: [String] { errors.withLock { $0 } }

  var observer: KafkaObserver {
    KafkaObserver(
      log: { [self] _, line in lines.withLock { $0.append(line) } },
      failed: { [self] name in errors.withLock { $0.append(name) } }
    )
  }
}

/// Hands out numbers.
final class Counter: Sendable {
  private let next: Mutex<Int>
  init(_ first: Int) { next = Mutex(first) }

  var value: Int { next.withLock { $0 } }

  /// The number that is next, which goes on by `count`.
  func add(_ count: Int) -> Int {
    next.withLock { next in
      defer { next += count }
      return next
    }
  }
}

/// Takes down the commits that a broker refused to members who gave partitions up.
final class RefusedCommits: Sendable {
  private let offsets = Mutex<[KafkaOffset]>([])

  func add(_ more: [KafkaOffset]) { offsets.withLock { $0 += more } }

  /// Whether the next reader of the partition has to read the message again.
  func excuse(_ message: KafkaMessage) -> Bool {
    offsets.withLock { $0.contains { $0.place == message.place && $0.offset > message.offset } }
  }
}

/// Runs `body` with a loop and the broker's clients' notebook; the loop ends with it.
func withLoop<Result>(
  _ body: (EventLoop, Notebook) async throws -> Result
) async throws -> Result {
  let loop = try EventLoop(name: "kafka-test")
  do {
    let result = try await withTaskExecutorPreference(OwnThreads.shared) {
      try await body(loop, Notebook())
    }
    loop.stop()
    return result
  } catch {
    loop.stop()
    throw error
  }
}

/// Runs `body` with a consumer that is closed afterwards, whatever happens.
func withConsumer<Result>(
  _ settings: KafkaSettings,
  _ loop: EventLoop,
  _ notes: Notebook,
  _ body: (KafkaConsumer) async throws -> Result
) async throws -> Result {
  let consumer = try KafkaConsumer(settings, loop: loop, observer: notes.observer)
  do {
    let result = try await body(consumer)
    #expect(await consumer.close())
    return result
  } catch {
    await consumer.close()
    throw error
  }
}

/// Runs `body` with producers that are closed afterwards, whatever happens.
func withProducers<Result>(
  _ loop: EventLoop,
  _ body: (KafkaProducers) async throws -> Result
) async throws -> Result {
  let producers = KafkaProducers(loop: loop)
  do {
    let result = try await body(producers)
    await producers.close()
    return result
  } catch {
    await producers.close(within: .seconds(1))
    throw error
  }
}

/// Settings of a group's member that is quick to notice what happens.
func groupSettings(_ broker: String, _ group: String, _ more: [String: String] = [:])
  -> KafkaSettings
{
  var settings = KafkaSettings([
    "bootstrap.servers": broker, "group.id": group, "session.timeout.ms": "6000",
    "heartbeat.interval.ms": "500", "topic.metadata.refresh.interval.ms": "1000",
    "allow.auto.create.topics": "true",
  ])
  settings.merge(KafkaSettings(more))
  return settings
}

extension KafkaConsumer {
  /// Reads, taking and giving partitions as the group says, from the first offset or the group's,
  /// until `isEnough` or the time is over.
  ///
  /// The small broker counts a group's generation up as soon as somebody wants in, and from then on
  /// refuses what members of the one before commit, also while they give their partitions up; Kafka
  /// does so once all have come together.
  /// - Parameters:
  ///   - refused: takes such refusals; nil: they are errors.
  ///   - assigned: counts how often partitions were given.
  func read(
    seconds: Int64,
    refused: RefusedCommits? = nil,
    assigned: Counter? = nil,
    _ isEnough: @Sendable ([KafkaMessage]) throws -> Bool
  ) async throws -> [KafkaMessage] {
    let deadline = MonotonicTime.now() + .seconds(seconds)
    var found: [KafkaMessage] = []
    var ends: [KafkaPartition: Int64] = [:]
    while try !isEnough(found) {
      guard MonotonicTime.now() < deadline else {
        throw Failure("only \(found.count) messages came")
      }
      switch await next(messages: 100, bytes: 1 << 20, within: .milliseconds(200)) {
      case .messages(let messages):
        found += messages
        for message in messages { ends[message.place] = message.offset + 1 }
      case .assigned(let places):
        let marks = try await marks(of: places, within: .seconds(10))
        try assign(places.map { KafkaOffset($0, marks[$0]?.committed ?? 0) })
        _ = assigned?.add(1)
      case .revoked(let places, let isLost):
        let done = places.compactMap { place in ends[place].map { KafkaOffset(place, $0) } }
        do throws(KafkaError) { if !isLost { try await commit(done) } } catch {
          guard let refused, error.name == "ILLEGAL_GENERATION" else { throw error }
          refused.add(done)
        }
        try unassign(places)
      case .failed(let error): throw error
      case .unreadable, .outOfRange, .nothing: break
      }
    }
    return found
  }
}

extension Result where Failure == any Error {
  init(_ body: () async throws -> Success) async {
    do { self = .success(try await body()) } catch { self = .failure(error) }
  }
}
