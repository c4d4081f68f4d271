import Bus
import Engine
import Event
import EventLog
import Foundation
import JSON
import Plugin
import Sensor
import TestKit
import Testing

extension EngineTests {
  /// Keeps which events it was fired for, by firing.
  private func counted(_ script: Script) -> [String: Int] {
    var count: [String: Int] = [:]
    for firing in script.firings { count[firing.events[0].event.id, default: 0] += 1 }
    return count
  }

  @Test("random edits under load: every event is the business of one version, once")
  func randomEdits() async throws {
    // The long run is `SIGNALBOX_EDITS=500 swift test --filter EngineTests/randomEdits`.
    let edits =
      Int(ProcessInfo.processInfo.environment["SIGNALBOX_EDITS"] ?? "")
      ?? storage.count(40, onKafka: 10)
    var random = Seeded(UInt64(edits))
    let names = ["a", "b", "c", "d"]
    let scripts = names.map { _ in Script([.done(result: .null)]) }
    // Versions of a sensor differ in dependencies it does not need, so each takes every push.
    func plan(_ name: Int, version: Int) throws -> SensorPlan {
      try sensor(
        names[name],
        "suite",
        ["push"] + (0..<version).map { "other\($0)" },
        (0...version).map { "d\($0)" }.joined(separator: " || ")
      )
    }
    let first = try names.indices.map { try plan($0, version: 0) }
    let triggers = names.indices.map { trigger(first[$0], scripts[$0], concurrency: 4) }
    try await run(first, triggers) { (log, engine) in
      let sender = Task {
        for number in 0..<edits * 20 { _ = try await log.append([event("e\(number)", "push")]) }
      }
      for _ in 0..<edits {
        // Any of them may be gone for a while, and goes on where it was.
        let kept = names.indices.filter { _ in Int.random(in: 0..<4, using: &random) > 0 }
        let sensors = try kept.shuffled(using: &random).map {
          try plan($0, version: Int.random(in: 0..<3, using: &random))
        }
        try await engine.adopt(EnginePlan(sensors: sensors, triggers: triggers))
      }
      try await sender.value
      try await engine.adopt(EnginePlan(sensors: first, triggers: triggers))
      for script in scripts {
        while script.firings.count < edits * 20 { await turn() }
      }
      _ = try await log.append([event("last", "push")])
      for script in scripts {
        while counted(script)["last"] == nil { await turn() }
      }
    }
    for script in scripts {
      let count = counted(script)
      #expect(count.count == edits * 20 + 1)
      #expect(count.values.allSatisfy { $0 == 1 })
    }
  }

  @Test(
    "a new sensor starts from the beginning, from a time or from now, and others repeat nothing"
  )
  func startFrom() async throws {
    let clock = HandClock()
    let now: @Sendable () -> Timestamp = { clock.now }
    func plan(_ name: String, _ start: SensorPlan.Start) throws -> SensorPlan {
      let plan = try sensor(name, "suite", ["push"], "d0")
      return SensorPlan(
        id: plan.id,
        bus: plan.bus,
        dependencies: plan.dependencies,
        triggers: plan.triggers,
        start: start
      )
    }
    let old = try plan("old", .now)
    let script = Script([.done(result: .null)])
    try await run([old], [trigger(old, script)], log: clock.log, clock: now) { (log, engine) in
      for number in 0..<4 {
        _ = try await log.append([event("e\(number)", "push")])
        clock.advance(by: .seconds(60))
      }
      while script.firings.count < 4 { await turn() }
      let third = Timestamp(nanoseconds: clock.now.nanoseconds - 120_000_000_000)
      let added = [
        try plan("all", .beginning), try plan("some", .time(third)), try plan("none", .now),
      ]
      let scripts = added.map { _ in Script([.done(result: .null)]) }
      try await engine.adopt(
        EnginePlan(
          sensors: [old] + added,
          triggers: [trigger(old, script)] + zip(added, scripts).map { trigger($0, $1) }
        )
      )
      _ = try await log.append([event("e4", "push")])
      for script in scripts {
        while script.firings.last?.events[0].event.id != "e4" { await turn() }
      }
      while script.firings.count < 5 { await turn() }
      #expect(
        scripts.map { $0.firings.map { $0.events[0].event.id } } == [
          ["e0", "e1", "e2", "e3", "e4"], ["e2", "e3", "e4"], ["e4"],
        ]
      )
      #expect(script.firings.count == 5)
    }
  }
}
