import Bus
import Event
import JSON
import Logging
import Plugin
import Posix
import Sensor

/// From an intent on the log to its ending on the log.
extension Engine {
  /// Starts what may start of one trigger.
  func pump(_ trigger: TriggerID) {
    // Moved out, so that it is changed in place and not copied.
    guard var lane = state.lanes.removeValue(forKey: trigger) else { return }
    lane.concurrency = plan.triggers[trigger]?.concurrency ?? 1
    while true {
      while let intent = lane.next() {
        running[intent.id] = Task {
          let isSettled = await deliver(intent)
          finished(intent, isSettled)
        }
      }
      guard lane.wantsRefill, refill(&lane, trigger) else { break }
    }
    if !lane.isIdle { state.lanes[trigger] = lane }
  }

  private func finished(_ intent: Intent, _ isSettled: Bool) {
    running[intent.id] = nil
    if isSettled { state.end(intent.id, of: intent.trigger) }
    if !Task.isCancelled { pump(intent.trigger) }
  }

  /// Reads firings of one trigger that had no place in memory, in log order; false when that
  /// failed and is tried again later.
  private func refill(_ lane: inout Lane, _ trigger: TriggerID) -> Bool {
    guard let spill = lane.spill else { return true }
    do {
      var entries: [Lane.Entry] = []
      var rest: Lane.Place?
      try scan(from: spill.first, of: trigger) { entry in
        guard lane.misses(entry.intent.id) else { return true }
        if entries.count == Lane.capacity {
          rest = entry.place
          return false
        }
        entries.append(entry)
        return true
      }
      lane.refill(entries, rest: rest)
      return true
    } catch {
      logger.error(
        "firings could not be read back from the bus; trying again",
        metadata: ["trigger": "\(trigger)", "error": "\(error)"]
      )
      guard retries[trigger] == nil else { return false }
      retries[trigger] = Task {
        await loop.sleep(for: configuration.patience)
        retries[trigger] = nil
        if !Task.isCancelled { pump(trigger) }
      }
      return false
    }
  }

  /// Visits the decided firings of one trigger from `start` on, until `visit` answers false.
  ///
  /// What is on the bus but not in the state yet is left out: its decision is under way in
  /// another task, which will add it.
  func scan(
    from start: Lane.Place,
    of trigger: TriggerID,
    _ visit: (Lane.Entry) -> Bool
  ) throws {
    guard let end = state.decidedThrough else { return }
    var records = try bus.record(at: start.record).map { [$0] } ?? []
    var after = start.record
    while true {
      for record in records where record.position <= end {
        guard case .note(let note) = record.content, note.kind == NoteKind.decision else {
          continue
        }
        for (number, intent) in try DecisionNote(note).firings.enumerated()
        where intent.trigger == trigger {
          let place = Lane.Place(record: record.position, number: number)
          if place >= start, !visit(Lane.Entry(intent: intent, place: place)) { return }
        }
      }
      guard after < end else { return }
      records = try bus.read(
        after: after,
        limit: configuration.batchRecords,
        bytes: configuration.batchBytes
      )
      guard let last = records.last else { return }
      after = last.position
    }
  }

  /// Whether its ending is on the log.
  private func deliver(_ intent: Intent) async -> Bool {
    let began = clock()
    guard let trigger = plan.triggers[intent.trigger] else {
      let why = "the trigger is no longer in the manifests"
      return await settle(
        intent,
        .cancelled,
        Ending(attempts: 0, began: began, why: why, result: .null)
      )
    }
    let firing: [(dependency: String, event: Event)]
    let rendered: TriggerPlan.Rendered
    do {
      firing = try trigger.transformed(try events(of: intent))
      rendered = try trigger.render(firing)
    } catch {
      return await settle(
        intent,
        .failed,
        Ending(attempts: 0, began: began, why: "\(error)", result: .null)
      )
    }
    if isAwaited(intent, .started) {
      let event = OutcomeEvent.make(intent, .started, at: began, details: [])
      guard await appendPatiently([.event(event)], "started event") != nil else { return false }
    }
    guard let ending = await attempts(intent, trigger, rendered, firing, began) else {
      return false
    }
    let isSettled = await settle(intent, ending.phase, ending)
    rendered.trigger.forget(intent.id)
    return isSettled
  }

