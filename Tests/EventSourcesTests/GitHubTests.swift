import Event
import EventSources
import Expression
import Foundation
import HTTP
import JSON
import Manifest
import Plugin
import Synchronization
import TLS
import Testing

@Suite struct GitHubTests {
  private let sink = RecordingHost(secrets: [
    "github/secret": "canary", "github/secret.previous": "old canary",
  ])

  private func source() throws -> any EventSource {
    let spec: JSON = [
      "webhook": ["endpoint": "/push", "port": "12000"],
      "webhookSecret": ["name": "github", "key": "secret"],
    ]
    let kind = try #require(eventSourceKinds.first { $0.kind == "github" })
    let diagnostics = Diagnostics()
    let name = EventSourceName(namespace: "default", bus: "default", source: "gh", event: "push")
    let node = Node(spec, at: Mark(file: "t", line: 1, column: 1))
    let made = kind.make(node, "spec.github.push", name, sink, diagnostics)
    return try #require(made, "\(diagnostics.sorted)")
  }

  private func sign(_ body: [UInt8], _ key: String = "canary") -> String {
    "sha256=" + hexadecimal(HMACKey(Array(key.utf8)).code(body))
  }

  private func post(
    _ body: [UInt8],
    signatures: [String],
    delivery: String = "d1",
    hook: String = "1",
    type: String = "application/json"
  ) async throws -> Response {
    var headers = Headers([
      .init("Host", "x"), .init("Content-Type", type), .init("X-GitHub-Event", "push"),
      .init("X-GitHub-Delivery", delivery), .init("X-GitHub-Hook-ID", hook),
      .init("Authorization", "Basic canary"),
    ])
    for signature in signatures { headers.add("X-Hub-Signature-256", signature) }
    let head = RequestHead(method: "POST", path: "/push", query: "", headers: headers)
    let route = try #require(try source().routes.first)
    return await route.handler.accept(head).response(to: Request(head: head, body: body))
  }

  private var payloads: String? {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let base =
      ProcessInfo.processInfo.environment["SIGNALBOX_VECTORS"]
      ?? root.appendingPathComponent("shared").path
    let path = base + "/payloads/github"
    if FileManager.default.fileExists(atPath: path) { return path }
    print("no payloads at \(path)")
    return nil
  }

  @Test("every real payload arrives byte for byte, with the two keys at its end")
  func realPayloads() async throws {
    guard let folder = payloads else { return }
    let names = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []
    var ran = 0
    for name in names where name.hasSuffix(".json") {
      let body = [UInt8](try Data(contentsOf: URL(fileURLWithPath: folder + "/" + name)))
      let response = try await post(body, signatures: [sign(body)], delivery: name)
      #expect(response.status == 202, "\(name)")
      let event = try #require(sink.events.last)
      let keys = ",\"X-GitHub-Event\":\"push\",\"X-GitHub-Delivery\":"
      let name = JSON.string(name).text
      var sent = String(decoding: body, as: UTF8.self).trimmingCharacters(
        in: .whitespacesAndNewlines
      )
      sent.removeLast()
      let data = String(decoding: event.data, as: UTF8.self)
      #expect(data.contains("\"body\":" + sent + keys + name + "}"), "\(name)")
      #expect(data.hasPrefix("{\"headers\":{\"Authorization\":[\"*** Masked Auth Secret ***\"]"))
      #expect(!data.contains("canary"))
      #expect(throws: Never.self) { _ = try JSON(parsing: event.data) }
      ran += 1
    }
    #expect(ran > 80)
    print("vectors: github-payloads \(ran) ran, 0 not yet supported")
  }

  @Test("a signature that does not hold gets one answer, and leaves nothing")
  func signatures() async throws {
    let body = Array("{\"a\":1}".utf8)
    let right = sign(body)
    let bad: [[String]] = [
      [], [""], ["sha256="], [String(right.dropLast())], [right + "0"], [right, right],
      ["sha256=" + right.dropFirst(7).uppercased()], [String(right.dropFirst(7))],
      [sign(Array("{}".utf8))], [sign(body, "other")], ["sha1=" + right.dropFirst(7)],
    ]
    var answers: Set<[UInt8]> = []
    for signatures in bad {
      let response = try await post(body, signatures: signatures)
      #expect(response.status == 401, "\(signatures)")
      answers.insert(response.body)
    }
    #expect(answers.count == 1)
    #expect(sink.events.isEmpty)
    let answer1 = try await post(body, signatures: [sign(body, "old canary")])
    #expect(answer1.status == 202)
  }

  @Test("a redelivery is the same event; another hook's delivery is another")
  func redelivery() async throws {
    let body = Array("{}".utf8)
    let first = try await post(body, signatures: [sign(body)])
    let again = try await post(body, signatures: [sign(body)])
    let other = try await post(body, signatures: [sign(body)], hook: "2")
    let statuses = [first.status, again.status, other.status]
    #expect(statuses == [202, 200, 202])
    let answer = try JSON(parsing: again.body)
    #expect(answer["duplicate"]?.text == "true")
    let id = try JSON(parsing: first.body)["id"]
    #expect(answer["id"]?.text == id?.text)
    #expect(sink.events.count == 2)
  }

  @Test("a form carries the same; what is no JSON object is refused")
  func bodies() async throws {
    let form = Array("payload=%7B%22a%22%3A+1%7D".utf8)
    let type = "application/x-www-form-urlencoded"
    let answer2 = try await post(form, signatures: [sign(form)], type: type)
    #expect(answer2.status == 202)
    let data = String(decoding: sink.events.last?.data ?? [], as: UTF8.self)
    #expect(data.contains("\"body\":{\"a\": 1,\"X-GitHub-Event\""))
    for text in ["", "[]", "{", "1"] {
      let body = Array(text.utf8)
      let refused = try await post(body, signatures: [sign(body)], delivery: "x")
      #expect(refused.status == 400, "\(text)")
    }
    let body = Array("{}".utf8)
    let answer3 = try await post(body, signatures: [sign(body)], type: "text/plain")
    #expect(answer3.status == 400)
  }
}
