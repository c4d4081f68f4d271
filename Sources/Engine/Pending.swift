package import Bus
package import Event
import Expression
package import Sensor

/// What one trigger holds and waits for.
package struct Pending: Sendable {
  package let trigger: TriggerID
  /// The events in its slots, in the order of the sensor's dependencies.
  package let held: [EventReference]
  /// The dependencies whose slots are empty while others are not.
  package let missing: [String]
  /// The windows that are open, by when something becomes of them; the first 100.
  package let windows: [(id: WindowID, window: Window)]
  package let windowCount: Int
  /// Firings that are decided on and have not begun; in memory.
  package let waiting: Int
  /// Whether there are more of them on the log.
  package let hasMore: Bool
  /// When the last event of the first of these came.
  package let since: Timestamp?
  /// Why they have not begun; nil: nothing but their turn, or a program that runs.
  package let hold: Hold?
  /// Firings that were begun and have not ended, those that are followed included.
  package let unfinished: Int

  private static let windowsMax = 100

  /// nil where nothing is held and nothing waits.
  init?(_ rule: TriggerRule, of sensor: SensorPlan, _ state: EngineState, _ hold: Hold?) {
    trigger = rule.id
    let slots = state.slots[rule.id]
    let names = sensor.dependencies.map(\.name)
    held = names.compactMap { slots[$0] }
    missing =
      held.isEmpty
      ? [] : rule.condition.indices.sorted().map { names[$0] }.filter { slots[$0] == nil }
    let open = (state.slots.windows.open[rule.id] ?? [:]).sorted { a, b in
      (a.value.due ?? a.value.opened, a.key) < (b.value.due ?? b.value.opened, b.key)
    }
    windowCount = open.count
    windows = open.prefix(Self.windowsMax).map { (id: $0.key, window: $0.value) }
    let lane = state.lanes[rule.id]
    waiting = lane?.waiting.count ?? 0
    hasMore = lane?.spill != nil
    since = lane?.waiting.first?.intent.events.compactMap(\.time).max()
    unfinished = (lane?.running.count ?? 0) + (lane?.followed.count ?? 0)
    self.hold = waiting > 0 || hasMore ? hold : nil
    if held.isEmpty, windowCount == 0, waiting == 0, !hasMore, unfinished == 0 { return nil }
  }
}

extension EngineState {
  /// What the triggers hold and wait for, of one sensor or of all.
  func pending(
    _ interlocking: Interlocking,
    of sensor: SensorID?,
    holds: [TriggerID: Hold]
  ) -> [Pending] {
    interlocking.sensors.filter { sensor == nil || $0.id == sensor }.flatMap { sensor in
      sensor.triggers.compactMap { Pending($0, of: sensor, self, holds[$0.id]) }
    }
  }
}

extension Engine {
  /// What triggers hold and wait for now, by the plan in force.
  /// - Parameter sensor: the only one that is asked about; nil: all of them.
  package func pending(of sensor: SensorID?) -> [Pending] {
    state.pending(plan.interlocking, of: sensor, holds: held)
  }
}

/// What triggers hold and wait for on a log on which nothing runs, from its first record to its
/// last.
package struct PendingReader {
  private let plan: EnginePlan
  private var fold = StateFold()

  package init(_ plan: EnginePlan) { self.plan = plan }

  /// - Throws: `NoteError` for a record that a newer version wrote.
  package mutating func take(_ record: Record) throws(NoteError) { try fold.take(record) }

  /// The sensors that read the log, by its end.
  package var reading: Set<SensorID> { Set(fold.state.starts.keys) }

  /// By the end of the log.
  /// - Parameter sensor: the only one that is asked about; nil: all of them.
  package func pending(of sensor: SensorID?) -> [Pending] {
    fold.state.pending(plan.interlocking, of: sensor, holds: plan.suspended)
  }
}

extension EnginePlan {
  /// The holds that the plan itself says: of triggers that are suspended.
  var suspended: [TriggerID: Hold] {
    triggers.filter(\.value.flow.isSuspended).mapValues { _ in
      Hold(kind: .suspend, until: nil, waiting: 0)
    }
  }
}
