import Foundation
import JSON
import Posix
import TestKit
import Testing

/// Plain repositories, the real git and the real binary.
@Suite(.serialized) struct GitTests {
  /// A bare repository with a clone of it, a `git` source on it, and a sensor that writes down
  /// what changed below `app/`.
  private struct Place {
    let folder: String
    var bare: String { folder + "/bare.git" }
    var clone: String { folder + "/clone" }

    init(_ folder: String, installs: Bool = true) throws {
      self.folder = folder
      _ = try git(["init", "--quiet", "--bare", "--initial-branch=main", bare])
      _ = try git(["init", "--quiet", "--initial-branch=main", clone])
      let manifests = """
        apiVersion: argoproj.io/v1alpha1
        kind: EventSource
        metadata: {name: git}
        spec:
          git:
            app: {repository: \(bare), interval: 1s}
        ---
        apiVersion: argoproj.io/v1alpha1
        kind: Sensor
        metadata: {name: app}
        spec:
          dependencies:
            - name: pushed
              eventSourceName: git
              eventName: app
              filters: {signalbox: {paths: ["app/**", "!**/*.md"]}}
          triggers: [{template: {name: note, log: {}}}]
        """
      try write(manifests, folder + "/manifests/git.yaml")
      if installs { try install() }
    }

    func install(_ options: [String] = []) throws {
      let answer = try signalbox(["git", "install", bare, "--data", folder + "/data"] + options)
      #expect(answer.status == 0, "\(answer.output)")
    }

    /// A commit that writes `text` to `path`.
    func commit(_ path: String, _ text: String) throws {
      try write(text, clone + "/" + path)
      _ = try git(["-C", clone, "add", "."])
      _ = try git(["-C", clone, "commit", "--quiet", "-m", "change \(path) to \(text)"])
    }

    func push(_ url: String? = nil, _ refs: [String] = ["main"]) throws -> String {
      try git(["-C", clone, "push", "--quiet", url ?? bare] + refs)
    }

    func events(_ source: String = "git") throws -> [JSON] {
      let answer = try signalbox([
        "events", "--json", "--source", source, "--data", folder + "/data",
      ])
      return try answer.output.split(separator: "\n").map { try JSON(parsing: Array($0.utf8)) }
    }

    /// Waits, looking again and again, until there are `count` events of `source`.
    func await(_ count: Int, _ source: String = "git") throws -> [JSON] {
      let deadline = MonotonicTime.now() + .seconds(40)
      while true {
        let found = try events(source)
        if found.count >= count || MonotonicTime.now() > deadline { return found }
        _ = poll(nil, 0, 50)
      }
    }
  }

  private static func text(_ json: JSON?) -> String? {
    if case .string(let text)? = json { text } else { nil }
  }

  private func push(_ event: JSON, _ key: String) -> JSON? { event["data"]?["push"]?[key] }

  @Test("a push through a file is one event with its commits and paths, and fires on paths")
  func file() async throws {
    try await withTemporaryFolder { folder in
      let place = try Place(folder)
      let program = try Program(folder, ["--console", "127.0.0.1:0"])
      try place.commit("app/a b\u{e4}.txt", "1")
      try place.commit("docs/x.md", "1")
      _ = try place.push()
      try place.commit("docs/y.md", "1")
      _ = try place.push()
      _ = try place.push(nil, ["main:other", "main:refs/tags/v1"])
      let events = try place.await(4)
      #expect(events.count == 4)
      #expect(push(events[0], "branch") == "main")
      #expect(push(events[0], "created") == true)
      #expect(push(events[0], "changedPaths") == ["app/a b\u{e4}.txt", "docs/x.md"])
      #expect(push(events[0], "truncated") == false)
      #expect(push(events[1], "changedPaths") == ["docs/y.md"])
      #expect(push(events[1], "forced") == false)
      #expect(Self.text(push(events[3], "tag")) == "v1")
      guard case .array(let commits)? = push(events[0], "commits") else { return }
      #expect(Self.text(commits.first?["message"])?.hasPrefix("change app/a b") == true)
      // The first push alone touched what the sensor wants.
      #expect(try place.await(1, "outcomes").count == 1)
      #expect(program.end() == 0)
    }
  }

