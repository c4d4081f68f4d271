import Bus
import Event
import EventLog
import Foundation
import JSON
import Posix
import TestKit
import Testing

/// The real binary with manifests of its own; killed and started again as a test likes.
final class KafkaInstallation {
  let folder: String
  private let console: Int
  private var program: RunningProgram?
  private var starts = 0

  /// What it prints when it has started.
  private let started: String

  /// - Parameter console: the port of its console; 0: any.
  init(
    _ folder: String,
    _ manifests: String,
    console: Int = 0,
    started: String = "ready"
  ) throws {
    self.folder = folder
    self.console = console
    self.started = started
    try Files.makeFolder(folder + "/manifests")
    try Files.makeFolder(folder + "/secrets")
    try Files.writeDurably(Array(manifests.utf8), to: folder + "/manifests/all.yaml")
    try start()
  }

  var printed: String { program?.printed ?? "" }
  var id: Int32 { program?.id ?? 0 }
  var isRunning: Bool { program?.isRunning == true }

  func start() throws {
    starts += 1
    let options = [
      "run", folder + "/manifests", "--data", folder + "/data", "--secrets", folder + "/secrets",
      "--listen", "127.0.0.1", "--console", "127.0.0.1:\(console)", "--log-level", "warning",
    ]
    let program = try RunningProgram(
      builtProgram("signalbox"),
      options,
      log: folder + "/output-\(starts)"
    )
    self.program = program
    try waitUntil(seconds: 60, "the program's start") {
      if !program.isRunning { throw Failure("the program ended: \(program.printed)") }
      return program.printed.contains(started)
    }
  }

  func signal(_ number: Int32) { program?.signal(number) }

  @discardableResult
  func end(by number: Int32 = SIGTERM) -> Int32 { program?.end(by: number) ?? 0 }

  /// The events on the log, in order.
  func events() throws -> [Event] { try events(in: folder + "/data/log") }

  /// The same of a partition of a shared bus.
  func events(inPartition partition: Int) throws -> [Event] {
    try events(in: folder + "/data/partition-\(partition)/log")
  }

  private func events(in log: String) throws -> [Event] {
    var found: [Event] = []
    _ = try EventLogReader(folder: log).read { record in
      if case .event(let event) = record.content { found.append(event) }
    }
    return found
  }

  /// The messages that became events.
  func messages() throws -> [Event] { try events().filter { $0.type == "kafka" } }
}

/// An EventBus on the topic `bus`, in front of other manifests.
/// - Parameter name: a name for the member of its group; empty: none.
func busManifest(_ broker: String, name: String, partitions: Int = 1) -> String {
  let instance = name.isEmpty ? "" : ", group.instance.id: \(name)"
  return """
    apiVersion: argoproj.io/v1alpha1
    kind: EventBus
    metadata: {name: default}
    spec:
      kafka:
        url: \(broker)
        topic: bus
        signalbox:
          partitions: \(partitions)
          sessionTimeout: 6s
          librdkafka: {reconnect.backoff.max.ms: 500\(instance)}
    ---

    """
}

/// A source of one topic, and a sensor that writes each of its messages to another.
func copyManifests(
  _ broker: String,
  from topic: String,
  to target: String?,
  at targetBroker: String? = nil,
  group: String,
  strategy: String = "range",
  jsonBody: Bool = true,
  more: String = ""
) -> String {
  let source = """
    apiVersion: argoproj.io/v1alpha1
    kind: EventSource
    metadata: {name: in}
    spec:
      kafka:
        all:
          url: \(broker)
          topic: \(topic)
          jsonBody: \(jsonBody)
          consumerGroup: {groupName: \(group), oldest: true, rebalanceStrategy: \(strategy)}
          signalbox:
            librdkafka: {session.timeout.ms: 6000, heartbeat.interval.ms: 500}
    \(more)
    """
  guard let target else { return source }
  return source + """

    ---
    apiVersion: argoproj.io/v1alpha1
    kind: Sensor
    metadata: {name: copy}
    spec:
      dependencies: [{name: message, eventSourceName: in, eventName: all}]
      triggers:
        - template:
            name: out
            kafka:
              url: \(targetBroker ?? broker)
              topic: \(target)
              payload: [{src: {dependencyName: message, dataKey: key}, dest: key}]
              signalbox: {librdkafka: {message.timeout.ms: 10000}}
          retryStrategy: {steps: 100, duration: 200ms}
    """
}

/// What `kafka.py dump` prints, line by line.
func dumped(_ broker: String, _ topic: String) throws -> [JSON] {
  try Tools.foreign("dump", broker, topic).split(separator: "\n")
    .map { try JSON(parsing: Array($0.utf8)) }
}

/// The values of a header in dumped messages, still in base64.
func header(_ name: String, of messages: [JSON]) -> [String] {
  messages.flatMap { message -> [String] in
    guard case .array(let headers)? = message["headers"] else { return [] }
    return headers.compactMap { header in
      guard case .array(let pair) = header, pair.count == 2, pair[0] == .string(name),
        case .string(let value) = pair[1]
      else { return nil }
      return value
    }
  }
}

/// Each of `sent` messages came to one effect: one key with one body, however often it was written.
func checkEffects(_ written: [JSON], _ sent: Int, _ what: String) {
  var bodies: [String: Set<String>] = [:]
  for message in written {
    let keys = header("idempotency-key", of: [message])
    #expect(keys.count == 1, "\(what): a message with the keys \(keys)")
    bodies[keys.first ?? "", default: []].insert(
      String(decoding: (message["value"] ?? .null).encoded(), as: UTF8.self)
    )
  }
  #expect(bodies.count == sent, "\(what): \(bodies.count) keys for \(sent) messages")
  #expect(bodies.values.allSatisfy { $0.count == 1 }, "\(what): one key, several bodies")
  let different = bodies.values.reduce(into: Set()) { $0.formUnion($1) }
  #expect(different.count == sent, "\(what): one message under several keys")
}

/// The partitions of a shared bus that a program owns, by what it printed.
func ownedPartitions(_ printed: String) -> Set<Int> {
  var owned: Set<Int> = []
  for line in printed.split(separator: "\n") {
    guard let list = line.split(separator: "[").last?.prefix(while: { $0 != "]" }) else { continue }
    let numbers = list.split(separator: ",").compactMap { Int($0.filter(\.isNumber)) }
    if line.hasPrefix("owns partitions") { owned.formUnion(numbers) }
    if line.hasPrefix("gives up partitions") { owned.subtract(numbers) }
  }
  return owned
}
