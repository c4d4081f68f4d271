import Event
package import Expression
import Synchronization

/// The clock of a test: it stands still until it is moved.
package final class VirtualClock: Sendable {
  private let nanoseconds: Mutex<Int64>

  package init() { nanoseconds = Mutex(Self.start.nanoseconds) }

  /// Where the clock of a test starts unless it says otherwise: a Thursday.
  static let start = Timestamp(nanoseconds: 1_767_225_600_000_000_000)

  var now: Timestamp { nanoseconds.withLock { Timestamp(nanoseconds: $0) } }

  func set(to time: Timestamp) { nanoseconds.withLock { $0 = time.nanoseconds } }

  func advance(by duration: Duration) {
    let (seconds, attoseconds) = duration.components
    let step = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    nanoseconds.withLock { now in
      let sum = now.addingReportingOverflow(step.partialValue &+ attoseconds / 1_000_000_000)
      now = step.overflow || sum.overflow ? .max : sum.partialValue
    }
  }

  /// What templates and scripts see: this clock, the time zones of `machine`, and dice that always
  /// fall the same way.
  package func world(_ machine: TemplateWorld) -> TemplateWorld {
    TemplateWorld(
      now: { [self] in
        let now = Int(now.nanoseconds)
        let fraction = (now % 1_000_000_000 + 1_000_000_000) % 1_000_000_000
        return GoTime(
          seconds: (now - fraction) / 1_000_000_000,
          nanoseconds: fraction,
          zone: .utc
        )
      },
      zoneFile: machine.zoneFile,
      random: { 4 }
    )
  }
}
