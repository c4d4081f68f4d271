package import Event
import HeapModule

/// Names a window: of one trigger, one kind and one key.
package struct WindowID: Hashable, Comparable, Sendable {
  package enum Kind: String, Sendable, CaseIterable {
    case correlate, absent, batch, debounce, throttle
  }

  package let trigger: TriggerID
  package let kind: Kind
  package let key: String

  package init(trigger: TriggerID, kind: Kind, key: String) {
    self.trigger = trigger
    self.kind = kind
    self.key = key
  }

  private var order: (String, String, String) { (trigger.description, kind.rawValue, key) }

  package static func < (a: WindowID, b: WindowID) -> Bool { a.order < b.order }
}

/// Events that wait, and until when.
package struct Window: Equatable, Sendable {
  package internal(set) var opened: Timestamp
  /// When something becomes of it by itself; nil: never.
  package internal(set) var due: Timestamp?
  /// In the order in which they arrived.
  package internal(set) var events: [EventReference] = []
  /// Firings that were let through (`throttle`).
  package internal(set) var count = 0
  /// What the firing will share a limit of concurrency with.
  package internal(set) var lane: String?

  package init(
    opened: Timestamp,
    due: Timestamp?,
    events: [EventReference] = [],
    count: Int = 0,
    lane: String? = nil
  ) {
    self.opened = opened
    self.due = due
    self.events = events
    self.count = count
    self.lane = lane
  }
}

/// One thing that happens to a window. Whole decisions of these are one record.
package enum WindowChange: Equatable, Sendable {
  /// An event joins; it opens the window where there is none.
  case add(EventReference, due: Timestamp?, lane: String?)
  /// Other events take the place of those that are in it; opens it where there is none.
  case replace([EventReference], opened: Timestamp, due: Timestamp?, lane: String?)
  /// Events leave, by their places, in rising order.
  case take([Int], due: Timestamp?)
  /// A firing is counted; opens the window where there is none.
  case count(Int, opened: Timestamp, due: Timestamp?)
  case close
}

/// All open windows, and which is due first.
package struct Windows: Equatable, Sendable {
  package private(set) var open: [TriggerID: [WindowID: Window]] = [:]
  private var dues = Heap<Due>()

  private struct Due: Comparable, Sendable {
    let time: Timestamp
    let id: WindowID

    static func < (a: Due, b: Due) -> Bool {
      a.time == b.time ? a.id < b.id : a.time < b.time
    }
  }

  package init() {}

  /// What is open is all there is to them; the rest follows from it.
  package static func == (a: Windows, b: Windows) -> Bool { a.open == b.open }

  package subscript(id: WindowID) -> Window? { open[id.trigger]?[id] }

  package var count: Int { open.values.reduce(0) { $0 + $1.count } }

  package var all: [(id: WindowID, window: Window)] {
    open.values.flatMap { $0.map { (id: $0.key, window: $0.value) } }.sorted { $0.id < $1.id }
  }

  package mutating func restore(_ id: WindowID, _ window: Window) {
    open[id.trigger, default: [:]][id] = window
    if let due = window.due { remember(due, id) }
  }

  mutating func apply(_ id: WindowID, _ change: WindowChange) {
    var window = open[id.trigger]?.removeValue(forKey: id)
    let before = window?.due
    switch change {
    case .add(let event, let due, let lane):
      var changed = window ?? Window(opened: event.time ?? Timestamp(nanoseconds: 0), due: due)
      changed.events.append(event)
      (changed.due, changed.lane) = (due, lane)
      window = changed
    case .replace(let events, let opened, let due, let lane):
      window = Window(opened: opened, due: due, events: events, lane: lane)
    case .take(let places, let due):
      for place in places.reversed() where window?.events.indices.contains(place) == true {
        window?.events.remove(at: place)
      }
      window?.due = due
      if window?.events.isEmpty == true { window = nil }
    case .count(let count, let opened, let due):
      window = Window(opened: opened, due: due, count: count)
    case .close: window = nil
    }
    guard let window else {
      if open[id.trigger]?.isEmpty == true { open[id.trigger] = nil }
      return
    }
    open[id.trigger, default: [:]][id] = window
    if let due = window.due, due != before { remember(due, id) }
  }

  private mutating func remember(_ time: Timestamp, _ id: WindowID) {
    dues.insert(Due(time: time, id: id))
    // What was put off leaves an entry behind; these must not pile up.
    guard dues.count > 2 * count + 1000 else { return }
    dues = Heap(
      open.values.flatMap { windows in
        windows.compactMap { id, window in window.due.map { Due(time: $0, id: id) } }
      }
    )
  }

  /// The first window that is due by `now`, which is forgotten as such; nil when none is.
  mutating func popDue(by now: Timestamp) -> (id: WindowID, due: Timestamp)? {
    while let first = dues.min, first.time <= now {
      dues.removeMin()
      if self[first.id]?.due == first.time { return (first.id, first.time) }
    }
    return nil
  }

  /// Undoes `popDue`.
  mutating func putBack(_ id: WindowID) {
    if let due = self[id]?.due { remember(due, id) }
  }

  /// When the first window of those `isActive` wants is due; nil: none ever is.
  package mutating func firstDue(isActive: (SensorID) -> Bool) -> Timestamp? {
    while let first = dues.min, self[first.id]?.due != first.time { dues.removeMin() }
    guard let first = dues.min else { return nil }
    if isActive(first.id.trigger.sensor) { return first.time }
    // Windows of a sensor that is not there: rare, so looking at all is good enough.
    return open.filter { isActive($0.key.sensor) }.values
      .flatMap { $0.values.compactMap(\.due) }.min()
  }

  /// The windows of a trigger that were opened first, `number` of them.
  func oldest(of trigger: TriggerID, _ kind: WindowID.Kind, _ number: Int) -> [WindowID] {
    let windows = (open[trigger] ?? [:]).filter { $0.key.kind == kind }
    return windows.sorted { ($0.value.opened, $0.key) < ($1.value.opened, $1.key) }
      .prefix(number).map(\.key)
  }
}
