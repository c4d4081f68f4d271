package import Cluster
package import Event
package import Expression
package import HTTP
package import HTTPClient
package import JSON
package import Manifest
package import Posix

/// Who an event source entry is: its manifest and its event name.
package struct EventSourceName: Hashable, Sendable, CustomStringConvertible {
  package let namespace: String
  package let bus: String
  /// `metadata.name`.
  package let source: String
  /// The key of the entry.
  package let event: String

  package init(namespace: String, bus: String, source: String, event: String) {
    self.namespace = namespace
    self.bus = bus
    self.source = source
    self.event = event
  }

  package var description: String { "\(namespace)/\(source)/\(event)" }
}

/// One kind of event source. An instance serves one entry of a manifest.
package protocol EventSource: Sendable {
  /// The key under `spec`, such as `github`.
  static var kind: String { get }
  associatedtype Spec: ManifestBlock

  /// Whether it reads or runs something on the machine that the program runs on.
  static var reachesMachine: Bool { get }

  /// Whether `filter` has a shape of the kind's own, and not an expression that the program applies.
  static var hasOwnFilter: Bool { get }

  /// - Parameter diagnostics: takes what only shows when the parts are put together, such as a
  ///   secret that does not exist.
  init(_ spec: Spec, name: EventSourceName, host: any SourceHost, _ block: Block)

  /// What it serves on our HTTP listeners; nothing unless it says so.
  var routes: [Route] { get }

  /// Work that goes on while the source is in force: consuming, polling, watching. Runs on the
  /// loop of sources and returns soon after its task is cancelled. A source that was not edited
  /// goes on across a reload. What fails is tried again in here, with waits that grow.
  func run() async

  /// Whether what arrives here was proved to come from somebody who holds a secret.
  var isAuthenticated: Bool { get }
}

extension EventSource {
  package static var hasOwnFilter: Bool { false }

  package static var reachesMachine: Bool { false }

  package var routes: [Route] { [] }

  package func run() async {}
}

/// How far a source has come in something that it reads, such as a partition or a schedule.
package struct SourcePlace: Sendable, Equatable {
  /// Which of the things the source reads.
  package let key: String
  /// nil, or `JSON.null`, removes it.
  package let value: JSON?

  package init(key: String, value: JSON?) {
    self.key = key
    self.value = value == .null ? nil : value
  }
}

/// One path on one port.
package struct Route: Sendable {
  /// Stands for the socket file `DATA/push.sock`, which only the program's user can open.
  package static let pushSocket = 0

  package let port: Int
  /// Matched exactly against the path as sent.
  package let path: String
  /// The method served; nil: the handler decides.
  package let method: String?
  package let handler: any RequestHandler
  /// nil: the port is served in plain.
  package let tls: RouteTLS?
  /// The manifest's namespace and its secrets, which `tls` names; the program says them.
  package var owner: (namespace: String, secrets: any SecretStore)?

  package init(
    port: Int,
    path: String,
    method: String?,
    handler: any RequestHandler,
    tls: RouteTLS? = nil
  ) {
    self.port = port
    self.path = path
    self.method = method
    self.handler = handler
    self.tls = tls
  }
}

/// Where the certificates are that a port is served with; all in PEM form.
package struct RouteTLS: Sendable {
  /// A secret with the path of the field that names it.
  package struct Field: Sendable {
    package let selector: SecretSelector
    package let path: String

    package init(_ selector: SecretSelector, path: String) {
      self.selector = selector
      self.path = path
    }
  }

  /// The server's certificate and its chain.
  package let certificate: Field
  package let key: Field
  /// The authorities one of which must have signed a client's certificate; nil: clients need none.
  package let clientAuthorities: Field?

  package init(certificate: Field, key: Field, clientAuthorities: Field?) {
    self.certificate = certificate
    self.key = key
    self.clientAuthorities = clientAuthorities
  }
}

