import CRdKafka

/// Where a client tells what goes on. Everything is called on the client's loop.
package struct KafkaObserver: Sendable {
  package enum Level: Sendable { case info, warning, error }

  /// A line for the operator; what repeats is held back and summed up.
  package var log: @Sendable (Level, String) -> Void
  /// An error that a broker or a connection had, by its name; all of them.
  package var failed: @Sendable (_ name: String) -> Void
  /// A broker asks the client to slow down for so long; zero when that is over.
  package var throttled: @Sendable (_ broker: String, Duration) -> Void
  /// librdkafka's statistics as JSON, every `statistics.interval.ms`.
  package var statistics: @Sendable (_ json: String) -> Void
  /// A fresh token for OAUTHBEARER.
  package var token: @Sendable () throws -> KafkaToken

  package init(
    log: @escaping @Sendable (Level, String) -> Void = { _, _ in },
    failed: @escaping @Sendable (String) -> Void = { _ in },
    throttled: @escaping @Sendable (String, Duration) -> Void = { _, _ in },
    statistics: @escaping @Sendable (String) -> Void = { _ in },
    token: @escaping @Sendable () throws -> KafkaToken = { throw KafkaError.noToken }
  ) {
    self.log = log
    self.failed = failed
    self.throttled = throttled
    self.statistics = statistics
    self.token = token
  }
}

/// What OAUTHBEARER shows to brokers (RFC 7628).
package struct KafkaToken: Sendable, CustomStringConvertible, CustomReflectable {
  let value: String
  /// Milliseconds since 1970.
  let expiresAtMilliseconds: Int64
  let principal: String

  package init(_ value: String, expiresAtMilliseconds: Int64, principal: String) {
    self.value = value
    self.expiresAtMilliseconds = expiresAtMilliseconds
    self.principal = principal
  }

  package var description: String { "***" }
  package var customMirror: Mirror { Mirror(self, children: []) }

  /// Gives it to a client of librdkafka.
  /// - Returns: whether that can use it.
  @unsafe func show(to client: OpaquePointer) -> Bool {
    var words = [CChar](repeating: 0, count: 256)
    let code = unsafe rd_kafka_oauthbearer_set_token(
      client,
      value,
      expiresAtMilliseconds,
      principal,
      nil,
      0,
      &words,
      words.count
    )
    return code == RD_KAFKA_RESP_ERR_NO_ERROR
  }
}

extension KafkaSettings {
  /// Whether clients show a token that the observer has.
  var hasToken: Bool {
    self["sasl.mechanism"] == "OAUTHBEARER" && self["sasl.oauthbearer.method"] != "oidc"
  }
}

extension KafkaObserver.Level {
  /// 3 is an error, 4 a warning.
  init(syslog level: Int32) { self = level <= 3 ? .error : level <= 4 ? .warning : .info }
}

extension KafkaError {
  static let noToken = KafkaError(code: -169, message: "there is no token for OAUTHBEARER")
}

/// Lets the first line of a kind through at once, and then at most one in a while that says how
/// many were held back: a broker that is away for an hour is a few lines.
package struct LineGate: Sendable {
  private struct Kind: Sendable {
    var opensAt: Int64
    var held = 0
    var interval: Int64
  }

  private static let shortest: Int64 = 10_000_000_000
  private static let longest: Int64 = 600_000_000_000
  private static let kindsMax = 256
  private var kinds: [String: Kind] = [:]

  package init() {}

  /// - Parameter now: nanoseconds of a clock that never jumps.
  /// - Returns: the line to write; nil while the kind is held back.
  package mutating func pass(_ line: String, of kind: String, at now: Int64) -> String? {
    guard var known = kinds[kind], now - known.opensAt < Self.longest else {
      if kinds.count >= Self.kindsMax { kinds = kinds.filter { $0.value.opensAt > now } }
      guard kinds.count < Self.kindsMax else { return nil }
      kinds[kind] = Kind(opensAt: now + Self.shortest, interval: Self.shortest)
      return line
    }
    guard now >= known.opensAt else {
      kinds[kind]?.held += 1
      return nil
    }
    let held = known.held
    known.held = 0
    known.interval = min(known.interval * 2, Self.longest)
    known.opensAt = now + known.interval
    kinds[kind] = known
    return held == 0 ? line : "\(line) (and \(held) times before)"
  }
}
