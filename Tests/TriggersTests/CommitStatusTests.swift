import Event
import HTTP
import JSON
import Plugin
import Posix
import Synchronization
import TestKit
import Testing
import Triggers

@Suite struct CommitStatusTests {
  private static let commit = "6113728f27ae82c7b1a177c8d03f9e96e0adf246"

  private func serving(
    _ flavour: TestForgeServer.Flavour,
    _ body: (TestForgeServer, Host) async throws -> Void
  ) async throws {
    let server = try await TestForgeServer(flavour)
    let host = try Host(
      "/nowhere",
      secrets: [
        "forge/token": TestForgeServer.token, "forge/user": "robot",
        "forge/key": TestCertificates.rsaKey,
      ]
    )
    do { try await body(server, host) } catch { Issue.record(error) }
    await host.close()
    await server.close()
  }

  /// The fields that say where the forge is and who calls it.
  private func access(_ server: TestForgeServer) -> String {
    let secret = #"{"name": "forge", "key": "token"}"#
    switch server.flavour {
    case .github: return #""apiToken": \#(secret), "githubBaseURL": "\#(server.address)""#
    case .gitlab: return #""accessToken": \#(secret), "gitlabBaseURL": "\#(server.address)""#
    case .gitea: return #""accessToken": \#(secret), "giteaBaseURL": "\#(server.address)""#
    case .bitbucket:
      return """
        "auth": {"basic": {"username": {"name": "forge", "key": "user"}, "password": \(secret)}},
        "bitbucketBaseURL": "\(server.address)"
        """
    case .bitbucketserver:
      return #""accessToken": \#(secret), "bitbucketserverBaseURL": "\#(server.address)/rest""#
    // It has no statuses of commits.
    case .gerrit: return ""
    }
  }

  private func trigger(
    _ server: TestForgeServer,
    _ host: Host,
    _ more: String = ""
  ) throws -> any Trigger {
    let fields = #"{"\#(server.flavour.rawValue)": {\#(access(server))}\#(more)}"#
    let (trigger, problems) = try made("commitStatus", fields, host)
    #expect(problems == [])
    return try #require(trigger)
  }

