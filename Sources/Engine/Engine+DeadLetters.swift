package import Bus
package import Event
import Expression
package import JSON
import Logging
import Plugin
import Posix
import Sensor
import Synchronization

/// What failed for good: kept, tried again, or dropped.
extension Engine {
  // MARK: How letters come to be

  /// What a failed outcome says of what comes next: a dead letter, or the firing of another trigger.
  func consequence(of intent: Intent) -> JSON.Member {
    if let other = plan.triggers[intent.trigger]?.deadLetterTrigger,
      let trigger = plan.triggers[other]
    {
      return OutcomeEvent.owing(Intent(afterFailureOf: intent, trigger))
    }
    return OutcomeEvent.letter(of: intent)
  }

  /// Takes an outcome into account that is on the bus at `place`.
  func bury(_ event: Event, at place: Position) {
    state.owe(OutcomeEvent.owed(event))
    guard let letter = OutcomeEvent.deadLetter(event, at: place) else { return }
    state.keep(letter)
    observer.died(letter.sensor, letter.part, .firing)
    showLetters()
  }

  /// Decides on the firings of `dlqTrigger`s. The ending on the bus asks for them, so that a crash
  /// in between loses none.
  func payOwed() {
    guard !state.owed.isEmpty, paying == nil else { return }
    paying = Task {
      await turnstile.enter()
      defer { turnstile.leave() }
      while !Task.isCancelled, !state.owed.isEmpty, let place = state.cursor {
        var work = Work(slots: state.slots)
        work.intents = state.owed.values.sorted { $0.id.text < $1.id.text }
        guard await decide(work, through: place) else { break }
      }
      paying = nil
    }
  }

  /// Tries what was asked for while nothing ran.
  func takeUpWanted() {
    let wanted = state.letters.sorted.filter(\.isWanted).map(\.id)
    guard !wanted.isEmpty else { return }
    wanting = Task {
      for answer in await retry(letters: wanted, by: "asked for while nothing ran") {
        logger.log(
          level: answer.isDone ? .info : .warning,
          "a dead letter is tried again",
          metadata: ["letter": "\(answer.id)", "result": "\(answer.message)"]
        )
      }
      wanting = nil
    }
  }

  /// How many there are now; for the metric.
  package nonisolated var deadLetterCount: Int { progress.withLock { $0.letters } }

  func showLetters() {
    let count = state.letters.count
    progress.withLock { $0.letters = count }
  }

  // MARK: What people do to them

  /// Oldest first.
  package var deadLetters: [DeadLetter] { state.letters.sorted }

  /// A letter and its events, as far as they are on the bus.
  package func deadLetter(_ id: String) -> (letter: DeadLetter, details: JSON, events: [Event])? {
    guard let letter = state.letters[id] else { return nil }
    let events = letter.events.compactMap { place -> Event? in
      guard case .event(let event)? = (try? bus.record(at: place))?.content else { return nil }
      return event
    }
    return (letter, (try? bus.record(at: letter.place)).map(letter.details) ?? .null, events)
  }

  /// What came of trying one letter again.
  package struct Retried: Sendable {
    package let id: String
    package let isDone: Bool
    package let message: String
  }

  /// Tries dead letters again, by the triggers and filters as they are now: a firing gets a new id
  /// like any replay, an event arrives at its dependency once more. What cannot be tried stays.
  package func retry(letters ids: [String], by who: String) async -> [Retried] {
    await turnstile.enter()
    defer { turnstile.leave() }
    guard let cursor = state.cursor else {
      return ids.map { Retried(id: $0, isDone: false, message: "the engine has read nothing yet") }
    }
    var answers: [Retried] = []
    var rest = ids[...]
    while !rest.isEmpty {
      var work = Work(slots: state.slots, replay: state.replays)
      var pending: [Retried] = []
      // A decision is one record.
      for id in rest.prefix(Self.lettersAtOnce) {
        work.replay += 1
        do throws(NoteError) {
          let message = try retry(id, &work)
          work.retried.append(id)
          pending.append(Retried(id: id, isDone: true, message: message))
        } catch { answers.append(Retried(id: id, isDone: false, message: "\(error)")) }
      }
      rest = rest.dropFirst(Self.lettersAtOnce)
      if work.retried.isEmpty { continue }
      let notice = OutcomeEvent.letters("retried", work.retried, why: who, at: clock())
      work.notices.append(.event(notice))
      guard await decide(work, through: cursor, attempts: 1) else {
        answers += pending.map {
          Retried(id: $0.id, isDone: false, message: "the bus did not take it")
        }
        continue
      }
      answers += pending
    }
    // The events may be so old that nothing else holds them.
    await save()
    return answers
  }

  private static var lettersAtOnce: Int { 100 }

  private func retry(_ id: String, _ work: inout Work) throws(NoteError) -> String {
    guard let letter = state.letters[id] else { throw NoteError(description: "there is none") }
    switch letter.kind {
    case .firing: return try refire(letter, &work)
    case .event: return try rejudge(letter, &work)
    }
  }

