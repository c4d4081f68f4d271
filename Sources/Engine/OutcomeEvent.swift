import Bus
package import Event
import JSON
package import Sensor

/// What became of a firing.
package enum Phase: String, Sendable, CaseIterable {
  case started, progress, succeeded, failed, cancelled, skipped, unknown

  /// Exactly one of these ends a firing.
  package var isEnding: Bool { self != .started && self != .progress }
}

/// Outcomes as events: source `outcomes`, subject `<namespace>/<sensor>/<trigger>/<phase>` (the
/// namespace left out where it is `default`), type `signalbox.outcome.<phase>`.
package enum OutcomeEvent {
  package static let source = Event.outcomeSource
  /// The source of notices about the program itself.
  package static let noticeSource = Event.noticeSource
  private static let typePrefix = "signalbox.outcome."

  /// `<namespace>/<sensor>/<trigger>/<phase>`, the namespace left out where it is `default`.
  package static func subject(_ trigger: TriggerID, _ phase: Phase) -> String {
    let sensor = trigger.sensor
    let prefix = sensor.namespace == "default" ? "" : sensor.namespace + "/"
    return "\(prefix)\(sensor.name)/\(trigger.name)/\(phase.rawValue)"
  }

  /// The event for one phase of a firing. Its id comes from the firing, so that a firing has one
  /// ending however often the end is reported.
  /// - Parameter step: tells one report of progress from another.
  static func make(
    _ intent: Intent,
    _ phase: Phase,
    at time: Timestamp,
    step: String? = nil,
    details: [JSON.Member]
  ) -> Event {
    let sensor = intent.trigger.sensor
    let replay = intent.events.map(\.replay).max() ?? 0
    let replayed = replay > 0 ? [JSON.Member(key: "replay", value: JSON(replay))] : []
    let data = JSON.object(
      [
        .init(key: "sensor", value: .string(sensor.name)),
        .init(key: "trigger", value: .string(intent.trigger.name)),
        .init(key: "kind", value: .string(intent.kind)),
        .init(key: "phase", value: .string(phase.rawValue)),
        .init(key: "firing", value: .string(intent.id.text)),
      ] + replayed + details
    )
    return Event(
      id: phase.isEnding
        ? endingID(intent.id)
        : Event.stableID(
          "outcome",
          intent.id.text,
          phase.rawValue + (step.map { " \($0)" } ?? "")
        ),
      namespace: sensor.namespace,
      bus: intent.bus,
      source: source,
      type: typePrefix + phase.rawValue,
      subject: subject(intent.trigger, phase),
      time: time,
      data: data.encoded(),
      cause: Cause(
        firing: intent.id,
        events: intent.events.map(\.eventID),
        hops: intent.hops,
        path: intent.path
      )
    )
  }

  /// The id of the event that ends a firing, however it ends.
  static func endingID(_ firing: FiringID) -> String {
    Event.stableID("outcome", firing.text, "ending")
  }

  /// The firing that `event` ends; nil for any other event.
  package static func endedFiring(_ event: Event) -> FiringID? {
    guard event.source == source, event.type.hasPrefix(typePrefix),
      let phase = Phase(rawValue: String(event.type.dropFirst(typePrefix.count))), phase.isEnding
    else { return nil }
    return event.cause?.firing
  }

  /// What marks the `started` event of a firing that is followed.
  private static let followedKey = "followed"

  /// The event from which on a firing is followed; its result names what was started.
  static func started(
    _ intent: Intent,
    at time: Timestamp,
    attempts: Int,
    result: JSON
  ) -> Event {
    make(
      intent,
      .started,
      at: time,
      details: [
        .init(key: "generation", value: .string(intent.generation)),
        .init(key: "attempts", value: JSON(attempts)),
        .init(key: followedKey, value: true), .init(key: "result", value: result),
      ]
    )
  }

  /// A larger result is left out of an outcome.
  private static let resultBytes = 1 << 20

  /// The result of an outcome as a member of its data; nothing where there is none.
  static func result(_ result: JSON) -> [JSON.Member] {
    if result == .null { return [] }
    let bytes = result.encoded().count
    let note: JSON = ["leftOut": .string("\(bytes) bytes, more than an outcome holds")]
    return [.init(key: "result", value: bytes > resultBytes ? note : result)]
  }

  // MARK: Rates and windows

  private static let rateKey = "rateLimit"

  /// What keeps a rate limit over a restart: the mark of the trigger when the firing ended.
  static func rate(_ mark: Timestamp) -> JSON.Member {
    .init(key: rateKey, value: ["mark": mark.json])
  }

  static func rate(_ event: Event) -> Timestamp? {
    // Few endings have one, and it is looked for in all of them.
    guard event.data.contains(text: #""rateLimit":{"mark":"#) else { return nil }
    return Timestamp((try? JSON(parsing: event.data))?[rateKey]?["mark"])
  }

  /// The notice that a window was given up because there were too many: `signalbox.window.evicted`.
  /// Data: `sensor`, `trigger`, `kind`, `key`, `events` (their ids, the first 1000), `count`.
  static func evicted(_ window: WindowID, _ events: [EventReference], at time: Timestamp) -> Event {
    let sensor = window.trigger.sensor
    let data: JSON = [
      "sensor": .string(sensor.name), "trigger": .string(window.trigger.name),
      "kind": .string(window.kind.rawValue), "key": .string(window.key),
      "events": .array(events.prefix(1000).map { .string($0.eventID) }),
      "count": JSON(events.count),
    ]
    return Event(
      id: Event.stableID(
        "window evicted",
        window.trigger.description,
        window.kind.rawValue,
        window.key,
        events.first?.place ?? "",
        events.last?.place ?? ""
      ),
      namespace: sensor.namespace,
      source: noticeSource,
      type: "signalbox.window.evicted",
      subject: "window.evicted",
      time: time,
      data: data.encoded()
    )
  }

  // MARK: What failed for good

  private static let letterKey = "deadLetter"
  private static let owedKey = "dlqTrigger"

  /// What makes a failed outcome a dead letter: the events, so that it can be tried again.
  static func letter(of intent: Intent) -> JSON.Member {
    .init(key: letterKey, value: ["events": .array(intent.events.map(\.json))])
  }

  /// What makes a failed outcome fire a `dlqTrigger`.
  static func owing(_ intent: Intent) -> JSON.Member {
    .init(key: owedKey, value: intent.json)
  }

  private static func failed(_ event: Event, _ key: String) -> (data: JSON, value: JSON)? {
    guard event.source == source, event.type == typePrefix + Phase.failed.rawValue,
      let data = try? JSON(parsing: event.data), let value = data[key]
    else { return nil }
    return (data, value)
  }

  /// The dead letter that the failed outcome at `place` is; nil for any other event.
  static func deadLetter(_ event: Event, at place: Position) -> DeadLetter? {
    guard let (data, _) = failed(event, letterKey), let firing = event.cause?.firing,
      let trigger = trigger(event)
    else { return nil }
    return DeadLetter(
      id: firing.text,
      kind: .firing,
      sensor: trigger.sensor,
      part: trigger.name,
      why: (data["why"]?.asText ?? "").cut(to: DeadLetter.whyBytes),
      attempts: data["attempts"]?.integer ?? 1,
      time: event.time,
      place: place,
      events: letterEvents(event).compactMap { Position($0.place) }
    )
  }

  /// The events of the firing whose dead letter `event` is.
  static func letterEvents(_ event: Event) -> [EventReference] {
    let items = failed(event, letterKey)?.value["events"]?.items ?? []
    return items.compactMap { EventReference($0) }
  }

  /// The firing of a `dlqTrigger` that `event` asks for; nil for any other event.
  static func owed(_ event: Event) -> Intent? {
    failed(event, owedKey).flatMap { Intent($0.value) }
  }

  /// The notice that somebody, or a limit, did something to dead letters:
  /// `signalbox.deadletters.retried` and `.dropped`. Data: `letters` (ids, the first 1000),
  /// `count`, `why`.
  static func letters(
    _ what: String,
    _ ids: [String],
    why: String,
    at time: Timestamp
  ) -> Event {
    let data: JSON = [
      "letters": .array(ids.prefix(1000).map { .string($0) }), "count": JSON(ids.count),
      "why": .string(why),
    ]
    return Event(
      id: Event.randomID(),
      namespace: "default",
      bus: "default",
      source: noticeSource,
      type: "signalbox.deadletters.\(what)",
      subject: "deadletters.\(what)",
      time: time,
      data: data.encoded()
    )
  }

  /// The firing that is followed since `event`; nil for any other event.
  static func startedFiring(_ event: Event) -> (FiringID, TriggerID)? {
    guard event.source == source, event.type == typePrefix + Phase.started.rawValue,
      let firing = event.cause?.firing, let trigger = trigger(event),
      (try? JSON(parsing: event.data))?[followedKey] == .bool(true)
    else { return nil }
    return (firing, trigger)
  }

  /// The trigger whose firing produced `event`: the last of its path.
  package static func trigger(_ event: Event) -> TriggerID? {
    guard let parts = event.cause?.path.last?.split(separator: "/"), parts.count == 3 else {
      return nil
    }
    let sensor = SensorID(namespace: String(parts[0]), name: String(parts[1]))
    return TriggerID(sensor: sensor, name: String(parts[2]))
  }

  /// The notice that a chain of automations reached the hop limit and was not continued.
  static func loopStopped(_ intent: Intent, limit: Int, at time: Timestamp) -> Event {
    let sensor = intent.trigger.sensor
    let data: JSON = [
      "sensor": .string(sensor.name), "trigger": .string(intent.trigger.name),
      "limit": JSON(limit), "chain": .array(intent.path.map { .string($0) }),
      "events": .array(intent.events.map { .string($0.eventID) }),
    ]
    return Event(
      id: Event.stableID("loop stopped", intent.id.text),
      namespace: sensor.namespace,
      bus: intent.bus,
      source: noticeSource,
      type: "signalbox.loop.stopped",
      subject: "loop.stopped",
      time: time,
      data: data.encoded(),
      cause: Cause(
        firing: intent.id,
        events: intent.events.map(\.eventID),
        hops: intent.hops,
        path: intent.path
      )
    )
  }

  /// The notice that a person let an event arrive once more: `signalbox.event.replayed`. Data:
  /// `event` (its id), `source`, `subject`, `position`, `replay` (the number), `sensor` where it
  /// arrived at one only, and on a bus with partitions `partition`, which the position and the
  /// number are of: each in which it arrives has a notice of its own.
  static func replayed(
    _ event: Event,
    _ place: Position,
    _ number: Int,
    at sensor: SensorID?,
    in partition: Int?,
    _ time: Timestamp
  ) -> Event {
    var only = sensor.map { [JSON.Member(key: "sensor", value: .string($0.description))] } ?? []
    var name = "\(number)"
    if let partition {
      only.append(.init(key: "partition", value: JSON(partition)))
      // Another one may have had a replay of this number too.
      name = "\(partition):\(number)"
    }
    let data: [JSON.Member] = [
      .init(key: "event", value: .string(event.id)),
      .init(key: "source", value: .string(event.source)),
      .init(key: "subject", value: .string(event.subject)),
      .init(key: "position", value: .string(place.description)),
      .init(key: "replay", value: JSON(number)),
    ]
    return Event(
      id: Event.stableID("replayed", name, event.id, sensor?.description ?? ""),
      namespace: event.namespace,
      bus: event.bus,
      source: noticeSource,
      type: "signalbox.event.replayed",
      subject: "event.replayed",
      time: time,
      data: JSON.object(data + only).encoded()
    )
  }

  /// The notice that a sensor's place was given up: `signalbox.cursor.released`. Data: `sensor`,
  /// `after` (the last position it read) and `through` (the last one it would have read by now).
  static func placeReleased(
    _ sensor: SensorID,
    _ parked: EngineState.Parked,
    reached: Position?,
    at time: Timestamp
  ) -> Event {
    let data: JSON = [
      "sensor": .string(sensor.name), "after": .string(parked.position.description),
      "through": .string(reached?.description ?? parked.position.description),
      "leftAt": .string(parked.since.description),
    ]
    return Event(
      id: Event.stableID("place released", sensor.description, parked.position.description),
      namespace: sensor.namespace,
      source: noticeSource,
      type: "signalbox.cursor.released",
      subject: "cursor.released",
      time: time,
      data: data.encoded()
    )
  }
}

extension [UInt8] {
  fileprivate func contains(text: String) -> Bool {
    let wanted = Array(text.utf8)
    guard count >= wanted.count, let first = wanted.first else { return false }
    var place = startIndex
    while let next = self[place...].firstIndex(of: first) {
      if self[next...].starts(with: wanted) { return true }
      place = next + 1
    }
    return false
  }
}