  /// A push of this forge, and an outcome of what it set off.
  private func events(
    _ type: String,
    _ phase: String,
    why: String? = nil,
    push: String = #""deleted": false"#
  ) throws -> (push: Event, outcome: Event) {
    let body = """
      {"push": {"repository": {"fullName": "acme/shop"}, "after": "\(Self.commit)",
        "compareURL": "https://forge.example/acme/shop/compare", \(push)}}
      """
    let pushed = event("p1", "forge", type, body)
    let words = why.map { #", "why": "\#($0)""# } ?? ""
    var outcome = event(
      "o-\(phase)",
      Event.outcomeSource,
      "signalbox.outcome.\(phase)",
      #"{"sensor": "build", "trigger": "job", "phase": "\#(phase)"\#(words)}"#
    )
    let id = try #require(FiringID(String(repeating: "a", count: 32)))
    outcome.cause = Cause(firing: id, events: ["p1"], hops: 1, path: ["default/build/job"])
    return (pushed, outcome)
  }

  private func event(_ id: String, _ source: String, _ type: String, _ data: String) -> Event {
    Event(
      id: id,
      source: source,
      type: type,
      subject: "x",
      time: Timestamp(nanoseconds: 0),
      data: Array(data.utf8)
    )
  }

  private func firing(_ event: Event, causes: [Event] = [], hasEnded: Bool = false) -> Firing {
    Firing(
      id: FiringID(
        namespace: "default",
        sensor: "status",
        trigger: "tell",
        replay: 0,
        dependencies: [("d", event.source, event.id)]
      ),
      namespace: "default",
      sensor: "status",
      trigger: "tell",
      attempt: 1,
      hops: 2,
      events: [("d", event)],
      payload: nil,
      isParameterised: false,
      causes: { $0.cause?.events.contains("p1") == true ? causes : [] },
      hasEnded: { _ in hasEnded }
    )
  }

  private static let paths: [TestForgeServer.Flavour: String] = [
    .github: "/repos/acme/shop/statuses/\(commit)",
    .gitlab: "/projects/acme%2Fshop/statuses/\(commit)",
    .gitea: "/repos/acme/shop/statuses/\(commit)",
    .bitbucket: "/repositories/acme/shop/commit/\(commit)/statuses/build",
    .bitbucketserver: "/projects/acme/repos/shop/commits/\(commit)/builds",
  ]

  private static let words: [TestForgeServer.Flavour: [String]] = [
    .github: ["pending", "success", "failure", "error"],
    .gitlab: ["pending", "success", "failed", "canceled"],
    .gitea: ["pending", "success", "failure", "error"],
    .bitbucket: ["INPROGRESS", "SUCCESSFUL", "FAILED", "STOPPED"],
    .bitbucketserver: ["INPROGRESS", "SUCCESSFUL", "FAILED", "CANCELLED"],
  ]

  @Test(
    "outcomes are shown on the commit of the push they go back to, at every forge",
    arguments: TestForgeServer.Flavour.allCases.filter { $0 != .gerrit }
  )
  func outcomes(flavour: TestForgeServer.Flavour) async throws {
    try await serving(flavour) { server, host in
      let trigger = try trigger(server, host)
      for (phase, why) in [
        ("started", nil), ("succeeded", nil), ("failed", String(repeating: "é", count: 300)),
        ("cancelled", nil),
      ] {
        let (push, outcome) = try events(flavour.rawValue, phase, why: why)
        let result = await trigger.fire(firing(outcome, causes: [push]))
        #expect(result.why == "", "\(phase)")
        #expect(result.result["commit"]?.asString == Self.commit)
      }
      #expect(Set(server.statuses.map(\.path)) == [Self.paths[flavour] ?? ""])
      let words = server.statuses.compactMap { $0.body["state"]?.asString }
      #expect(words == Self.words[flavour])
      let last = try #require(server.statuses.last?.body)
      let context = last["context"] ?? last["name"]
      #expect(context == "build/job")
      let url = last["target_url"] ?? last["url"]
      #expect(url == "https://forge.example/acme/shop/compare")
      #expect(last["description"] == "cancelled")
    }
  }

  @Test("GitLab's refusal to take a status twice is no failure, any other refusal is")
  func twice() async throws {
    try await serving(.gitlab) { server, host in
      let trigger = try trigger(server, host)
      let (push, outcome) = try events("gitlab", "started")
      for _ in 0..<2 {
        guard case .done = await trigger.fire(firing(outcome, causes: [push])) else {
          throw SystemError("fire", "", code: 1)
        }
      }
      #expect(server.statuses.count == 1)
      server.answer(
        .json(400, Array(#"{"message":"Cannot transition status from :skipped"}"#.utf8))
      )
      guard case .reject(let why, _) = await trigger.fire(firing(outcome, causes: [push])) else {
        throw SystemError("reject", "", code: 1)
      }
      #expect(why.contains("status 400: Cannot transition"))
    }
  }

  @Test("what the manifest says wins over outcome and push")
  func fields() async throws {
    try await serving(.github) { server, host in
      let more = """
        , "repository": "other/repo", "commit": "\(String(repeating: "AB", count: 20))",
        "state": "error", "context": "lint", "description": "no", "targetURL": "https://ci.example/1"
        """
      let trigger = try trigger(server, host, more)
      _ = await trigger.fire(firing(event("x", "hook", "webhook", "{}")))
      let status = try #require(server.statuses.first)
      #expect(status.path == "/repos/other/repo/statuses/\(String(repeating: "ab", count: 20))")
      #expect(
        status.body == [
          "state": "error", "context": "lint", "description": "no",
          "target_url": "https://ci.example/1",
        ]
      )
    }
  }

  @Test("nothing is told of a deleted branch, of what has ended, or of another forge")
  func skipped() async throws {
    try await serving(.github) { server, host in
      let trigger = try trigger(server, host)
      let (gone, outcome) = try events("github", "started", push: #""deleted": true"#)
      let (push, _) = try events("github", "started")
      let (elsewhere, _) = try events("gitlab", "started")
      for (firing, why) in [
        (firing(outcome, causes: [gone]), "the branch or tag was deleted: there is no commit"),
        (firing(outcome, causes: [push], hasEnded: true), "what it tells of has ended meanwhile"),
        (firing(outcome, causes: [elsewhere]), "the push is of gitlab, which is not among github"),
      ] {
        guard case .skipped(let said, _) = await trigger.fire(firing) else {
          throw SystemError("skip", why, code: 1)
        }
        #expect(said == why)
      }
      guard case .reject(let why, _) = await trigger.fire(firing(outcome)) else {
        throw SystemError("reject", "", code: 1)
      }
      #expect(why.hasPrefix("no push or pull request on the bus led here"))
      #expect(server.calls.isEmpty)
    }
  }

  @Test(
    "a forge that is busy is asked again when it says, one that refuses is not; no token is told"
  )
  func failures() async throws {
    try await serving(.github) { server, host in
      let trigger = try trigger(server, host)
      let (push, outcome) = try events("github", "succeeded")
      var slow = Response.json(403, Array(#"{"message":"API rate limit exceeded"}"#.utf8))
      slow.headers.add("X-RateLimit-Remaining", "0")
      let reset = wallClockNanoseconds() / 1_000_000_000 + 100
      slow.headers.add("X-RateLimit-Reset", "\(reset)")
      var later = Response.text(429, "")
      later.headers.add("Retry-After", "30")
      let echo = #"{"message":"token \#(TestForgeServer.token) is bad"}"#
      server.answer(slow, later, .text(502, ""), .json(401, Array(echo.utf8)))
      var outcomes: [Outcome] = []
      outcomes.append(await trigger.fire(firing(outcome, causes: [push])))
      let answered = wallClockNanoseconds() / 1_000_000_000
      for _ in 1..<4 { outcomes.append(await trigger.fire(firing(outcome, causes: [push]))) }
      guard case .retry(let wait?, let why, _) = outcomes[0] else {
        throw SystemError("retry", "", code: 1)
      }
      let rest = Duration.seconds(reset - answered)
      #expect((rest...Duration.seconds(100)).contains(wait))
      #expect(why.hasSuffix("was answered with status 403: API rate limit exceeded"))
      guard case .retry(.seconds(30), _, _) = outcomes[1], case .retry(nil, _, _) = outcomes[2],
        case .reject(let refusal, _) = outcomes[3]
      else { throw SystemError("outcomes", "\(outcomes)", code: 1) }
      #expect(refusal.hasSuffix("401: token *** is bad"))
    }
  }

  @Test("an app signs for a token once and uses it until it ends")
  func app() async throws {
    try await serving(.github) { server, host in
      let fields = """
        {"github": {"githubBaseURL": "\(server.address)", "githubApp": {"appID": 77,
          "installationID": 5, "privateKey": {"name": "forge", "key": "key"}}}}
        """
      let (trigger, problems) = try made("commitStatus", fields, host)
      #expect(problems == [])
      let (push, outcome) = try events("github", "succeeded")
      for _ in 0..<2 { _ = await trigger?.fire(firing(outcome, causes: [push])) }
      #expect(
        server.calls == [
          "POST /app/installations/5/access_tokens", "POST \(Self.paths[.github] ?? "")",
          "POST \(Self.paths[.github] ?? "")",
        ]
      )
    }
  }

  @Test("a manifest that cannot work is refused")
  func refused() throws {
    let host = try Host("/nowhere", secrets: ["forge/key": "no key"])
    let fields = """
      {"gitea": {}, "github": {"githubApp": {"appID": 1, "privateKey": {"name": "forge",
        "key": "key"}, "installationID": 2}}, "gitlab": {"accessToken": {"name": "a", "key": "b"}},
        "forge": "bitbucket", "state": "ok", "targetURL": "ftp://x", "x": 1}
      """
    #expect(
      Set(try made("commitStatus", fields, host).problems) == [
        "commitStatus.gitea.giteaBaseURL: found nothing, expected where the forge is",
        "commitStatus.gitea.accessToken: found nothing, expected a secret {name, key}",
        "commitStatus.forge: found 'bitbucket', expected a forge that is described here: "
          + "github, gitlab, gitea",
        "commitStatus.state: found 'ok', expected one of pending, success, failure, error",
        "commitStatus.targetURL: the URL's scheme is neither http nor https",
        "commitStatus.x: found an unknown key 'x', expected one of bitbucket, bitbucketserver, "
          + "commit, context, description, forge, gitea, github, gitlab, parameters, repository, "
          + "state, targetURL",
        "commitStatus.github.githubApp: the secret 'forge/key' is no private key of RSA in PEM form",
        "commitStatus.gitlab.accessToken: no a/b",
      ]
    )
    let kind = try #require(triggerKinds.first { $0.kind == "commitStatus" })
    #expect(kind.refusal("commit") == nil && kind.refusal("targetURL") == nil)
    #expect(kind.refusal("github.apiToken.name") != nil && kind.refusal("forge") != nil)
  }
}
