import Event
import EventSources
import ForgeAPI
import HTTP
import HTTPClient
import JSON
import Plugin
import Posix
import TestKit
import Testing

@Suite struct HookTests {
  private static let forges: [TestForgeServer.Flavour: TestForge] = [
    .github: .github, .gitlab: .gitlab, .gitea: .gitea, .bitbucket: .bitbucket,
    .bitbucketserver: .bitbucketServer, .gerrit: .gerrit,
  ]

  private static let events: [TestForgeServer.Flavour: [String]] = [
    .github: ["push", "pull_request"], .gitlab: ["PushEvents", "TagPushEvents"],
    .gitea: ["push", "create"], .bitbucket: ["repo:push", "pullrequest:created"],
    .bitbucketserver: ["repo:refs_changed", "pr:opened"],
    .gerrit: ["ref-updated", "change-merged"],
  ]

  /// Lists of hooks, of a repository and of what it belongs to.
  private static let lists: [TestForgeServer.Flavour: (repository: String, all: String)] = [
    .github: ("/repos/acme/shop/hooks", "/orgs/acme/hooks"),
    .gitlab: ("/projects/acme%2Fshop/hooks", "/groups/acme/hooks"),
    .gitea: ("/repos/acme/shop/hooks", "/orgs/acme/hooks"),
    .bitbucket: ("/repositories/acme/shop/hooks", ""),
    .bitbucketserver: ("/projects/acme/repos/shop/webhooks", "/projects/acme/webhooks"),
    .gerrit: ("/config/server/webhooks~projects/acme%2Fshop/remotes", ""),
  ]

  /// An entry that has its hooks kept.
  private func fields(_ server: TestForgeServer, all: Bool = false) -> JSON {
    let flavour = server.flavour
    let secret: JSON = ["name": "forge", "key": "secret"]
    let token: JSON = ["name": "forge", "key": "token"]
    var fields: JSON = [
      "webhook": ["endpoint": "/hook", "port": "12000", "url": "https://bus.example/"],
      "events": .array((Self.events[flavour] ?? []).map { .string($0) }),
    ]
    if flavour != .gerrit {
      fields.set(secret, at: flavour == .gitlab ? "secretToken" : "webhookSecret")
    }
    switch flavour {
    case .gerrit:
      fields.set(.string(server.address), at: "gerritBaseURL")
      fields.set("bus", at: "hookName")
      fields.set(3, at: "maxTries")
      fields.set(["username": ["name": "forge", "key": "user"], "password": token], at: "auth")
      fields.set(["acme/shop"], at: "projects")
      fields.set(["queryToken": secret], at: "signalbox")
    case .github, .gitea:
      fields.set(
        .string(server.address),
        at: flavour == .github ? "githubBaseURL" : "giteaBaseURL"
      )
      fields.set(token, at: flavour == .github ? "apiToken" : "accessToken")
      if all {
        fields.set(["acme"], at: "organizations")
      } else {
        fields.set([["owner": "acme", "names": ["shop"]]], at: "repositories")
      }
    case .gitlab:
      fields.set(.string(server.address), at: "gitlabBaseURL")
      fields.set(token, at: "accessToken")
      fields.set(all ? ["acme"] : ["acme/shop"], at: all ? "groups" : "projects")
    case .bitbucket:
      fields.set(.string(server.address), at: "bitbucketBaseURL")
      fields.set(["oauthToken": token], at: "auth")
      fields.set([["owner": "acme", "repositorySlug": "shop"]], at: "repositories")
    case .bitbucketserver:
      fields.set(.string(server.address + "/rest"), at: "bitbucketserverBaseURL")
      fields.set(token, at: "accessToken")
      if all {
        fields.set(["acme"], at: "projects")
      } else {
        fields.set([["projectKey": "acme", "repositorySlug": "shop"]], at: "repositories")
      }
    }
    return fields
  }

