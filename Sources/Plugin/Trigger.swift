package import Cluster
package import Event
package import HTTPClient
package import JSON
package import KafkaClient
package import Manifest
package import Posix

/// A decision to act: the trigger, and the events that made it.
package struct Firing: Sendable {
  package let id: FiringID
  package let namespace: String
  package let sensor: String
  package let trigger: String
  /// 1 for the first attempt. Attempts are numbered anew after a restart of the program, so
  /// (id, attempt) names the same attempt again.
  package let attempt: Int
  /// The firings from the first outside event to this one, this one included.
  package let hops: Int
  /// The events by dependency, in the order of the sensor's dependencies. Not every dependency
  /// of the sensor need be here (`||`).
  package let events: [(dependency: String, event: Event)]
  /// The payload rendered from the manifest's `payload`; nil where it has none.
  package let payload: [UInt8]?
  /// Whether `parameters` changed the trigger's fields, so that they hold what senders chose.
  package let isParameterised: Bool
  /// The statuses that count as success, from `policy.status.allow`; nil: the kind's default.
  package let statusAllow: [Int]?
  /// Applies the trigger's `parameters` to an object, where they change what the trigger acts on and
  /// not its fields (`parametersChangeObject`); throws for a value that cannot be found or placed.
  package let edit: @Sendable (JSON) throws -> JSON
  /// The events that led to one, as far as they are still on the bus.
  package let causes: @Sendable (Event) async -> [Event]
  /// Whether the firing that an outcome tells of has ended.
  package let hasEnded: @Sendable (Event) async -> Bool

  package init(
    id: FiringID,
    namespace: String,
    sensor: String,
    trigger: String,
    attempt: Int,
    hops: Int,
    events: [(dependency: String, event: Event)],
    payload: [UInt8]?,
    isParameterised: Bool,
    statusAllow: [Int]? = nil,
    edit: @escaping @Sendable (JSON) throws -> JSON = { $0 },
    causes: @escaping @Sendable (Event) async -> [Event] = { _ in [] },
    hasEnded: @escaping @Sendable (Event) async -> Bool = { _ in false }
  ) {
    self.id = id
    self.namespace = namespace
    self.sensor = sensor
    self.trigger = trigger
    self.attempt = attempt
    self.hops = hops
    self.events = events
    self.payload = payload
    self.isParameterised = isParameterised
    self.statusAllow = statusAllow
    self.edit = edit
    self.causes = causes
    self.hasEnded = hasEnded
  }
}

/// What came of one attempt. Plugins decide this and nothing else: they never retry, wait, log
/// or count.
package enum Outcome: Sendable, Equatable {
  /// It worked. `result` is stored in the outcome event.
  case done(result: JSON)
  /// It failed in a way that another attempt may mend; `after` is what the target asked for.
  case retry(after: Duration?, why: String, result: JSON)
  /// It failed and no repetition will help.
  case reject(why: String, result: JSON)
  /// What it started goes on elsewhere, for minutes or days: from here on `follow` watches it, and
  /// `fire` is not called for this firing again, whatever happens to the program. `result` names
  /// what was started; it is all that `follow` gets, at most `Outcome.startedBytes` as JSON.
  case started(result: JSON)
  /// Somebody stopped it before it was done.
  case cancelled(why: String, result: JSON)
  /// There was nothing to do, or it was not to be done.
  case skipped(why: String, result: JSON)
  /// It may or may not have happened, and nothing can tell.
  case unknown(why: String, result: JSON)

  /// The largest result of `started`, encoded.
  package static let startedBytes = 64 << 10
}

/// What came of asking for an end of what was started.
package enum CancelOutcome: Sendable, Equatable {
  /// The target was asked to stop it, or it had ended already: `follow` answers how it ends, with
  /// `cancelled` where it was stopped by this.
  case asked
  /// The target could not be asked; another attempt may work.
  case retry(after: Duration?, why: String)
  /// It cannot be stopped, or the target refused for good: it goes on.
  case refused(why: String)
}

/// Tells how something that was started stands: a `progress` outcome event with `data` as its
/// result, durable on return. `key` names the step within its firing: told again, also after a
/// restart, it is the same event.
package typealias ProgressReport = @Sendable (_ key: String, _ data: JSON) async -> Void

