import Sensor

/// Which partitions of a bus can be asked here, and in which one each sensor runs.
struct PartitionMap: Sendable {
  private(set) var here: [Int]
  /// Those that can be asked elsewhere only, as far as their number is known.
  let elsewhere: [Int]
  /// Those of this machine that cannot be read, and why.
  private(set) var unreadable: [Int: String] = [:]
  /// The partition in which a sensor runs; nil: in none that is known.
  let home: @Sendable (SensorID) -> Int?

  /// Of a process that owns some of all partitions.
  init(owned: [Int], of partitions: Int) {
    here = owned
    elsewhere = (0..<partitions).filter { !owned.contains($0) }
    home = { EventRouting.partition(of: $0, among: partitions) }
  }

  /// Of a folder on which nothing runs, by the sensors that its logs tell of: how many partitions
  /// the bus has it does not tell.
  init(reading: [(partition: Int, sensors: Set<SensorID>)]) {
    here = reading.map(\.partition)
    elsewhere = []
    let homes = Dictionary(
      reading.flatMap { partition, sensors in sensors.map { ($0, partition) } }
    ) { first, _ in first }
    home = { homes[$0] }
  }

  /// The same without partitions that cannot be read.
  func without(_ unreadable: [Int: String]) -> PartitionMap {
    var map = self
    map.here.removeAll { unreadable[$0] != nil }
    map.unreadable = unreadable
    return map
  }

  /// Why nothing is known here of a sensor, in words behind its name; nil: something is.
  func absence(of sensor: SensorID) -> String? {
    guard let home = home(sensor) else {
      return "has run in none of the partitions that are here: \(list)\(others)"
    }
    if let why = unreadable[home] {
      return "runs in partition \(home), which cannot be read: \(why)"
    }
    return here.contains(home)
      ? nil : "runs in partition \(home), which this process does not own"
  }

  /// The same of an event that these partitions have.
  func absence(of sensor: SensorID, from partitions: Set<Int>) -> String? {
    if let absence = absence(of: sensor) { return absence }
    guard let home = home(sensor), !partitions.contains(home) else { return nil }
    return "runs in partition \(home), where the event is not"
  }

  /// Those that are here, in words.
  var list: String { Self.list(here) }

  /// What was asked for may be there as well, in words behind others; empty: nowhere.
  var others: String {
    let unreadable = unreadable.sorted { $0.key < $1.key }
      .map { "; partition \($0) cannot be read: \($1)" }.joined()
    if elsewhere.isEmpty { return unreadable }
    let isOne = elsewhere.count == 1
    return unreadable + "; partition\(isOne ? "" : "s") \(Self.list(elsewhere)) "
      + "\(isOne ? "is" : "are") not owned by this process"
  }

  static func list(_ partitions: [Int]) -> String {
    partitions.isEmpty ? "none" : partitions.map { "\($0)" }.joined(separator: ", ")
  }
}
