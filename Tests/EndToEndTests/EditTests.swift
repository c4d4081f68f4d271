import Bus
import Engine
import Event
import EventLog
import Foundation
import HTTP
import JSON
import Posix
import Sensor
import Synchronization
import TestKit
import Testing

/// Manifests that are edited while the real binary is under load. `SIGNALBOX_EDITS=500` is the long
/// run, `SIGNALBOX_SEED` another one.
@Suite struct EditTests {
  private static let names = ["a", "b", "c"]

  /// Counts calls by sensor and event.
  private final class Target: RequestHandler {
    let seen = Mutex<[String: [String: Int]]>([:])

    func accept(_ head: RequestHead) -> Acceptance {
      .read(bodyLimit: 1 << 16) { [self] request in
        let event = (try? JSON(parsing: request.body))?["event"]?.asString ?? ""
        seen.withLock { $0[String(head.path.dropFirst()), default: [:]][event, default: 0] += 1 }
        return .text(200, "")
      }
    }
  }

  private struct Folder {
    let path: String
    let port: Int
    let target: Int

    func write(source: String, at name: String) throws {
      try EndToEndTests.write(source, path + "/manifests/" + name)
    }

    /// What the load is sent to; it is not edited.
    func writeSource() throws {
      try EndToEndTests.write("canary-secret\n", path + "/secrets/github/secret")
      let text = """
        apiVersion: argoproj.io/v1alpha1
        kind: EventSource
        metadata: {name: github}
        spec:
          github:
            push:
              webhook: {endpoint: /push, port: "\(port)"}
              webhookSecret: {name: github, key: secret}
        """
      try write(source: text, at: "github.yaml")
    }

    /// A source whose event name tells which edit is in force.
    func writeMarker(_ number: Int) throws {
      let text = """
        apiVersion: argoproj.io/v1alpha1
        kind: EventSource
        metadata: {name: marker}
        spec: {webhook: {edit-\(number): {endpoint: /marker, port: "\(port)"}}}
        """
      try write(source: text, at: "marker.yaml")
    }

    /// Versions differ in dependencies that a sensor does not need, in how it asks for what all
    /// pushes have, and in its trigger, so each takes every push.
    func writeSensor(_ name: String, version: Int, asEditorsDo: Bool = false) throws {
      let others = (0..<version % 3).map {
        "\n    - {name: d\($0), eventSourceName: x, eventName: e\($0)}"
      }
      let filters =
        version % 2 == 0
        ? ""
        : "\n      filters: {data: [{path: body.number, type: number, value: ['0'], "
          + "comparator: '>='}]}"
      let conditions = ["pushed"] + (0..<version % 3).map { "d\($0)" }
      let text = """
        apiVersion: argoproj.io/v1alpha1
        kind: Sensor
        metadata: {name: \(name)}
        spec:
          dependencies:
            - name: pushed
              eventSourceName: github
              eventName: push\(filters)\(others.joined())
          triggers:
            - template:
                name: call
                conditions: \(conditions.joined(separator: " || "))
                http:
                  url: http://127.0.0.1:\(target)/\(name)
                  payload: [{src: {dependencyName: pushed, contextKey: id}, dest: event}]
              retryStrategy: {steps: \(version + 2), duration: 100ms}
        """
      guard asEditorsDo else { return try write(source: text, at: name + ".yaml") }
      try write(source: text, at: ".new")
      let moved = unsafe rename(path + "/manifests/.new", path + "/manifests/" + name + ".yaml")
      if moved != 0 { throw SystemError("rename", path) }
    }

    func remove(_ name: String) throws {
      let file = path + "/manifests/" + name + ".yaml"
      if Files.kind(file) != nil { try Files.remove(file) }
    }

    /// Waits until the edit of that number is in force.
    func waitForMarker(_ number: Int) throws {
      let deadline = MonotonicTime.now() + .seconds(60)
      let request = "GET /status HTTP/1.1\r\nHost: control\r\nConnection: close\r\n\r\n"
      while MonotonicTime.now() < deadline {
        let answer = try Socket.exchange(Array(request.utf8), path: path + "/data/control.sock")
        if String(decoding: answer, as: UTF8.self).contains("marker/edit-\(number) (webhook)\"") {
          return
        }
        _ = poll(nil, 0, 20)
      }
      Issue.record("edit \(number) is not in force after a minute")
    }
  }

