import Event
import EventSources
import Foundation
import HTTP
import JSON
import Manifest
import Plugin
import TLS
import Testing

/// What a forge sends, made by what its documentation says and not by our table.
struct TestForge: Sendable, CustomTestStringConvertible {
  let kind: String
  /// Below the folder of payloads; the second one names single files.
  let folders: [String]
  let files: [String]
  /// Fields of the manifest that ask for the proof.
  let proofFields: JSON
  let secret: String
  /// Headers that prove: the secret, id and time are given.
  let proof: @Sendable (_ body: [UInt8], _ secret: String) -> [(String, String)]
  /// Headers that tell what happened, of a file's name and body.
  let event: @Sendable (_ file: String, _ body: JSON) -> [(String, String)]
  let delivery: @Sendable (_ number: String) -> [(String, String)]

  var testDescription: String { kind }

  static let all = [
    github, gitlab, bitbucket, bitbucketServer, gerrit, gitea, gogs, azure, standard,
  ]

  private static func hex(_ body: [UInt8], _ secret: String) -> String {
    hexadecimal(HMACKey(Array(secret.utf8)).code(body))
  }

  /// `pull_request` of `pull-request-event.json`.
  private static func giteaEvent(_ file: String) -> String {
    if file.contains("argocd") { return "push" }
    return file.replacing("-event.json", with: "").replacing("-", with: "_")
  }

  private static let codeFields: JSON = ["webhookSecret": ["name": "forge", "key": "secret"]]

  static let github = TestForge(
    kind: "github",
    folders: ["github"],
    files: ["argocd-webhook/github-commit-event.json", "argocd-webhook/github-tag-event.json"],
    proofFields: codeFields,
    secret: "canary",
    proof: { [("X-Hub-Signature-256", "sha256=" + hex($0, $1)), ("X-Hub-Signature", "sha1=00")] },
    event: { file, _ in
      let folder = file.split(separator: "/").first.map(String.init) ?? "push"
      return [("X-GitHub-Event", file.contains("argocd") ? "push" : folder)]
    },
    delivery: { [("X-GitHub-Delivery", $0), ("X-GitHub-Hook-ID", "7")] }
  )

  static let gitlab = TestForge(
    kind: "gitlab",
    folders: ["gitlab"],
    files: ["argocd-webhook/gitlab-event.json"],
    proofFields: ["secretToken": ["name": "forge", "key": "secret"]],
    secret: "canary",
    proof: { [("X-Gitlab-Token", $1)] },
    event: { file, _ in [("X-Gitlab-Event", file.contains("system") ? "System Hook" : "Push Hook")]
    },
    delivery: { [("X-Gitlab-Event-UUID", $0), ("X-Gitlab-Webhook-UUID", "w")] }
  )

  static let bitbucket = TestForge(
    kind: "bitbucket",
    folders: ["bitbucket"],
    files: [],
    proofFields: codeFields,
    secret: "canary",
    proof: { [("X-Hub-Signature", "sha256=" + hex($0, $1))] },
    event: { file, _ in
      let keys = [
        "repo-push": "repo:push", "pull-request-created": "pullrequest:created",
        "pull-request-updated": "pullrequest:updated",
        "pull-request-merged": "pullrequest:fulfilled",
        "pull-request-declined": "pullrequest:rejected",
        "pull-request-approved": "pullrequest:approved",
      ]
      return [("X-Event-Key", keys[String(file.dropLast(5))] ?? "other")]
    },
    delivery: { [("X-Request-UUID", $0), ("X-Hook-UUID", "h"), ("X-Attempt-Number", "1")] }
  )

  static let bitbucketServer = TestForge(
    kind: "bitbucketserver",
    folders: ["bitbucket-server"],
    files: ["argocd-webhook/bitbucket-server-event.json"],
    proofFields: codeFields,
    secret: "canary",
    proof: { [("X-Hub-Signature", "sha256=" + hex($0, $1))] },
    event: { [("X-Event-Key", $1["eventKey"]?.plain ?? "diagnostics:ping")] },
    delivery: { [("X-Request-Id", $0)] }
  )

  static let gerrit = TestForge(
    kind: "gerrit",
    folders: [],
    files: [],
    proofFields: ["signalbox": ["queryToken": ["name": "forge", "key": "secret"]]],
    secret: "canary",
    proof: { [("?token", $1)] },
    event: { _, _ in [] },
    delivery: { _ in [] }
  )

  static let gitea = TestForge(
    kind: "gitea",
    folders: ["gitea"],
    files: [],
    proofFields: codeFields,
    secret: "canary",
    proof: { body, secret in
      // It sends those of others too; who trusted them could be misled.
      [
        ("X-Gitea-Signature", hex(body, secret)), ("X-Gogs-Signature", "00"),
        ("X-Hub-Signature-256", "sha256=00"),
      ]
    },
    event: { file, _ in
      [("X-Gitea-Event", giteaEvent(file)), ("X-GitHub-Event", "ping")]
    },
    delivery: { [("X-Gitea-Delivery", $0), ("X-GitHub-Delivery", "same")] }
  )

