import Event
import EventSources
import Foundation
import HTTP
import JSON
import Testing

/// The shape of pushes and pull requests, held against the tables of `deploy/docs/forges.md`, which
/// say for every field where in the forge's body it stands.
@Suite struct ShapeTests {
  private func told(_ forge: TestForge, _ name: String, _ body: [UInt8]) async throws -> [JSON] {
    let secret = "canary"
    let host = RecordingHost(secrets: ["forge/secret": secret, "forge/user": "robot"])
    let headers =
      forge.proof(body, secret) + forge.event(name, try JSON(parsing: body)) + forge.delivery(name)
    let response = try await TestForge.post(try forge.source(host), body, headers)
    #expect(response.status == 202, "\(name)")
    return try host.events.map { try JSON(parsing: $0.data) }
  }

  private let forges = TestForge.all.filter { $0.kind != "standardWebhooks" }

  @Test(
    "every field of every payload stands where the table says",
    arguments: ["push", "pullRequest"]
  )
  func tables(member: String) async throws {
    let table = try FieldTable(member)
    #expect(table.rows.count > 14)
    var checked = 0
    for forge in forges {
      for (name, body) in forge.payloads + TestForge.made(forge.kind) {
        let body = try JSON(parsing: body)
        for event in try await told(forge, name, body.encoded()) {
          guard let ours = event[member] else { continue }
          for row in table.rows {
            let cell = try #require(row.cells[forge.kind], "\(forge.kind)")
            checked += try check(ours, row.field, cell, body, "\(forge.kind) \(name)")
          }
        }
      }
    }
    if !sharedPayloads.isEmpty { #expect(checked > (member == "push" ? 250 : 500)) }
  }

  /// 1 where the cell is a path and could be checked.
  private func check(
    _ ours: JSON,
    _ field: String,
    _ cell: FieldTable.Cell,
    _ body: JSON,
    _ place: String
  ) throws -> Int {
    let value = ours.at(field)
    switch cell {
    case .nothing:
      #expect(value == nil, "\(place) \(field)")
      return 0
    case .words: return 0
    case .first(let paths):
      let wanted = paths.lazy.compactMap { body.at($0) }.first { $0 != .null && $0 != "" }
      // A list of paths that is null is no list; nothing is known of it.
      #expect(value == wanted || (wanted == nil && value == []), "\(place) \(field)")
      return 1
    case .joined(let paths):
      let parts = paths.compactMap { body.at($0)?.plain }
      #expect(value == .string(parts.joined(separator: "/")), "\(place) \(field)")
      return 1
    }
  }

  @Test("what is a push has one, and what is none has none")
  func presence() async throws {
    var pushes: [String: Int] = [:]
    var pulls: [String: Int] = [:]
    for forge in forges {
      for (name, body) in forge.payloads {
        for event in try await told(forge, name, body) {
          if event["push"] != nil { pushes[forge.kind, default: 0] += 1 }
          if event["pullRequest"] != nil { pulls[forge.kind, default: 0] += 1 }
          #expect(event["push"] == nil || event["pullRequest"] == nil, "\(name)")
        }
      }
    }
    guard !sharedPayloads.isEmpty else { return }
    #expect(
      pushes == [
        "github": 8, "gitlab": 4, "bitbucket": 1, "bitbucketserver": 2, "gitea": 1, "gogs": 2,
        "azureDevOps": 2,
      ]
    )
    #expect(
      pulls == [
        "github": 28, "gitlab": 1, "bitbucket": 5, "bitbucketserver": 9, "gitea": 4, "gogs": 1,
        "azureDevOps": 3,
      ]
    )
  }

  @Test("refs, zeros, paths and what is missing are told alike")
  func derived() async throws {
    let cases: [(TestForge, String, String, JSON)] = [
      (
        .github, "argocd-webhook/github-commit-event.json", "push.changedPaths",
        [
          "ksapps/test-app/environments/staging-argocd-demo/main.jsonnet",
          "ksapps/test-app/environments/staging-argocd-demo/params.libsonnet",
          "ksapps/test-app/app.yaml",
        ]
      ),
      (.github, "argocd-webhook/github-commit-event.json", "push.truncated", false),
      (.github, "argocd-webhook/github-tag-event.json", "push.tag", "v1.0"),
      (.github, "argocd-webhook/github-tag-event.json", "push.created", true),
      (.github, "push/payload.json", "push.deleted", true),
      (.gitlab, "push-event.json", "push.truncated", true),
      (.gitlab, "push-event.json", "push.branch", "master"),
      (.gitlab, "tag-event.json", "push.tag", "v1.0.0"),
      (.gitlab, "system-push-event.json", "push.truncated", true),
      (.gitlab, "merge-request-event.json", "pullRequest.action", "opened"),
      (.bitbucket, "repo-push.json", "push.ref", "refs/heads/name-of-branch"),
      (.bitbucket, "repo-push.json", "push.truncated", true),
      (.bitbucket, "pull-request-merged.json", "pullRequest.action", "merged"),
      (.bitbucket, "pull-request-declined.json", "pullRequest.action", "closed"),
      (.bitbucketServer, "repo-refs-changed.json", "push.deleted", true),
      (.bitbucketServer, "repo-refs-changed.json", "push.truncated", false),
      (
        .bitbucketServer, "repo-refs-changed.json", "push.repository.cloneURL",
        "https://server.bitbucket.local/scm/~gopher/webhook-test.git"
      ),
      (.bitbucketServer, "pr-merged.json", "pullRequest.action", "merged"),
      (.gitea, "push-event.json", "push.created", true),
      (.gitea, "push-event.json", "push.changedPaths", ["example"]),
      (.gogs, "push-event.json", "push.truncated", true),
      (.azure, "git.push.json", "push.branch", "main"),
      (.azure, "git.push.json", "push.truncated", true),
      (.azure, "git.pullrequest.merged.json", "pullRequest.action", "merged"),
      (.azure, "git.pullrequest.created.json", "pullRequest.source.branch", "mytopic"),
    ]
    guard !sharedPayloads.isEmpty else { return }
    for (forge, name, field, wanted) in cases {
      let payload = try #require(forge.payloads.first { $0.name == name }, "\(name)")
      let event = try #require(try await told(forge, name, payload.body).first)
      #expect(event.at(field) == wanted, "\(forge.kind) \(name) \(field)")
    }
  }

  @Test("a delivery of several refs is one event for each, unless they are wanted together")
  func changes() async throws {
    let forge = TestForge.bitbucketServer
    func change(_ name: String) -> JSON {
      [
        "ref": ["id": .string("refs/heads/\(name)")], "fromHash": "a", "toHash": "b",
        "type": "UPDATE",
      ]
    }
    let body: JSON = [
      "eventKey": "repo:refs_changed", "repository": ["slug": "s", "project": ["key": "K"]],
      "changes": [change("one"), change("two")], "commits": [["id": "c"]],
    ]
    let events = try await told(forge, "x", body.encoded())
    #expect(events.map { $0.at("push.branch") } == ["one", "two"])
    #expect(events.map { $0.at("body.changes.0.ref.id") } == ["refs/heads/one", "refs/heads/two"])
    #expect(events.allSatisfy { $0.at("body.changes.1") == nil && $0["pushes"] == nil })
    // Whose commits they are nobody knows.
    #expect(events.allSatisfy { $0.at("push.commits") == [] && $0.at("push.truncated") == true })

    let host = RecordingHost(secrets: ["forge/secret": "canary"])
    guard case .object(let fields) = forge.fields else { return }
    let source = try forge.source(
      host,
      .object(fields + [.init(key: "oneEventPerChange", value: false)])
    )
    let bytes = body.encoded()
    _ = try await TestForge.post(
      source,
      bytes,
      forge.proof(bytes, "canary") + forge.event("x", body) + forge.delivery("1")
    )
    let event = try JSON(parsing: try #require(host.events.only).data)
    #expect(event.at("pushes.1.branch") == "two" && event.at("push.branch") == "one")
    #expect(event["body"] == body)
  }
}

