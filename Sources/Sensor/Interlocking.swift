package import Event
package import Expression
import JSON

/// The part of an event that a slot or a firing keeps: who it is and where to find it again.
package struct EventReference: Equatable, Sendable {
  package let dependency: String
  package let source: String
  package let eventID: String
  /// The printed position on the bus.
  package let place: String
  package let hops: Int
  /// The firings that led to the event (`Cause.path`).
  package let path: [String]
  /// The number of the replay that it arrived by; 0: it came by itself.
  package let replay: Int
  /// Log time when it arrived; nil in records of versions that did not note it.
  package let time: Timestamp?

  package init(
    dependency: String,
    source: String,
    eventID: String,
    place: String,
    hops: Int,
    path: [String],
    replay: Int = 0,
    time: Timestamp? = nil
  ) {
    self.dependency = dependency
    self.source = source
    self.eventID = eventID
    self.place = place
    self.hops = hops
    self.path = path
    self.replay = replay
    self.time = time
  }
}

/// The events that triggers with `&&` hold while they wait for the others: one slot per
/// (trigger, dependency), the latest event wins (spec section 3.7).
package struct Slots: Equatable, Sendable {
  package private(set) var held: [TriggerID: [String: EventReference]] = [:]
  /// Those that wait otherwise: `correlate`, `batch`, `debounce` and their like.
  package var windows = Windows()

  package init() {}

  package subscript(trigger: TriggerID) -> [String: EventReference] { held[trigger] ?? [:] }

  package mutating func apply(_ change: SlotChange) {
    switch change {
    case .hold(let trigger, let event): held[trigger, default: [:]][event.dependency] = event
    case .clear(let trigger): held[trigger] = nil
    case .drop(let trigger, let dependency):
      held[trigger]?[dependency] = nil
      if held[trigger]?.isEmpty == true { held[trigger] = nil }
    case .window(let id, let change): windows.apply(id, change)
    }
  }
}

package enum SlotChange: Equatable, Sendable {
  /// An event takes the slot of its dependency.
  case hold(TriggerID, EventReference)
  /// All slots of a trigger are emptied: it fired.
  case clear(TriggerID)
  /// One slot is emptied: its dependency was edited, or its trigger began anew at a set time.
  case drop(TriggerID, dependency: String)
  case window(WindowID, WindowChange)
}

/// A trigger whose condition came true.
package struct Decision: Equatable, Sendable {
  package let trigger: TriggerID
  /// In the order of the sensor's dependencies.
  package let events: [EventReference]
  /// Log time before which it does not run; nil: at once.
  package let notBefore: Timestamp?
  /// What it shares a limit of concurrency with; nil: all firings of the trigger.
  package let lane: String?

  package init(
    trigger: TriggerID,
    events: [EventReference],
    notBefore: Timestamp? = nil,
    lane: String? = nil
  ) {
    self.trigger = trigger
    self.events = events
    self.notBefore = notBefore
    self.lane = lane
  }

  /// The firings from the first outside event to this one, this one included.
  package var hops: Int { (events.map(\.hops).max() ?? 0) + 1 }

  /// The longest known chain that led here, without this firing.
  package var path: [String] { events.map(\.path).max { $0.count < $1.count } ?? [] }

  /// The number of the latest replay that it comes from; 0: of none. A replay puts an event into
  /// each slot once, so that no two firings of the same events have the same number.
  package var replay: Int { events.map(\.replay).max() ?? 0 }
}

/// What one event did.
package struct Step: Sendable {
  package var decisions: [Decision] = []
  package var changes: [SlotChange] = []
  /// Of dependencies that the index could not rule out, or of all that wait for the event.
  package var verdicts: [Verdict] = []
  package var remarks: [Remark] = []
  /// Whether more is due.
  package var isCut = false

  /// Why an event that passed did not fire, beyond slots.
  package enum Remark: Sendable {
    /// One too many (`throttle`).
    case throttled(TriggerID, [EventReference])
    /// A later one took their place (`debounce`, `correlate` with `latest`).
    case superseded(TriggerID, [EventReference])
    /// What they waited for did not come in time (`correlate`).
    case expired(TriggerID, [EventReference])
    /// There was no room for them any longer.
    case evicted(WindowID, [EventReference])
    /// It has no key.
    case unkeyed(TriggerID, EventReference, why: String)
  }

  /// How one dependency judged the event.
  package struct Verdict: Sendable {
    package let sensor: SensorID
    package let dependency: String
    package let filter: FilterVerdict
    /// Whether an event that could not be judged becomes a dead letter.
    package let keepsUnjudged: Bool
  }
}