  static let gogs = TestForge(
    kind: "gogs",
    folders: ["gogs"],
    files: ["argocd-webhook/gogs-event.json"],
    proofFields: codeFields,
    secret: "canary",
    proof: { [("X-Gogs-Signature", hex($0, $1))] },
    event: { file, _ in [("X-Gogs-Event", giteaEvent(file))] },
    delivery: { [("X-Gogs-Delivery", $0)] }
  )

  static let azure = TestForge(
    kind: "azureDevOps",
    folders: ["azuredevops"],
    files: ["argocd-webhook/azuredevops-git-push-event.json"],
    proofFields: [
      "basicAuth": [
        "username": ["name": "forge", "key": "user"],
        "password": ["name": "forge", "key": "secret"],
      ]
    ],
    secret: "canary",
    proof: { _, secret in
      [("Authorization", "Basic " + Data("robot:\(secret)".utf8).base64EncodedString())]
    },
    event: { _, _ in [] },
    delivery: { _ in [] }
  )

  static let standard = TestForge(
    kind: "standardWebhooks",
    folders: [],
    files: [],
    proofFields: codeFields,
    secret: "whsec_" + Data("canary-canary-canary-canary".utf8).base64EncodedString(),
    proof: { body, secret in
      let key = [UInt8](Data(base64Encoded: String(secret.dropFirst(6))) ?? Data())
      let message = Array("id-1.1000.".utf8) + body
      let code = Data(HMACKey(key).code(message)).base64EncodedString()
      return [("webhook-signature", "v1,\(code)"), ("webhook-timestamp", "1000")]
    },
    event: { _, _ in [] },
    delivery: { [("webhook-id", $0)] }
  )

  /// The entry's fields with the proof asked for.
  var fields: JSON {
    guard case .object(let members) = proofFields else { return [:] }
    return .object(
      [.init(key: "webhook", value: ["endpoint": "/hook", "port": "12000"])] + members
    )
  }

  /// An entry of this kind.
  /// - Throws: what is wrong with it.
  func source(_ host: RecordingHost, _ fields: JSON? = nil) throws -> any EventSource {
    let kind = try #require(eventSourceKinds.first { $0.kind == self.kind })
    let diagnostics = Diagnostics()
    let name = EventSourceName(namespace: "default", bus: "default", source: "s", event: "e")
    let node = Node(fields ?? self.fields, at: Mark(file: "t", line: 1, column: 1))
    let made = kind.make(node, "spec.\(self.kind).e", name, host, diagnostics)
    guard let made else { throw Refused(description: "\(diagnostics.sorted)") }
    return made
  }

  struct Refused: Error, CustomStringConvertible { let description: String }

  /// Hands a request to the source as the server would.
  static func post(
    _ source: any EventSource,
    _ body: [UInt8],
    _ headers: [(String, String)],
    type: String = "application/json"
  ) async throws -> Response {
    let query = headers.filter { $0.0.hasPrefix("?") }
      .map { "\($0.0.dropFirst())=\($0.1)" }.joined(separator: "&")
    let fields = Headers(
      [.init("Host", "x"), .init("Content-Type", type)]
        + headers.filter { !$0.0.hasPrefix("?") }.map { .init($0.0, $0.1) }
    )
    let head = RequestHead(method: "POST", path: "/hook", query: query, headers: fields)
    let route = try #require(source.routes.first)
    return await route.handler.accept(head).response(to: Request(head: head, body: body))
  }
}

extension JSON {
  /// The text of a string.
  var plain: String? { if case .string(let text) = self { text } else { nil } }

  /// Steps into objects and lists by a dotted path.
  func at(_ path: String) -> JSON? {
    path.split(separator: ".").reduce(Optional(self)) { json, key in
      if case .array(let items)? = json {
        let index = key == "-1" ? items.count - 1 : Int(key) ?? -1
        return items.indices.contains(index) ? Optional(items[index]) : .none
      }
      return json?[String(key)]
    }
  }
}

/// The payloads at hand, by their paths below `shared/payloads`; empty where there are none.
let sharedPayloads: [(path: String, body: [UInt8])] = {
  let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
  let base =
    ProcessInfo.processInfo.environment["SIGNALBOX_VECTORS"]
    ?? root.appendingPathComponent("shared").path
  let folder = base + "/payloads"
  let names = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []
  if names.isEmpty { print("no payloads at \(folder)") }
  return names.filter { $0.hasSuffix(".json") }.sorted().compactMap { name in
    FileManager.default.contents(atPath: folder + "/" + name).map { (name, [UInt8]($0)) }
  }
}()

extension TestForge {
  /// The payloads of this forge, by the name that `event` takes.
  var payloads: [(name: String, body: [UInt8])] {
    folders.flatMap { folder in
      sharedPayloads.filter { $0.path.hasPrefix(folder + "/") }
        .map { (String($0.path.dropFirst(folder.count + 1)), $0.body) }
    } + sharedPayloads.filter { files.contains($0.path) }.map { ($0.path, $0.body) }
  }
}
