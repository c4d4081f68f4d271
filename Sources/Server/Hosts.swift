import Bus
import Cluster
import Engine
import Event
import Expression
import HTTPClient
import JSON
import KafkaClient
import Logging
import Manifest
import Observe
import Plugin
import Posix

/// What event sources get from the program.
struct BusSourceHost: SourceHost {
  var secrets: any SecretStore
  let bus: (any Bus)?
  /// Where the work of the bus is shared: what takes events, which then may not be on `bus`.
  var intake: SharedIntake?
  /// nil where nothing runs.
  let loop: EventLoop?
  /// nil where nothing runs.
  let http: HTTPClient?
  let places: SourcePlaces
  /// nil where nothing runs.
  let key: InstallationKey?
  let bodies: RecentBodies
  let instruments: Instruments
  let logger: Logger
  var cluster: ClusterAccess

  func append(
    _ events: [Event],
    places notes: [SourcePlace],
    from name: EventSourceName
  ) async throws(SinkError) -> [Stored] {
    guard bus != nil || intake != nil else { throw .unavailable("nothing is running") }
    do throws(BusError) {
      let labels = ["\(name.namespace)/\(name.source)", name.event]
      if let intake {
        try await intake.take(events)
        if let bus { _ = try await places.append([], notes, of: name, to: bus) }
        instruments.appended.increment(labels, by: events.count)
        // Whoever owns them tells whether they are there already.
        return events.map { _ in Stored(isDuplicate: false) }
      }
      guard let bus else { return [] }
      return try await places.append(events, notes, of: name, to: bus).map { appended in
        (appended.isDuplicate ? instruments.duplicates : instruments.appended).increment(labels)
        return Stored(isDuplicate: appended.isDuplicate, otherID: appended.otherID)
      }
    } catch {
      if case .tooLarge = error { throw .tooLarge }
      logger.error("an event could not be stored", metadata: ["error": "\(error)"])
      throw .unavailable("\(error)")
    }
  }

  func places(of name: EventSourceName) -> [String: JSON] { places.places(of: name) }

  func send(_ request: OutboundRequest) async throws(OutboundError) -> OutboundResponse {
    guard let http else { throw OutboundError(.cancelled, "nothing is running") }
    return try await http.send(request)
  }

  func log(_ level: SourceLogLevel, _ message: String, _ fields: [(String, String)]) {
    let metadata = fields.map { ($0.0, Logger.MetadataValue.string($0.1)) }
    let severity: Logger.Level =
      switch level {
      case .info: .info
      case .warning: .warning
      case .error: .error
      }
    logger.log(
      level: severity,
      "\(message)",
      metadata: Logger.Metadata(metadata) { _, last in last }
    )
  }

  func show(_ reading: SourceReading, from name: EventSourceName) {
    let labels = ["\(name.namespace)/\(name.source)", name.event]
    switch reading {
    case .number(let number, let thing, let value):
      instruments.sourceNumbers.set(value, labels + [number, thing])
    case .gone(let number, let thing): instruments.sourceNumbers.set(0, labels + [number, thing])
    case .errors(let error): instruments.sourceErrors.increment(labels + [error])
    case .skipped: instruments.duplicates.increment(labels)
    }
  }

  func cause(verifying header: String) -> Cause? { key?.cause(verifying: header) }

  func digest(ofSecret secret: [UInt8]) -> String? { key?.digest(ofSecret: secret) }

  func now() -> Timestamp { Timestamp(nanoseconds: wallClockNanoseconds()) }

  /// What was taken may be stored in another partition, where nobody can look from here.
  var hasFilter: Bool { intake != nil }

  var world: TemplateWorld { .machine }
  var compat = Compatibility.fixed

  func countRefused(_ name: EventSourceName, _ reason: String) {
    instruments.refused.increment(["\(name.namespace)/\(name.source)", name.event, reason])
    // What a filter does not want is no trouble, and may be most of what comes.
    guard reason != "filtered" else { return }
    logger.info("refused a request", metadata: ["source": "\(name)", "reason": "\(reason)"])
  }

  func countVerified(_ name: EventSourceName, usedPrevious: Bool) {
    let key = usedPrevious ? "previous" : "current"
    instruments.verified.increment(["\(name.namespace)/\(name.source)", name.event, key])
  }

  func isStored(_ id: String, of name: EventSourceName) -> Bool {
    let identity = Event.Identity(namespace: name.namespace, source: name.source, id: id)
    return bus?.position(of: identity) != nil
  }

  func isRepeatedBody(_ digest: String, delivery: String, of name: EventSourceName) -> Bool {
    let isRepeated = bodies.isRepeated("\(name) \(digest)", delivery: delivery, at: .now())
    if isRepeated {
      instruments.repeatedBodies.increment(["\(name.namespace)/\(name.source)", name.event])
    }
    return isRepeated
  }
}

/// What triggers get from the program.
struct EngineTriggerHost: TriggerHost {
  var secrets: any SecretStore
  let logger: Logger
  /// nil where nothing is going to be fired.
  let http: HTTPClient?
  let allowOutbound: AllowList
  let key: InstallationKey?
  let jobs: String
  /// nil where nothing is going to be fired.
  let loop: EventLoop?
  /// nil where nothing is going to be fired.
  let kafka: KafkaProducers?
  var cluster: ClusterAccess

  func send(
    _ record: KafkaRecord,
    _ settings: KafkaSettings,
    mask: SecretMask,
    token: @escaping @Sendable () throws -> KafkaToken
  ) async throws -> KafkaReceipt {
    guard let kafka else { throw KafkaError.closed }
    let logger = logger
    let observer = KafkaObserver(
      log: { level, line in
        logger.log(
          level: level == .error ? .error : level == .warning ? .warning : .info,
          "kafka trigger: \(mask.applied(to: line))"
        )
      },
      token: token
    )
    return try await kafka.send(record, settings, observer)
  }

  func send(_ request: OutboundRequest) async throws(OutboundError) -> OutboundResponse {
    guard let http else { throw OutboundError(.cancelled, "nothing is running") }
    return try await http.send(request)
  }

  func send(_ mail: OutboundMail) async throws(MailError) -> MailReply {
    guard let http else {
      throw MailError(cause: OutboundError(.cancelled, "nothing is running"), reply: nil)
    }
    return try await http.send(mail)
  }

  func causeHeader(_ firing: Firing) -> String {
    key?.header(firing.id, hops: firing.hops) ?? ""
  }

  /// Still this program when its file was replaced by a newer one.
  var program: String { "/proc/self/exe" }

  func waitForEnd(of process: ProcessHandle?, atMost limit: Duration?) async {
    await loop?.waitForEnd(of: process, atMost: limit)
  }

  func log(_ message: String, _ fields: [(String, String)]) {
    let metadata = fields.map { ($0.0, Logger.MetadataValue.string($0.1)) }
    logger.info("\(message)", metadata: Logger.Metadata(uniqueKeysWithValues: metadata))
  }
}