  @Test("pushes while nothing listens wait in order; a ref that moved without a hook is a gap")
  func waiting() async throws {
    try await withTemporaryFolder { folder in
      let place = try Place(folder)
      for number in 1...3 {
        try place.commit("app/n", "\(number)")
        let began = MonotonicTime.now()
        _ = try place.push()
        #expect(MonotonicTime.now() - began < .seconds(20))
      }
      let waiting = try Files.list(place.bare + "/signalbox/spool")
      #expect(waiting.count == 3)
      var program = try Program(folder, ["--console", "127.0.0.1:0"])
      let first = try place.await(3)
      let numbers = first.map { $0["data"]?["body"]?["number"] }
      #expect(numbers == [1, 2, 3])
      #expect(program.end() == 0)
      // Behind the hook's back, while the bus is away.
      _ = try git(["-C", place.bare, "update-ref", "refs/heads/side", "main"])
      program = try Program(folder, ["--console", "127.0.0.1:0"])
      let all = try place.await(4)
      #expect(all.count == 4)
      #expect(all.last?["data"]?["gap"] == true)
      #expect(all.last.flatMap { push($0, "ref") } == "refs/heads/side")
      let notices = try place.await(1, "signalbox").filter { $0["type"] == "signalbox.gap" }
      #expect(notices.count == 1)
      #expect(program.end() == 0)
    }
  }

  @Test("a hook of somebody else is refused, or run first")
  func foreign() async throws {
    try await withTemporaryFolder { folder in
      let place = try Place(folder, installs: false)
      let hook = place.bare + "/hooks/post-receive"
      try write("#!/bin/sh\ncat > \(folder)/seen\n", hook)
      #expect(unsafe chmod(hook, 0o755) == 0)
      let refused = try signalbox(["git", "install", place.bare, "--data", folder + "/data"])
      #expect(refused.status == 1 && refused.output.contains("--chain"))
      try place.install(["--chain"])
      try place.install()
      try place.commit("app/x", "1")
      _ = try place.push()
      let seen = try String(contentsOfFile: folder + "/seen", encoding: .utf8)
      #expect(seen.hasSuffix(" refs/heads/main\n"))
      #expect(try Files.list(place.bare + "/signalbox/spool").count == 1)
    }
  }

  @Test("pushes under kill -9 of the bus are each one event, in order")
  func killed() async throws {
    let pushes = setting("SIGNALBOX_GIT_PUSHES", 12)
    var random = Seeded(UInt64(setting("SIGNALBOX_SEED", 11)))
    try await withTemporaryFolder { folder in
      let place = try Place(folder)
      var program = try Program(folder, ["--console", "127.0.0.1:0"])
      var kills = 0
      for number in 1...pushes {
        try place.commit("app/n", "\(number)")
        if Int.random(in: 0..<3, using: &random) == 0 {
          program.signal(SIGKILL)
          kills += 1
          _ = try place.push()
          program.end(by: SIGKILL)
          program = try Program(folder, ["--console", "127.0.0.1:0"])
        } else {
          _ = try place.push()
        }
      }
      let events = try place.await(pushes)
      let numbers = events.compactMap { event -> Int? in
        guard case .number(let text)? = event["data"]?["body"]?["number"] else { return nil }
        return Int(text)
      }
      #expect(numbers == Array(1...pushes), "\(numbers)")
      #expect(program.end() == 0)
      print("git: \(pushes) pushes, \(kills) kills, \(events.count) events")
    }
  }

