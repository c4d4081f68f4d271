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
    let flow = plan.triggers[trigger]?.flow ?? FlowPlan()
    var busy = flow.concurrency == nil ? [:] : lane.unfinished
    var hold: Hold?
    while true {
      hold = start(&lane, flow, &busy, trigger)
      guard hold == nil, lane.wantsRefill, refill(&lane, trigger) else { break }
    }
    show(hold, of: trigger)
    if !lane.isIdle { state.lanes[trigger] = lane }
  }

  /// Starts those in memory that may start; answers what holds the rest.
  private func start(
    _ lane: inout Lane,
    _ flow: FlowPlan,
    _ busy: inout [String: Int],
    _ trigger: TriggerID
  ) -> Hold? {
    func hold(_ kind: Hold.Kind, _ until: Timestamp? = nil) -> Hold? {
      guard !lane.waiting.isEmpty || lane.spill != nil else { return nil }
      if let until { wake(trigger, at: until) }
      return Hold(kind: kind, until: until, waiting: lane.waiting.count)
    }
    while true {
      if flow.isSuspended { return hold(.suspend) }
      if plan.isRefused(trigger) { return hold(.refused) }
      let now = clock()
      if let rate = flow.rate {
        let earliest = rate.earliest(after: state.rates[trigger], now: now)
        if earliest > now { return hold(.rateLimit, earliest) }
      }
      switch lane.next(flow.concurrency, &busy, at: now) {
      case .nothing: return nil
      case .busy:
        if let limit = flow.concurrency, limit.mode == .cancelOlder {
          for intent in lane.older(than: limit) { stopOlder(intent) }
        }
        return hold(.concurrency)
      case .later(let due): return hold(.delay, due)
      case .run(let intent):
        if let rate = flow.rate {
          state.rates[trigger] = rate.mark(after: state.rates[trigger], now: now)
        }
        if lane.isLong { pressedBatches = 4 }
        // As it is now: when the task begins its sensor may have been refused.
        let plan = plan.triggers[trigger]
        running[intent.id] = Task { finished(intent, await deliver(intent, plan)) }
      case .skip(let intent):
        let why = "as many firings as may be at once are unfinished (concurrency, mode skip)"
        running[intent.id] = Task { finished(intent, await leftOut(intent, .skipped, why)) }
      case .supersede(let intent):
        let why = "a newer firing of the same key came before it began"
        running[intent.id] = Task { finished(intent, await leftOut(intent, .cancelled, why)) }
      }
    }
  }

  /// Ends a firing that is not to be carried out.
  private func leftOut(_ intent: Intent, _ phase: Phase, _ why: String) async -> Delivery {
    await settled(intent, Ending(phase, attempts: 0, began: clock(), why: why, result: .null))
  }

  private func finished(_ intent: Intent, _ delivery: Delivery) {
    running[intent.id] = nil
    switch delivery {
    case .settled:
      state.end(intent.id, of: intent.trigger)
      payOwed()
    case .started(let started):
      state.follow(intent.id, of: intent.trigger, started: started.place)
      if !Task.isCancelled { watch(intent, started) }
    case .interrupted: break
    }
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

  /// How far a firing was carried.
  private enum Delivery {
    /// Its ending is on the log.
    case settled
    case started(Started)
    /// The program is shutting down.
    case interrupted
  }

  private func deliver(_ intent: Intent, _ trigger: TriggerPlan?) async -> Delivery {
    let began = clock()
    guard let trigger else {
      let why = "the trigger is no longer in the manifests"
      return await settled(
        intent,
        Ending(.cancelled, attempts: 0, began: began, why: why, result: .null)
      )
    }
    let firing: [(dependency: String, event: Event)]
    let rendered: TriggerPlan.Rendered
    do {
      firing = try trigger.transformed(try events(of: intent))
      rendered = try trigger.render(firing)
    } catch {
      return await settled(
        intent,
        Ending(.failed, attempts: 0, began: began, why: "\(error)", result: .null)
      )
    }
    if isAwaited(intent, .started), !type(of: rendered.trigger).isFollowed {
      let event = OutcomeEvent.make(intent, .started, at: began, details: [])
      guard await appendPatiently([.event(event)], "started event") != nil else {
        return .interrupted
      }
    }
    switch await attempts(intent, trigger, rendered, firing, began) {
    case .ended(let ending):
      let delivery = await settled(intent, ending)
      rendered.trigger.forget(intent.id)
      return delivery
    case .started(let attempts, let result):
      return await started(intent, rendered.trigger, attempts, result)
    case .interrupted: return .interrupted
    }
  }

  private enum Attempted {
    case ended(Ending)
    case started(attempts: Int, result: JSON)
    case interrupted
  }

  /// Tries until it ends or has started.
  private func attempts(
    _ intent: Intent,
    _ trigger: TriggerPlan,
    _ rendered: TriggerPlan.Rendered,
    _ events: [(dependency: String, event: Event)],
    _ began: Timestamp
  ) async -> Attempted {
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
        statusAllow: trigger.statusAllow,
        edit: trigger.edit(events),
        causes: { await self.causes(of: $0) },
        hasEnded: { await self.hasEnded($0) }
      )
      let outcome = await rendered.trigger.fire(firing)
      if case .started(let result) = outcome, type(of: rendered.trigger).isFollowed {
        return .started(attempts: attempt, result: result)
      }
      // What else a plugin answers after a cancellation says nothing about the effect.
      if Task.isCancelled { return .interrupted }
      guard case .retry(let after, let why, let result) = outcome else {
        return .ended(Ending(outcome, attempts: attempt, began: began))
      }
      guard let delay = trigger.retry.delay(after: attempt, random: random()) else {
        return .ended(Ending(.failed, attempts: attempt, began: began, why: why, result: result))
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
      if Task.isCancelled { return .interrupted }
      attempt += 1
    }
  }

  /// Makes it durable that the effect has begun, from where on it is only followed.
  private func started(
    _ intent: Intent,
    _ trigger: any Trigger,
    _ attempts: Int,
    _ result: JSON
  ) async -> Delivery {
    let began = clock()
    let bytes = result.encoded().count
    guard bytes <= Outcome.startedBytes else {
      let why =
        "what it started is named by \(bytes) bytes, more than \(Outcome.startedBytes): "
        + "it cannot be followed"
      let ending = Ending(.unknown, attempts: attempts, began: began, why: why, result: result)
      return await settled(intent, ending)
    }
    let event = OutcomeEvent.started(intent, at: began, attempts: attempts, result: result)
    guard let place = await appendPatiently([.event(event)], "started event")?.first?.position
    else { return .interrupted }
    return .started(
      Started(place: place, trigger: trigger, attempts: attempts, began: began, result: result)
    )
  }

  /// How a firing ended.
  struct Ending {
    let phase: Phase
    let attempts: Int
    let began: Timestamp
    let why: String?
    let result: JSON

    init(_ phase: Phase, attempts: Int, began: Timestamp, why: String?, result: JSON) {
      self.phase = phase
      self.attempts = attempts
      self.began = began
      self.why = why
      self.result = result
    }

    /// What a plugin answered, of which nothing further will come.
    init(_ outcome: Outcome, attempts: Int, began: Timestamp) {
      let (phase, why, result): (Phase, String?, JSON) =
        switch outcome {
        case .done(let result): (.succeeded, nil, result)
        case .reject(let why, let result), .retry(_, let why, let result): (.failed, why, result)
        case .cancelled(let why, let result): (.cancelled, why, result)
        case .skipped(let why, let result): (.skipped, why, result)
        case .unknown(let why, let result): (.unknown, why, result)
        case .started(let result): (.unknown, "it was started and nobody follows it", result)
        }
      self.init(phase, attempts: attempts, began: began, why: why, result: result)
    }
  }

  private func settled(_ intent: Intent, _ ending: Ending) async -> Delivery {
    await settle(intent, ending) ? .settled : .interrupted
  }

  /// Whether the ending is on the log.
  func settle(_ intent: Intent, _ ending: Ending) async -> Bool {
    var details: [JSON.Member] = [
      .init(key: "generation", value: .string(intent.generation)),
      .init(key: "attempts", value: JSON(ending.attempts)),
      .init(key: "startedAt", value: .string(ending.began.description)),
      .init(key: "finishedAt", value: .string(clock().description)),
    ]
    if let why = ending.why { details.append(.init(key: "why", value: .string(why))) }
    details += OutcomeEvent.result(ending.result)
    if let mark = state.rates[intent.trigger], plan.triggers[intent.trigger]?.flow.rate != nil {
      details.append(OutcomeEvent.rate(mark))
    }
    if ending.phase == .failed { details.append(consequence(of: intent)) }
    let event = OutcomeEvent.make(intent, ending.phase, at: clock(), details: details)
    guard let place = await appendPatiently([.event(event)], "outcome")?.first?.position else {
      return false
    }
    bury(event, at: place)
    observer.settled(intent.trigger, ending.phase)
    let level = ending.phase == .succeeded ? Logger.Level.info : .warning
    if logger.logLevel <= level { log(level, intent, ending) }
    return true
  }

  private func log(_ level: Logger.Level, _ intent: Intent, _ ending: Ending) {
    var metadata: Logger.Metadata = [
      "trigger": "\(intent.trigger)", "firing": "\(intent.id)",
      "phase": "\(ending.phase.rawValue)", "attempts": "\(ending.attempts)",
    ]
    if let why = ending.why { metadata["error"] = "\(why)" }
    logger.log(level: level, "a firing ended", metadata: metadata)
  }

  private func isAwaited(_ intent: Intent, _ phase: Phase) -> Bool {
    plan.isAwaited(
      EventKey(
        namespace: intent.trigger.sensor.namespace,
        bus: intent.bus,
        source: OutcomeEvent.source,
        subject: OutcomeEvent.subject(intent.trigger, phase)
      )
    )
  }

  func events(
    of intent: Intent
  ) throws -> [(dependency: String, event: Event)] {
    try intent.events.map { reference in
      guard let position = Position(reference.place), let event = try event(at: position),
        event.id == reference.eventID
      else {
        throw NoteError(
          description: "event \(reference.eventID) is no longer on the bus at \(reference.place)"
        )
      }
      return (reference.dependency, event)
    }
  }

  private func event(at position: Position) throws -> Event? {
    if let event = recent.event(at: position) { return event }
    let records = try bus.read(
      from: position,
      limit: recent.nextCount(),
      bytes: configuration.batchBytes / 4
    )
    recent.keep(ahead: records)
    guard case .event(let event) = records.first?.content else { return nil }
    return event
  }
}
