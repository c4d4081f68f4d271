import Event
import Expression
import Sensor
import TestKit

/// Random filters and events: what is said of a clause must be so when that clause alone is
/// changed.
package struct RandomFaults {
  private var random: Seeded
  /// The explanations that were tried.
  package private(set) var tried = 0

  package init(seed: UInt64) { random = Seeded(seed) }

  /// One random filter and one random event.
  /// - Returns: what does not hold, in words; nil: all does.
  package mutating func next() throws -> String? {
    var filters = FilterGenerator(random: random)
    let parts = filters.parts()
    var events = EventGenerator(random: filters.random)
    let event = events.event(tried)
    random = events.random
    let subject = FilterSubject(event, event.data.isEmpty ? .absent : FilterData(event.data))
    let filter = parts.filter()
    let verdict = filter.evaluate(subject)
    let faults = filter.faults(subject)
    if faults.isEmpty != (verdict == .pass) { return "\(faults) is no reason for \(verdict)" }
    var isError = false
    if case .error = verdict { isError = true }
    if faults.contains(where: { $0.isError != isError }) { return "\(faults) for \(verdict)" }
    // Data that are no JSON are nobody's clause.
    if case .broken = subject.data { return nil }
    for fault in faults {
      guard let changed = try parts.passing(fault.clause)?.filter() else { continue }
      tried += 1
      let left = changed.faults(subject)
      if left.contains(where: { $0.clause == fault.clause }) {
        return "\(fault) is said also where it passes"
      }
      // One that would have been enough must be enough.
      if parts.join == .any, parts.mode == .fixed, parts.dataJoin == .any, parts.exprJoin == .any,
        !left.isEmpty
      {
        return "\(fault) was one of several, but its passing leaves \(left)"
      }
    }
    return nil
  }
}