  @Test(
    "hooks hand pushes over https to a program elsewhere, with a token, and keep what it misses"
  )
  func handOver() async throws {
    try await withTemporaryFolder { folder in
      let place = try Place(folder, installs: false)
      let port = try freePort()
      for (name, text) in [
        ("token", "hook-token"), ("server.pem", TestCertificates.one),
        ("server.key", TestCertificates.oneKey),
      ] { try write(text, folder + "/secrets/git/" + name) }
      try write("hook-token\n", folder + "/token")
      try write("another", folder + "/wrong")
      try write(TestCertificates.authority, folder + "/authority.pem")
      let manifest = try String(contentsOfFile: folder + "/manifests/git.yaml", encoding: .utf8)
      let webhook = """
        webhook: {endpoint: /git/app, port: "\(port)", authSecret: {name: git, key: token}, \
        serverCertSecret: {name: git, key: server.pem}, \
        serverKeySecret: {name: git, key: server.key}}
        """
      try write(
        manifest.replacing("repository: \(place.bare), interval: 1s", with: webhook),
        folder + "/manifests/git.yaml"
      )
      func install(_ token: String) throws -> (status: Int32, output: String) {
        try signalbox([
          "git", "install", place.bare, "--url", "https://127.0.0.1:\(port)/git/app",
          "--token-file", folder + "/" + token, "--ca-file", folder + "/authority.pem",
        ])
      }
      #expect(
        try signalbox([
          "git", "install", place.bare, "--url", "http://127.0.0.1:1/x", "--token-file",
          folder + "/token",
        ]).output.contains("over https only")
      )
      #expect(try install("wrong").status == 0)
      let program = try Program(folder, ["--console", "127.0.0.1:0"])
      try place.commit("app/a", "1")
      // Refused here, so that the push waits; the push itself stands.
      _ = try place.push()
      #expect(try Files.list(place.bare + "/signalbox/spool").count == 1)
      #expect(try place.events().isEmpty)
      #expect(try install("token").status == 0)
      try place.commit("app/b", "1")
      _ = try place.push()
      let events = try place.await(2)
      #expect(events.map { $0["data"]?["body"]?["number"] } == [1, 2])
      #expect(push(events[1], "changedPaths") == ["app/b"])
      #expect(try Files.list(place.bare + "/signalbox/spool").isEmpty)
      #expect(try place.await(2, "outcomes").count == 2)
      // What no hook told of is found by a look at the refs.
      let drain = ["git", "drain", place.bare]
      #expect(try signalbox(drain).status == 0)
      _ = try git(["-C", place.bare, "update-ref", "refs/heads/side", "main"])
      for _ in 0..<2 { #expect(try signalbox(drain).status == 0) }
      let gap = try place.await(3).last
      #expect(gap?["data"]?["gap"] == true)
      #expect(program.end() == 0)
    }
  }

  @Test("a gate lets in what its expression allows, and nothing while nobody can be asked")
  func gate() async throws {
    try await withTemporaryFolder { folder in
      let place = try Place(folder, installs: false)
      try place.install(["--gate"])
      func refused() throws -> String {
        let error = #expect(throws: SystemError.self) { _ = try place.push() }
        return error?.description ?? ""
      }
      try place.commit("app/a", "1")
      #expect(try refused().contains("the gate cannot be asked"))
      let manifest = try String(contentsOfFile: folder + "/manifests/git.yaml", encoding: .utf8)
      let expression = #"!push.forced && all(push.changedPaths, # != "app/locked")"#
      let gated = manifest.replacing(
        "interval: 1s}",
        with: "interval: 1s, gate: {expression: '\(expression)'}}"
      )
      try write(gated, folder + "/manifests/git.yaml")
      let program = try Program(folder, ["--console", "127.0.0.1:0"])
      // A branch that is new has nothing to be forced over.
      #expect(try refused().contains("refs/heads/main: the gate's expression fails"))
      try write(
        gated.replacing("!push.forced", with: "push.forced != true"),
        folder + "/manifests/git.yaml"
      )
      #expect(try signalbox(["reload", "--data", folder + "/data"]).status == 0)
      _ = try place.push()
      #expect(try place.await(1).count == 1)
      try place.commit("app/locked", "1")
      #expect(try refused().contains("refs/heads/main: the gate's expression does not hold"))
      _ = try git(["-C", place.clone, "reset", "--quiet", "--hard", "HEAD~1"])
      try place.commit("app/b", "1")
      _ = try place.push()
      let events = try place.await(2)
      #expect(events.count == 2)
      #expect(push(events[1], "changedPaths") == ["app/b"])
      #expect(program.end() == 0)
    }
  }

  @Test("a push over ssh and one over smart HTTP behind nginx are told like one through a file")
  func transports() async throws {
    try await withTemporaryFolder { folder in
      let place = try Place(folder)
      let program = try Program(folder, ["--console", "127.0.0.1:0"])
      var wanted = 0
      if let server = try SSHServer(folder) {
        try place.commit("app/s", "1")
        _ = try git(
          ["-C", place.clone, "push", "--quiet", server.url(place.bare), "main"],
          ["GIT_SSH_COMMAND": server.command]
        )
        wanted += 1
        #expect(try place.await(wanted).count == wanted)
      }
      if let server = try SmartHTTPServer(folder) {
        _ = try git(["-C", place.bare, "config", "http.receivepack", "true"])
        try place.commit("app/h", "1")
        _ = try git(["-C", place.clone, "push", "--quiet", server.url("bare.git"), "main"])
        wanted += 1
        let events = try place.await(wanted)
        #expect(events.count == wanted)
        #expect(events.last?["data"]?["push"]?["pusher"]?["name"] == "tester")
      }
      #expect(try place.await(wanted, "outcomes").count == wanted)
      #expect(program.end() == 0)
    }
  }

