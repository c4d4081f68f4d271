import Bus
import Event
import Expression
import Logging
import Posix
import Sensor
import Synchronization

/// From events on the bus to decisions on the bus.
extension Engine {
  func read() async {
    while !Task.isCancelled {
      guard await bus.waitForRecords(after: readThrough) else { return }
      let records: [Record]
      let start = readThrough
      do throws(BusError) {
        records = try bus.read(
          after: start,
          limit: isPressed ? configuration.batchRecordsPressed : configuration.batchRecords,
          bytes: configuration.batchBytes
        )
      } catch {
        logger.error("reading the bus failed; trying again", metadata: ["error": "\(error)"])
        await loop.sleep(for: configuration.patience)
        continue
      }
      guard let last = records.last else { continue }
      pressedBatches = max(0, pressedBatches - 1)
      await turnstile.enter()
      // A plan that was put in force meanwhile may have gone back.
      guard readThrough == start else {
        turnstile.leave()
        continue
      }
      let isOpen = await consume(records, through: last.position)
      if isOpen {
        readThrough = last.position
        unsaved += records.count { record in
          if case .note(let note) = record.content { note.kind != NoteKind.snapshot } else { true }
        }
        if unsaved >= configuration.snapshotRecords { await save() }
      }
      turnstile.leave()
      guard isOpen else { return }
      let now = MonotonicTime.now()
      let committed = bus.committed
      progress.withLock { progress in
        progress.readThrough = last.position
        if committed == last.position { progress.caughtUpAt = now }
      }
    }
  }

  private var isPressed: Bool { pressedBatches > 0 && lastAppend < configuration.pressedAppend }

  /// What a batch came to so far.
  struct Work {
    var slots: Slots
    /// The number of the replay that it is for; 0: events came by themselves.
    var replay = 0
    var events = 0
    var intents: [Intent] = []
    var changes: [SlotChange] = []
    var notices: [Draft] = []
    var unjudged: [Unjudged] = []
    /// Dead letters that are tried again.
    var retried: [String] = []

    /// Whether it is to be decided on before more is added: a decision is one record.
    var isLarge: Bool {
      intents.count >= 1000 || changes.count + held >= 20_000
    }

    /// The events of its firings, and those that could not be judged.
    private var held: Int { intents.reduce(unjudged.count) { $0 + $1.events.count } }
  }

  /// Decides on a batch, makes the decisions durable, then acts on them; false when the bus closed.
  private func consume(_ records: [Record], through last: Position) async -> Bool {
    var work = Work(slots: state.slots)
    var through = readThrough
    for record in records {
      // What is due comes before what the record itself does.
      while elapse(to: record, &work) {
        guard work.isLarge, let place = through else { continue }
        guard await decide(work, through: place) else { return false }
        work = Work(slots: state.slots)
      }
      if case .event(let event) = record.content { match(event, at: record, &work) }
      through = record.position
      guard work.isLarge else { continue }
      guard await decide(work, through: record.position) else { return false }
      work = Work(slots: state.slots)
    }
    return await decide(work, through: last)
  }

  private func match(_ event: Event, at record: Record, _ work: inout Work) {
    let (starts, position) = (state.starts, record.position)
    let step = plan.interlocking.step(
      event,
      at: position.description,
      time: record.time,
      &work.slots,
      isActive: { sensor in starts[sensor].map { position > $0 } ?? false }
    )
    work.events += 1
    if !step.decisions.isEmpty { recent.keep(event, at: position) }
    take(step, event, at: record, &work)
  }

  /// Adds what an event came to.
  func take(_ step: Step, _ event: Event, at record: Record, _ work: inout Work) {
    take(step, &work)
    for verdict in step.verdicts {
      judged(verdict, event)
      if let unjudged = verdict.unjudged(event, record, replay: work.replay) {
        work.unjudged.append(unjudged)
      }
    }
  }

  /// Adds what an event, or the time, came to.
  func take(_ step: Step, _ work: inout Work) {
    work.changes += step.changes
    note(step.remarks, &work)
    for decision in step.decisions {
      guard let trigger = plan.triggers[decision.trigger] else { continue }
      let intent = Intent(
        decision,
        kind: trigger.kind,
        bus: trigger.bus,
        generation: trigger.generation
      )
      if decision.hops > configuration.hopLimit {
        work.notices.append(.event(stopped(intent)))
      } else {
        work.intents.append(intent)
      }
    }
  }

  /// The state changes only once the decision is on the bus: what could not be recorded was not
  /// decided.
  func decide(_ work: Work, through last: Position, attempts: Int = .max) async -> Bool {
    let isRecorded =
      !work.intents.isEmpty || !work.changes.isEmpty || !work.notices.isEmpty
      || !work.unjudged.isEmpty || !work.retried.isEmpty
      || unrecorded + work.events >= configuration.cursorInterval
    guard isRecorded else {
      unrecorded += work.events
      state.advance(to: last)
      return true
    }
    let note = DecisionNote(
      consumed: last,
      firings: work.intents,
      changes: work.changes,
      replay: work.replay,
      unjudged: work.unjudged,
      retried: work.retried
    )
    let began = MonotonicTime.now()
    // The notices first: repeated after a crash they deduplicate, the decision would not.
    guard
      let appended = await appendPatiently(
        work.notices + [.note(note.note)],
        "decision",
        attempts: attempts
      ), let place = appended.last?.position
    else { return false }
    lastAppend = MonotonicTime.now() - began
    unrecorded = 0
    state.slots = work.slots
    state.advance(to: last)
    state.replayed(work.replay)
    state.letters.apply(note, at: place)
    for unjudged in work.unjudged {
      observer.died(unjudged.sensor, unjudged.event.dependency, .event)
    }
    showLetters()
    armTicker()
    state.intend(work.intents, at: place)
    for intent in work.intents { observer.fired(intent.trigger) }
    for trigger in Set(work.intents.map(\.trigger)) { pump(trigger) }
    return true
  }

  private func judged(_ verdict: Step.Verdict, _ event: Event) {
    switch verdict.filter {
    case .pass: observer.judged(verdict.sensor, verdict.dependency, .passed)
    case .refused: observer.judged(verdict.sensor, verdict.dependency, .refused)
    case .error(let why):
      observer.judged(verdict.sensor, verdict.dependency, .error)
      logger.warning(
        "a filter could not judge an event",
        metadata: [
          "sensor": "\(verdict.sensor)", "dependency": "\(verdict.dependency)",
          "event": "\(event.id)", "error": "\(why)",
        ]
      )
    }
  }

  func stopped(_ intent: Intent) -> Event {
    observer.stopped(intent.trigger)
    logger.warning(
      "a chain of automations reached the hop limit and was cut",
      metadata: [
        "trigger": "\(intent.trigger)", "limit": "\(configuration.hopLimit)",
        "chain": "\(intent.path.joined(separator: " -> "))",
      ]
    )
    return OutcomeEvent.loopStopped(intent, limit: configuration.hopLimit, at: clock())
  }
}

extension Step.Verdict {
  /// What could not be judged; nil for every other verdict.
  fileprivate func unjudged(_ event: Event, _ record: Record, replay: Int) -> Unjudged? {
    guard case .error(let why) = filter, keepsUnjudged else { return nil }
    let reference = EventReference(
      dependency: dependency,
      source: event.source,
      eventID: event.id,
      place: record.position.description,
      hops: event.hops,
      path: event.cause?.path ?? [],
      replay: replay,
      time: record.time
    )
    return Unjudged(sensor: sensor, event: reference, why: why)
  }
}