extension Array {
  /// The only item.
  fileprivate var only: Element? { count == 1 ? first : nil }
}

extension TestForge {
  /// Bodies in the documented form of what is not among the shared payloads.
  static func made(_ kind: String) -> [(name: String, body: [UInt8])] {
    guard kind == "gerrit" else { return [] }
    let person: JSON = ["name": "A B", "email": "a@b.example", "username": "ab"]
    let change: JSON = [
      "project": "tools", "branch": "main", "id": "I1", "number": 7, "subject": "Mend it",
      "owner": person, "url": "https://review.example/7", "wip": true,
    ]
    let bodies: [JSON] = [
      [
        "type": "ref-updated", "submitter": person, "eventCreatedOn": 1,
        "refUpdate": [
          "oldRev": "a1", "newRev": "b2", "refName": "main", "project": "tools",
        ],
      ],
      [
        "type": "patchset-created", "change": change, "eventCreatedOn": 2,
        "patchSet": ["number": 1, "revision": "c3"],
      ],
      [
        "type": "change-merged", "change": change, "newRev": "d4", "eventCreatedOn": 3,
        "patchSet": ["number": 1, "revision": "c3"],
      ],
    ]
    return bodies.enumerated().map { ("made \($0.offset)", $0.element.encoded()) }
  }
}

/// A table of `deploy/docs/forges.md`.
struct FieldTable {
  enum Cell: Equatable {
    /// The forge does not say.
    case nothing
    /// It is made somehow.
    case words
    /// The first of these paths that leads to something.
    case first([String])
    /// These, with a slash between them.
    case joined([String])
  }

  let rows: [(field: String, cells: [String: Cell])]

  init(_ name: String) throws {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("deploy/docs/forges.md")
    let text = try String(contentsOf: file, encoding: .utf8)
    let start = try #require(text.range(of: "<!-- table: \(name) -->"))
    let lines = text[start.upperBound...].split(separator: "\n").prefix { $0.hasPrefix("|") }
    let table = lines.map { line in
      line.dropFirst().dropLast().split(separator: "|").map {
        $0.trimmingCharacters(in: .whitespaces)
      }
    }
    let kinds = try #require(table.first).dropFirst().map {
      $0.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
    }
    rows = table.dropFirst(2).map { row in
      var cells: [String: Cell] = [:]
      for (names, cell) in zip(kinds, row.dropFirst()) {
        for name in names { cells[name] = Self.cell(cell) }
      }
      return (row[0].replacing("`", with: ""), cells)
    }
  }

  private static func cell(_ text: String) -> Cell {
    if text == "—" { return .nothing }
    for (separator, make) in [(" / ", Cell.joined), (" or ", Cell.first)] {
      let parts = text.components(separatedBy: separator)
      let paths = parts.filter { part in
        part.hasPrefix("`") && part.hasSuffix("`") && part.filter { $0 == "`" }.count == 2
      }
      if paths.count == parts.count, parts.count > 1 || separator == " or " {
        return make(paths.map { $0.replacing("`", with: "") })
      }
    }
    return .words
  }
}
