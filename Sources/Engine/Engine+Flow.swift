import Bus
import Event
import JSON
import Logging
import Posix
package import Sensor
import Synchronization

/// What is held back, and the clock that lets it go.
extension Engine {
  // MARK: Firings

  /// What holds firings now, by trigger.
  package var holds: [(trigger: TriggerID, hold: Hold)] {
    held.map { (trigger: $0.key, hold: $0.value) }
      .sorted { $0.trigger.description < $1.trigger.description }
  }

  /// Notes what holds the firings of a trigger; nil: nothing.
  func show(_ hold: Hold?, of trigger: TriggerID) {
    if let old = held[trigger], old.kind != hold?.kind { observer.held(trigger, old.kind, 0) }
    held[trigger] = hold
    if let hold { observer.held(trigger, hold.kind, hold.waiting) }
  }

  /// A clock that is set must not be noticed too late.
  private static var longestNap: Duration { .seconds(600) }

  /// Looks at a trigger's firings again when `due` has come.
  func wake(_ trigger: TriggerID, at due: Timestamp) {
    if let known = wakes[trigger], known.due <= due { return }
    wakes[trigger]?.task.cancel()
    let wait = nap(until: due)
    let task = Task {
      await loop.sleep(for: wait)
      if Task.isCancelled { return }
      wakes[trigger] = nil
      pump(trigger)
    }
    wakes[trigger] = (due, task)
  }

  private func nap(until due: Timestamp) -> Duration {
    let left = due.nanoseconds.subtractingReportingOverflow(clock().nanoseconds)
    let wait = left.overflow ? Int64.max : max(0, left.partialValue)
    return min(.nanoseconds(wait), Self.longestNap)
  }

  // MARK: Windows

  /// How many windows are open; for the metric.
  package nonisolated var openWindows: Int { progress.withLock { $0.windows } }

  /// Has a record appended when the first window is due, so that log time gets there.
  func armTicker() {
    let count = state.slots.windows.count
    progress.withLock { $0.windows = count }
    let starts = state.starts
    let due = state.slots.windows.firstDue { starts[$0] != nil }
    if due == tick?.due { return }
    tick?.task.cancel()
    tick = due.map { due in (due, Task { await tick(at: due) }) }
  }

  private func tick(at due: Timestamp) async {
    while clock() < due {
      await loop.sleep(for: max(nap(until: due), .milliseconds(1)))
      if Task.isCancelled { return }
    }
    // The reader finds it, which arms the next one. Log time may still be a little behind, or the
    // reader.
    var wait = Duration.milliseconds(100)
    while !Task.isCancelled {
      let note = Note(kind: NoteKind.tick, bytes: Array("{}".utf8))
      guard await appendPatiently([.note(note)], "tick") != nil else { return }
      await loop.sleep(for: wait)
      wait = min(wait * 2, .seconds(10))
    }
  }

  /// What became due by the time of `record`, some of it; whether there is more.
  func elapse(to record: Record, _ work: inout Work) -> Bool {
    let (starts, position) = (state.starts, record.position)
    let step = plan.interlocking.elapse(to: record.time, &work.slots, limit: 500) { sensor in
      starts[sensor].map { position > $0 } ?? false
    }
    take(step, &work)
    return step.isCut
  }

  /// Counts what windows let go; what had no room is told by an event, what has no key is kept.
  func note(_ remarks: [Step.Remark], _ work: inout Work) {
    for remark in remarks {
      switch remark {
      case .throttled(let trigger, let events): observer.letGo(trigger, "throttled", events.count)
      case .superseded(let trigger, let events): observer.letGo(trigger, "superseded", events.count)
      case .expired(let trigger, let events): observer.letGo(trigger, "expired", events.count)
      case .evicted(let window, let events):
        observer.letGo(window.trigger, "evicted", events.count)
        work.notices.append(.event(OutcomeEvent.evicted(window, events, at: clock())))
        logger.warning(
          "a window was given up to make room",
          metadata: [
            "trigger": "\(window.trigger)", "kind": "\(window.kind.rawValue)",
            "key": "\(window.key)", "events": "\(events.count)",
          ]
        )
      case .unkeyed(let trigger, let event, let why):
        let unjudged = Unjudged(
          sensor: trigger.sensor,
          event: event,
          why: why,
          trigger: trigger.name
        )
        work.unjudged.append(unjudged)
        observer.judged(trigger.sensor, event.dependency, .error)
      }
    }
  }
}
