import Bus
import Engine
import Event
import EventLog
import JSON
import Plugin
import Sensor
import TestKit
import Testing

extension EngineTests {
  private func outcomes(_ log: EventLog) throws -> [Event] {
    try log.read(after: nil, limit: .max, bytes: .max).compactMap { record in
      guard case .event(let event) = record.content, event.source == "outcomes" else { return nil }
      return event
    }
  }

  @Test("a replayed event fires again under an id of its own, and an event says who asked")
  func replay() async throws {
    let plan = try sensor("a", "suite", ["push"], "d0")
    let other = try sensor("b", "suite", ["push"], "d0")
    let (script, second) = (Script([.done(result: .null)]), Script([.done(result: .null)]))
    let triggers = [trigger(plan, script), trigger(other, second)]
    try await run([plan, other], triggers) { (log, engine) in
      _ = try await log.append([event("e", "push")])
      _ = try await events(log, until: "b/t/succeeded")
      while script.firings.isEmpty { await turn() }
      let all = try await engine.replay("e", of: nil, at: nil)
      #expect(all.number == 1 && all.firings.count == 2)
      let one = try await engine.replay("e", of: "suite", at: plan.id)
      #expect(one.number == 2 && one.firings.map(\.trigger) == [plan.triggers[0].id])
      while script.firings.count < 3 || second.firings.count < 2 { await turn() }
      #expect(Set(script.firings.map(\.id)).count == 3)
      #expect(script.firings.map { $0.events[0].event.id } == ["e", "e", "e"])
      #expect(script.firings[2].id == one.firings[0].id)
      while try outcomes(log).count < 5 { await turn() }
      let numbers = try outcomes(log).filter { $0.subject == "a/t/succeeded" }
        .map { try JSON(parsing: $0.data)["replay"] }
      #expect(numbers == [nil, .number("1"), .number("2")])
      let told = try await events(log, until: "event.replayed")
      #expect(try JSON(parsing: told.last?.data ?? [])["event"] == "e")
    }
  }

  @Test("a replayed event takes its slot, and the pair fires although it has fired before")
  func replayInSlot() async throws {
    let pair = try sensor("pair", "suite", ["x", "y"], "d0 && d1")
    let script = Script([.done(result: .null)])
    try await run([pair], [trigger(pair, script)]) { (log, engine) in
      _ = try await log.append([event("x1", "x"), event("y1", "y")])
      _ = try await events(log, until: "pair/t/succeeded")
      let first = try await engine.replay("x1", of: nil, at: nil)
      #expect(first.firings.isEmpty && first.waiting == [pair.triggers[0].id])
      let second = try await engine.replay("y1", of: nil, at: nil)
      #expect(second.firings.count == 1)
      while script.firings.count < 2 { await turn() }
      #expect(script.firings.map { $0.events.map(\.event.id) } == [["x1", "y1"], ["x1", "y1"]])
      #expect(script.firings[0].id != script.firings[1].id)
    }
  }

  @Test("numbers go on after a restart, with a snapshot and without", arguments: [1, 20_000])
  func replayNumbers(snapshotRecords: Int) async throws {
    let plan = try sensor("a", "suite", ["push"], "d0")
    var configuration = Engine.Configuration()
    configuration.snapshotRecords = snapshotRecords
    var ids: Set<String> = []
    for life in 1...3 {
      let script = Script([.done(result: .null)])
      try await run([plan], [trigger(plan, script)], engine: configuration) { (log, engine) in
        if life == 1 {
          _ = try await log.append([event("e", "push")])
          _ = try await events(log, until: "a/t/succeeded")
        }
        #expect(try await engine.replay("e", of: nil, at: nil).number == life)
        while script.firings.count < (life == 1 ? 2 : 1) { await turn() }
        ids.formUnion(script.firings.map(\.id.text))
      }
    }
    #expect(ids.count == 4)
  }

  @Test("partitions tell of their replays in events of their own", arguments: [nil, 0, 1])
  func replayInPartition(_ partition: Int?) async throws {
    let plan = try sensor("a", "suite", ["push"], "d0")
    let script = Script([.done(result: .null)])
    var configuration = Engine.Configuration()
    configuration.partition = partition
    try await run([plan], [trigger(plan, script)], engine: configuration) { (log, engine) in
      _ = try await log.append([event("e", "push")])
      _ = try await events(log, until: "a/t/succeeded")
      _ = try await engine.replay("e", of: nil, at: nil)
      let told = try #require(try await events(log, until: "event.replayed").last)
      #expect(told.id == Event.stableID("replayed", partition.map { "\($0):1" } ?? "1", "e", ""))
      #expect(try JSON(parsing: told.data)["partition"] == partition.map { JSON($0) })
    }
  }

  @Test("what cannot be replayed is refused in words, and nothing fires")
  func replayRefused() async throws {
    let plan = try sensor("a", "suite", ["push"], "d0")
    let other = try sensor("b", "others", ["push"], "d0")
    let script = Script([.done(result: .null)])
    let triggers = [trigger(plan, script), trigger(other, script)]
    try await run([plan, other], triggers) { (log, engine) in
      var twin = sampleEvent("e")
      (twin.source, twin.subject) = ("others", "push")
      _ = try await log.append([event("e", "push"), .event(twin)])
      _ = try await events(log, until: "b/t/succeeded")
      for (id, source, sensor, why) in [
        ("x", nil, nil, "no event x"), ("e", nil, nil, "default/others, default/suite"),
        ("e", "suite", other.id, "no event e"),
        ("e", nil, SensorID(namespace: "default", name: "z"), "no sensor default/z"),
      ] as [(String, String?, SensorID?, String)] {
        let error = await #expect(throws: Engine.ReplayError.self) {
          _ = try await engine.replay(id, of: source, at: sensor)
        }
        #expect(error?.description.contains(why) == true, "\(why)")
      }
      while script.firings.count < 2 { await turn() }
      #expect(try await engine.replay("e", of: "others", at: nil).firings.count == 1)
    }
  }
}
