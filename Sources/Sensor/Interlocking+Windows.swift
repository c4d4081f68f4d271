package import Event
import Expression

/// What becomes of events in windows: when they arrive, and when their time is over.
extension Interlocking {
  /// Windows of one trigger that are open at once, and events in one of them.
  private static var windowsMax: Int { 10_000 }
  private static var eventsMax: Int { 10_000 }

  /// An event on its way through one trigger.
  struct Arrival {
    let event: EventReference
    let rule: TriggerRule
    let sensor: SensorPlan
    let now: Timestamp
    var gatheringKey = ""
    var spacingKey = ""
    var lane: String?
  }

  /// The keys of an event, all of them before anything is changed.
  func arrival(
    _ reference: EventReference,
    _ event: Event,
    _ dependency: Dependency,
    _ rule: TriggerRule,
    _ sensor: SensorPlan
  ) throws(KeyError) -> Arrival {
    let now = reference.time ?? event.time
    var arrival = Arrival(event: reference, rule: rule, sensor: sensor, now: now)
    func key(_ rule: KeyRule?) throws(KeyError) -> String? {
      guard let rule else { return nil }
      return try rule.key(of: event, at: dependency)
    }
    switch rule.timing.gathering {
    case .slots: break
    case .correlate(let correlation): arrival.gatheringKey = try key(correlation.key) ?? ""
    case .absent(let absence): arrival.gatheringKey = try key(absence.key) ?? ""
    case .batch(let batch): arrival.gatheringKey = try key(batch.key) ?? ""
    }
    switch rule.timing.spacing {
    case .none: break
    case .debounce(let debounce): arrival.spacingKey = try key(debounce.key) ?? ""
    case .throttle(let throttle): arrival.spacingKey = try key(throttle.key) ?? ""
    }
    arrival.lane = try key(rule.timing.laneKey)
    return arrival
  }

  // MARK: Arrivals

  func correlate(
    _ correlation: Correlation,
    _ arrival: Arrival,
    _ slots: inout Slots,
    _ step: inout Step
  ) {
    let id = WindowID(trigger: arrival.rule.id, kind: .correlate, key: arrival.gatheringKey)
    var events = slots.windows[id]?.events ?? []
    if events.count >= Self.eventsMax {
      let due = due(of: events.dropFirst(), correlation)
      step.remarks.append(.evicted(id, [events.removeFirst()]))
      change(id, .take([0], due: due), &slots, &step)
    }
    if correlation.mode == .latest,
      let old = events.firstIndex(where: { $0.dependency == arrival.event.dependency })
    {
      step.remarks.append(.superseded(arrival.rule.id, [events.remove(at: old)]))
      change(id, .take([old], due: due(of: events[...], correlation)), &slots, &step)
    }
    let names = arrival.sensor.dependencies.map(\.name)
    let all = events + [arrival.event]
    let held = Set(all.map(\.dependency))
    let isComplete =
      correlation.atLeast.map { held.count >= $0 }
      ?? arrival.rule.condition.evaluate { held.contains(names[$0]) }
    guard isComplete else {
      let due = due(of: all[...], correlation)
      change(id, .add(arrival.event, due: due, lane: arrival.lane), &slots, &step)
      makeRoom(for: id, &slots, &step)
      return
    }
    guard correlation.mode == .exact else {
      if !events.isEmpty { change(id, .close, &slots, &step) }
      let fired = names.flatMap { name in all.filter { $0.dependency == name } }
      return fire(fired, arrival, &slots, &step)
    }
    let places = names.compactMap { name in all.firstIndex { $0.dependency == name } }
    let rest = all.indices.filter { !places.contains($0) }.map { all[$0] }
    let due = due(of: rest[...], correlation)
    let taken = places.filter { $0 < events.count }.sorted()
    if !taken.isEmpty { change(id, .take(taken, due: due), &slots, &step) }
    if !places.contains(events.count) {
      change(id, .add(arrival.event, due: due, lane: arrival.lane), &slots, &step)
    }
    fire(places.map { all[$0] }, arrival, &slots, &step)
  }

  /// When the first of these events has waited long enough.
  private func due(of events: ArraySlice<EventReference>, _ correlation: Correlation) -> Timestamp?
  {
    guard let within = correlation.within, let first = events.first?.time else { return nil }
    return first.adding(within)
  }

  func lookOut(
    _ absence: Absence,
    _ arrival: Arrival,
    _ slots: inout Slots,
    _ step: inout Step
  ) {
    let id = WindowID(trigger: arrival.rule.id, kind: .absent, key: arrival.gatheringKey)
    let window = slots.windows[id]
    guard arrival.event.dependency == absence.after else {
      if window != nil { change(id, .close, &slots, &step) }
      return
    }
    if let window, window.events.count >= Self.eventsMax {
      step.remarks.append(.evicted(id, [window.events[0]]))
      let next = window.events[1].time?.adding(absence.within)
      change(id, .take([0], due: next), &slots, &step)
    }
    let due = slots.windows[id]?.due ?? arrival.now.adding(absence.within)
    change(id, .add(arrival.event, due: due, lane: arrival.lane), &slots, &step)
    makeRoom(for: id, &slots, &step)
  }

