import Event
import Sensor

/// Which partitions of a shared bus an event goes to: those of the sensors that wait for its kind, or,
/// where none does, one that is found by its source.
///
/// Every sensor, and every source's own work, falls to one partition by its name. Processes that read
/// the same manifests agree on it without asking each other.
struct EventRouting: Sendable {
  let partitions: Int
  private let wanted: [EventKey: [Int]]
  /// By namespace: the partitions of sensors that are not in force now. What these wait for is not
  /// known, so they get all of it: when a sensor is in force again it goes on where it was.
  private let unknown: [String: Set<Int>]

  init(_ sensors: [SensorPlan], refused: Set<SensorID> = [], partitions: Int) {
    unknown = Dictionary(grouping: refused, by: \.namespace).mapValues { sensors in
      Set(sensors.map { Self.partition(of: $0, among: partitions) })
    }
    var wanted: [EventKey: Set<Int>] = [:]
    for sensor in sensors {
      let partition = Self.partition(of: sensor.id, among: partitions)
      for dependency in sensor.dependencies {
        wanted[dependency.key, default: []].insert(partition)
      }
    }
    self.partitions = partitions
    self.wanted = wanted.mapValues { $0.sorted() }
  }

  /// At least one.
  func partitions(for event: Event) -> [Int] {
    let found = sensors(for: event)
    if !found.isEmpty { return found }
    let key = EventKey(event)
    return [Self.partition("\(key.namespace)/\(key.source)/\(key.subject)", partitions)]
  }

  /// Those whose sensors wait for events of its kind, or may; there may be none.
  func sensors(for event: Event) -> [Int] {
    let key = EventKey(event)
    let known = wanted[key] ?? []
    guard let unknown = unknown[key.namespace] else { return known }
    return unknown.union(known).sorted()
  }

  /// Where a sensor runs.
  static func partition(of sensor: SensorID, among partitions: Int) -> Int {
    partition("\(sensor.namespace)/\(sensor.name)", partitions)
  }

  /// Where a source's own work is done: consuming, polling, watching, keeping time.
  static func partition(of source: MadeSource, among partitions: Int) -> Int {
    partition("\(source.kind) \(source.name)", partitions)
  }

  /// FNV-1a of 64 bits: the same in every process and version.
  private static func partition(_ name: String, _ partitions: Int) -> Int {
    let hash = name.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) {
      ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01b3
    }
    return Int(hash % UInt64(partitions))
  }
}