/// What a source gets from the program around it.
package protocol SourceHost: Sendable {
  var secrets: any SecretStore { get }

  /// Appends events and, behind them, what the source notes of its places; waits until all of it
  /// is durable. A crash may leave the events without the places, never the other way round, so an
  /// event that comes again must have the same id.
  /// - Returns: one answer per event.
  /// - Throws: `SinkError`; then nothing was acknowledged and all of it may be tried again.
  func append(
    _ events: [Event],
    places: [SourcePlace],
    from name: EventSourceName
  ) async throws(SinkError) -> [Stored]

  /// What the source noted last, by key, also before a restart.
  func places(of name: EventSourceName) -> [String: JSON]

  /// The loop that sources run on; nil where nothing runs.
  var loop: EventLoop? { get }

  /// Sends a request to another server and waits for the whole answer, whatever its status.
  /// - Throws: `OutboundError`.
  func send(_ request: OutboundRequest) async throws(OutboundError) -> OutboundResponse

  /// The cluster of the installation.
  var cluster: ClusterAccess { get }

  /// Shows a number in the metrics.
  func show(_ reading: SourceReading, from name: EventSourceName)

  /// Writes a line to the program's log for the operator.
  func log(_ level: SourceLogLevel, _ message: String, _ fields: [(String, String)])

  /// The firing that a request comes from, when the value of its `Signalbox-Cause` is one that
  /// this installation made.
  func cause(verifying header: String) -> Cause?

  /// What a secret can be compared by without being kept: made with the installation's key, so that
  /// nobody can try values without it. nil where nothing runs.
  func digest(ofSecret secret: [UInt8]) -> String?

  /// The wall clock.
  func now() -> Timestamp

  /// What the filters of sources see of the machine.
  var world: TemplateWorld { get }

  /// Which differences from Argo Events 1.9 the manifest asks for.
  var compat: Compatibility { get }

  /// Counts what a source refused: the reason is a fixed word such as `signature`, `filtered`,
  /// `body`, `method`, `authorization`.
  func countRefused(_ name: EventSourceName, _ reason: String)

  /// Counts a sender that proved to hold a secret.
  /// - Parameter usedPrevious: whether it was `<key>.previous` that fitted.
  func countVerified(_ name: EventSourceName, usedPrevious: Bool)

  /// Whether the same body came lately as another delivery, which is then counted; remembers it.
  /// - Parameters:
  ///   - digest: of the body, hexadecimal.
  ///   - delivery: what the sender calls this one.
  func isRepeatedBody(_ digest: String, delivery: String, of name: EventSourceName) -> Bool

  /// Whether an event of this id is on the log.
  func isStored(_ id: String, of name: EventSourceName) -> Bool

  /// Whether events may be refused by the source's filter, so that not all that arrived is stored.
  var hasFilter: Bool { get }
}

extension SourceHost {
  package var compat: Compatibility { .fixed }

  /// Appends an event and waits until it is durable.
  /// - Throws: `SinkError`.
  package func append(
    _ event: Event,
    from name: EventSourceName
  ) async throws(SinkError) -> Stored {
    try await append([event], places: [], from: name).first ?? Stored(isDuplicate: false)
  }

  /// An event that tells of the source itself, such as a gap in what it reads: source
  /// `signalbox`, type `signalbox.<notice>`, subject `<notice>`. `append` stores it.
  /// - Parameters:
  ///   - id: what tells one notice from another; the same notice comes once.
  ///   - data: the source's name is put before it.
  package func notice(
    _ notice: String,
    id: String,
    _ data: [JSON.Member],
    about name: EventSourceName
  ) -> Event {
    let about: [JSON.Member] = [
      .init(key: "eventSource", value: .string(name.source)),
      .init(key: "eventName", value: .string(name.event)),
    ]
    return Event(
      id: Event.stableID("notice", notice, name.namespace, name.source, name.event, id),
      namespace: name.namespace,
      bus: name.bus,
      source: Event.noticeSource,
      type: "signalbox.\(notice)",
      subject: notice,
      time: now(),
      data: JSON.object(about + data).encoded()
    )
  }

  /// Suspends for `wait` or until the task is cancelled; at once where nothing runs.
  package func sleep(for wait: Duration) async { await loop?.sleep(for: wait) }
}

/// A number that an operator looks for.
package enum SourceReading: Sendable {
  /// The number called `name` of one thing that the source reads: a partition, a client.
  case number(_ name: String, of: String, Double)
  /// The source does not read that thing any more.
  case gone(_ name: String, of: String)
  /// One more error, by its name.
  case errors(String)
  /// One more message that was on the log already.
  case skipped
}

/// How much a line concerns the operator.
package enum SourceLogLevel: Sendable { case info, warning, error }

/// Where an event went.
package struct Stored: Sendable, Equatable {
  package let isDuplicate: Bool
  /// The id under which it is stored where another event has its own; nil otherwise.
  package let otherID: String?
  /// The source's filter did not want it: it went nowhere.
  package let isFiltered: Bool

  package init(isDuplicate: Bool, otherID: String? = nil, isFiltered: Bool = false) {
    self.isDuplicate = isDuplicate
    self.otherID = otherID
    self.isFiltered = isFiltered
  }
}

package enum SinkError: Error, Equatable {
  /// Nothing was stored; the sender should try again later (503 with Retry-After).
  case unavailable(String)
  /// The event is larger than the bus takes (413).
  case tooLarge
}

extension SourceHost {
  package var cluster: ClusterAccess { .none }

  package func countVerified(_ name: EventSourceName, usedPrevious: Bool) {}

  package func isRepeatedBody(
    _ digest: String,
    delivery: String,
    of name: EventSourceName
  ) -> Bool { false }

  package func isStored(_ id: String, of name: EventSourceName) -> Bool { false }

  package func digest(ofSecret secret: [UInt8]) -> String? { nil }

  package var hasFilter: Bool { false }
}