  func collect(
    _ batch: Batch,
    _ arrival: Arrival,
    _ slots: inout Slots,
    _ step: inout Step
  ) {
    let id = WindowID(trigger: arrival.rule.id, kind: .batch, key: arrival.gatheringKey)
    let window = slots.windows[id]
    let events = (window?.events ?? []) + [arrival.event]
    if events.count >= batch.count {
      if window != nil { change(id, .close, &slots, &step) }
      return fire(events, arrival, &slots, &step)
    }
    let due = window?.due ?? batch.within.map { arrival.now.adding($0) }
    change(id, .add(arrival.event, due: due, lane: arrival.lane), &slots, &step)
    makeRoom(for: id, &slots, &step)
  }

  // MARK: Firings

  /// The events make a firing, unless it has to wait or is one too many.
  func fire(
    _ events: [EventReference],
    _ arrival: Arrival,
    _ slots: inout Slots,
    _ step: inout Step
  ) {
    let (rule, now) = (arrival.rule, arrival.now)
    switch rule.timing.spacing {
    case .none: step.decisions.append(rule.decision(events, at: now, arrival.lane))
    case .debounce(let debounce):
      let id = WindowID(trigger: rule.id, kind: .debounce, key: arrival.spacingKey)
      let window = slots.windows[id]
      if let window { step.remarks.append(.superseded(rule.id, window.events)) }
      let opened = window?.opened ?? now
      let limit = debounce.max.map { opened.adding($0) }
      let due = min(now.adding(debounce.wait), limit ?? now.adding(debounce.wait))
      let put = WindowChange.replace(events, opened: opened, due: due, lane: arrival.lane)
      change(id, put, &slots, &step)
      makeRoom(for: id, &slots, &step)
    case .throttle(let throttle):
      let id = WindowID(trigger: rule.id, kind: .throttle, key: arrival.spacingKey)
      let window = slots.windows[id]
      let count = window?.count ?? 0
      guard count < throttle.limit else {
        step.remarks.append(.throttled(rule.id, events))
        return
      }
      let opened = window?.opened ?? now
      let counted = WindowChange.count(count + 1, opened: opened, due: opened.adding(throttle.per))
      change(id, counted, &slots, &step)
      makeRoom(for: id, &slots, &step)
      step.decisions.append(rule.decision(events, at: now, arrival.lane))
    }
  }

  func change(
    _ id: WindowID,
    _ change: WindowChange,
    _ slots: inout Slots,
    _ step: inout Step
  ) {
    let change = SlotChange.window(id, change)
    slots.apply(change)
    step.changes.append(change)
  }

  /// Lets the oldest windows of a trigger go where it has too many.
  private func makeRoom(for id: WindowID, _ slots: inout Slots, _ step: inout Step) {
    guard (slots.windows.open[id.trigger]?.count ?? 0) > Self.windowsMax else { return }
    // A hundred at once, so that the next hundred find room without a search.
    for oldest in slots.windows.oldest(of: id.trigger, id.kind, 100) where oldest != id {
      step.remarks.append(.evicted(oldest, slots.windows[oldest]?.events ?? []))
      change(oldest, .close, &slots, &step)
    }
  }

  // MARK: Time

  /// What log time that has come to `now` does: windows are over, firings that waited come about.
  /// - Parameter limit: so many windows at most; `isCut` then says that there may be more.
  package func elapse(
    to now: Timestamp,
    _ slots: inout Slots,
    limit: Int = .max,
    isActive: (SensorID) -> Bool
  ) -> Step {
    var step = Step()
    var later: [WindowID] = []
    var count = 0
    while !step.isCut, let (id, due) = slots.windows.popDue(by: now) {
      guard isActive(id.trigger.sensor), let rule = rule(of: id.trigger) else {
        later.append(id)
        continue
      }
      expire(id, rule, at: due, &slots, &step)
      // Events of one batch have one time: what is left may be due just as well.
      if slots.windows[id]?.due == due { slots.windows.putBack(id) }
      count += 1
      step.isCut = count >= limit
    }
    for id in later { slots.windows.putBack(id) }
    return step
  }

  private func expire(
    _ id: WindowID,
    _ rule: TriggerRule,
    at due: Timestamp,
    _ slots: inout Slots,
    _ step: inout Step
  ) {
    guard let window = slots.windows[id] else { return }
    switch (id.kind, rule.timing.gathering) {
    case (.correlate, .correlate(let correlation)):
      let within = correlation.within ?? .zero
      let over = window.events.indices.filter { index in
        window.events[index].time.map { $0.adding(within) <= due } ?? true
      }
      step.remarks.append(.expired(id.trigger, over.map { window.events[$0] }))
      let rest = window.events.indices.filter { !over.contains($0) }.map { window.events[$0] }
      change(id, .take(over, due: self.due(of: rest[...], correlation)), &slots, &step)
    case (.absent, .absent(let absence)):
      let next = window.events.dropFirst().first?.time?.adding(absence.within)
      change(id, .take([0], due: next), &slots, &step)
      guard let event = window.events.first else { return }
      step.decisions.append(rule.decision([event], at: due, window.lane))
    case (.batch, _), (.debounce, _):
      change(id, .close, &slots, &step)
      step.decisions.append(rule.decision(window.events, at: due, window.lane))
    default: change(id, .close, &slots, &step)
    }
  }
}

extension TriggerRule {
  func decision(_ events: [EventReference], at time: Timestamp, _ lane: String?) -> Decision {
    Decision(
      trigger: id,
      events: events,
      notBefore: timing.delay > .zero ? time.adding(timing.delay) : nil,
      lane: lane
    )
  }
}
