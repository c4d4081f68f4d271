import Engine
import Event
import Expression
import JSON
import Manifest
import Sensor

/// One sensor on a stage: it is given events and decides as it would in earnest, and what its
/// triggers would act with is rendered, but nobody acts.
struct Stage {
  /// A trigger that would have acted.
  struct Fired {
    let trigger: String
    /// Event ids by dependency.
    let events: [(dependency: String, id: String)]
    let time: Timestamp
    /// nil where the parameters do not fit; then `problem` says why.
    let fields: JSON?
    let payload: [UInt8]?
    let problem: String?

    /// The ids of each dependency, separated by spaces.
    var eventsByDependency: [(dependency: String, ids: String)] { joined(events) }
  }

  private let plan: EnginePlan
  private let clock: VirtualClock
  private let sensor: SensorPlan
  private var slots = Slots()
  private var events: [String: Event] = [:]
  private(set) var firings: [Fired] = []
  /// What rate limits remember.
  private var marks: [String: Timestamp] = [:]
  /// Events whose firing is suspended, with the trigger.
  private var suspended: Set<String> = []
  /// Why an event did not fire a trigger, by its id and the trigger's name.
  private(set) var reasons: [String: [String: String]] = [:]

  /// nil for a plan without sensors.
  init?(_ plan: EnginePlan, _ clock: VirtualClock) {
    guard let sensor = plan.interlocking.sensors.first else { return nil }
    (self.plan, self.clock, self.sensor) = (plan, clock, sensor)
  }

  /// The key of the events that a dependency takes.
  func key(of dependency: String) -> EventKey? {
    sensor.dependencies.last { $0.name == dependency }?.key
  }

  var namespace: String { sensor.id.namespace }
  var bus: String { sensor.bus }
  var triggers: [String] { sensor.triggers.map(\.id.name) }
  var dependencies: [String] { sensor.dependencies.map(\.name) }
  var eventIDs: Set<String> { Set(events.keys) }

  /// What a trigger holds, in slots and windows: event ids by dependency, separated by spaces.
  func held(by trigger: String) -> [(dependency: String, ids: String)] {
    let id = TriggerID(sensor: sensor.id, name: trigger)
    let windows = slots.windows.all.filter { $0.id.trigger == id }.flatMap(\.window.events)
    let held = slots[id].values.map { ($0.dependency, $0.eventID) }
    let all = held + windows.map { ($0.dependency, $0.eventID) }
    return joined(all).sorted { $0.dependency < $1.dependency }
  }

  /// Gives the sensor an event at the clock's time.
  mutating func give(_ event: Event) {
    events[event.id] = event
    let step = plan.interlocking.step(
      event,
      at: event.id,
      time: clock.now,
      &slots,
      isExhaustive: true,
      isActive: { _ in true }
    )
    for decision in step.decisions { fire(decision) }
    for trigger in sensor.triggers {
      reasons[event.id, default: [:]][trigger.id.name] = reason(event, trigger, step)
    }
  }

  /// Lets the clock go on; timers that fall due act at their own time.
  mutating func advance(by duration: Duration) {
    let end = clock.now.adding(duration)
    while let due = slots.windows.firstDue(isActive: { _ in true }), due <= end {
      clock.set(to: max(due, clock.now))
      let step = plan.interlocking.elapse(to: due, &slots, isActive: { _ in true })
      for decision in step.decisions { fire(decision) }
      for case .expired(let trigger, let events) in step.remarks {
        for event in events {
          reasons[event.eventID]?[trigger.name] = "what it waited for did not come in time"
        }
      }
    }
    clock.set(to: end)
  }

  /// Firings stand in the order in which they start; one that has not started did not fire.
  mutating func end() {
    let now = clock.now
    for fired in firings where fired.time > now {
      for event in fired.events { reasons[event.id]?[fired.trigger] = "held until \(fired.time)" }
    }
    firings = firings.filter { $0.time <= now }.enumerated()
      .sorted { ($0.element.time, $0.offset) < ($1.element.time, $1.offset) }.map(\.element)
  }

