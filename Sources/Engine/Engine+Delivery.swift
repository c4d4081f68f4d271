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
    guard var lane = lanes[trigger] else { return }
    repeat {
      while let intent = lane.next() {
        running[intent.id] = Task {
          await deliver(intent)
          finished(intent)
        }
      }
      if lane.wantsRefill { refill(&lane, trigger) }
    } while lane.waitingCount > 0 && lane.running < lane.concurrency
    lanes[trigger] = lane.isIdle ? nil : lane
  }

  private func finished(_ intent: Intent) {
    running[intent.id] = nil
    lanes[intent.trigger]?.finished()
    if !Task.isCancelled { pump(intent.trigger) }
  }

  /// Reads firings of one trigger that had no place in memory, in log order.
  private func refill(_ lane: inout Lane, _ trigger: TriggerID) {
    guard let start = lane.spilled else { return }
    var intents: [Intent] = []
    do {
      var records = try bus.record(at: start.record).map { [$0] } ?? []
      var after = start.record
      while true {
        for record in records {
          guard case .note(let note) = record.content, note.kind == NoteKind.decision else {
            continue
          }
          for (number, intent) in try DecisionNote(note).firings.enumerated()
          where intent.trigger == trigger {
            if record.position == start.record && number < start.number { continue }
            if intents.count == Lane.capacity {
              lane.refill(intents, rest: Lane.Place(record: record.position, number: number))
              return
            }
            intents.append(intent)
          }
        }
        records = try bus.read(
          after: after,
          limit: configuration.batchRecords,
          bytes: configuration.batchBytes
        )
        guard let last = records.last else { break }
        after = last.position
      }
      lane.refill(intents, rest: nil)
    } catch {
      // The place is kept; the next ending or firing of this trigger tries again.
      logger.error(
        "firings could not be read back from the bus",
        metadata: ["trigger": "\(trigger)", "error": "\(error)"]
      )
    }
  }

  private func deliver(_ intent: Intent) async {
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
      firing = try events(of: intent)
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
      guard await appendPatiently([.event(event)], "started event") != nil else { return }
    }
    guard let ending = await attempts(intent, trigger, rendered, firing, began) else { return }
    await settle(intent, ending.phase, ending)
    rendered.trigger.forget(intent.id)
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

  private func settle(_ intent: Intent, _ phase: Phase, _ ending: Ending) async {
    var details: [JSON.Member] = [
      .init(key: "generation", value: .string(intent.generation)),
      .init(key: "attempts", value: JSON(ending.attempts)),
      .init(key: "startedAt", value: .string(ending.began.description)),
      .init(key: "finishedAt", value: .string(clock().description)),
    ]
    if let why = ending.why { details.append(.init(key: "why", value: .string(why))) }
    if ending.result != .null { details.append(.init(key: "result", value: ending.result)) }
    let event = OutcomeEvent.make(intent, phase, at: clock(), details: details)
    guard await appendPatiently([.event(event)], "outcome") != nil else { return }
    observer.settled(intent.trigger, phase)
    var metadata: Logger.Metadata = [
      "trigger": "\(intent.trigger)", "firing": "\(intent.id)", "phase": "\(phase.rawValue)",
      "attempts": "\(ending.attempts)",
    ]
    if let why = ending.why { metadata["error"] = "\(why)" }
    logger.log(level: phase == .succeeded ? .info : .warning, "a firing ended", metadata: metadata)
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