  @Test("a repository without a hook is asked for its refs")
  func polling() async throws {
    try await withTemporaryFolder { folder in
      try asked(folder) { "url: \"file://\($0)\"" }
    }
  }

  @Test("one is asked over https, its certificate verified by the file of the manifest")
  func pollingHTTPS() async throws {
    try await withTemporaryFolder { folder in
      guard let server = try SmartHTTPServer(folder, isEncrypted: true) else { return }
      try asked(folder) { _ in
        "url: \"\(server.url("bare.git"))\", caFile: \(folder)/authority.pem"
      }
      // Nobody else's certificate is taken.
      try asked(folder, isRefused: "certificate") { _ in "url: \"\(server.url("bare.git"))\"" }
    }
  }

  @Test("one is asked over ssh, with a key and a host that the manifest names")
  func pollingSSH() async throws {
    try await withTemporaryFolder { folder in
      guard let server = try SSHServer(folder) else { return }
      let files = try server.clientFiles()
      try asked(folder) { bare in
        "url: \"\(server.url(bare))\", ssh: {identityFile: \(files.identity), "
          + "knownHostsFile: \(files.knownHosts)}"
      }
      try asked(folder, isRefused: "Host key verification failed") { bare in
        "url: \"\(server.url(bare))\", ssh: {identityFile: \(files.identity), "
          + "knownHostsFile: /dev/null}"
      }
    }
  }

  /// A program asks a repository for its refs, and tells of a push that happened while it was away.
  /// - Parameters:
  ///   - refusal: what git says where it must not get through.
  ///   - fields: of the source, for the path of the bare repository.
  private func asked(
    _ folder: String,
    isRefused refusal: String? = nil,
    _ fields: (String) -> String
  ) throws {
    for part in ["data", "bare.git", "clone"] { try? Files.remove(folder + "/" + part) }
    let place = try Place(folder, installs: false)
    try place.commit("app/a", "1")
    _ = try place.push()
    let manifest = """
      apiVersion: argoproj.io/v1alpha1
      kind: EventSource
      metadata: {name: git}
      spec:
        git:
          app: {\(fields(place.bare)), interval: 1s}
      """
    try write(manifest, folder + "/manifests/git.yaml")
    var program = try Program(folder, ["--console", "127.0.0.1:0"])
    let deadline = MonotonicTime.now() + .seconds(40)
    if let refusal {
      while !program.printed.contains(refusal), MonotonicTime.now() < deadline {
        _ = poll(nil, 0, 50)
      }
      #expect(program.printed.contains(refusal))
      #expect(program.end() == 0)
      return
    }
    // What was there at the first look is nobody's push; wait until it was looked at.
    while !(try signalbox(["log", "dump", "--data", folder + "/data"]).output.contains("known")),
      MonotonicTime.now() < deadline
    { _ = poll(nil, 0, 50) }
    #expect(try place.events().isEmpty)
    #expect(program.end() == 0)
    try place.commit("app/a", "2")
    _ = try place.push()
    program = try Program(folder, ["--console", "127.0.0.1:0"])
    let events = try place.await(1)
    #expect(events.count == 1)
    let event = try #require(events.first)
    #expect(push(event, "branch") == "main" && push(event, "truncated") == true)
    #expect(program.end() == 0)
  }
}

/// Runs git to its end, as somebody without settings.
/// - Throws: `SystemError` with what it printed when it fails.
@discardableResult
func git(_ arguments: [String], _ environment: [String: String] = [:]) throws -> String {
  let process = Process()
  process.executableURL = URL(fileURLWithPath: "/usr/bin/git")
  process.arguments = arguments
  process.environment = [
    "PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "A B", "GIT_AUTHOR_EMAIL": "a@b.example", "GIT_COMMITTER_NAME": "A B",
    "GIT_COMMITTER_EMAIL": "a@b.example", "USER": "ab",
  ].merging(environment) { $1 }
  let output = Pipe()
  process.standardOutput = output
  process.standardError = output
  try process.run()
  let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  process.waitUntilExit()
  guard process.terminationStatus == 0 else {
    throw SystemError("git", arguments.joined(separator: " ") + "\n" + text, code: EIO)
  }
  return text
}
