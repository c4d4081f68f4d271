import Event
import EventSources
import Foundation
import HTTP
import JSON
import TLS
import Testing

@Suite struct StandardWebhooksTests {
  private let key = Array("0123456789abcdef0123456789abcdef".utf8)
  private let body = Array(#"{"type":"made"}"#.utf8)
  private var secret: String { "whsec_" + Data(key).base64EncodedString() }

  private func code(_ id: String, _ time: String, _ body: [UInt8]? = nil, _ key: [UInt8]? = nil)
    -> String
  {
    let message = Array("\(id).\(time).".utf8) + (body ?? self.body)
    return "v1," + Data(HMACKey(key ?? self.key).code(message)).base64EncodedString()
  }

  private func post(
    _ secrets: [String: String],
    _ headers: [(String, String)],
    fields: JSON? = nil
  ) async throws -> (status: Int, events: Int) {
    let host = RecordingHost(secrets: secrets, seconds: 10_000)
    let source = try TestForge.standard.source(host, fields)
    let response = try await TestForge.post(source, body, headers)
    return (response.status, host.events.count)
  }

  private func headers(_ id: String, _ time: String, _ signature: String) -> [(String, String)] {
    [("webhook-id", id), ("webhook-timestamp", time), ("webhook-signature", signature)]
  }

  @Test("a signed time is near ours, or the request is refused")
  func times() async throws {
    for (time, isGood) in [
      ("10000", true), ("9700", true), ("10300", true), ("9699", false), ("10301", false),
      ("0", false), ("", false), ("ten", false), ("-9223372036854775808", false),
      ("9223372036854775807", false), ("1e4", false), ("10000.0", false),
    ] {
      let sent = headers("m1", time, code("m1", time))
      let answer = try await post(["forge/secret": secret], sent)
      #expect(answer.status == (isGood ? 202 : 401), "\(time)")
      #expect(answer.events == (isGood ? 1 : 0))
    }
    guard case .object(let members) = TestForge.standard.fields else { return }
    let wide = JSON.object(members + [.init(key: "tolerance", value: "1h")])
    let sent = headers("m1", "7000", code("m1", "7000"))
    let answer = try await post(["forge/secret": secret], sent, fields: wide)
    #expect(answer.status == 202)
  }

  @Test("what the code covers cannot be moved from one header to another")
  func borders() async throws {
    let good = code("m1", "10000")
    let doubled = headers("m1", "10000", good) + [("webhook-id", "m1")]
    for sent in [
      headers("m1.10000", "10000", code("m1.10000", "10000")),
      headers("", "10000", code("", "10000")),
      headers("m2", "10000", good), headers("m1", "10001", good), doubled,
      Array(headers("m1", "10000", good).dropFirst()),
      headers("m1", "10000", code("m1", "10000", Array("{}".utf8))),
    ] {
      let answer = try await post(["forge/secret": secret], sent)
      #expect(answer.status == 401 && answer.events == 0, "\(sent)")
    }
  }

  @Test("one of several signatures is enough, of more than eight none is looked at")
  func several() async throws {
    let good = code("m1", "10000")
    let other = code("m1", "10000", nil, Array("another-key-of-24-bytes!".utf8))
    for (signatures, status) in [
      ([other, good], 202), ([good, "v1a,AAAA"], 202), (["v2,x", good], 202), ([other], 401),
      (Array(repeating: other, count: 7) + [good], 202),
      (Array(repeating: other, count: 8) + [good], 401), (["v1" + good.dropFirst(3)], 401),
    ] as [([String], Int)] {
      let sent = headers("m1", "10000", signatures.joined(separator: " "))
      let answer = try await post(["forge/secret": secret], sent)
      #expect(answer.status == status, "\(signatures)")
    }
  }

  @Test("Ed25519 signatures hold for the key that made them, and for no other")
  func asymmetric() async throws {
    let own = Array("an-ed25519-private-key-32-bytes!".utf8)
    let verifying = try #require(Ed25519.publicKey(of: own))
    let secrets = ["forge/secret": "whpk_" + Data(verifying).base64EncodedString()]
    func signature(_ message: String) throws -> String {
      let raw = try #require(Ed25519.sign(Array(message.utf8), privateKey: own))
      return "v1a," + Data(raw).base64EncodedString()
    }
    let good = try signature("m1.10000." + String(decoding: body, as: UTF8.self))
    for (signature, status) in [
      (good, 202), (try signature("m1.10000.{}"), 401), (String(good.dropLast(4)), 401),
      ("v1," + good.dropFirst(4), 401), (good + "AAAA", 401), ("v1a,", 401), ("v1a,!!!!", 401),
    ] {
      let answer = try await post(secrets, headers("m1", "10000", signature))
      #expect(answer.status == status, "\(signature)")
    }
  }

  @Test("a secret of another form is an error when it is loaded")
  func keys() throws {
    let short = "whsec_" + Data("short".utf8).base64EncodedString()
    for secret in ["plain", "whsec_", "whsec_!!!", short, "whpk_AAAA"] {
      let host = RecordingHost(secrets: ["forge/secret": secret])
      #expect(throws: (any Error).self, "\(secret)") { _ = try TestForge.standard.source(host) }
    }
  }
}