  /// When a firing starts that is decided on now.
  private mutating func start(of decision: Decision) -> Timestamp? {
    guard let flow = plan.triggers[decision.trigger]?.flow else { return clock.now }
    if flow.isSuspended { return nil }
    var time = max(clock.now, decision.notBefore ?? clock.now)
    if let rate = flow.rate {
      let mark = marks[decision.trigger.name]
      time = max(time, rate.earliest(after: mark, now: mark.map { max($0, time) } ?? time))
      marks[decision.trigger.name] = rate.mark(after: mark, now: time)
    }
    return time
  }

  private mutating func fire(_ decision: Decision) {
    guard let time = start(of: decision) else {
      for event in decision.events { suspended.insert(event.eventID + " " + decision.trigger.name) }
      return
    }
    let names = decision.events.map { (dependency: $0.dependency, id: $0.eventID) }
    let chosen = decision.events.compactMap { reference in
      events[reference.eventID].map { (dependency: reference.dependency, event: $0) }
    }
    func fired(_ fields: JSON?, _ payload: [UInt8]?, _ problem: String?) -> Fired {
      Fired(
        trigger: decision.trigger.name,
        events: names,
        time: time,
        fields: fields,
        payload: payload,
        problem: problem
      )
    }
    guard let trigger = plan.triggers[decision.trigger] else { return }
    do {
      let seen = try trigger.transformed(chosen)
      let rendered = try trigger.render(seen)
      firings.append(fired(try trigger.shownFields(rendered, seen), rendered.payload, nil))
    } catch {
      firings.append(fired(nil, nil, "\(error)"))
    }
  }

  /// nil: it fired.
  private func reason(_ event: Event, _ trigger: TriggerRule, _ step: Step) -> String? {
    let isFired = step.decisions.contains { decision in
      decision.trigger == trigger.id && decision.events.contains { $0.eventID == event.id }
    }
    if suspended.contains(event.id + " " + trigger.id.name) { return "suspended" }
    if isFired { return nil }
    if let why = remark(step, event, trigger) { return why }
    let wanted = Set(trigger.condition.indices.map { sensor.dependencies[$0].name })
    let verdicts = step.verdicts.filter { wanted.contains($0.dependency) }
    if verdicts.isEmpty {
      return "no dependency of the trigger takes events of \(event.source)/\(event.subject)"
    }
    let refusals = verdicts.compactMap { verdict -> String? in
      switch verdict.filter {
      case .pass: nil
      case .refused(let why): "\(verdict.dependency): \(why)"
      case .error(let why): "\(verdict.dependency): error: \(why)"
      }
    }
    if refusals.count == verdicts.count { return refusals.joined(separator: "; ") }
    let windows = slots.windows.all.filter { $0.id.trigger == trigger.id }
    if let (id, window) = windows.first(where: { $0.id.kind != .correlate }) {
      return "held by \(id.kind.rawValue)" + (window.due.map { " until \($0)" } ?? "")
    }
    // Only what is under the event's own key counts.
    let own = windows.first { $0.window.events.contains { $0.eventID == event.id } }?.window.events
    let held = Set(own?.map(\.dependency) ?? self.held(by: trigger.id.name).map(\.dependency))
    let missing = sensor.dependencies.map(\.name).filter {
      wanted.contains($0) && !held.contains($0)
    }
    return "waits for \(missing.joined(separator: ", "))"
  }

  /// Why windows let the event go at once; nil where they did not.
  private func remark(_ step: Step, _ event: Event, _ trigger: TriggerRule) -> String? {
    for remark in step.remarks {
      switch remark {
      case .throttled(let id, let events)
      where id == trigger.id && events.contains { $0.eventID == event.id }:
        return "throttled"
      case .unkeyed(let id, _, let why) where id == trigger.id: return "error: \(why)"
      default: continue
      }
    }
    return nil
  }
}

/// The ids of each dependency, separated by spaces, in the order in which dependencies appear.
private func joined(
  _ events: [(dependency: String, id: String)]
) -> [(dependency: String, ids: String)] {
  var order: [String] = []
  var ids: [String: [String]] = [:]
  for (dependency, id) in events {
    if ids[dependency] == nil { order.append(dependency) }
    ids[dependency, default: []].append(id)
  }
  return order.map { (dependency: $0, ids: (ids[$0] ?? []).joined(separator: " ")) }
}
