import Event
import EventSources
import Foundation
import HTTP
import HTTPClient
import JSON
import Posix
import TestKit
import Testing

@Suite struct PathCompletionTests {
  private static let before = String(repeating: "a", count: 40)
  private static let after = String(repeating: "b", count: 40)

  /// A push whose list of paths is cut, as each forge sends it.
  private static let pushes: [TestForgeServer.Flavour: String] = {
    let range = #""ref":"refs/heads/main","before":"\#(before)","after":"\#(after)""#
    let commits = (0..<2048).map { #"{"id":"\#($0)","added":["seen"],"modified":[],"removed":[]}"# }
      .joined(separator: ",")
    let few = #""commits":[{"id":"1","added":["seen"],"modified":[],"removed":[]}]"#
    let change = """
      {"old":{"type":"branch","name":"main","target":{"hash":"\(before)"}},
      "new":{"type":"branch","name":"main","target":{"hash":"\(after)"}},"commits":[]}
      """
    return [
      .github: #"{\#(range),"repository":{"full_name":"acme/shop"},"commits":[\#(commits)]}"#,
      .gitlab: """
      {\(range),"object_kind":"push","project":{"path_with_namespace":"acme/shop"},
      "total_commits_count":21,\(few)}
      """,
      .gitea: """
      {\(range),"repository":{"full_name":"acme/shop"},"total_commits":9,\(few)}
      """,
      .bitbucket: #"{"repository":{"full_name":"acme/shop"},"push":{"changes":[\#(change)]}}"#,
      .bitbucketserver: """
      {"eventKey":"repo:refs_changed","repository":{"slug":"shop","project":{"key":"acme"}},
      "changes":[{"ref":{"id":"refs/heads/main"},"fromHash":"\(before)","toHash":"\(after)"}]}
      """,
    ]
  }()

  private static let eventNames: [TestForgeServer.Flavour: [(String, String)]] = [
    .github: [("X-GitHub-Event", "push")], .gitlab: [("X-Gitlab-Event", "Push Hook")],
    .gitea: [("X-Gitea-Event", "push")], .bitbucket: [("X-Event-Key", "repo:push")],
    .bitbucketserver: [("X-Event-Key", "repo:refs_changed")],
  ]

  /// What each API answers, its pages by path and query.
  private static let comparisons: [TestForgeServer.Flavour: [(path: String, body: String)]] = [
    .github: [
      (
        "/repos/acme/shop/compare/\(before)...\(after)",
        #"{"files":[{"filename":"new","previous_filename":"old"},{"filename":"more"}]}"#
      )
    ],
    .gitlab: [
      (
        "/projects/acme%2Fshop/repository/compare?from=\(before)&to=\(after)",
        """
        {"compare_timeout":false,"diffs":[{"old_path":"old","new_path":"new"},
        {"old_path":"more","new_path":"more"}]}
        """
      )
    ],
    .gitea: [
      (
        "/repos/acme/shop/compare/\(before)...\(after)",
        """
        {"total_commits":2,"commits":[{"files":[{"filename":"new"},{"filename":"old"}]},
        {"files":[{"filename":"more"}]}]}
        """
      )
    ],
    .bitbucket: [
      (
        "/repositories/acme/shop/diffstat/\(after)..\(before)",
        """
        {"values":[{"old":{"path":"old"},"new":{"path":"new"}},{"old":null,
        "new":{"path":"more"}}]}
        """
      )
    ],
    .bitbucketserver: [
      (
        "/projects/acme/repos/shop/compare/changes?from=\(after)&to=\(before)&limit=1000",
        """
        {"isLastPage":false,"nextPageStart":1,
        "values":[{"path":{"toString":"new"},"srcPath":{"toString":"old"}}]}
        """
      ),
      (
        "/projects/acme/repos/shop/compare/changes?from=\(after)&to=\(before)&limit=1000&start=1",
        #"{"isLastPage":true,"values":[{"path":{"toString":"more"}}]}"#
      ),
    ],
  ]

  private static let forges: [TestForgeServer.Flavour: TestForge] = [
    .github: .github, .gitlab: .gitlab, .gitea: .gitea, .bitbucket: .bitbucket,
    .bitbucketserver: .bitbucketServer,
  ]

  private func fields(_ server: TestForgeServer, _ completion: JSON) throws -> JSON {
    let token: JSON = ["name": "forge", "key": "token"]
    var fields = try #require(Self.forges[server.flavour]).fields
    fields.set(["completePaths": completion], at: "signalbox")
    switch server.flavour {
    case .github: fields.set(token, at: "apiToken")
    case .bitbucket: fields.set(["oauthToken": token], at: "auth")
    default: fields.set(token, at: "accessToken")
    }
    fields.set(.string(server.address), at: server.flavour.rawValue + "BaseURL")
    return fields
  }

  /// Sends the push and answers what is stored of it.
  private func push(_ server: TestForgeServer, _ host: RecordingHost, _ fields: JSON) async throws
    -> JSON
  {
    let forge = try #require(Self.forges[server.flavour])
    let body = Array((Self.pushes[server.flavour] ?? "").utf8)
    let headers =
      forge.proof(body, "canary") + (Self.eventNames[server.flavour] ?? [])
      + forge.delivery("\(host.events.count)")
    let response = try await TestForge.post(forge.source(host, fields), body, headers)
    #expect(response.status == 202)
    let event = try #require(host.events.last)
    return try #require(try JSON(parsing: event.data)["push"])
  }

  private func serving(
    _ flavour: TestForgeServer.Flavour,
    _ body: @Sendable (TestForgeServer, RecordingHost) async throws -> Void
  ) async throws {
    let server = try await TestForgeServer(flavour)
    let http = try HTTPClient()
    let loop = try EventLoop(name: "sources")
    let secrets = ["forge/secret": "canary", "forge/token": TestForgeServer.token]
    let host = RecordingHost(secrets: secrets, loop: loop, http: http)
    do { try await body(server, host) } catch { Issue.record(error) }
    await http.close()
    await server.close()
    loop.stop()
  }

  @Test(
    "paths that a forge left out come from its comparison; what it does not tell stays truncated",
    arguments: TestForgeServer.Flavour.allCases.filter { $0 != .gerrit }
  )
  func comparison(flavour: TestForgeServer.Flavour) async throws {
    try await serving(flavour) { server, host in
      let fields = try fields(server, ["api": true])
      // The forge does not know the commits, or is away: the push is stored as it is.
      #expect(try await push(server, host, fields)["truncated"] == true)
      #expect(host.lines.contains { $0.contains("stay incomplete") && $0.contains("status 404") })
      for (path, body) in Self.comparisons[flavour] ?? [] { server.replay(path, body) }
      let told = try await push(server, host, fields)
      #expect(told["truncated"] == false)
      let paths = Set(told["changedPaths"]?.items.compactMap(\.asString) ?? [])
      #expect(paths.isSuperset(of: ["new", "old", "more"]))
      let isListing = [.github, .gitlab, .gitea].contains(flavour)
      #expect(paths.contains("seen") == isListing)
    }
  }

  @Test("a comparison that is cut itself completes nothing")
  func cut() async throws {
    try await serving(.github) { server, host in
      let files = (0..<300).map { #"{"filename":"\#($0)"}"# }.joined(separator: ",")
      server.replay(Self.comparisons[.github]?[0].path ?? "", #"{"files":[\#(files)]}"#)
      let told = try await push(server, host, try fields(server, ["api": true]))
      #expect(told["truncated"] == true)
    }
  }

  @Test("a local clone is asked, and fetched into where it lacks the commits")
  func clone() async throws {
    try await serving(.bitbucket) { server, host in
      try await withTemporaryFolder { folder in
        func git(_ arguments: String...) throws -> String {
          let process = Process()
          process.executableURL = URL(fileURLWithPath: "/usr/bin/git")
          process.arguments = arguments
          process.environment = [
            "PATH": "/usr/bin:/bin", "HOME": folder, "GIT_AUTHOR_NAME": "a",
            "GIT_AUTHOR_EMAIL": "a@b.example", "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a@b.example",
          ]
          let output = Pipe()
          process.standardOutput = output
          try process.run()
          let bytes = output.fileHandleForReading.readDataToEndOfFile()
          process.waitUntilExit()
          #expect(process.terminationStatus == 0)
          return String(decoding: bytes, as: UTF8.self).filter { !$0.isNewline }
        }
        let work = folder + "/work"
        _ = try git("init", "--quiet", "--initial-branch=main", work)
        func commit(_ path: String) throws -> String {
          try Files.writeDurably(Array(path.utf8), to: work + "/" + path)
          _ = try git("-C", work, "add", ".")
          _ = try git("-C", work, "commit", "--quiet", "-m", path)
          return try git("-C", work, "rev-parse", "HEAD")
        }
        let first = try commit("one")
        try Files.makeFolder(folder + "/acme")
        _ = try git("clone", "--quiet", "--mirror", work, folder + "/acme/shop.git")
        // Behind the clone's back.
        let last = try commit("two \u{e4}")
        let fields = try fields(server, ["clones": .string(folder)])
        let body = Array(
          (Self.pushes[.bitbucket] ?? "").replacing(Self.before, with: first)
            .replacing(Self.after, with: last).utf8
        )
        let headers = TestForge.bitbucket.proof(body, "canary") + [("X-Event-Key", "repo:push")]
        let source = try TestForge.bitbucket.source(host, fields)
        #expect(try await TestForge.post(source, body, headers).status == 202)
        let event = try #require(host.events.last)
        let told = try JSON(parsing: event.data)["push"]
        #expect(told?["changedPaths"] == ["two \u{e4}"])
        #expect(told?["truncated"] == false)
        #expect(server.calls.isEmpty)
      }
    }
  }

  @Test("what cannot be asked is refused")
  func refused() throws {
    let host = RecordingHost(secrets: ["forge/secret": "canary"])
    for (completion, words) in [
      (["api": true], "api: needs a token"), ([:], "expected one of api: true, clones: FOLDER"),
      (["clones": "here"], "found 'here', expected an absolute path"),
    ] as [(JSON, String)] {
      var fields = TestForge.github.fields
      fields.set(["completePaths": completion], at: "signalbox")
      let refusal = #expect(throws: TestForge.Refused.self) {
        _ = try TestForge.github.source(host, fields)
      }
      #expect(refusal?.description.contains(words) == true, "\(refusal?.description ?? "")")
    }
  }
}
