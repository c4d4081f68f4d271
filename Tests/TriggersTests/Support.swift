import Cluster
import Event
import Glibc
import HTTPClient
import JSON
import KafkaClient
import Manifest
import Plugin
import Posix
import Synchronization
import TestKit
import Triggers

/// What triggers get in tests: secrets from a table, a loop of its own.
final class Host: TriggerHost {
  struct Secrets: SecretStore {
    let values: [String: String]

    func secret(name: String, key: String) throws(SecretError) -> Secret {
      guard let value = values["\(name)/\(key)"] else { throw SecretError("no \(name)/\(key)") }
      return Secret(Array(value.utf8))
    }

    func liveSecrets(name: String, key: String) throws(SecretError) -> [Secret] {
      [try secret(name: name, key: key)]
    }
  }

  let secrets: any SecretStore
  let jobs: String
  let program = builtProgram("signalbox")
  let allowOutbound: AllowList
  private let client: HTTPClient
  private let loop: EventLoop
  private let logged = Mutex<[String]>([])
  var lines: [String] { logged.withLock { $0 } }

  let cluster: ClusterAccess

  init(
    _ folder: String,
    secrets: [String: String] = [:],
    allow: [String] = [],
    kubeconfig: String? = nil
  ) throws {
    self.secrets = Secrets(values: secrets)
    jobs = folder + "/jobs"
    loop = try EventLoop(name: "test")
    client = try HTTPClient()
    allowOutbound = try AllowList(parsing: allow)
    cluster =
      kubeconfig.map { [client, loop] in
        ClusterAccess(kubeconfig: $0, http: client, loop: loop)
      } ?? .none
  }

  deinit { loop.stop() }

  func send(_ request: OutboundRequest) async throws(OutboundError) -> OutboundResponse {
    try await client.send(request)
  }

  func send(_ mail: OutboundMail) async throws(MailError) -> MailReply {
    try await client.send(mail)
  }

  func causeHeader(_ firing: Firing) -> String { "cause of \(firing.id)" }

  /// Ends the client's thread.
  func close() async { await client.close() }

  func waitForEnd(of process: ProcessHandle?, atMost limit: Duration?) async {
    await loop.waitForEnd(of: process, atMost: limit)
  }

  func send(
    _ record: KafkaRecord,
    _ settings: KafkaSettings,
    mask: SecretMask,
    token: @escaping @Sendable () throws -> KafkaToken
  ) async throws -> KafkaReceipt {
    throw KafkaError.closed
  }

  func log(_ message: String, _ fields: [(String, String)]) {
    logged.withLock { $0.append(message + fields.map { " \($0.0)=\($0.1)" }.joined()) }
  }
}

/// A trigger from its fields as JSON, or what is wrong with them.
func made(
  _ kind: String,
  _ fields: String,
  from original: String? = nil,
  _ host: any TriggerHost
) throws -> (trigger: (any Trigger)?, problems: [String]) {
  let mark = Mark(file: "test.yaml", line: 1, column: 1)
  let diagnostics = Diagnostics()
  let node = Node(try JSON(parsing: Array(fields.utf8)), at: mark)
  let before = try original.map { Node(try JSON(parsing: Array($0.utf8)), at: mark) }
  let trigger = triggerKinds.first { $0.kind == kind }?
    .make(node, kind, before, host, diagnostics)
  return (trigger, diagnostics.all.map { "\($0.field): \($0.message)" })
}

/// A firing by one event with this data.
func firing(
  _ name: String = "one",
  attempt: Int = 1,
  data: String = "{}",
  payload: String? = nil,
  statusAllow: [Int]? = nil
) -> Firing {
  let event = Event(
    id: "event-\(name)",
    namespace: "default",
    bus: "default",
    source: "github",
    type: "github",
    subject: "push",
    time: Timestamp(nanoseconds: 0),
    data: Array(data.utf8)
  )
  return Firing(
    id: FiringID(
      namespace: "default",
      sensor: "s",
      trigger: name,
      replay: 0,
      dependencies: [(name: "d", source: "github", eventID: "event-\(name)")]
    ),
    namespace: "default",
    sensor: "s",
    trigger: name,
    attempt: attempt,
    hops: 1,
    events: [("d", event)],
    payload: payload.map { Array($0.utf8) },
    isParameterised: false,
    statusAllow: statusAllow
  )
}

extension Outcome {
  /// Its result, whatever it is.
  var result: JSON {
    switch self {
    case .done(let result), .started(let result), .retry(_, _, let result),
      .reject(_, let result), .cancelled(_, let result), .skipped(_, let result),
      .unknown(_, let result):
      result
    }
  }

  /// The reason; empty when it worked.
  var why: String {
    switch self {
    case .done, .started: ""
    case .retry(_, let why, _), .reject(let why, _), .cancelled(let why, _),
      .skipped(let why, _), .unknown(let why, _):
      why
    }
  }

  var output: String {
    if case .string(let text)? = result["output"] { return text }
    return ""
  }
}
