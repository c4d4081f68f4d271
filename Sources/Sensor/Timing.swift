package import Event

/// What a trigger does with events beyond its condition, all of it in log time.
package struct Timing: Sendable {
  /// Which events belong together, where the slots of the condition do not decide it.
  package enum Gathering: Sendable {
    case slots
    case correlate(Correlation)
    case absent(Absence)
    case batch(Batch)
  }

  /// What becomes of one firing after another.
  package enum Spacing: Sendable {
    case none
    case debounce(Debounce)
    case throttle(Throttle)
  }

  package var gathering = Gathering.slots
  package var spacing = Spacing.none
  /// How long a firing waits behind its decision.
  package var delay = Duration.zero
  /// Firings of one key share a limit of concurrency; nil: all of the trigger do.
  package var laneKey: KeyRule?

  package init() {}

  /// The kinds of windows it opens.
  package var kinds: Set<WindowID.Kind> {
    var kinds: Set<WindowID.Kind> = []
    switch gathering {
    case .slots: break
    case .correlate: kinds.insert(.correlate)
    case .absent: kinds.insert(.absent)
    case .batch: kinds.insert(.batch)
    }
    switch spacing {
    case .none: break
    case .debounce: kinds.insert(.debounce)
    case .throttle: kinds.insert(.throttle)
    }
    return kinds
  }

  var usesWindows: Bool { !kinds.isEmpty }
}

/// `correlate`: events with one key, not further apart than `within`.
package struct Correlation: Sendable {
  package enum Mode: String, Sendable, CaseIterable {
    /// The latest event of each dependency; older ones are dropped.
    case latest
    /// Each event fires once, the oldest of each dependency first.
    case exact
    /// Everything that arrived under the key, in one firing.
    case all
  }

  let key: KeyRule?
  let within: Duration?
  let mode: Mode
  /// So many dependencies are enough; nil: the condition says which.
  let atLeast: Int?

  package init(key: KeyRule?, within: Duration?, mode: Mode, atLeast: Int?) {
    self.key = key
    self.within = within
    self.mode = mode
    self.atLeast = atLeast
  }
}

/// `absent`: fires when nothing followed an event in time.
package struct Absence: Sendable {
  /// The dependency that starts the clock; each other one of the condition stops it.
  let after: String
  let within: Duration
  let key: KeyRule?

  package init(after: String, within: Duration, key: KeyRule?) {
    self.after = after
    self.within = within
    self.key = key
  }
}

/// `batch`: many events, one firing.
package struct Batch: Sendable {
  let count: Int
  /// Since the first event; nil: only the count fires it.
  let within: Duration?
  let key: KeyRule?

  package init(count: Int, within: Duration?, key: KeyRule?) {
    self.count = count
    self.within = within
    self.key = key
  }
}

/// `debounce`: fires with the latest once nothing came for `wait`.
package struct Debounce: Sendable {
  let wait: Duration
  /// Since the first; nil: it may be put off for ever.
  let max: Duration?
  let key: KeyRule?

  package init(wait: Duration, max: Duration?, key: KeyRule?) {
    self.wait = wait
    self.max = max
    self.key = key
  }
}

/// `throttle`: at most `limit` firings in the time `per` after the first; the others do not fire.
package struct Throttle: Sendable {
  let limit: Int
  let per: Duration
  let key: KeyRule?

  package init(limit: Int, per: Duration, key: KeyRule?) {
    self.limit = limit
    self.per = per
    self.key = key
  }
}

extension Timestamp {
  package func adding(_ duration: Duration) -> Timestamp {
    let (seconds, attoseconds) = duration.components
    let (whole, isTooLarge) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    let (step, isTooLong) = whole.addingReportingOverflow(attoseconds / 1_000_000_000)
    let (sum, isTooLate) = nanoseconds.addingReportingOverflow(step)
    return Timestamp(nanoseconds: isTooLarge || isTooLong || isTooLate ? .max : sum)
  }
}
