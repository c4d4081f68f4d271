import Event
import Foundation
import JSON
import Plugin
import Posix
import TestKit
import Testing
import Triggers

/// The `command` trigger with its real supervisor.
@Suite struct CommandTests {
  private func command(_ fields: String, _ host: Host) throws -> any Trigger {
    let (trigger, problems) = try made("command", fields, host)
    #expect(problems.isEmpty)
    return try #require(trigger)
  }

  private func lines(_ path: String) -> [String] {
    ((try? Files.read(path)) ?? []).split(separator: 0x0a).map {
      String(decoding: $0, as: UTF8.self)
    }
  }

  /// Yields until `condition` holds; fails after a minute.
  private func until(_ condition: () -> Bool) async throws {
    let deadline = MonotonicTime.now() + .seconds(60)
    while !condition() {
      try #require(MonotonicTime.now() < deadline)
      await Task.yield()
    }
  }

  @Test("standard input is the payload, without one the event's data")
  func standardInput() async throws {
    try await withTemporaryFolder { folder in
      let host = try Host(folder)
      let cat = try command(#"{"argv": ["cat"]}"#, host)
      let large = #"{"a": "\#(String(repeating: "x", count: 300))"}"#
      let data = await cat.fire(firing("a", data: large))
      #expect(data.output == large)
      let payload = await cat.fire(firing("b", data: large, payload: "hello"))
      #expect(payload.output == "hello")
    }
  }

  @Test("the environment holds what is promised and nothing else")
  func environment() async throws {
    try await withTemporaryFolder { folder in
      unsafe setenv("SIGNALBOX_SECRET_A_B", "canary", 1)
      unsafe setenv("TZ", "UTC", 1)
      let host = try Host(folder, secrets: ["a/b": "canary-secret"])
      let trigger = try command(
        #"""
        {"argv": ["env"], "environment": {"PLAIN": "text", "LANG": "C",
          "TOKEN": {"valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}}}
        """#,
        host
      )
      let outcome = await trigger.fire(firing())
      let names = outcome.output.split(separator: "\n").map { $0.prefix { $0 != "=" } }
      let wanted: Set<Substring> = [
        "PATH", "HOME", "LANG", "TZ", "PLAIN", "TOKEN", "SIGNALBOX_FIRING_ID",
        "SIGNALBOX_EVENT_IDS",
      ]
      #expect(Set(names).isSubset(of: wanted))
      #expect(Set(names).isSuperset(of: wanted.subtracting(["HOME"])))
      #expect(outcome.output.contains("SIGNALBOX_FIRING_ID=\(firing().id.text)\n"))
      #expect(outcome.output.contains("SIGNALBOX_EVENT_IDS=event-one"))
      #expect(outcome.output.contains("LANG=C\n"))
    }
  }

  @Test("a secret that a command prints is masked in what is stored")
  func masked() async throws {
    try await withTemporaryFolder { folder in
      let host = try Host(folder, secrets: ["a/b": "canary-secret\nsecond-canary-line"])
      let trigger = try command(
        #"""
        {"argv": ["sh", "-c", "echo \"$TOKEN\"; echo x$TOKEN >&2; exit 1"],
          "environment": {"TOKEN": {"valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}}}
        """#,
        host
      )
      let outcome = await trigger.fire(firing())
      #expect(outcome.output.contains("***"))
      #expect(!outcome.result.text.contains("canary"))
      #expect(!outcome.why.contains("canary"))
    }
  }

  @Test(
    "how it ended is told",
    arguments: [
      (#"["true"]"#, "", #""exitStatus":0"#),
      (#"["sh", "-c", "exit 3"]"#, "it ended with status 3", #""exitStatus":3"#),
      (#"["sh", "-c", "kill -9 $$"]"#, "it was ended by signal 9", #""signal":9"#),
      (#"["no-such-program"]"#, "no-such-program in PATH=", ""),
      (#"["/no/such/program"]"#, "No such file or directory", ""),
      (#"["/etc/passwd"]"#, "Permission denied", ""),
    ]
  )
  func ends(argv: String, why: String, result: String) async throws {
    try await withTemporaryFolder { folder in
      let host = try Host(folder)
      let outcome = try await command(#"{"argv": \#(argv)}"#, host).fire(firing())
      #expect(outcome.why == why || !why.isEmpty && outcome.why.contains(why), "\(outcome.why)")
      #expect(outcome.result == .null && result.isEmpty || outcome.result.text.contains(result))
    }
  }

  @Test("what has ended is never run again, and a later start finds its result")
  func once() async throws {
    try await withTemporaryFolder { folder in
      let fields = #"{"argv": ["sh", "-c", "echo ran >> \#(folder)/ran; exit 4"]}"#
      for _ in 0..<3 {
        let outcome = try await command(fields, try Host(folder)).fire(firing())
        #expect(outcome.why == "it ended with status 4")
      }
      #expect(lines(folder + "/ran") == ["ran"])
      let second = try await command(fields, try Host(folder)).fire(firing(attempt: 2))
      #expect(second.why == "it ended with status 4")
      #expect(lines(folder + "/ran") == ["ran", "ran"])
    }
  }

  @Test("a command goes on while the program stops, and the next start waits for it")
  func survives() async throws {
    try await withTemporaryFolder { folder in
      // It ends when the test opens the gate, so nothing depends on time.
      #expect(unsafe mkfifo(folder + "/gate", 0o600) == 0)
      let fields = #"""
        {"argv": ["sh", "-c", "echo ran >> \#(folder)/ran; read line < \#(folder)/gate; echo $line"]}
        """#
      let first = Task {
        try await command(fields, try Host(folder)).fire(firing())
      }
      try await until { lines(folder + "/ran") == ["ran"] }
      first.cancel()
      let stopped = try await first.value
      #expect(stopped.why == "shutting down")
      let second = Task {
        try await command(fields, try Host(folder)).fire(firing())
      }
      try Files.write(Array("open\n".utf8), to: try FileDescriptor.open(folder + "/gate", O_WRONLY))
      let outcome = try await second.value
      #expect(outcome.output == "open\n")
      #expect(lines(folder + "/ran") == ["ran"])
    }
  }

  @Test("of many supervisors of one firing one runs the command")
  func exclusive() async throws {
    try await withTemporaryFolder { folder in
      let fields = #"{"argv": ["sh", "-c", "echo ran >> \#(folder)/ran"]}"#
      let hosts = try (0..<8).map { _ in try Host(folder) }
      let outcomes = try await withThrowingTaskGroup(of: Outcome.self) { group in
        for host in hosts {
          group.addTask { try await command(fields, host).fire(firing()) }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(outcomes.allSatisfy { $0.why.isEmpty })
      #expect(lines(folder + "/ran") == ["ran"])
    }
  }

  @Test("at the deadline the whole group is stopped")
  func deadline() async throws {
    try await withTemporaryFolder { folder in
      let fields = #"""
        {"timeout": "200ms", "argv": ["sh", "-c",
          "echo began; sleep 1000 & echo $! > \#(folder)/child; wait"]}
        """#
      let outcome = try await command(fields, try Host(folder)).fire(firing())
      #expect(outcome.why.contains("it did not end within"))
      #expect(outcome.output.contains("began"))
      let child = try #require(lines(folder + "/child").first.flatMap { Int32($0) })
      // A child of init by now: gone, or waiting to be reaped.
      try await until {
        let stat = (try? Files.read("/proc/\(child)/stat", limit: 4096)) ?? []
        return stat.isEmpty || String(decoding: stat, as: UTF8.self).contains(") Z ")
      }
    }
  }

  @Test(
    "a supervisor that was killed leaves an unknown end, which is reported or run again",
    arguments: ["report", "rerun"]
  )
  func lost(onUnknown: String) async throws {
    try await withTemporaryFolder { folder in
      #expect(unsafe mkfifo(folder + "/gate", 0o600) == 0)
      let fields = #"""
        {"signalbox": {"onUnknown": "\#(onUnknown)"}, "argv": ["sh", "-c",
          "echo ran >> \#(folder)/ran; [ -e \#(folder)/go ] || read line < \#(folder)/gate"]}
        """#
      let run = Task {
        try await command(fields, try Host(folder)).fire(firing())
      }
      try await until { lines(folder + "/ran") == ["ran"] }
      try Files.writeDurably([], to: folder + "/go")
      let owner = try Files.read("\(folder)/jobs/\(firing().id.text)/1/owner")
      let text = try #require(try JSON(parsing: owner)["process"]?.text)
      kill(try #require(Int32(text)), SIGKILL)
      let outcome = try await run.value
      if onUnknown == "report" {
        #expect(outcome == .unknown(why: "its supervisor was killed while it ran", result: .null))
        #expect(lines(folder + "/ran") == ["ran"])
      } else {
        #expect(outcome.why.isEmpty)
        #expect(lines(folder + "/ran") == ["ran", "ran"])
      }
    }
  }

  @Test("without a result from before the machine's restart the end is unknown")
  func restartedMachine() async throws {
    try await withTemporaryFolder { folder in
      let host = try Host(folder)
      let job = "\(folder)/jobs/\(firing().id.text)/1"
      try Files.makeFolder(job)
      let owner = #"{"process": 1, "started": "1", "boot": "another"}"#
      try Files.writeDurably(Array(owner.utf8), to: job + "/owner")
      try Files.writeDurably([], to: job + "/lock")
      let outcome = try await command(#"{"argv": ["true"]}"#, host).fire(firing())
      #expect(
        outcome == .unknown(why: "the machine was restarted while it ran", result: .null)
      )
    }
  }

  @Test("much output is capped on the disk, and its end is kept")
  func manyLines() async throws {
    try await withTemporaryFolder { folder in
      let host = try Host(folder)
      let outcome = try await command(#"{"argv": ["seq", "1", "600000"]}"#, host).fire(firing())
      #expect(outcome.output.hasSuffix("\n599999\n600000\n"))
      #expect(outcome.output.utf8.count <= 4096)
      let kept = try Files.read("\(folder)/jobs/\(firing().id.text)/1/output")
      #expect(kept.count == 1 << 20)
    }
  }

  @Test("a settled firing's folder is removed; leftovers go at the next start, held ones stay")
  func forgotten() async throws {
    try await withTemporaryFolder { folder in
      let host = try Host(folder)
      let trigger = try command(#"{"argv": ["true"]}"#, host)
      for name in ["a", "b", "c"] { _ = await trigger.fire(firing(name)) }
      trigger.forget(firing("a").id)
      let held = "\(folder)/jobs/.new-1-x-1"
      try Files.makeFolder(held)
      let lock = try FileDescriptor.open(held + "/lock", O_RDWR | O_CREAT)
      let isLocked = try lock.tryLock()
      #expect(isLocked)
      try Files.makeFolder("\(folder)/jobs/.new-2-x-1")
      try CommandTrigger.clean(host.jobs, keeping: [firing("b").id])
      let left = try Files.list(host.jobs)
      #expect(left == [".new-1-x-1", firing("b").id.text])
    }
  }

  @Test(
    "events choose arguments and values of variables, nothing else",
    arguments: [
      ("argv.1", true), ("argv.12", true), ("argv.-1", true), ("environment.NAME", true),
      ("argv.0", false), ("argv.00", false), ("argv", false), ("argv.-2", false),
      ("argv.:0", false), ("argv.1.x", false), ("environment", false), ("environment.", false),
      ("environment.A=B", false), ("workingDirectory", false), ("timeout", false), ("", false),
      ("allowOptions", false), ("signalbox.onUnknown", false), (#"argv\.0"#, false),
    ]
  )
  func parameters(destination: String, isAllowed: Bool) {
    #expect((CommandTrigger.refusal(ofParameter: destination) == nil) == isAllowed)
  }

  @Test(
    "what parameters made of a command is checked again",
    arguments: [
      (#"{"argv": ["a", "x"]}"#, #"{"argv": ["a", "--evil"]}"#, "begins with '-'"),
      (#"{"argv": ["a", "--", "x"]}"#, #"{"argv": ["a", "--", "--fine"]}"#, nil),
      (#"{"argv": ["a", "--tag="]}"#, #"{"argv": ["a", "--tag=-v"]}"#, nil),
      (#"{"argv": ["a", "--tag"]}"#, #"{"argv": ["a", "--tags"]}"#, "begins with '-'"),
      (
        #"{"argv": ["a", "x"], "allowOptions": true}"#,
        #"{"argv": ["a", "-x"], "allowOptions": true}"#, nil
      ),
      (#"{"argv": ["a", "x"]}"#, #"{"argv": ["a", "x\u0000y"]}"#, "NUL"),
      (#"{"argv": ["a"]}"#, #"{"argv": ["b"]}"#, "only the manifest"),
      (#"{"argv": ["a"]}"#, #"{"argv": ["a"], "environment": {"B": "c"}}"#, "only the manifest"),
      (#"{"argv": ["a"]}"#, #"{"argv": ["a", null]}"#, "expected a string"),
      (
        #"{"argv": ["a"], "environment": {"A": {"valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}}}"#,
        #"{"argv": ["a"], "environment": {"A": "b"}}"#, "may not replace a secret"
      ),
    ] as [(String, String, String?)]
  )
  func changed(original: String, now: String, problem: String?) async throws {
    try await withTemporaryFolder { folder in
      let host = try Host(folder, secrets: ["a/b": "c"])
      let (trigger, problems) = try made("command", now, from: original, host)
      #expect((trigger == nil) == (problem != nil))
      if let problem { #expect(problems.contains { $0.contains(problem) }, "\(problems)") }
    }
  }

  @Test(
    "broken fields are told by name",
    arguments: [
      (#"{}"#, "command.argv:"), (#"{"argv": []}"#, "command.argv:"),
      (#"{"argv": [""]}"#, "command.argv[0]:"), (#"{"argv": ["a", 1]}"#, "command.argv[1]:"),
      (#"{"argv": ["a"], "shell": true}"#, "command.shell:"),
      (#"{"argv": ["a"], "timeout": "soon"}"#, "command.timeout:"),
      (#"{"argv": ["a"], "timeout": 0}"#, "command.timeout:"),
      (#"{"argv": ["a"], "environment": {"A-B": "c"}}"#, "command.environment.A-B:"),
      (
        #"{"argv": ["a"], "environment": {"SIGNALBOX_X": "c"}}"#, "command.environment.SIGNALBOX_X:"
      ),
      (
        #"{"argv": ["a"], "environment": {"A": {"valueFrom": {"secretKeyRef": {"name": "n", "key": "k"}}}}}"#,
        "command.environment.A: no n/k"
      ),
      (#"{"argv": ["a"], "signalbox": {"onUnknown": "x"}}"#, "command.signalbox.onUnknown:"),
    ]
  )
  func broken(fields: String, problem: String) async throws {
    try await withTemporaryFolder { folder in
      let (trigger, problems) = try made("command", fields, try Host(folder))
      #expect(trigger == nil)
      #expect(problems.contains { $0.hasPrefix(problem) }, "\(problems)")
    }
  }
}
