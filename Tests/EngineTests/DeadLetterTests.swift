import Bus
import Engine
import Event
import EventLog
import Expression
import JSON
import Plugin
import Sensor
import TestKit
import Testing

extension EngineTests {
  private var failing: Outcome { .reject(why: "no such branch", result: .null) }

  /// A sensor whose filter can judge nothing but JSON.
  private func picky(_ name: String) throws -> SensorPlan {
    let plan = try sensor(name, "suite", ["push"], "d0")
    var filter = EventFilter(join: .all)
    filter.data = DataFilters(
      [try DataFilter(path: "a", type: "string", values: ["x"], comparator: "=")],
      join: .all
    )
    return SensorPlan(
      id: plan.id,
      bus: plan.bus,
      dependencies: [
        Dependency(
          name: "d0",
          key: plan.dependencies[0].key,
          filters: filter,
          fingerprint: "picky"
        )
      ],
      triggers: plan.triggers
    )
  }

  @Test("a firing that failed for good is kept over a restart, and tried again under a new id")
  func failedFiring() async throws {
    let plan = try sensor("a", "suite", ["push"], "d0")
    let script = Script([failing])
    try await run([plan], [trigger(plan, script)]) { (log, engine) in
      _ = try await log.append([event("e", "push")])
      while await engine.deadLetters.isEmpty { await turn() }
      let letter = try #require(await engine.deadLetters.first)
      #expect(letter.kind == .firing && letter.part == "t" && letter.why == "no such branch")
      #expect(letter.id == script.firings[0].id.text)
      #expect(engine.deadLetterCount == 1)
    }
    let second = Script([.done(result: .null)])
    try await run([plan], [trigger(plan, second)]) { (log, engine) in
      let letter = try #require(await engine.deadLetters.first)
      let shown = try #require(await engine.deadLetter(letter.id))
      #expect(shown.events.map(\.id) == ["e"])
      #expect(shown.details["why"] == "no such branch")
      let answers = await engine.retry(letters: [letter.id, "none"], by: "test")
      #expect(answers.map(\.isDone).sorted { $0 && !$1 } == [true, false])
      _ = try await events(log, until: "a/t/succeeded")
      #expect(await engine.deadLetters.isEmpty)
      #expect(second.firings.map { $0.events[0].event.id } == ["e"])
      #expect(second.firings[0].id != script.firings[0].id)
      let notice = try await events(log, until: "deadletters.retried").last
      #expect(try JSON(parsing: notice?.data ?? [])["letters"] == [.string(letter.id)])
    }
    try await run([plan], [trigger(plan, second)]) { (_, engine) in
      #expect(await engine.deadLetters.isEmpty)
    }
  }

  @Test("a copy of the failure of a sensor that runs elsewhere is no dead letter here")
  func failedElsewhere() async throws {
    let plan = try sensor("a", "suite", ["push"], "d0")
    let script = Script([failing])
    try await run([plan], [trigger(plan, script)]) { (log, engine) in
      _ = try await log.append([event("e", "push")])
      var copy = try #require(try await events(log, until: "a/t/failed").last)
      copy.id = "copy"
      copy.cause?.path = ["default/elsewhere/t"]
      copy.cause?.firing = FiringID(
        namespace: "default",
        sensor: "elsewhere",
        trigger: "t",
        replay: 0,
        dependencies: []
      )
      _ = try await log.append([.event(copy)])
    }
    try await run([plan], [trigger(plan, script)]) { (_, engine) in
      #expect(await engine.deadLetters.map(\.sensor.name) == ["a"])
    }
  }

  @Test("one that fails again is a dead letter again, however often")
  func failedAgain() async throws {
    let plan = try sensor("a", "suite", ["push"], "d0")
    let script = Script([failing])
    try await run([plan], [trigger(plan, script)]) { (log, engine) in
      _ = try await log.append([event("e", "push")])
      var ids: Set<String> = []
      for _ in 0..<3 {
        while await engine.deadLetters.isEmpty { await turn() }
        let id = try #require(await engine.deadLetters.first?.id)
        ids.insert(id)
        #expect(await engine.retry(letters: [id], by: "test").allSatisfy(\.isDone))
      }
      while await engine.deadLetters.isEmpty { await turn() }
      #expect(ids.count == 3 && script.firings.count == 4)
      #expect(await engine.deadLetters.count == 1)
    }
  }

  @Test("an event that no filter can judge is kept, and judged again on demand")
  func unjudgedEvent() async throws {
    let strict = try picky("a")
    let script = Script([.done(result: .null)])
    try await run([strict], [trigger(strict, script)]) { (log, engine) in
      _ = try await log.append([event("e", "push")])
      while await engine.deadLetters.isEmpty { await turn() }
    }
    try await run([strict], [trigger(strict, script)]) { (log, engine) in
      let letter = try #require(await engine.deadLetters.first)
      #expect(letter.kind == .event && letter.part == "d0" && letter.why.contains("JSON"))
      let answer = await engine.retry(letters: [letter.id], by: "test")
      #expect(answer.first?.message.contains("a dead letter again") == true)
      let again = try #require(await engine.deadLetters.first)
      #expect(again.id != letter.id)
      #expect(await engine.deadLetters.count == 1)
      // The filter is mended: the edit makes the event welcome.
      let mended = try sensor("a", "suite", ["push"], "d0")
      try await engine.adopt(
        EnginePlan(sensors: [mended], triggers: [trigger(mended, script)])
      )
      #expect(await engine.retry(letters: [again.id], by: "test").first?.isDone == true)
      _ = try await events(log, until: "a/t/succeeded")
      #expect(await engine.deadLetters.isEmpty)
    }
    #expect(script.firings.map { $0.events[0].event.id } == ["e"])
  }

