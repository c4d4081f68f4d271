import Event
import Expression
package import Manifest
import Sensor
import Server

/// Which clauses of a sensor's filters, and which conditions, tests saw true and false.
package struct Coverage {
  /// One thing that is true or false.
  package struct Entry {
    package let sensor: String
    /// Such as `pushed: data[0]: body.ref`.
    package let name: String
    package let mark: Mark
    package fileprivate(set) var wasTrue = false
    package fileprivate(set) var wasFalse = false

    package var isCovered: Bool { wasTrue && wasFalse }
  }

  package private(set) var entries: [Entry] = []
  private let dependencies: [(plan: Dependency, clauses: [SensorCompiler.Clause], first: Int)]
  private var conditions: [String: Int] = [:]

  /// - Parameter sensor: the plan of `manifest`.
  init(_ manifest: SensorManifest, _ sensor: SensorPlan, _ compiler: SensorCompiler) {
    var entries: [Entry] = []
    var dependencies: [(plan: Dependency, clauses: [SensorCompiler.Clause], first: Int)] = []
    for (written, plan) in zip(manifest.dependencies, sensor.dependencies) {
      let clauses = compiler.clauses(of: written)
      dependencies.append((plan, clauses, entries.count))
      entries += clauses.map {
        Entry(sensor: manifest.name, name: "\(plan.name): \($0.name)", mark: $0.mark)
      }
    }
    for (written, rule) in zip(manifest.triggers, sensor.triggers) where !rule.condition.isPureOr {
      conditions[rule.id.name] = entries.count
      entries.append(
        Entry(sensor: manifest.name, name: "\(rule.id.name): conditions", mark: written.mark)
      )
    }
    (self.entries, self.dependencies) = (entries, dependencies)
  }

  /// Takes an event into account, and what became of it by trigger.
  mutating func see(_ event: Event, _ reasons: [String: String]) {
    for (plan, clauses, first) in dependencies where plan.key == EventKey(of: event) {
      let seen: Event
      do throws(TransformError) { seen = try plan.transform?.applied(to: event) ?? event } catch {
        // What cannot be transformed reaches no filter.
        continue
      }
      let data = seen.data.isEmpty ? FilterData.absent : FilterData(seen.data)
      for (index, clause) in clauses.enumerated() {
        switch clause.filter.evaluate(FilterSubject(seen, data)) {
        case .pass: entries[first + index].wasTrue = true
        case .refused: entries[first + index].wasFalse = true
        case .error: break
        }
      }
    }
    for (trigger, place) in conditions {
      guard let reason = reasons[trigger] else {
        entries[place].wasTrue = true
        continue
      }
      if reason.hasPrefix("waits for") { entries[place].wasFalse = true }
    }
  }

  /// Adds what other tests of the same sensor saw.
  mutating func merge(_ other: Coverage) {
    for (index, entry) in other.entries.enumerated() where index < entries.count {
      entries[index].wasTrue = entries[index].wasTrue || entry.wasTrue
      entries[index].wasFalse = entries[index].wasFalse || entry.wasFalse
    }
  }
}

extension EventKey {
  fileprivate init(of event: Event) {
    self.init(
      namespace: event.namespace,
      bus: event.bus,
      source: event.source,
      subject: event.subject
    )
  }
}
