import Bus
import Event
import Logging
import Sensor

/// What led to an event, for triggers that act on where a chain began.
extension Engine {
  /// The events that the firing behind `event` was made from, as far as the bus still has them. An
  /// event says the ids of its causes alone; their sources are those that sensors depend on.
  func causes(of event: Event) -> [Event] {
    guard let ids = event.cause?.events, !ids.isEmpty else { return [] }
    var sources: Set<String> = [Event.outcomeSource]
    for sensor in plan.interlocking.sensors {
      for dependency in sensor.dependencies where dependency.key.namespace == event.namespace {
        sources.insert(dependency.key.source)
      }
    }
    return ids.flatMap { id in
      sources.sorted().compactMap { source in
        self.event(Event.Identity(namespace: event.namespace, source: source, id: id), id)
      }
    }
  }

  /// Whether the firing that the outcome `event` tells of has ended.
  func hasEnded(_ event: Event) -> Bool {
    guard event.source == Event.outcomeSource, let firing = event.cause?.firing else {
      return false
    }
    let id = OutcomeEvent.endingID(firing)
    return bus.position(
      of: Event.Identity(namespace: event.namespace, source: Event.outcomeSource, id: id)
    ) != nil
  }

  private func event(_ identity: Event.Identity, _ id: String) -> Event? {
    guard let place = bus.position(of: identity) else { return nil }
    do throws(BusError) {
      guard case .event(let event)? = try bus.record(at: place)?.content, event.id == id else {
        return nil
      }
      return event
    } catch {
      logger.warning(
        "a cause could not be read",
        metadata: ["event": "\(id)", "error": "\(error)"]
      )
      return nil
    }
  }
}
