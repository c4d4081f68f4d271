import EventLog
import KafkaBus
import KafkaClient
import Logging
import Plugin
import Posix

/// The bus on Kafka as one installation opens it.
struct KafkaBusAccess: Sendable {
  let spec: KafkaBusSpec
  /// The one that is opened where the work is shared.
  var partition: Int
  /// Serves the clients.
  let loop: EventLoop
  let logger: Logger
  /// Rung when the bus can be written to no more.
  let lost: Bell

  /// - Parameter loop: must run for as long as what is opened.
  /// - Throws: `SystemError`.
  init(
    _ spec: KafkaBusSpec,
    partition: Int = 0,
    loop: EventLoop,
    logger: Logger
  ) throws(SystemError) {
    self.spec = spec
    self.partition = partition
    self.loop = loop
    self.logger = logger
    lost = try Bell()
  }

  /// - Throws: `SecretError`.
  func settings() throws(SecretError) -> KafkaBus.Settings {
    var settings = KafkaBus.Settings(
      client: try spec.connection.settings(spec.secrets),
      topic: spec.topic,
      group: spec.group
    )
    settings.sessionTimeout = spec.sessionTimeout
    settings.partitions = spec.partitions
    settings.partition = partition
    return settings
  }

  /// Makes the topics that are missing. Those who call it try again, and a program that is to stop waits
  /// for the end of it.
  /// - Throws: what `KafkaBus.prepare` does, or `SecretError`.
  func prepare() async throws {
    try await KafkaBus.prepare(
      try settings(),
      loop: loop,
      observer: observer,
      within: .seconds(5)
    )
  }

  /// Opens the log of `folder` as the bus's owner.
  /// - Throws: what `KafkaBus.open` does.
  func open(
    _ folder: String,
    _ configuration: EventLog.Configuration
  ) async throws -> (log: EventLog, recovery: EventLog.Recovery) {
    try await KafkaBus.open(
      try settings(),
      folder: folder,
      configuration,
      loop: loop,
      observer: observer,
      lost: { [self] why in
        note(.error, "the bus is lost: \(why)")
        lost.ring()
      }
    )
  }

  var observer: KafkaObserver {
    KafkaObserver(
      log: { [self] level, line in
        switch level {
        case .info: note(.info, line)
        case .warning: note(.warning, line)
        case .error: note(.error, line)
        }
      },
      token: { [self] in try spec.connection.token(spec.secrets) }
    )
  }

  func note(_ level: Logger.Level, _ line: String) {
    logger.log(level: level, "\(masked(line))", metadata: ["bus": "\(spec.topic)"])
  }

  /// A line without the secrets that the bus is reached with.
  func masked(_ line: String) -> String {
    SecretMask(spec.connection.secretValues(spec.secrets)).applied(to: line)
  }
}