  private func refire(_ letter: DeadLetter, _ work: inout Work) throws(NoteError) -> String {
    let id = TriggerID(sensor: letter.sensor, name: letter.part)
    guard let trigger = plan.triggers[id] else {
      throw NoteError(description: "the trigger \(id) is not in the manifests")
    }
    guard case .event(let outcome)? = (try? bus.record(at: letter.place))?.content else {
      throw NoteError(description: "its outcome is no longer on the bus at \(letter.place)")
    }
    let events = OutcomeEvent.letterEvents(outcome).map { $0.arriving(byReplay: work.replay) }
    let intent = Intent(
      Decision(trigger: id, events: events),
      kind: trigger.kind,
      bus: trigger.bus,
      generation: trigger.generation
    )
    work.intents.append(intent)
    return "\(id) fires: firing \(intent.id)"
  }

  private func rejudge(_ letter: DeadLetter, _ work: inout Work) throws(NoteError) -> String {
    guard let place = letter.events.first,
      case .event(let event)? = (try? bus.record(at: place))?.content
    else { throw NoteError(description: "its event is no longer on the bus") }
    guard
      plan.interlocking.sensors.contains(where: { sensor in
        sensor.id == letter.sensor && sensor.dependencies.contains { $0.name == letter.part }
      })
    else {
      throw NoteError(
        description: "the dependency \(letter.part) of \(letter.sensor) is not in the manifests"
      )
    }
    let details = letter.details((try? bus.record(at: letter.place)) ?? nil)
    let trigger = details["trigger"]?.asText
    let arrival = Record(position: place, time: clock(), content: .event(event))
    let step = plan.interlocking.step(
      event,
      at: place.description,
      time: arrival.time,
      &work.slots,
      replay: work.replay,
      dependency: letter.part,
      isExhaustive: true,
      trigger: trigger.map { TriggerID(sensor: letter.sensor, name: $0) }
    ) { $0 == letter.sensor }
    take(step, event, at: arrival, &work)
    let fired = step.decisions.map { "\($0.trigger) fires" }
    if !fired.isEmpty { return fired.joined(separator: ", ") }
    for verdict in step.verdicts {
      switch verdict.filter {
      case .pass: return "\(letter.part) takes it"
      case .refused(let why): return "\(letter.part) does not want it: \(why)"
      case .error(let why): return "a dead letter again: \(why)"
      }
    }
    return "\(letter.part) does not take events of \(event.source)/\(event.subject)"
  }

  /// Gives letters up.
  /// - Returns: the ids of those that there were.
  /// - Throws: `BusError`; then nothing was dropped.
  package func drop(letters ids: [String], why: String) async throws -> [String] {
    await turnstile.enter()
    defer { turnstile.leave() }
    return try await dropped(ids.filter { state.letters[$0] != nil }, why)
  }

  private func dropped(_ ids: [String], _ why: String) async throws(BusError) -> [String] {
    if ids.isEmpty { return [] }
    let note = LettersNote(drop: ids)
    let notice = OutcomeEvent.letters("dropped", ids, why: why, at: clock())
    _ = try await bus.append([.event(notice), .note(note.note)])
    state.letters.apply(note)
    unsaved += 1
    showLetters()
    logger.warning(
      "dead letters are dropped",
      metadata: ["count": "\(ids.count)", "why": "\(why)"]
    )
    return ids
  }

  /// Drops what is too old or too many. Only between two batches.
  func dropOldLetters() async {
    let letters = state.letters.sorted
    let age = configuration.deadLetterAge.wholeNanoseconds
    let now = clock().nanoseconds
    let old = letters.prefix { now - $0.time.nanoseconds > age }
    let many = letters.dropFirst(old.count).dropLast(configuration.deadLettersMax)
    do throws(BusError) {
      _ = try await dropped(old.map(\.id), "older than \(configuration.deadLetterAge)")
      _ = try await dropped(many.map(\.id), "more than \(configuration.deadLettersMax)")
    } catch {
      logger.warning("the bus did not take a record of letters", metadata: ["error": "\(error)"])
    }
  }
}

extension DeadLetter {
  /// The whole of what `record` says of it.
  package func details(_ record: Record?) -> JSON {
    switch record?.content {
    case .event(let event): return (try? JSON(parsing: event.data)) ?? .null
    case .note(let note):
      guard let decision = try? DecisionNote(note) else { return .null }
      return decision.unjudged.first { $0.id == id }?.json ?? .null
    case nil: return .null
    }
  }
}

extension EventReference {
  func arriving(byReplay number: Int) -> EventReference {
    EventReference(
      dependency: dependency,
      source: source,
      eventID: eventID,
      place: place,
      hops: hops,
      path: path,
      replay: number,
      time: time
    )
  }
}
