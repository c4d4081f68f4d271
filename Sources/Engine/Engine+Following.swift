import Bus
import Event
import JSON
import Logging
import Plugin
import Posix
import Sensor

/// From `started` on the log to the ending on the log: watching what goes on elsewhere.
extension Engine {
  /// What a firing started.
  struct Started {
    /// Where its `started` event is.
    let place: Position
    let trigger: any Trigger
    let attempts: Int
    let began: Timestamp
    let result: JSON
  }

  /// Takes up what an earlier run of the program started, as far as its triggers are there.
  func followStarted() {
    for (trigger, lane) in state.lanes where !plan.isRefused(trigger) {
      for (id, followed) in lane.followed where followers[id] == nil {
        let intent = followed.entry.intent
        followers[id] = Task {
          // Since then it may have been refused.
          guard !plan.isRefused(trigger) else {
            followers[id] = nil
            return
          }
          do {
            let started = try takenUp(intent, startedAt: followed.started)
            watched[id] = started
            // It may have to make room for one that waits.
            pump(intent.trigger)
            unwatched(intent, await follow(intent, started))
          } catch {
            let ending = Ending(
              .unknown,
              attempts: 0,
              began: clock(),
              why: "it was started and cannot be followed: \(error)",
              result: .null
            )
            unwatched(intent, await settle(intent, ending))
          }
        }
      }
    }
  }

  /// Watches what `intent` started until it ends.
  func watch(_ intent: Intent, _ started: Started) {
    watched[intent.id] = started
    followers[intent.id] = Task { unwatched(intent, await follow(intent, started)) }
  }

  private func unwatched(_ intent: Intent, _ isSettled: Bool) {
    followers[intent.id] = nil
    watched[intent.id] = nil
    stopping.removeValue(forKey: intent.id)?.cancel()
    if isSettled {
      state.end(intent.id, of: intent.trigger)
      payOwed()
    }
    if !Task.isCancelled { pump(intent.trigger) }
  }

  /// What the `started` event at `place` says.
  private func takenUp(_ intent: Intent, startedAt place: Position) throws -> Started {
    guard case .event(let event)? = try bus.record(at: place)?.content else {
      throw NoteError(description: "its started event is no longer on the bus at \(place)")
    }
    guard let plan = plan.triggers[intent.trigger], plan.kind == intent.kind else {
      throw NoteError(
        description: "the trigger is no longer in the manifests, or of another kind than "
          + intent.kind
      )
    }
    let data = try JSON(parsing: event.data)
    return Started(
      place: place,
      trigger: plan.isParameterised
        ? try plan.render(plan.transformed(events(of: intent))).trigger : plan.trigger,
      attempts: data["attempts"]?.integer ?? 1,
      began: event.time,
      result: data["result"] ?? .null
    )
  }

  /// How long a follower waits that could not look and names no time: at first, and at most.
  private static var firstWait: Duration { .seconds(1) }
  private static var longestWait: Duration { .seconds(60) }
  private static var shortestWait: Duration { .milliseconds(10) }

  /// Whether its ending is on the log.
  private func follow(_ intent: Intent, _ started: Started) async -> Bool {
    let firing = firing(of: intent, started)
    var wait = Self.firstWait
    while true {
      let outcome = await started.trigger.follow(firing, started: started.result) { key, data in
        await self.progressed(intent, key, data)
      }
      // What a plugin answers after a cancellation says nothing about the effect.
      if Task.isCancelled { return false }
      guard case .retry(let after, let why, _) = outcome else {
        let ending = Ending(outcome, attempts: started.attempts, began: started.began)
        guard await settle(intent, ending) else { return false }
        started.trigger.forget(intent.id)
        return true
      }
      let pause = min(max(after ?? wait, Self.shortestWait), RetrySchedule.longestWait)
      logger.log(
        level: after == nil ? .info : .debug,
        "what was started could not be looked at; trying again",
        metadata: [
          "trigger": "\(intent.trigger)", "firing": "\(intent.id)", "wait": "\(pause)",
          "error": "\(why)",
        ]
      )
      await loop.sleep(for: pause)
      if Task.isCancelled { return false }
      wait = after == nil ? min(wait * 2, Self.longestWait) : Self.firstWait
    }
  }

  /// A firing without its events, as those see it who follow it.
  private func firing(of intent: Intent, _ started: Started) -> Firing {
    Firing(
      id: intent.id,
      namespace: intent.trigger.sensor.namespace,
      sensor: intent.trigger.sensor.name,
      trigger: intent.trigger.name,
      attempt: started.attempts,
      hops: intent.hops,
      events: [],
      payload: nil,
      isParameterised: plan.triggers[intent.trigger]?.isParameterised ?? false
    )
  }

  /// Asks the target to stop what an older firing started; its follower sees how it ends. Asked
  /// again after a restart, as the newer one still waits then.
  func stopOlder(_ intent: Intent) {
    guard stopping[intent.id] == nil, let started = watched[intent.id] else { return }
    stopping[intent.id] = Task {
      let firing = firing(of: intent, started)
      var wait = Self.firstWait
      while !Task.isCancelled {
        let why = "a newer firing of the same key came"
        switch await started.trigger.cancel(firing, started: started.result, why: why) {
        case .asked: return
        case .refused(let why):
          logger.warning(
            "an older firing cannot be stopped; the newer one waits for its end",
            metadata: [
              "trigger": "\(intent.trigger)", "firing": "\(intent.id)", "error": "\(why)",
            ]
          )
          return
        case .retry(let after, let why):
          logger.info(
            "an older firing could not be stopped; trying again",
            metadata: [
              "trigger": "\(intent.trigger)", "firing": "\(intent.id)", "error": "\(why)",
            ]
          )
          await loop.sleep(for: min(max(after ?? wait, Self.shortestWait), Self.longestWait))
          wait = min(wait * 2, Self.longestWait)
        }
      }
    }
  }

  private func progressed(_ intent: Intent, _ key: String, _ data: JSON) async {
    let event = OutcomeEvent.make(
      intent,
      .progress,
      at: clock(),
      step: key,
      details: OutcomeEvent.result(data)
    )
    await appendPatiently([.event(event)], "progress event")
  }
}