  @Test("random edits of files under load: no event is skipped, and none fires twice")
  func edits() async throws {
    let edits = setting("SIGNALBOX_EDITS", 12)
    let seed = setting("SIGNALBOX_SEED", 1)
    var random = Seeded(UInt64(seed))
    try await withTemporaryFolder { path in
      let loop = try EventLoop(name: "target")
      let target = Target()
      let server = try await HTTPServer(
        address: "127.0.0.1",
        port: 0,
        loops: [loop],
        handler: target
      )
      let folder = Folder(path: path, port: try freePort(), target: server.port)
      try folder.writeSource()
      try folder.writeMarker(0)
      for name in Self.names { try folder.writeSensor(name, version: 0) }
      let program = try Program(
        path,
        ["--console", "127.0.0.1:0", "--log-level", "critical", "--watch"]
      )
      let client = SteadyClient(port: folder.port, connections: 4, gap: 10)
      client.waitForMore(20)
      for number in 1...edits {
        try edit(folder, number, &random)
        client.waitForMore(20)
      }
      for name in Self.names { try folder.writeSensor(name, version: 0) }
      try folder.writeMarker(edits + 1)
      try folder.waitForMarker(edits + 1)
      client.waitForMore(20)
      client.finish()
      #expect(client.troubles == [])
      let found = try settled(path, count: client.acknowledged.count * Self.names.count)
      #expect(program.end() == 0)
      await server.shutdown(grace: .zero)
      loop.stop()
      check(found, target, client)
      print("edits: \(edits), seed \(seed); pushes under them: \(client.acknowledged.count)")
    }
  }

  /// One of what people do. Unless it is a mistake it is then in force.
  private func edit(_ folder: Folder, _ number: Int, _ random: inout Seeded) throws {
    let name = Self.names[Int.random(in: 0..<Self.names.count, using: &random)]
    try folder.remove("broken")
    let kind = Int.random(in: 0..<8, using: &random)
    if kind == 0 {
      try folder.remove(name)
    } else {
      let version = Int.random(in: 0..<6, using: &random)
      let isMoved = Bool.random(using: &random)
      try folder.writeSensor(name, version: version, asEditorsDo: isMoved)
    }
    // Everything stays as it is until the next edit mends it.
    if kind == 1 { return try folder.write(source: "kind: nonsense", at: "broken.yaml") }
    try folder.writeMarker(number)
    try folder.waitForMarker(number)
  }

  /// What is on the log: by sensor and event how often it was decided that it fires, and how that
  /// ended.
  private struct Found {
    var decided: [String: [String: Int]] = [:]
    var endings: [String: [String: [Phase]]] = [:]
    var versions = 0

    var count: Int { endings.values.reduce(0) { $0 + $1.count } }
  }

  private func read(_ path: String) throws -> Found {
    var found = Found()
    _ = try EventLogReader(folder: path + "/data/log").read { record in
      switch record.content {
      case .event(let event):
        if event.subject == "plan.changed" { found.versions += 1 }
        guard OutcomeEvent.endedFiring(event) != nil,
          let sensor = event.cause?.path.last?.split(separator: "/").dropFirst().first,
          let phase = event.type.split(separator: ".").last.flatMap({ Phase(rawValue: "\($0)") })
        else { return }
        for id in event.cause?.events ?? [] {
          found.endings[String(sensor), default: [:]][id, default: []].append(phase)
        }
      case .note(let note):
        guard note.kind == NoteKind.decision, let decision = try? DecisionNote(note) else { return }
        for intent in decision.firings {
          for event in intent.events {
            found.decided[intent.trigger.sensor.name, default: [:]][event.eventID, default: 0] += 1
          }
        }
      }
    }
    return found
  }

  /// Waits until so many firings have ended.
  private func settled(_ path: String, count: Int) throws -> Found {
    let deadline = MonotonicTime.now() + .seconds(600)
    while true {
      let found = try read(path)
      if found.count >= count { return found }
      try #require(MonotonicTime.now() < deadline, "\(found.count) of \(count) ended")
      _ = poll(nil, 0, 500)
    }
  }

  private func check(_ found: Found, _ target: Target, _ client: SteadyClient) {
    let pushes = Set(
      client.acknowledged.map { Event.stableID("default", "github", "push", "", "d-\($0)") }
    )
    let called = target.seen.withLock { $0 }
    var cancelled = 0
    for name in Self.names {
      let decided = found.decided[name] ?? [:]
      #expect(Set(decided.keys) == pushes, "\(name): \(pushes.subtracting(decided.keys)) missing")
      #expect(decided.filter { $0.value != 1 } == [:], "\(name)")
      // What was decided before its sensor went and had not begun is told to be cancelled.
      let endings = found.endings[name] ?? [:]
      let left = Set(endings.filter { $0.value == [.cancelled] }.keys)
      let done = Set(endings.filter { $0.value == [.succeeded] }.keys)
      #expect(left.union(done) == pushes, "\(name)")
      #expect(Set((called[name] ?? [:]).keys) == done, "\(name)")
      #expect((called[name] ?? [:]).filter { $0.value != 1 } == [:], "\(name)")
      cancelled += left.count
    }
    print(
      "versions in force: \(found.versions); firings of sensors that went: \(cancelled) cancelled"
    )
  }
}
