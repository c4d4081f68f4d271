package import Event
package import Expression
import JSON

/// The name of a sensor.
package struct SensorID: Hashable, Sendable, CustomStringConvertible {
  package let namespace: String
  package let name: String

  package init(namespace: String, name: String) {
    self.namespace = namespace
    self.name = name
  }

  package var description: String { "\(namespace)/\(name)" }
}

/// The name of a trigger within its sensor.
package struct TriggerID: Hashable, Sendable, CustomStringConvertible {
  package let sensor: SensorID
  package let name: String

  package init(sensor: SensorID, name: String) {
    self.sensor = sensor
    self.name = name
  }

  package var description: String { "\(sensor)/\(name)" }
}

/// Where sources and sensors meet: events are looked up by exactly these four.
package struct EventKey: Hashable, Sendable {
  package let namespace: String
  package let bus: String
  package let source: String
  package let subject: String

  package init(namespace: String, bus: String, source: String, subject: String) {
    self.namespace = namespace
    self.bus = bus
    self.source = source
    self.subject = subject
  }

  /// The key of an event on the bus.
  package init(_ event: Event) {
    self.init(
      namespace: event.namespace,
      bus: event.bus,
      source: event.source,
      subject: event.subject
    )
  }
}

/// One dependency of a sensor, compiled.
package struct Dependency: Sendable {
  package let name: String
  package let key: EventKey
  /// nil: every event of the key passes.
  package let filters: EventFilter?
  /// nil: its filters and triggers see events as they are.
  package let transform: EventTransform?
  /// Changes when the definition does; a slot survives an edit only with the same fingerprint.
  package let fingerprint: String

  package init(
    name: String,
    key: EventKey,
    filters: EventFilter?,
    transform: EventTransform? = nil,
    fingerprint: String
  ) {
    self.name = name
    self.key = key
    self.filters = filters
    self.transform = transform
    self.fingerprint = fingerprint
  }
}

/// One trigger's part in matching: when it fires. What it does is no concern of this module.
package struct TriggerRule: Sendable {
  package let id: TriggerID
  /// Over the names of the sensor's dependencies, by index.
  package let condition: Condition
  /// When everything that is held is let go (spec section 3.8).
  package let resets: [Cron]
  package let timing: Timing

  package init(
    id: TriggerID,
    condition: Condition,
    resets: [Cron] = [],
    timing: Timing = Timing()
  ) {
    self.id = id
    self.condition = condition
    self.resets = resets
    self.timing = timing
  }

  /// Whether a reset came after `event` arrived, up to `now`, both in log time. So a reset needs no
  /// timer: what it let go is missed only when the next event arrives.
  func isReset(_ event: EventReference, by now: Timestamp) -> Bool {
    guard let time = event.time else { return false }
    let (arrived, now) = (time.secondsSince1970, now.secondsSince1970)
    return resets.contains { reset in reset.next(after: arrived).map { $0 <= now } ?? false }
  }
}

/// A sensor, compiled: what it waits for and when its triggers fire.
package struct SensorPlan: Sendable {
  package let id: SensorID
  package let bus: String
  package let dependencies: [Dependency]
  package let triggers: [TriggerRule]
  package let start: Start
  /// Whether events that a filter could not judge become dead letters.
  package let keepsUnjudged: Bool

  /// Where a sensor begins to read that was not there before.
  package enum Start: Equatable, Sendable {
    /// With what comes from now on.
    case now
    /// With the first event that is still on the bus.
    case beginning
    /// With the first event that is not older.
    case time(Timestamp)
  }

  package init(
    id: SensorID,
    bus: String,
    dependencies: [Dependency],
    triggers: [TriggerRule],
    start: Start = .now,
    keepsUnjudged: Bool = true
  ) {
    self.keepsUnjudged = keepsUnjudged
    self.start = start
    self.id = id
    self.bus = bus
    self.dependencies = dependencies
    self.triggers = triggers
  }
}
