import EventLog
import KafkaBus
import KafkaClient
import Posix
import Synchronization
import TestKit
import Testing

/// What a bus leaves behind when it is closed, and the next one is opened on: a disk for the
/// embedded log, a topic for the bus on Kafka. Which of them, the test's scope says.
struct Storage {
  /// Of the embedded log.
  let disk = FaultyDisk()
  private let topic = KafkaRig.current?.makeTopic()

  var isTopic: Bool { topic != nil }

  /// How much a test takes: on Kafka, where each call is a transaction, no more than it needs.
  func count(_ many: Int, onKafka few: Int) -> Int { isTopic ? few : many }

  func open(_ settings: EventLog.Configuration = EventLog.Configuration()) async throws -> EventLog
  {
    guard let topic else { return try EventLog.open(disk: disk, settings).log }
    return try await topic.open(settings)
  }
}

/// The bus on Kafka for one test: brokers of librdkafka's mock cluster, which take transactions and
/// need no program. Every opening is that of another machine: it begins with an empty folder, so
/// all that an engine knows about the time before comes from the topic.
final class KafkaRig: Sendable {
  /// Set while a test runs with Kafka as its bus.
  @TaskLocal static var current: KafkaRig?

  private let cluster: MockCluster
  private let folder: String
  private let loop: EventLoop
  private let numbers = Atomic(0)
  private let lost = Mutex<[String]>([])

  private init(_ folder: String) throws {
    self.folder = folder
    cluster = try MockCluster(brokers: 1)
    loop = try EventLoop(name: "kafka")
  }

  static func with(_ body: () async throws -> Void) async throws {
    try await withTemporaryFolder { folder in
      let rig = try KafkaRig(folder)
      defer { rig.loop.stop() }
      try await $current.withValue(rig) { try await body() }
      #expect(rig.lost.withLock { $0 } == [])
    }
  }

  private var number: Int { numbers.add(1, ordering: .relaxed).newValue }

  fileprivate func rest() async { await loop.sleep(for: .milliseconds(1)) }

  func makeTopic() -> Topic {
    let name = "bus-\(number)"
    cluster.createTopic(name, partitions: 1)
    return Topic(rig: self, name: name)
  }

  struct Topic {
    fileprivate let rig: KafkaRig
    fileprivate let name: String

    func open(_ configuration: EventLog.Configuration) async throws -> EventLog {
      let client = KafkaSettings([
        "bootstrap.servers": rig.cluster.address, "reconnect.backoff.ms": "10",
        "retry.backoff.ms": "10", "linger.ms": "0",
      ])
      return try await KafkaBus.open(
        KafkaBus.Settings(client: client, topic: name, group: name),
        folder: rig.folder + "/\(rig.number)",
        configuration,
        loop: rig.loop,
        observer: KafkaObserver(),
        lost: { [rig] why in rig.lost.withLock { $0.append(why) } }
      ).log
    }
  }
}

/// Lets others go on, while a test looks again and again for what it waits for. The brokers and
/// clients of Kafka are threads, which a loop that never rests would keep from the processors.
func turn() async {
  if let rig = KafkaRig.current { await rig.rest() } else { await Task.yield() }
}

/// Each test of the suite runs twice: on the embedded log, then on Kafka.
struct OnBothBuses: SuiteTrait, TestTrait, TestScoping {
  let isRecursive = true

  @concurrent func provideScope(
    for test: Test,
    testCase: Test.Case?,
    performing body: @concurrent @Sendable () async throws -> Void
  ) async throws {
    try await body()
    if test.traits.contains(where: { $0 is EmbeddedLogOnly }) { return }
    try await KafkaRig.with(body)
  }
}

/// A test that is about the embedded log alone.
struct EmbeddedLogOnly: TestTrait {
  let comments: [Comment]
}

extension Trait where Self == OnBothBuses {
  static var onBothBuses: Self { Self() }
}

extension Trait where Self == EmbeddedLogOnly {
  static func embeddedLogOnly(_ why: Comment) -> Self { Self(comments: [why]) }
}

extension Trait where Self == IssueHandlingTrait {
  /// Says on which bus it was.
  static var namingTheBus: Self {
    .compactMapIssues { issue in
      var issue = issue
      issue.comments.append(KafkaRig.current == nil ? "on the embedded log" : "on Kafka")
      return issue
    }
  }
}
