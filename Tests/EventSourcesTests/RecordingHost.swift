import Cluster
import Event
import Expression
import HTTPClient
import JSON
import Manifest
import Plugin
import Posix
import Synchronization
import TLS

/// A host that keeps what sources append, note, log and refuse.
final class RecordingHost: SourceHost, SecretStore {
  private struct State {
    var events: [Event] = []
    var identities: Set<Event.Identity> = []
    var reasons: [String] = []
    var lines: [String] = []
    var places: [EventSourceName: [String: JSON]] = [:]
    /// Whether the previous secret was the one that fitted.
    var verified: [Bool] = []
    /// Deliveries by body.
    var bodies: [String: String] = [:]
  }

  private let state = Mutex(State())
  /// Values by `name/key`.
  private let values: [String: String]
  let loop: EventLoop?
  /// What is appended, as it comes.
  let appended: AsyncStream<Event>
  private let telling: AsyncStream<Event>.Continuation
  private let logged: AsyncStream<String>
  private let logging: AsyncStream<String>.Continuation

  /// Of the wall clock.
  private let seconds: Int64

  let cluster: ClusterAccess
  /// nil: it sends nothing.
  private let http: HTTPClient?

  let compat: Compatibility

  /// - Parameter seconds: what the wall clock shows, since 1970.
  init(
    secrets values: [String: String] = [:],
    loop: EventLoop? = nil,
    seconds: Int64 = 0,
    cluster: ClusterAccess = .none,
    http: HTTPClient? = nil,
    compat: Compatibility = .fixed
  ) {
    self.compat = compat
    self.cluster = cluster
    self.values = values
    self.http = http
    self.seconds = seconds
    (appended, telling) = AsyncStream.makeStream()
    (logged, logging) = AsyncStream.makeStream()
    self.loop = loop
  }

  var secrets: any SecretStore { self }
  var events: [Event] { state.withLock { $0.events } }
  var reasons: [String] { state.withLock { $0.reasons } }
  var lines: [String] { state.withLock { $0.lines } }
  var verified: [Bool] { state.withLock { $0.verified } }

  func secret(name: String, key: String) throws(SecretError) -> Secret {
    guard let value = values["\(name)/\(key)"] else { throw SecretError("no secret") }
    return Secret(Array(value.utf8))
  }

  func liveSecrets(name: String, key: String) throws(SecretError) -> [Secret] {
    let current = try secret(name: name, key: key)
    guard let previous = values["\(name)/\(key).previous"] else { return [current] }
    return [current, Secret(Array(previous.utf8))]
  }

  func append(
    _ events: [Event],
    places: [SourcePlace],
    from name: EventSourceName
  ) async throws(SinkError) -> [Stored] {
    state.withLock { state in
      for place in places { state.places[name, default: [:]][place.key] = place.value }
      return events.map { event in
        let isDuplicate = !state.identities.insert(event.identity).inserted
        if !isDuplicate { state.events.append(event) }
        telling.yield(event)
        return Stored(isDuplicate: isDuplicate)
      }
    }
  }

  func places(of name: EventSourceName) -> [String: JSON] {
    state.withLock { $0.places[name] ?? [:] }
  }

  func send(_ request: OutboundRequest) async throws(OutboundError) -> OutboundResponse {
    guard let http else { throw OutboundError(.cancelled, "this host sends nothing") }
    return try await http.send(request)
  }

  func show(_ reading: SourceReading, from name: EventSourceName) {}

  func log(_ level: SourceLogLevel, _ message: String, _ fields: [(String, String)]) {
    let line = ([message] + fields.map { "\($0.0)=\($0.1)" }).joined(separator: " ")
    state.withLock { $0.lines.append(line) }
    logging.yield(line)
  }

  /// What is appended next.
  func nextEvent() async -> Event? {
    for await event in appended { return event }
    return nil
  }

  /// Waits until so many lines were logged that `isMeant` holds for.
  func line(_ count: Int = 1, _ isMeant: (String) -> Bool) async throws {
    if lines.count(where: isMeant) >= count { return }
    for await _ in logged where lines.count(where: isMeant) >= count { return }
  }

  func digest(ofSecret secret: [UInt8]) -> String? {
    hexadecimal(HMACKey(Array("of this test".utf8)).code(secret))
  }

  func cause(verifying header: String) -> Cause? { nil }
  func now() -> Timestamp { Timestamp(nanoseconds: seconds * 1_000_000_000) }
  var world: TemplateWorld {
    TemplateWorld(
      now: { GoTime(seconds: 0, nanoseconds: 0, zone: .utc) },
      zoneFile: { try? Files.read("/usr/share/zoneinfo/" + $0, limit: 1 << 20) },
      random: { 4 }
    )
  }

  func countRefused(_ name: EventSourceName, _ reason: String) {
    state.withLock { $0.reasons.append(reason) }
  }

  func countVerified(_ name: EventSourceName, usedPrevious: Bool) {
    state.withLock { $0.verified.append(usedPrevious) }
  }

  func isStored(_ id: String, of name: EventSourceName) -> Bool {
    let identity = Event.Identity(namespace: name.namespace, source: name.source, id: id)
    return state.withLock { $0.identities.contains(identity) }
  }

  func isRepeatedBody(_ digest: String, delivery: String, of name: EventSourceName) -> Bool {
    state.withLock { state in
      defer { state.bodies[digest] = state.bodies[digest] ?? delivery }
      return state.bodies[digest].map { $0 != delivery } ?? false
    }
  }
}
