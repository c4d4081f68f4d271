import Event
import Expression

/// All sensors by what they wait for. Adding and removing one costs the same however many others
/// there are, but for lists that are moved in memory.
struct MatchingIndex: Sendable {
  /// A sensor with the numbers of its dependencies.
  private struct Place: Sendable {
    let sensor: SensorPlan
    var subscriptions: [Int32] = []
  }

  /// One dependency of one sensor.
  private struct Subscription: Sendable {
    let place: Int32
    let dependency: Int32
    /// Which of its filter's choices the index knows it by.
    var choice: Int32?
  }

  private var places: [Place?] = []
  private var placesByName: [SensorID: Int] = [:]
  private var freePlaces: [Int] = []
  private var subscriptions: [Subscription?] = []
  private var freeSubscriptions: [Int] = []
  private var keys: [EventKey: KeyIndex] = [:]

  var sensors: [SensorPlan] { places.compactMap { $0?.sensor } }

  /// What a number stands for: a sensor, and one of its dependencies by its place.
  subscript(number: Int32) -> (sensor: SensorPlan, dependency: Int)? {
    guard let subscription = subscriptions[Int(number)],
      let place = places[Int(subscription.place)]
    else { return nil }
    return (place.sensor, Int(subscription.dependency))
  }

  subscript(id: SensorID) -> SensorPlan? { placesByName[id].flatMap { places[$0]?.sensor } }

  func isAwaited(_ key: EventKey) -> Bool { keys[key] != nil }

  // MARK: Who comes and goes

  mutating func insert(_ sensor: SensorPlan) {
    remove(sensor.id)
    let at = freePlaces.popLast() ?? places.count
    if at == places.count { places.append(nil) }
    var place = Place(sensor: sensor)
    for (position, dependency) in sensor.dependencies.enumerated() {
      let number = freeSubscriptions.popLast() ?? subscriptions.count
      if number == subscriptions.count { subscriptions.append(nil) }
      let choice = keys[dependency.key, default: KeyIndex()].insert(
        Int32(number),
        dependency.indexedFilters
      )
      place.subscriptions.append(Int32(number))
      subscriptions[number] = Subscription(
        place: Int32(at),
        dependency: Int32(position),
        choice: choice.map { Int32($0) }
      )
    }
    places[at] = place
    placesByName[sensor.id] = at
  }

  mutating func remove(_ id: SensorID) {
    guard let at = placesByName.removeValue(forKey: id), let place = places[at] else { return }
    places[at] = nil
    freePlaces.append(at)
    for (dependency, number) in zip(place.sensor.dependencies, place.subscriptions) {
      let choice = subscriptions[Int(number)]?.choice.map { Int($0) }
      keys[dependency.key]?.remove(number, dependency.indexedFilters, choice)
      if keys[dependency.key]?.isEmpty == true { keys[dependency.key] = nil }
      subscriptions[Int(number)] = nil
      freeSubscriptions.append(Int(number))
    }
  }

  // MARK: Who may want an event

  struct Candidates {
    /// In ascending order.
    let numbers: [Int32]
    /// The event's data where they had to be looked at.
    let data: FilterData?
  }

  /// Those who may not refuse an event; nil: nobody waits for its kind.
  /// - Parameter isExhaustive: all who wait for it instead.
  func candidates(_ event: Event, isExhaustive: Bool) -> Candidates? {
    guard let key = keys[EventKey(event)] else { return nil }
    guard key.isSelective, !event.data.isEmpty else {
      return Candidates(numbers: key.all, data: nil)
    }
    let data = FilterData(event.data)
    guard case .document(let document) = data, !isExhaustive else {
      return Candidates(numbers: key.all, data: data)
    }
    return Candidates(numbers: key.candidates(document), data: data)
  }
}

extension Dependency {
  /// The filters that see an event's data as they are on the log; nil: none, or none that do.
  fileprivate var indexedFilters: EventFilter? { transform == nil ? filters : nil }
}