  @Test("a dropped letter is gone for good, and an event says so")
  func droppedLetter() async throws {
    let plan = try sensor("a", "suite", ["push"], "d0")
    let script = Script([failing])
    try await run([plan], [trigger(plan, script)]) { (log, engine) in
      _ = try await log.append([event("e1", "push"), event("e2", "push")])
      while await engine.deadLetters.count < 2 { await turn() }
      let id = try #require(await engine.deadLetters.first?.id)
      #expect(try await engine.drop(letters: [id, "none"], why: "test") == [id])
      _ = try await events(log, until: "deadletters.dropped")
    }
    try await run([plan], [trigger(plan, script)]) { (_, engine) in
      #expect(await engine.deadLetters.count == 1)
    }
  }

  @Test("above the bound the oldest letters go, with an event that names them")
  func boundedLetters() async throws {
    let plan = try sensor("a", "suite", ["push"], "d0")
    let script = Script([failing])
    var settings = Engine.Configuration()
    settings.deadLettersMax = 3
    settings.upkeepInterval = .milliseconds(1)
    try await run([plan], [trigger(plan, script)], engine: settings) { (log, engine) in
      _ = try await log.append((0..<8).map { event("e\($0)", "push") })
      while script.firings.count < 8 { await turn() }
      while try await dropped(log) < 5 { await turn() }
      while await engine.deadLetters.count > 3 { await turn() }
      let letters = await engine.deadLetters
      let kept = Set(script.firings.suffix(3).map(\.id.text))
      #expect(Set(letters.map(\.id)) == kept)
    }
  }

  private func dropped(_ log: EventLog) async throws -> Int {
    try log.read(after: nil, limit: .max, bytes: .max).reduce(0) { count, record in
      guard case .event(let event) = record.content, event.subject == "deadletters.dropped" else {
        return count
      }
      let number = try JSON(parsing: event.data)["count"]?.text ?? ""
      return count + (Int(number) ?? 0)
    }
  }

  @Test("the events of a letter stay on a log that lets everything else go")
  func heldEvents() async throws {
    let plan = try sensor("a", "suite", ["push"], "d0")
    let script = Script([failing])
    var settings = Engine.Configuration()
    settings.snapshotRecords = 20
    try await run([plan], [trigger(plan, script)], log: forgetful(), engine: settings) {
      (log, engine) in
      let place = try await log.append([event("e", "push")])[0].position
      while await engine.deadLetters.isEmpty { await turn() }
      while try log.read(after: nil, limit: 9, bytes: .max).dropFirst(2).first?.position.offset
        ?? 0 < 100
      {
        await log.keepUp()
        _ = try await log.append([event("more\(log.committed?.offset ?? 0)", "nothing")])
      }
      #expect(try log.record(at: place) != nil)
      let letter = try #require(await engine.deadLetters.first)
      #expect(await engine.deadLetter(letter.id)?.events.map(\.id) == ["e"])
      #expect(await engine.deadLetter(letter.id)?.details["why"] == "no such branch")
    }
    // What a folder alone tells.
    var fold = LetterFold()
    let log = try await storage.open()
    for record in try log.read(after: nil, limit: .max, bytes: .max) { try fold.take(record) }
    await log.close()
    #expect(fold.letters.count == 1)
  }

  @Test(
    "a dlqTrigger fires once for a firing that failed, wherever the program was killed",
    .embeddedLogOnly("the disk counts to the end; programs on Kafka are killed by KafkaTests")
  )
  func deadLetterTrigger() async throws {
    let plan = try sensor("a", "suite", ["push"], "d0")
    let last = TriggerID(sensor: plan.id, name: "last")
    for calls in 0..<14 {
      var suite = self
      suite.storage = Storage()
      let disk = suite.storage.disk
      let (script, other) = (Script([failing]), Script([.done(result: .null)]))
      func plans() -> [TriggerPlan] {
        var first = suite.trigger(plan, script)
        first.deadLetterTrigger = last
        return [first, suite.trigger(plan, other, id: last)]
      }
      try await suite.run([plan], plans()) { log in
        _ = try await log.append([event("e", "push")])
        // From here on the disk takes nothing: as if the process had been killed there.
        disk.crash(after: calls)
        while log.failure == nil, other.firings.isEmpty { await turn() }
      }
      disk.clearFaults()
      try await suite.run([plan], plans()) { (log, engine) in
        let seen = try await events(log, until: "a/last/succeeded")
        #expect(seen.count { $0.subject == "a/t/failed" } == 1)
        #expect(seen.last?.cause?.path == ["default/a/t", "default/a/last"])
        #expect(await engine.deadLetters.isEmpty)
      }
      #expect(Set(other.firings.map(\.id)).count == 1)
      #expect(other.firings.allSatisfy { $0.events.map(\.event.id) == ["e"] })
    }
  }
}
