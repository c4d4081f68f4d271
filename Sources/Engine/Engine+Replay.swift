package import Bus
package import Event
import Expression
import Logging
package import Sensor

/// An event fires again because a person asks for it.
extension Engine {
  /// What came of a replay.
  package struct Replay: Sendable {
    /// What the ids of the firings are made with; each replay of an installation has a larger one.
    package let number: Int
    package let event: Event
    package fileprivate(set) var firings: [(trigger: TriggerID, id: FiringID)] = []
    /// Triggers that hold the event now and wait for others.
    package fileprivate(set) var waiting: [TriggerID] = []
    /// Dependencies that did not let it pass, and why.
    package fileprivate(set) var refusals: [(sensor: SensorID, dependency: String, why: String)] =
      []
    /// Triggers that the hop limit kept from firing.
    package fileprivate(set) var stopped: [TriggerID] = []
  }

  package enum ReplayError: Error, CustomStringConvertible {
    case noSensor(SensorID)
    /// None has this id, or none that a sensor in question depends on.
    case noEvent(String)
    /// Events of these sources have the id.
    case several([String])
    /// The engine has read nothing yet.
    case behind
    case bus(BusError)
    /// The bus did not take the decision; why is in the log of the program.
    case notRecorded

    package var description: String {
      switch self {
      case .noSensor(let sensor): "there is no sensor \(sensor)"
      case .noEvent(let id): "no event \(id) is on the bus that a sensor depends on"
      case .several(let sources):
        "events of several sources have this id: \(sources.joined(separator: ", ")); say which"
      case .behind: "the engine has read no event yet; try again"
      case .bus(let error): "\(error)"
      case .notRecorded: "the bus did not take it; nothing was fired"
      }
    }
  }

  /// Lets an event that is on the bus arrive once more, at the sensors as they are now: what fires
  /// has an id of its own, whatever has fired before. An event of source `signalbox` says so.
  /// - Parameters:
  ///   - source: the `metadata.name` of the event's source; nil: whichever it is.
  ///   - sensor: the only one at which it arrives; nil: all that depend on it.
  /// - Throws: `ReplayError`; then nothing was fired.
  package func replay(
    _ id: String,
    of source: String?,
    at sensor: SensorID?
  ) async throws(ReplayError) -> Replay {
    await turnstile.enter()
    defer { turnstile.leave() }
    let found = try find(id, source, sensor)
    guard let cursor = state.cursor else { throw .behind }
    let number = state.replays + 1
    var work = Work(slots: state.slots, replay: number)
    let step = plan.interlocking.step(
      found.event,
      at: found.place.description,
      time: clock(),
      &work.slots,
      replay: number,
      isExhaustive: true
    ) { sensor == nil || sensor == $0 }
    let arrival = Record(position: found.place, time: clock(), content: .event(found.event))
    take(step, found.event, at: arrival, &work)
    var replay = Replay(number: number, event: found.event)
    replay.firings = work.intents.map { ($0.trigger, $0.id) }
    replay.stopped = step.decisions.map(\.trigger).filter { trigger in
      !work.intents.contains { $0.trigger == trigger }
    }
    for change in step.changes {
      switch change {
      case .hold(let trigger, _): replay.waiting.append(trigger)
      case .window(let window, .add), .window(let window, .replace):
        replay.waiting.append(window.trigger)
      case .window, .clear, .drop: continue
      }
    }
    for verdict in step.verdicts {
      switch verdict.filter {
      case .pass: continue
      case .refused(let why), .error(let why):
        replay.refusals.append((verdict.sensor, verdict.dependency, why))
      }
    }
    let notice = OutcomeEvent.replayed(
      found.event,
      found.place,
      number,
      at: sensor,
      in: configuration.partition,
      clock()
    )
    work.notices.append(.event(notice))
    guard await decide(work, through: cursor, attempts: 1) else { throw .notRecorded }
    // The event may be so old that nothing else holds it.
    await save()
    logger.info(
      "an event is replayed",
      metadata: [
        "event": "\(id)", "replay": "\(number)", "firings": "\(replay.firings.count)",
      ]
    )
    return replay
  }

  /// The events that `replay` may mean; several only where it would throw `ReplayError.several`.
  package func replayable(
    _ id: String,
    of source: String?,
    at sensor: SensorID?
  ) throws(ReplayError) -> [Event] {
    try candidates(id, source, sensor).values.map(\.event)
  }

  /// The event of this id that some sensor depends on.
  private func find(
    _ id: String,
    _ source: String?,
    _ sensor: SensorID?
  ) throws(ReplayError) -> (event: Event, place: Position) {
    let found = try candidates(id, source, sensor)
    guard found.count <= 1 else { throw .several(found.keys.sorted()) }
    guard let event = found.values.first else { throw .noEvent(id) }
    return event
  }

  /// By namespace and name of their sources.
  private func candidates(
    _ id: String,
    _ source: String?,
    _ sensor: SensorID?
  ) throws(ReplayError) -> [String: (event: Event, place: Position)] {
    if let sensor, !plan.interlocking.sensors.contains(where: { $0.id == sensor }) {
      throw .noSensor(sensor)
    }
    var names: [String: [String]] = [:]
    for dependency in plan.interlocking.sensors.filter({ sensor == nil || $0.id == sensor })
      .flatMap(\.dependencies) where source == nil || source == dependency.key.source
    {
      let name = "\(dependency.key.namespace)/\(dependency.key.source)"
      names[name] = [dependency.key.namespace, dependency.key.source]
    }
    var found: [String: (event: Event, place: Position)] = [:]
    for (name, parts) in names {
      let identity = Event.Identity(namespace: parts[0], source: parts[1], id: id)
      guard let place = bus.position(of: identity) else { continue }
      do throws(BusError) {
        guard case .event(let event)? = try bus.record(at: place)?.content, event.id == id else {
          continue
        }
        found[name] = (event, place)
      } catch { throw .bus(error) }
    }
    return found
  }
}