/// One kind of trigger. An instance is made once per trigger of a manifest, and once more per
/// firing where `parameters` changed its fields.
package protocol Trigger: Sendable {
  /// The key in the template, such as `http`.
  static var kind: String { get }
  /// How many firings of one trigger may run at once unless the manifest says otherwise.
  static var concurrency: Int { get }
  /// Whether it runs a program on this machine: such a trigger must not be reachable by senders
  /// who proved nothing.
  static var runsPrograms: Bool { get }
  associatedtype Spec: ManifestBlock

  /// Whether `parameters` are for the object that the trigger acts on, through `Firing.edit`.
  static var parametersChangeObject: Bool { get }

  /// Checks a `parameters[].dest` below this kind's key; nil when it may be set, else the reason
  /// it may not.
  static func refusal(ofParameter destination: String) -> String?

  /// Problems go to `block.error`; the instance is then thrown away.
  /// - Parameter original: the spec as written, where parameters changed this one. What differs
  ///   was chosen by the sender of an event.
  init(_ spec: Spec, original: Spec?, host: any TriggerHost, _ block: Block)

  /// Acts once. Cancellation means the program is shutting down: return soon; the firing is
  /// taken up again after the restart.
  func fire(_ firing: Firing) async -> Outcome

  /// Whether `fire` may answer `started`. Such a kind says itself when something has started;
  /// of the others the engine says so before the first attempt.
  static var isFollowed: Bool { get }

  /// Watches what `fire` started until it ends. It holds no place among the firings that run at
  /// once, and is called again with the same `started` after a restart of the program, and after
  /// a wait when it answers `retry`: it only looks and does nothing twice. Cancellation means the
  /// program is shutting down: return soon.
  /// - Parameters:
  ///   - firing: without events and payload, so that thousands can be followed.
  ///   - started: the result of `started`.
  func follow(_ firing: Firing, started: JSON, report: @escaping ProgressReport) async -> Outcome

  /// Stops what `fire` started, in the target's own way, while `follow` goes on: a workflow is shut
  /// down, an operation terminated, a rollout aborted. Asking again does no harm, also after a
  /// restart of the program. It marks the target, so that `follow` answers `cancelled` and not
  /// `failed`, whenever it looks.
  /// - Parameters:
  ///   - firing: as for `follow`.
  ///   - started: the result of `started`.
  ///   - why: for the outcome of the firing, such as `a newer firing of the same key began`.
  func cancel(_ firing: Firing, started: JSON, why: String) async -> CancelOutcome

  /// The ending of a firing is durable: what was kept to find the effect again may go.
  func forget(_ id: FiringID)
}

extension Trigger {
  package static var isFollowed: Bool { false }

  package static var parametersChangeObject: Bool { false }

  package func forget(_ id: FiringID) {}

  package func follow(
    _ firing: Firing,
    started: JSON,
    report: @escaping ProgressReport
  ) async -> Outcome {
    .unknown(why: "nothing follows a trigger of kind \(Self.kind)", result: started)
  }

  package func cancel(_ firing: Firing, started: JSON, why: String) async -> CancelOutcome {
    .refused(why: "what a trigger of kind \(Self.kind) started cannot be stopped")
  }
}

/// What a trigger gets from the program around it.
package protocol TriggerHost: Sendable {
  var secrets: any SecretStore { get }
  /// Sends a request to another server and waits for the whole answer, whatever its status.
  func send(_ request: OutboundRequest) async throws(OutboundError) -> OutboundResponse
  /// Gives a message to a mail server and waits for what it says.
  func send(_ mail: OutboundMail) async throws(MailError) -> MailReply
  /// Where requests may go when an event chose the target.
  var allowOutbound: AllowList { get }
  /// The value of `Signalbox-Cause` for requests of a firing.
  func causeHeader(_ firing: Firing) -> String
  /// The folder of jobs, which outlive the program.
  var jobs: String { get }
  /// The path of this program, which runs itself as the supervisor of a job.
  var program: String { get }
  /// Suspends until `process` ends, `limit` has passed or the task is cancelled; the caller then
  /// looks which.
  func waitForEnd(of process: ProcessHandle?, atMost limit: Duration?) async
  /// Writes a message to a Kafka topic with the producer of these settings, which is shared, and
  /// waits for its delivery report.
  /// - Throws: `KafkaSettingError` or `KafkaError`.
  func send(
    _ record: KafkaRecord,
    _ settings: KafkaSettings,
    mask: SecretMask,
    token: @escaping @Sendable () throws -> KafkaToken
  ) async throws -> KafkaReceipt
  /// Writes a line to the program's log for the operator (the `log` trigger).
  func log(_ message: String, _ fields: [(String, String)])
  /// The cluster of the installation.
  var cluster: ClusterAccess { get }
}

extension TriggerHost {
  package var cluster: ClusterAccess { .none }
}
