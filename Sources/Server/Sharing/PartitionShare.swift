import Engine
import EventLog
import HTTP
import KafkaBus
import Observe
import Posix
import Sensor
import Synchronization

/// The part of a shared bus that one installation runs: the sensors and the sources' work that fall
/// to one partition. Its process listens for all of them.
struct PartitionShare: Sendable {
  let partition: Int
  let partitions: Int
  /// What it has in common with the process's other installations.
  let loops: [EventLoop]
  let limits: HTTPLimits
  let key: InstallationKey
  let intake: SharedIntake
  let figures: PartitionFigures
  /// Each reading begins with a client of its own.
  let openInbox: @Sendable () throws -> KafkaInbox
}

extension PlanBuilder.Plan {
  /// What of it falls to `share`; nil: all of it.
  func part(of share: PartitionShare?) -> PlanBuilder.Plan {
    guard let share else { return self }
    let all = engine.interlocking.sensors
    let sensors = all.filter {
      EventRouting.partition(of: $0.id, among: share.partitions) == share.partition
    }
    let names = Set(sensors.map(\.id))
    return PlanBuilder.Plan(
      engine: EnginePlan(
        sensors: sensors,
        triggers: engine.triggers.values.filter { names.contains($0.id.sensor) },
        awaitedElsewhere: Set(all.flatMap { $0.dependencies.map(\.key) }),
        refused: engine.refused
      ),
      routes: [],
      made: made.filter {
        EventRouting.partition(of: $0, among: share.partitions) == share.partition
      },
      kafkaBus: kafkaBus
    )
  }

  /// Where events go once it is in force.
  func routing(_ partitions: Int) -> EventRouting {
    EventRouting(engine.interlocking.sensors, refused: engine.refused, partitions: partitions)
  }
}

/// The partitions that a process owns, for those who ask how it does.
final class PartitionFigures: Sendable {
  struct Entry: Sendable {
    let metrics: Metrics
    let log: EventLog
    let engine: Engine
    let installation: Installation
  }

  private let entries = Mutex<[Int: Entry]>([:])

  var all: [(partition: Int, entry: Entry)] {
    entries.withLock { $0.sorted { $0.key < $1.key }.map { ($0.key, $0.value) } }
  }

  func put(_ entry: Entry?, of partition: Int) { entries.withLock { $0[partition] = entry } }
}
