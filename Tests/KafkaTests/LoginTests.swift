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

  private func manifests(_ address: String, _ mechanism: String) -> String {
    let isToken = mechanism == "OAUTHBEARER"
    let user = "userSecret: {name: kafka, key: user}"
    let password = "passwordSecret: {name: kafka, key: password}"
    let sasl = "sasl: {mechanism: \(mechanism)\(isToken ? "" : ", \(user), \(password)")}"
    let token = "oauthTokenSecret: {name: kafka, key: token}"
    let plain = copyManifests(address, from: "in", to: "out", group: "login")
      .replacing("consumerGroup:", with: "\(sasl)\n      consumerGroup:")
      .replacing("payload:", with: "\(sasl)\n          payload:")
    guard isToken else { return plain }
    return plain.replacing("librdkafka: {session", with: "\(token)\n        librdkafka: {session")
      .replacing("signalbox: {librdkafka", with: "signalbox: {\(token), librdkafka")
  }

  @Test(
    "source and trigger log in, and with a new secret once the old one was wrong",
    arguments: mechanisms
  )
  func login(_ mechanism: String) async throws {
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
      let secrets = folder + "/one/secrets/kafka"
      try Files.makeFolder(secrets)
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
      try waitUntil(seconds: 60, "three outcomes: \(installation.printed) \(door.printed)") {
        try installation.events().filter { $0.type == "signalbox.outcome.succeeded" }.count == 3
      }
      #expect(installation.end() == 0, "\(installation.printed)")
      #expect(try installation.messages().count == 3)
      #expect(try dumped(broker.address, "out").count == 3)
      #expect(!installation.printed.contains("canary"), "\(installation.printed)")
    }
  }
}
