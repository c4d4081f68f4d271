import Event
import Foundation
import JSON
import Posix
import TestKit
import Testing

/// The real binary against a broker that asks who it is: `Tests/Foreign/sasl.py` does so for the
/// small broker, which cannot.
@Suite(.serialized, .enabled(if: Tools.areThere && Tools.outsideBroker == nil))
struct LoginTests {
  private static let mechanisms = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]
  private static let good = "canary-good"
  private static let bad = "canary-bad"

  /// A JSON Web Token for ever whose signature is what is looked at.
  private func token(_ signature: String) -> String {
    let parts = [#"{"alg":"none"}"#, #"{"sub":"alice","exp":4102444800}"#].map { part in
      Data(part.utf8).base64EncodedString().replacing("=", with: "").replacing("+", with: "-")
        .replacing("/", with: "_")
    }
    return (parts + [signature]).joined(separator: ".")
  }

  private func write(_ secret: String, in folder: String) throws {
    for (name, value) in [("user", "alice"), ("password", secret), ("token", token(secret))] {
      try Files.writeDurably(Array(value.utf8), to: "\(folder)/\(name)")
    }
  }

  /// The field with which a client logs in, and that below `signalbox`.
  private func fields(_ mechanism: String) -> (sasl: String, own: String) {
    let user = "userSecret: {name: kafka, key: user}"
    let password = "passwordSecret: {name: kafka, key: password}"
    return mechanism == "OAUTHBEARER"
      ? ("sasl: {mechanism: OAUTHBEARER}", "oauthTokenSecret: {name: kafka, key: token}")
      : ("sasl: {mechanism: \(mechanism), \(user), \(password)}", "")
  }

  private func manifests(_ address: String, _ mechanism: String) -> String {
    let (sasl, own) = fields(mechanism)
    let plain = copyManifests(address, from: "in", to: "out", group: "login")
      .replacing("consumerGroup:", with: "\(sasl)\n      consumerGroup:")
      .replacing("payload:", with: "\(sasl)\n          payload:")
    if own.isEmpty { return plain }
    return plain.replacing("librdkafka: {session", with: "\(own)\n        librdkafka: {session")
      .replacing("signalbox: {librdkafka", with: "signalbox: {\(own), librdkafka")
  }

  /// A broker with three messages on the topic `in`, and somebody before it who asks who comes.
  private func withDoor(
    _ body: (_ folder: String, TestBroker, _ door: RunningProgram, _ port: Substring) throws -> Void
  ) async throws {
    try await withTemporaryFolder { folder in
      let broker = try TestBroker(folder)
      for topic in ["in", "out"] { try Tools.foreign("create", broker.address, topic, "1") }
      try Tools.foreign("produce", broker.address, "in", "0", "3")
      let door = try RunningProgram(
        Tools.python,
        [
          Tools.root + "/Tests/Foreign/sasl.py", broker.address, "alice", Self.good,
          token(Self.good),
        ],
        log: folder + "/door"
      )
      defer { door.finish() }
      try waitUntil(seconds: 30, "a port: \(door.printed)") { door.printed.hasSuffix("\n") }
      let port = try #require(door.printed.split(separator: "\n").first?.split(separator: " ").last)
      try Files.makeFolder(folder + "/one/secrets/kafka")
      try body(folder, broker, door, port)
    }
  }

  private func awaitOutcomes(
    _ installation: KafkaInstallation,
    _ door: RunningProgram
  ) throws {
    try waitUntil(seconds: 60, "three outcomes: \(installation.printed) \(door.printed)") {
      try installation.events().filter { $0.type == "signalbox.outcome.succeeded" }.count == 3
    }
    #expect(installation.end() == 0, "\(installation.printed)")
    #expect(!installation.printed.contains("canary"), "\(installation.printed)")
  }

  @Test(
    "source and trigger log in, and with a new secret once the old one was wrong",
    arguments: mechanisms
  )
  func login(_ mechanism: String) async throws {
    try await withDoor { folder, broker, door, port in
      let secrets = folder + "/one/secrets/kafka"
      try write(Self.bad, in: secrets)
      let installation = try KafkaInstallation(
        folder + "/one",
        manifests("127.0.0.1:\(port)", mechanism)
      )
      try waitUntil(seconds: 60, "a refusal: \(installation.printed)") {
        door.printed.contains("out \(mechanism)\n")
      }
      #expect(!door.printed.contains("in \(mechanism)\n"))
      try write(Self.good, in: secrets)
      try awaitOutcomes(installation, door)
      #expect(try installation.messages().count == 3)
      #expect(try dumped(broker.address, "out").count == 3)
    }
  }

  @Test("a bus logs in too, with each of its clients", arguments: mechanisms)
  func bus(_ mechanism: String) async throws {
    try await withDoor { folder, broker, door, port in
      try write(Self.good, in: folder + "/one/secrets/kafka")
      let (sasl, own) = fields(mechanism)
      let bus = busManifest("127.0.0.1:\(port)", name: "")
        .replacing("topic: bus", with: "topic: bus\n    \(sasl)")
        .replacing("partitions:", with: own.isEmpty ? "partitions:" : own + "\n      partitions:")
      let installation = try KafkaInstallation(
        folder + "/one",
        bus + copyManifests(broker.address, from: "in", to: "out", group: "login")
      )
      try awaitOutcomes(installation, door)
      #expect(!door.printed.contains("out \(mechanism)\n"), "\(door.printed)")
    }
  }
}
