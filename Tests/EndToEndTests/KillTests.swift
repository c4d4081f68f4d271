import Bus
import Engine
import Event
import EventLog
import Foundation
import HTTP
import Posix
import Sensor
import Synchronization
import TLS
import TestKit
import Testing

/// The real binary, killed in the middle of its work. `SIGNALBOX_KILL_SECONDS` and
/// `SIGNALBOX_KILLS` make it longer, `SIGNALBOX_SEED` another.
@Suite struct KillTests {
  private func manifests(_ port: Int, _ target: Int, _ folder: String) -> String {
    """
    apiVersion: argoproj.io/v1alpha1
    kind: EventSource
    metadata: {name: github}
    spec:
      github:
        push:
          webhook: {endpoint: /push, port: "\(port)"}
          webhookSecret: {name: github, key: secret}
    ---
    apiVersion: argoproj.io/v1alpha1
    kind: Sensor
    metadata: {name: call}
    spec:
      dependencies: [{name: pushed, eventSourceName: github, eventName: push}]
      triggers:
        - template:
            name: http
            http:
              url: http://127.0.0.1:\(target)/
              payload:
                - {src: {dependencyName: pushed, dataKey: body.number}, dest: number}
                - {src: {dependencyName: pushed, contextKey: id}, dest: event}
          retryStrategy: {steps: 10, duration: 100ms}
    ---
    apiVersion: argoproj.io/v1alpha1
    kind: Sensor
    metadata: {name: work}
    spec:
      dependencies:
        - name: pushed
          eventSourceName: github
          eventName: push
          filters: {data: [{path: body.slow, type: bool, value: ["true"]}]}
      triggers:
        - template:
            name: job
            command:
              argv: [sh, -c, 'sleep 2; echo "$SIGNALBOX_FIRING_ID" >> \(folder)/ran']
    """
  }

  /// Keeps what came by its idempotency key.
  private final class Target: RequestHandler {
    let seen = Mutex<[String: (bodies: Set<[UInt8]>, requests: Int)]>([:])

    func accept(_ head: RequestHead) -> Acceptance {
      .read(bodyLimit: 1 << 16) { [self] request in
        let key = request.head.headers["Idempotency-Key"] ?? ""
        let digest = SHA256.digest(request.body)
        seen.withLock { seen in
          seen[key, default: ([], 0)].bodies.insert(Array(digest))
          seen[key, default: ([], 0)].requests += 1
        }
        return .text(200, "")
      }
    }
  }

  @Test("killed at any moment: acknowledged pushes are stored once, firings end once, keys hold")
  func killed() async throws {
    let seconds = setting("SIGNALBOX_KILL_SECONDS", 4)
    let kills = setting("SIGNALBOX_KILLS", 3)
    var random = Seeded(UInt64(setting("SIGNALBOX_SEED", 7)))
    try await withTemporaryFolder { folder in
      let loop = try EventLoop(name: "target")
      let target = Target()
      let server = try await HTTPServer(
        address: "127.0.0.1",
        port: 0,
        loops: [loop],
        handler: target
      )
      let port = try freePort()
      try write("canary-secret\n", folder + "/secrets/github/secret")
      try write(manifests(port, server.port, folder), folder + "/manifests/all.yaml")
      let options = ["--console", "127.0.0.1:0", "--log-level", "error"]
      var program = try Program(folder, options)
      let client = PushClient(port: port, connections: 64)
      for _ in 0..<kills {
        // Seeded moments, together as long as was asked for.
        let wait = Double(seconds) / Double(kills) * Double.random(in: 0.5...1.5, using: &random)
        _ = poll(nil, 0, Int32(wait * 1000))
        program.end(by: SIGKILL)
        program = try Program(folder, options)
      }
      client.finish()
      let numbers = client.numbers
      let log = try await settled(folder)
      #expect(program.end() == 0)
      await server.shutdown(grace: .zero)
      loop.stop()
      check(log, target, numbers, folder)
      let calls = target.seen.withLock { $0.values.reduce(0) { $0 + $1.requests } }
      print(
        "kills: \(kills); pushes: \(numbers.acknowledged.count); repeated pushes: "
          + "\(numbers.requests - numbers.acknowledged.count); repeated calls: "
          + "\(calls - log.firings["call/http", default: []].count); jobs: "
          + "\(log.firings["work/job", default: []].count)"
      )
    }
  }

  /// What is on the log: how often each push, the intents, and the endings.
  private struct Found {
    var pushes: [String: Int] = [:]
    /// By sensor and trigger.
    var firings: [String: Set<String>] = [:]
    var endings: [String: [Phase]] = [:]
    var damages = 0
  }

  private func read(_ folder: String) throws -> Found {
    var found = Found()
    let report = try EventLogReader(folder: folder + "/data/log").read { record in
      switch record.content {
      case .event(let event):
        if event.subject == "push" { found.pushes[event.id, default: 0] += 1 }
        if event.source == OutcomeEvent.source, let firing = event.cause?.firing.text,
          let phase = event.type.split(separator: ".").last.flatMap({ Phase(rawValue: "\($0)") }),
          phase.isEnding
        {
          found.endings[firing, default: []].append(phase)
        }
      case .note(let note):
        guard note.kind == NoteKind.decision, let decision = try? DecisionNote(note) else { return }
        for firing in decision.firings {
          let name = "\(firing.trigger.sensor.name)/\(firing.trigger.name)"
          found.firings[name, default: []].insert(firing.id.text)
        }
      }
    }
    found.damages = report.damages.count
    return found
  }

  /// Waits until nothing is under way: the number of endings is that of the intents, and every
  /// push was decided on.
  private func settled(_ folder: String) async throws -> Found {
    let deadline = MonotonicTime.now() + .seconds(600)
    while true {
      let found = try read(folder)
      let firings = found.firings.values.reduce(0) { $0 + $1.count }
      if found.firings["call/http", default: []].count == found.pushes.count,
        found.endings.count == firings
      {
        return found
      }
      try #require(MonotonicTime.now() < deadline, "\(found.endings.count) of \(firings) ended")
      _ = poll(nil, 0, 500)
    }
  }

  private func check(
    _ log: Found,
    _ target: Target,
    _ numbers: PushClient.Tally,
    _ folder: String
  ) {
    #expect(log.damages == 0)
    #expect(log.pushes.values.allSatisfy { $0 == 1 })
    let wanted = Set(
      numbers.acknowledged.map { Event.stableID("default", "github", "push", "", "d-\($0)") }
    )
    #expect(Set(log.pushes.keys) == wanted)
    #expect(log.endings.values.allSatisfy { $0 == [.succeeded] })

    let seen = target.seen.withLock { $0 }
    #expect(seen.values.allSatisfy { $0.bodies.count == 1 })
    #expect(Set(seen.keys) == log.firings["call/http"])

    let ran = ((try? Files.read(folder + "/ran")) ?? []).split(separator: 0x0a)
      .map { String(decoding: $0, as: UTF8.self) }
    #expect(ran.sorted() == log.firings["work/job", default: []].sorted())
  }
}
