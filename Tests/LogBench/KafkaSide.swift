import EventLog
import KafkaBus
import KafkaClient
import Posix

/// A log whose truth is a topic of its own, which stays on the broker.
struct KafkaSide {
  let log: EventLog
  private let loop: EventLoop

  init(_ broker: String, _ folder: String, _ configuration: EventLog.Configuration) async throws {
    let name = "log-bench-\(MonotonicTime.now().nanoseconds)"
    let settings = KafkaBus.Settings(
      client: KafkaSettings(["bootstrap.servers": broker]),
      topic: name,
      group: name
    )
    loop = try EventLoop(name: "bus")
    try await KafkaBus.prepare(
      settings,
      loop: loop,
      observer: KafkaObserver(),
      within: settings.patience
    )
    log = try await KafkaBus.open(
      settings,
      folder: folder,
      configuration,
      loop: loop,
      observer: KafkaObserver(),
      lost: { print("the bus was lost: \($0)") }
    ).log
  }

  /// Behind the log's close.
  func stop() { loop.stop() }
}