/// All sensors, indexed by what they wait for and by what their filters ask. Matching is a
/// function of the plan, the slots and the event: no clock, no randomness, no I/O.
package struct Interlocking: Sendable {
  private var index = MatchingIndex()

  package init(_ sensors: [SensorPlan]) {
    for sensor in sensors { index.insert(sensor) }
  }

  /// In the order in which they came, but for those that took the place of one that left.
  package var sensors: [SensorPlan] { index.sensors }

  /// Adds a sensor; one of the same name leaves.
  package mutating func insert(_ sensor: SensorPlan) { index.insert(sensor) }

  /// Takes a sensor out, if there is one of that name.
  package mutating func remove(_ id: SensorID) { index.remove(id) }

  func rule(of trigger: TriggerID) -> TriggerRule? {
    index[trigger.sensor]?.triggers.first { $0.id == trigger }
  }

  /// Whether some sensor waits for events of `key`.
  package func isAwaited(_ key: EventKey) -> Bool { index.isAwaited(key) }

  /// What `event`, found at `place`, does to the slots, which are changed, and which triggers
  /// fire.
  /// - Parameters:
  ///   - time: log time; nil: the event's own.
  ///   - replay: the number of the replay that it arrives by; 0: it comes by itself.
  ///   - dependency: the only one, by its name, at which it arrives; nil: all that take it.
  ///   - isExhaustive: whether to ask also those of whom the index knows that they refuse the event,
  ///     so that the verdicts say why.
  ///   - trigger: the only one that it reaches; nil: all that wait for it.
  ///   - isActive: whether a sensor reads from here on already.
  package func step(
    _ event: Event,
    at place: String,
    time: Timestamp? = nil,
    _ slots: inout Slots,
    replay: Int = 0,
    dependency only: String? = nil,
    isExhaustive: Bool = false,
    trigger reached: TriggerID? = nil,
    isActive: (SensorID) -> Bool
  ) -> Step {
    var step = Step()
    guard let found = index.candidates(event, isExhaustive: isExhaustive) else { return step }
    // One parse serves all filters; events nobody filters are never parsed.
    var parsed = found.data
    for number in found.numbers {
      guard let (sensor, position) = index[number], isActive(sensor.id) else { continue }
      let dependency = sensor.dependencies[position]
      if let only, only != dependency.name { continue }
      let verdict = transformedAndJudged(event, dependency, &parsed)
      step.verdicts.append(
        Step.Verdict(
          sensor: sensor.id,
          dependency: dependency.name,
          filter: verdict,
          keepsUnjudged: sensor.keepsUnjudged
        )
      )
      guard case .pass = verdict else { continue }
      let reference = EventReference(
        dependency: dependency.name,
        source: event.source,
        eventID: event.id,
        place: place,
        hops: event.hops,
        path: event.cause?.path ?? [],
        replay: replay,
        time: time ?? event.time
      )
      for rule in sensor.triggers where rule.condition.indices.contains(position) {
        if let reached, reached != rule.id { continue }
        do throws(KeyError) {
          let arrival = try arrival(reference, event, dependency, rule, sensor)
          arrive(arrival, &slots, &step)
        } catch { step.remarks.append(.unkeyed(rule.id, reference, why: error.description)) }
      }
    }
    return step
  }

  private func arrive(_ arrival: Arrival, _ slots: inout Slots, _ step: inout Step) {
    switch arrival.rule.timing.gathering {
    case .slots: take(arrival, &slots, &step)
    case .correlate(let correlation): correlate(correlation, arrival, &slots, &step)
    case .absent(let absence): lookOut(absence, arrival, &slots, &step)
    case .batch(let batch): collect(batch, arrival, &slots, &step)
    }
  }

  /// The event takes its slot.
  private func take(_ arrival: Arrival, _ slots: inout Slots, _ step: inout Step) {
    let (event, rule, sensor) = (arrival.event, arrival.rule, arrival.sensor)
    // Without `&&` there is nothing to wait for: each event fires alone (spec section 3.6).
    if rule.condition.isPureOr {
      fire([event], arrival, &slots, &step)
      return
    }
    if let now = event.time, !rule.resets.isEmpty {
      for (name, old) in slots[rule.id].sorted(by: { $0.key < $1.key })
      where rule.isReset(old, by: now) {
        let change = SlotChange.drop(rule.id, dependency: name)
        slots.apply(change)
        step.changes.append(change)
      }
    }
    var held = slots[rule.id]
    held[event.dependency] = event
    let names = sensor.dependencies.map(\.name)
    let change: SlotChange
    if rule.condition.evaluate({ held[names[$0]] != nil }) {
      // The firing takes everything that was held, also what the condition could do without.
      fire(names.compactMap { held[$0] }, arrival, &slots, &step)
      guard !slots[rule.id].isEmpty else { return }
      change = .clear(rule.id)
    } else {
      change = .hold(rule.id, event)
    }
    slots.apply(change)
    step.changes.append(change)
  }

  /// The transform comes first; what it makes is the dependency's own and parsed for it alone.
  private func transformedAndJudged(
    _ event: Event,
    _ dependency: Dependency,
    _ parsed: inout FilterData?
  ) -> FilterVerdict {
    guard let transform = dependency.transform else { return judge(event, dependency, &parsed) }
    do throws(TransformError) {
      var own: FilterData?
      return judge(try transform.applied(to: event), dependency, &own)
    } catch { return .error("transform: \(error)") }
  }

  private func judge(
    _ event: Event,
    _ dependency: Dependency,
    _ parsed: inout FilterData?
  ) -> FilterVerdict {
    guard let filters = dependency.filters else { return .pass }
    var data = FilterData.absent
    if filters.readsData, !event.data.isEmpty {
      data = parsed ?? FilterData(event.data)
      parsed = data
    }
    return filters.evaluate(FilterSubject(event, data))
  }
}

extension FilterSubject {
  /// An event as filters see it.
  package init(_ event: Event, _ data: FilterData) {
    let nanoseconds = Int(event.time.nanoseconds)
    let fraction = (nanoseconds % 1_000_000_000 + 1_000_000_000) % 1_000_000_000
    self.init(
      type: event.type,
      source: event.source,
      subject: event.subject,
      dataContentType: event.dataContentType,
      time: FilterTime(
        seconds: (nanoseconds - fraction) / 1_000_000_000,
        nanoseconds: fraction
      ),
      data: data
    )
  }
}