  private func serving(
    _ flavour: TestForgeServer.Flavour,
    pageMax: Int = 100,
    _ body: @Sendable (TestForgeServer, RecordingHost, TestForge) async throws -> Void
  ) async throws {
    let server = try await TestForgeServer(flavour, pageMax: pageMax)
    let http = try HTTPClient()
    let loop = try EventLoop(name: "sources")
    let host = RecordingHost(
      secrets: [
        "forge/secret": "canary", "forge/token": TestForgeServer.token, "forge/user": "robot",
      ],
      loop: loop,
      http: http
    )
    do {
      try await body(server, host, try #require(Self.forges[flavour]))
    } catch { Issue.record(error) }
    await http.close()
    await server.close()
    loop.stop()
  }

  /// Carries out what the plan says, and answers the plan.
  @discardableResult
  private func apply(_ keeper: HookKeeper) async throws -> [HookStep] {
    let target = try #require(keeper.registration.targets.first)
    let steps = try await keeper.plan(target).steps
    for step in steps { _ = try await keeper.carryOut(step, at: target) }
    return steps
  }

  private func keeper(_ source: any EventSource) throws -> HookKeeper {
    try #require((source as? any HookOwner)?.keeper)
  }

  @Test(
    "a hook is made once, found among pages of others, repaired, and its doubles are removed",
    arguments: TestForgeServer.Flavour.allCases.filter { $0 != .gerrit }
  )
  func repository(flavour: TestForgeServer.Flavour) async throws {
    try await serving(flavour, pageMax: 2) { server, host, forge in
      let list = try #require(Self.lists[flavour]).repository
      let url = "https://bus.example/hook"
      // Somebody else's, enough for several pages.
      for number in 1...5 {
        let other: JSON = [
          "id": JSON(number), "uuid": .string("{\(number)}"), "url": "https://other.example",
          "config": ["url": "https://other.example"], "events": ["push"], "active": true,
        ]
        server.put(other, list)
      }
      let keeper = try keeper(forge.source(host, fields(server)))
      #expect(try await apply(keeper) == [.create])
      #expect(server.hooks(list).count == 6)
      let made = try #require(server.hooks(list).last)
      let id = try #require(made["uuid"]?.asString ?? made["id"]?.wholeNumber.map(String.init))
      #expect((made.at("config", "url") ?? made["url"]) == .string(url))
      #expect(server.secret(ofHook: id) == "canary")
      #expect(try await apply(keeper) == [.keep(id: id)])
      // Other hands: fewer events, or not active, or a second one.
      server.removeHooks(list)
      server.put(made, list)
      let (key, value): (String, JSON) =
        flavour == .gitlab ? ("tag_push_events", false) : ("active", false)
      server.change(list, key, value)
      let what = flavour == .gitlab ? "without events TagPushEvents" : "not active"
      #expect(try await apply(keeper) == [.update(id: id, [what])])
      #expect(server.secret(ofHook: id) == "canary")
      #expect(try await apply(keeper) == [.keep(id: id)])
      var double = try #require(server.hooks(list).first)
      if flavour == .bitbucket {
        double.set("{9}", at: "uuid")
      } else {
        double.set(9, at: "id")
      }
      server.put(double, list)
      let steps = try await apply(keeper)
      let doubleID = flavour == .bitbucket ? "{9}" : "9"
      #expect(
        steps == [.keep(id: id), .remove(id: doubleID, why: "a second one for the same URL")]
      )
      #expect(server.hooks(list).count == 1)
    }
  }

