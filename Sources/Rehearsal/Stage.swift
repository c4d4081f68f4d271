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
  }

  private let plan: EnginePlan
  private let clock: VirtualClock
  private let sensor: SensorPlan
  private var slots = Slots()
  private var events: [String: Event] = [:]
  private(set) var firings: [Fired] = []
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

  /// What a trigger holds: event ids by dependency.
  func held(by trigger: String) -> [String: String] {
    slots[TriggerID(sensor: sensor.id, name: trigger)].mapValues(\.eventID)
  }

  /// Gives the sensor an event at the clock's time.
  mutating func give(_ event: Event) {
    events[event.id] = event
    let step = plan.interlocking.step(
      event,
      at: event.id,
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
  mutating func advance(by duration: Duration) { clock.advance(by: duration) }

  private mutating func fire(_ decision: Decision) {
    let names = decision.events.map { (dependency: $0.dependency, id: $0.eventID) }
    let chosen = decision.events.compactMap { reference in
      events[reference.eventID].map { (dependency: reference.dependency, event: $0) }
    }
    func fired(_ rendered: TriggerPlan.Rendered?, _ problem: String?) -> Fired {
      Fired(
        trigger: decision.trigger.name,
        events: names,
        time: clock.now,
        fields: rendered?.fields,
        payload: rendered?.payload,
        problem: problem
      )
    }
    guard let trigger = plan.triggers[decision.trigger] else { return }
    do {
      firings.append(fired(try trigger.render(try trigger.transformed(chosen)), nil))
    } catch {
      firings.append(fired(nil, "\(error)"))
    }
  }

  /// nil: it fired.
  private func reason(_ event: Event, _ trigger: TriggerRule, _ step: Step) -> String? {
    let isFired = step.decisions.contains { decision in
      decision.trigger == trigger.id && decision.events.contains { $0.eventID == event.id }
    }
    if isFired { return nil }
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
    let held = held(by: trigger.id.name)
    let missing = sensor.dependencies.map(\.name).filter { wanted.contains($0) && held[$0] == nil }
    return "waits for \(missing.joined(separator: ", "))"
  }
}
