import Event
import EventSources
import Foundation
import JSON
import Manifest
import Plugin
import Posix
import TestKit
import Testing

@Suite struct FileTests {
  private let name = EventSourceName(namespace: "default", bus: "default", source: "s", event: "e")

  private func make(_ spec: JSON, _ host: RecordingHost, _ diagnostics: Diagnostics) throws
    -> (any EventSource)?
  {
    let kind = try #require(eventSourceKinds.first { $0.kind == "file" })
    let node = Node(spec, at: Mark(file: "t", line: 1, column: 1))
    return kind.make(node, "spec.file.e", name, host, diagnostics)
  }

  private func spec(
    _ folder: String,
    _ changes: String,
    pattern: String,
    recursive: Bool = false
  ) -> JSON {
    [
      "eventType": .string(changes),
      "watchPathConfig": ["directory": .string(folder), "pathRegexp": .string(pattern)],
      "signalbox": ["recursive": .bool(recursive)],
    ]
  }

  /// A source at work in a folder; `body` gets a way to wait for the next event: its path below
  /// the folder, and what happened.
  private func watching(
    _ spec: (String) -> JSON,
    body: (String, RecordingHost, () async throws -> String) async throws -> Void
  ) async throws {
    try await withTemporaryFolder { folder in
      let loop = try EventLoop(name: "file")
      let (host, diagnostics) = (RecordingHost(loop: loop), Diagnostics())
      let watched = folder + "/in"
      try Files.makeFolder(watched)
      let made = try make(spec(watched), host, diagnostics)
      let source = try #require(made, "\(diagnostics.sorted)")
      let task = Task(executorPreference: loop) { @concurrent in await source.run() }
      try await host.line { $0.hasPrefix("watching a folder") }
      try await body(watched, host) {
        let event = try #require(await host.nextEvent())
        let data = try JSON(parsing: event.data)
        guard case .string(let path)? = data["name"], case .number(let op)? = data["op"] else {
          return event.type
        }
        return "\(path.dropFirst(watched.count + 1)) \(op)"
      }
      task.cancel()
      await task.value
      loop.stop()
    }
  }

  private func put(_ text: String, _ path: String) throws {
    try Data(text.utf8).write(to: URL(filePath: path))
  }

  private func move(_ path: String, to other: String) {
    let code = unsafe rename(path, other)
    #expect(code == 0)
  }

  @Test("changes of the files that are meant are told, others are not")
  func changes() async throws {
    try await watching {
      spec($0, "CREATE|WRITE|REMOVE|RENAME|CHMOD", pattern: "[.]txt$")
    } body: {
      folder,
      host,
      next in
      try put("no", folder + "/a.log")
      try put("yes", folder + "/a.txt")
      #expect(try await next() == "a.txt 1")
      #expect(try await next() == "a.txt 2")
      let changed = unsafe chmod(folder + "/a.txt", 0o600)
      #expect(changed == 0)
      #expect(try await next() == "a.txt 16")
      move(folder + "/a.txt", to: folder + "/b.txt")
      #expect(try await next() == "a.txt 8")
      #expect(try await next() == "b.txt 1")
      try Files.remove(folder + "/b.txt")
      #expect(try await next() == "b.txt 4")
      let event = try #require(host.events.first)
      #expect(event.type == "file" && event.subject == "e")
      #expect(try JSON(parsing: event.data)["metadata"] == .null)
    }
  }

  @Test("a file that is written elsewhere and moved into place is told once, whole")
  func renamed() async throws {
    try await watching {
      spec($0, "CREATE", pattern: "^done$")
    } body: { folder, _, next in
      try put("half", folder + "/.tmp")
      move(folder + "/.tmp", to: folder + "/done")
      #expect(try await next() == "done 1")
      // The next one replaces it.
      try put("more", folder + "/.tmp")
      move(folder + "/.tmp", to: folder + "/done")
      #expect(try await next() == "done 1")
    }
  }

  @Test("folders below are watched too, under the name that they have now")
  func recursive() async throws {
    try await watching {
      spec($0, "CREATE", pattern: "x$", recursive: true)
    } body: {
      folder,
      _,
      next in
      try Files.makeFolder(folder + "/a/b")
      try put("", folder + "/a/b/1x")
      #expect(try await next() == "a/b/1x 1")
      move(folder + "/a", to: folder + "/c")
      // What a folder brings along came into being here with it.
      #expect(try await next() == "c/b/1x 1")
      try put("", folder + "/c/b/2x")
      #expect(try await next() == "c/b/2x 1")
    }
  }

  @Test("a folder that goes away is watched again when it is back")
  func replaced() async throws {
    try await watching {
      spec($0, "CREATE", pattern: "x$")
    } body: { folder, host, next in
      move(folder, to: folder + "-old")
      try await host.line { $0.hasPrefix("a folder cannot be watched") }
      try Files.makeFolder(folder)
      try await host.line(2) { $0.hasPrefix("watching a folder") }
      try put("", folder + "/x")
      #expect(try await next() == "x 1")
    }
  }

  @Test("what cannot be watched is refused")
  func refused() throws {
    for (text, problem) in [
      (
        #"{"eventType": "CREATE|MOVE", "watchPathConfig": {"directory": "/a", "path": "b"}}"#,
        "eventType: found 'MOVE', expected CREATE, WRITE, REMOVE, RENAME, CHMOD, joined by |"
      ),
      (
        #"{"eventType": "CREATE", "watchPathConfig": {"directory": "a", "path": "b"}}"#,
        "watchPathConfig.directory: found 'a', expected an absolute path"
      ),
      (
        #"{"eventType": "CREATE", "watchPathConfig": {"directory": "/a", "path": "/b"}}"#,
        "watchPathConfig.path: found '/b', expected a relative path"
      ),
      (
        #"{"eventType": "CREATE", "watchPathConfig": {"directory": "/a"}}"#,
        "watchPathConfig: found neither path nor pathRegexp, expected one of them"
      ),
      (
        #"{"eventType": "CREATE", "watchPathConfig": {"directory": "/a", "path": "b", "pathRegexp": "c"}}"#,
        "watchPathConfig: found both path and pathRegexp, expected one of them"
      ),
      (
        #"{"eventType": "CREATE", "polling": true, "watchPathConfig": {"directory": "/a", "path": "b"}}"#,
        "polling: is not supported yet"
      ),
      (#"{"eventType": "CREATE"}"#, "watchPathConfig: found nothing, expected a mapping"),
    ] {
      let diagnostics = Diagnostics()
      let spec = try JSON(parsing: Array(text.utf8))
      #expect(try make(spec, RecordingHost(), diagnostics) == nil)
      let words = diagnostics.all.map { "\($0.field): \($0.message)" }
      #expect(words.contains("spec.file.e." + problem), "\(words)")
    }
  }
}