  /// Tries until it ends; nil when the program is shutting down.
  private func attempts(
    _ intent: Intent,
    _ trigger: TriggerPlan,
    _ rendered: TriggerPlan.Rendered,
    _ events: [(dependency: String, event: Event)],
    _ began: Timestamp
  ) async -> Ending? {
    var attempt = 1
    while true {
      let firing = Firing(
        id: intent.id,
        namespace: intent.trigger.sensor.namespace,
        sensor: intent.trigger.sensor.name,
        trigger: intent.trigger.name,
        attempt: attempt,
        hops: intent.hops,
        events: events,
        payload: rendered.payload,
        isParameterised: rendered.isParameterised,
        statusAllow: trigger.statusAllow
      )
      let outcome = await rendered.trigger.fire(firing)
      // What a plugin answers after a cancellation says nothing about the effect.
      if Task.isCancelled { return nil }
      var ending = Ending(attempts: attempt, began: began, why: nil, result: .null)
      switch outcome {
      case .done(let result):
        ending.result = result
        return ending
      case .reject(let why, let result):
        (ending.phase, ending.why, ending.result) = (.failed, why, result)
        return ending
      case .unknown(let why, let result):
        (ending.phase, ending.why, ending.result) = (.unknown, why, result)
        return ending
      case .retry(let after, let why, let result):
        guard let delay = trigger.retry.delay(after: attempt, random: random()) else {
          (ending.phase, ending.why, ending.result) = (.failed, why, result)
          return ending
        }
        let wait = min(max(delay, after ?? .zero), RetrySchedule.longestWait)
        logger.info(
          "an attempt failed; trying again",
          metadata: [
            "trigger": "\(intent.trigger)", "firing": "\(intent.id)", "attempt": "\(attempt)",
            "wait": "\(wait)", "error": "\(why)",
          ]
        )
        await loop.sleep(for: wait)
        if Task.isCancelled { return nil }
        attempt += 1
      }
    }
  }

  /// A larger result is left out of the outcome.
  private static var resultBytes: Int { 1 << 20 }

  private struct Ending {
    var phase = Phase.succeeded
    let attempts: Int
    let began: Timestamp
    var why: String?
    var result: JSON

    init(attempts: Int, began: Timestamp, why: String?, result: JSON) {
      self.attempts = attempts
      self.began = began
      self.why = why
      self.result = result
    }
  }

  private func settle(_ intent: Intent, _ phase: Phase, _ ending: Ending) async -> Bool {
    var details: [JSON.Member] = [
      .init(key: "generation", value: .string(intent.generation)),
      .init(key: "attempts", value: JSON(ending.attempts)),
      .init(key: "startedAt", value: .string(ending.began.description)),
      .init(key: "finishedAt", value: .string(clock().description)),
    ]
    if let why = ending.why { details.append(.init(key: "why", value: .string(why))) }
    if ending.result != .null {
      let bytes = ending.result.encoded().count
      let note: JSON = ["leftOut": .string("\(bytes) bytes, more than an outcome holds")]
      let result = bytes > Self.resultBytes ? note : ending.result
      details.append(.init(key: "result", value: result))
    }
    let event = OutcomeEvent.make(intent, phase, at: clock(), details: details)
    guard await appendPatiently([.event(event)], "outcome") != nil else { return false }
    observer.settled(intent.trigger, phase)
    var metadata: Logger.Metadata = [
      "trigger": "\(intent.trigger)", "firing": "\(intent.id)", "phase": "\(phase.rawValue)",
      "attempts": "\(ending.attempts)",
    ]
    if let why = ending.why { metadata["error"] = "\(why)" }
    logger.log(level: phase == .succeeded ? .info : .warning, "a firing ended", metadata: metadata)
    return true
  }

  private func isAwaited(_ intent: Intent, _ phase: Phase) -> Bool {
    let sensor = intent.trigger.sensor
    let event = OutcomeEvent.make(intent, phase, at: Timestamp(nanoseconds: 0), details: [])
    return plan.interlocking.isAwaited(
      EventKey(
        namespace: sensor.namespace,
        bus: intent.bus,
        source: event.source,
        subject: event.subject
      )
    )
  }

  private func events(
    of intent: Intent
  ) throws -> [(dependency: String, event: Event)] {
    try intent.events.map { reference in
      guard let position = Position(reference.place),
        let record = try bus.record(at: position), case .event(let event) = record.content,
        event.id == reference.eventID
      else {
        throw NoteError(
          description: "event \(reference.eventID) is no longer on the bus at \(reference.place)"
        )
      }
      return (reference.dependency, event)
    }
  }
}