  @Test("Gerrit's remotes have names, and a token in their URLs that nobody is told")
  func remotes() async throws {
    try await serving(.gerrit) { server, host, forge in
      let list = try #require(Self.lists[.gerrit]).repository
      server.put(["name": "other", "url": "https://other.example"], list)
      let keeper = try keeper(forge.source(host, fields(server)))
      #expect(try await apply(keeper) == [.create])
      let made = try #require(server.hooks(list).last)
      #expect(made["name"] == "bus" && made["url"] == "https://bus.example/hook?token=canary")
      #expect(made["events"] == ["ref-updated", "change-merged"] && made["maxTries"] == 3)
      #expect(try await apply(keeper) == [.keep(id: "bus")])
      server.removeHooks(list)
      var changed = made
      changed.set("https://bus.example/hook?token=old-canary", at: "url")
      changed.set(["ref-updated"], at: "events")
      changed.set(9, at: "maxTries")
      server.put(changed, list)
      let steps = try await apply(keeper)
      let what = ["with another token", "without events change-merged", "tried 9 times"]
      #expect(steps == [.update(id: "bus", what)])
      #expect(!steps.map(\.description).joined().contains("canary"))
      #expect(!keeper.settings.joined().contains("canary"))
      // Another name for the same URL is a second one.
      var double = try #require(server.hooks(list).first)
      double.set("double", at: "name")
      server.put(double, list)
      let last = try await apply(keeper)
      #expect(last.last == .remove(id: "double", why: "a second one for the same URL"))
      #expect(server.hooks(list).count == 1)
      #expect(server.hooks("/config/server/webhooks~projects/acme%2Fshop/remotes").count == 1)
      var nameless = fields(server)
      nameless.set(nil, at: "hookName")
      nameless.set(["completePaths": ["api": true]], at: "signalbox")
      let refusal = #expect(throws: TestForge.Refused.self) {
        _ = try forge.source(host, nameless)
      }
      let text = refusal?.description ?? ""
      #expect(
        text.contains("hookName: found nothing") && text.contains("Gerrit compares no commits")
      )
    }
  }

  @Test(
    "organisations, groups and projects have hooks too",
    arguments: TestForgeServer.Flavour.allCases.filter { ![.bitbucket, .gerrit].contains($0) }
  )
  func organisation(flavour: TestForgeServer.Flavour) async throws {
    try await serving(flavour) { server, host, forge in
      let keeper = try keeper(forge.source(host, fields(server, all: true)))
      #expect(try await apply(keeper) == [.create])
      #expect(server.hooks(try #require(Self.lists[flavour]).all).count == 1)
    }
  }

  @Test("a GitHub App makes hooks with a token that it signs for")
  func app() async throws {
    try await serving(.github) { server, _, forge in
      let http = try HTTPClient()
      let host = RecordingHost(
        secrets: ["forge/secret": "canary", "forge/key": TestCertificates.rsaKey],
        http: http
      )
      var fields = fields(server)
      fields.set(nil, at: "apiToken")
      fields.set(
        ["appID": 77, "installationID": 5, "privateKey": ["name": "forge", "key": "key"]],
        at: "githubApp"
      )
      #expect(try await apply(keeper(forge.source(host, fields))) == [.create])
      #expect(server.calls.first == "POST /app/installations/5/access_tokens")
      await http.close()
    }
  }

  @Test("without a token the settings to enter by hand are told, never a secret")
  func settings() async throws {
    try await serving(.github) { server, host, forge in
      var fields = fields(server)
      fields.set(nil, at: "apiToken")
      let keeper = try keeper(forge.source(host, fields))
      #expect(!keeper.registration.isManaged)
      #expect(
        keeper.settings == [
          "URL: https://bus.example/hook", "Content type: application/json",
          "Secret: the contents of the secret forge/secret", "SSL verification: on",
          "Events: push, pull_request", "Active: yes",
        ]
      )
    }
  }

  @Test("an entry whose hooks cannot be made is refused")
  func refused() async throws {
    try await serving(.github) { server, host, _ in
      var fields = fields(server)
      fields.set(nil, at: "events")
      fields.set(["acme"], at: "organizations")
      fields.set("xml", at: "contentType")
      fields.set(["name": "forge", "key": "absent"], at: "apiToken")
      let refusal = #expect(throws: TestForge.Refused.self) {
        _ = try TestForge.github.source(host, fields)
      }
      let text = refusal?.description ?? ""
      for part in [
        "events: found none", "organizations: found beside repositories",
        "contentType: found 'xml'", "apiToken: no secret",
      ] { #expect(text.contains(part), "\(part)") }
      let lab: JSON = [
        "webhook": ["endpoint": "/hook", "port": "1", "url": "https://x"],
        "accessToken": ["name": "forge", "key": "token"], "events": ["push"],
      ]
      let other = #expect(throws: TestForge.Refused.self) {
        _ = try TestForge.gitlab.source(host, lab)
      }
      #expect(
        other?.description.contains("events: found 'push', expected any of PushEvents") == true
      )
      #expect(other?.description.contains("expected projects or groups") == true)
    }
  }

  // MARK: While the program runs

  /// A source at work.
  private struct Running {
    private let work: Task<Void, Never>

    init(_ source: any EventSource) { work = Task { await source.run() } }

    func end() async {
      work.cancel()
      await work.value
    }
  }

  private func quick(_ fields: JSON) -> JSON {
    var fields = fields
    fields.set(["checkInterval": "1s"], at: "signalbox")
    return fields
  }

  @Test(
    "a hook that others removed is made again, with a gap that says so; a busy forge is waited for"
  )
  func repair() async throws {
    try await serving(.gitlab) { server, host, forge in
      let list = try #require(Self.lists[.gitlab]).repository
      var slow = Response.text(429, "")
      slow.headers.add("Retry-After", "1")
      server.answer(slow)
      let running = try Running(forge.source(host, quick(fields(server))))
      try await host.line { $0.hasPrefix("hooks: create") }
      #expect(host.lines.contains { $0.contains("status 429") })
      server.removeHooks(list)
      try await host.line(2) { $0.hasPrefix("hooks: create") }
      #expect(server.hooks(list).count == 1)
      await running.end()
      let gaps = host.events.filter { $0.type == "signalbox.gap" }
      #expect(gaps.count == 1)
      #expect(try JSON(parsing: gaps[0].data)["found"] == "create")
    }
  }

  @Test("a hook that GitLab has disabled is noticed and tried again")
  func disabled() async throws {
    try await serving(.gitlab) { server, host, forge in
      let list = try #require(Self.lists[.gitlab]).repository
      let running = try Running(forge.source(host, quick(fields(server))))
      try await host.line { $0.hasPrefix("hooks: create") }
      server.change(list, "alert_status", "temporarily_disabled")
      try await host.line { $0.hasPrefix("the forge was asked to try") }
      await running.end()
      #expect(server.calls.contains { $0.hasSuffix("/test/push_events") })
      #expect(server.hooks(list).first?["alert_status"] == "executable")
      let gaps = try host.events.filter { $0.type == "signalbox.gap" }.map {
        try JSON(parsing: $0.data)
      }
      #expect(gaps.map { $0["found"] } == ["temporarily_disabled"])
    }
  }

  @Test("a hook whose target left the entry goes where the entry says so")
  func left() async throws {
    try await serving(.gitea) { server, host, forge in
      let list = try #require(Self.lists[.gitea]).repository
      var fields = fields(server)
      fields.set("1s", at: "checkInterval")
      let running = try Running(forge.source(host, fields))
      try await host.line { $0.hasPrefix("hooks: create") }
      await running.end()
      fields.set([["owner": "acme", "names": ["other"]]], at: "repositories")
      fields.set(true, at: "deleteHookOnFinish")
      let again = try Running(forge.source(host, fields))
      try await host.line(2) { $0.hasPrefix("hooks: create") }
      await again.end()
      #expect(server.hooks(list).isEmpty)
      #expect(server.hooks("/repos/acme/other/hooks").count == 1)
    }
  }

  @Test("a well hook costs one call in each interval")
  func thrift() async throws {
    try await serving(.github) { server, host, forge in
      let running = try Running(forge.source(host, quick(fields(server))))
      try await host.line { $0.hasPrefix("hooks: create") }
      let began = MonotonicTime.now()
      let before = server.calls.count
      for _ in 0..<3 { await host.sleep(for: .seconds(1)) }
      let intervals = Int((MonotonicTime.now() - began).components.seconds) + 1
      #expect((1...intervals).contains(server.calls.count - before), "\(server.calls)")
      await running.end()
    }
  }

  @Test(
    "a delivery that cannot be sent again is fetched; one signed otherwise brings the secret back"
  )
  func fetched() async throws {
    try await serving(.github) { server, host, forge in
      let body = Array(#"{"ref":"refs/heads/main","a":1}"#.utf8)
      let running = try Running(forge.source(host, quick(fields(server))))
      try await host.line { $0.hasPrefix("hooks: create") }
      server.delivered("g1", "push", body, status: 401)
      try await host.line { $0.hasPrefix("the forge signs with another secret") }
      // Nobody sends it again, so that after three requests it is fetched.
      try await host.line { $0.hasPrefix("a delivery was fetched") }
      await running.end()
      let pushes = host.events.filter { $0.type == "github" }
      #expect(pushes.count == 1)
      #expect(try JSON(parsing: pushes[0].data).at("body", "a") == 1)
      let writes = server.calls.filter { $0.hasPrefix("PATCH ") }
      #expect(writes.count == 1)
      #expect(server.takeRedeliveries().count == 3)
    }
  }

  @Test("GitLab's deliveries are asked for again, five a minute, and the rest is fetched")
  func gitlabDeliveries() async throws {
    try await serving(.gitlab) { server, host, forge in
      let source = try forge.source(host, quick(fields(server)))
      let running = Running(source)
      try await host.line { $0.hasPrefix("hooks: create") }
      for number in 1...8 {
        let body = Array(#"{"object_kind":"push","ref":"refs/heads/main","n":\#(number)}"#.utf8)
        server.delivered("g\(number)", "Push Hook", body, status: number == 8 ? 0 : 500)
      }
      // One from before there were keys, which would come with another id.
      let old = Array(#"{"object_kind":"push","ref":"refs/heads/main","n":9}"#.utf8)
      server.delivered("g9", "Push Hook", old, status: 500, hasKey: false)
      try await host.line(4) { $0.hasPrefix("a delivery was fetched") }
      let again = server.takeRedeliveries()
      #expect(again.map(\.guid) == ["g1", "g2", "g3", "g4", "g5"])
      for one in again {
        let headers =
          forge.proof(one.body, forge.secret) + [
            ("X-Gitlab-Event", one.event), ("Idempotency-Key", one.guid),
            ("X-Gitlab-Event-UUID", "another"), ("X-Gitlab-Webhook-UUID", "w"),
          ]
        let response = try await TestForge.post(source, one.body, headers)
        #expect(response.status == 202)
        server.delivered(one.guid, one.event, one.body, status: response.status, again: true)
      }
      // A look that finds nothing missing.
      let calls = server.calls.count
      while server.calls.count < calls + 3 { await host.sleep(for: .milliseconds(50)) }
      await running.end()
      let pushes = try host.events.filter { $0.type == "gitlab" }.map {
        try JSON(parsing: $0.data).at("body", "n")?.wholeNumber ?? 0
      }
      #expect(pushes.sorted() == Array(1...9))
      let gaps = host.events.filter { $0.type == "signalbox.gap" }
      #expect(gaps.count == 1)
      #expect(try JSON(parsing: gaps[0].data)["missing"] == 9)
      #expect(!host.lines.contains { $0.contains("hooks cannot be kept") })
    }
  }

  @Test("a GitLab that does not tell of deliveries has its hooks kept all the same")
  func oldGitLab() async throws {
    try await serving(.gitlab) { server, host, forge in
      server.forgetDeliveries()
      let list = try #require(Self.lists[.gitlab]).repository
      let running = try Running(forge.source(host, quick(fields(server))))
      try await host.line { $0.hasPrefix("the forge does not tell which deliveries arrived") }
      server.removeHooks(list)
      try await host.line(2) { $0.hasPrefix("hooks: create") }
      await running.end()
      #expect(!host.lines.contains { $0.contains("hooks cannot be kept") })
    }
  }

  @Test("more deliveries than one look reads: it is said, and the next looks go on")
  func pages() async throws {
    try await serving(.github, pageMax: 1) { server, host, forge in
      let running = try Running(forge.source(host, quick(fields(server))))
      try await host.line { $0.hasPrefix("hooks: create") }
      // A page holds one, and a look reads two hundred pages.
      let body = Array(#"{"ref":"refs/heads/main"}"#.utf8)
      for number in 1...203 { server.delivered("g\(number)", "push", body, status: 500) }
      try await host.line { $0.hasPrefix("more deliveries than one look reads") }
      try await host.line(2) { $0.hasPrefix("deliveries did not arrive") }
      var asked: Set<String> = []
      while asked.count < 203 {
        asked.formUnion(server.takeRedeliveries().map(\.guid))
        await host.sleep(for: .milliseconds(20))
      }
      await running.end()
      let gaps = try host.events.filter { $0.type == "signalbox.gap" }.map {
        try JSON(parsing: $0.data)
      }
      #expect(gaps.compactMap { $0["missing"]?.wholeNumber } == [200, 3])
      #expect(gaps.contains { $0["found"] == "more deliveries than one look reads" })
    }
  }

  @Test("a secret that changed while nothing ran is given to the forge at the start, once")
  func secretChanged() async throws {
    try await serving(.gitea) { server, first, forge in
      var fields = fields(server)
      fields.set("1s", at: "checkInterval")
      let running = try Running(forge.source(first, fields))
      try await first.line { $0.hasPrefix("hooks: create") }
      await running.end()
      let noted = try #require(first.places(of: Self.name)["hook repository acme/shop"])
      #expect(!noted.text.contains("canary"))
      for (secret, writes) in [("canary", 0), ("another", 1), ("another", 1)] {
        let http = try HTTPClient()
        let loop = try EventLoop(name: "again")
        let host = RecordingHost(
          secrets: ["forge/secret": secret, "forge/token": TestForgeServer.token],
          loop: loop,
          http: http
        )
        let before = first.places(of: Self.name).map { SourcePlace(key: $0.key, value: $0.value) }
        _ = try await host.append([], places: before, from: Self.name)
        let calls = server.calls.count
        let again = try Running(forge.source(host, fields))
        while server.calls.count < calls + 2 { await host.sleep(for: .milliseconds(20)) }
        await again.end()
        let after = host.places(of: Self.name).map { SourcePlace(key: $0.key, value: $0.value) }
        _ = try await first.append([], places: after, from: Self.name)
        #expect(server.calls.filter { $0.hasPrefix("PATCH ") }.count == writes)
        #expect(server.secret(ofHook: "101") == secret)
        await http.close()
        loop.stop()
      }
    }
  }

  /// Of every source that `TestForge` makes.
  private static let name = EventSourceName(
    namespace: "default",
    bus: "default",
    source: "s",
    event: "e"
  )

  @Test("a hook whose entry left the manifests goes where the entry said so, and is forgotten")
  func entryLeft() async throws {
    try await serving(.gitea) { server, host, forge in
      let list = try #require(Self.lists[.gitea]).repository
      var fields = fields(server)
      for (deletes, left) in [(false, 1), (true, 0)] {
        fields.set(.bool(deletes), at: "deleteHookOnFinish")
        let running = try Running(forge.source(host, fields))
        while HookRecord.all(in: host.places(of: Self.name)).isEmpty {
          await host.sleep(for: .milliseconds(20))
        }
        await running.end()
        let places = [Self.name: host.places(of: Self.name)]
        let keeper = try keeper(forge.source(host, fields))
        #expect(LeftHooks(places, keepers: [keeper]).hooks.isEmpty)
        // The same entry under another name.
        let renamed = EventSourceName(namespace: "default", bus: "b", source: "s", event: "old")
        let taken = LeftHooks([renamed: places[Self.name] ?? [:]], keepers: [keeper])
        #expect(taken.hooks.map(\.description) == ["hook 101 stays: another entry has it now"])
        var hooks = LeftHooks(places, keepers: [])
        let told = hooks.hooks.map(\.description)
        #expect(told.count == 1 && told[0].hasPrefix(deletes ? "remove hook" : "hook 101 stays"))
        if deletes { server.answer(.text(503, "")) }
        await hooks.run(host, firstWait: .milliseconds(10))
        #expect(server.hooks(list).count == left)
        #expect(host.places(of: Self.name).values.allSatisfy { $0 == .null })
      }
    }
  }
}
