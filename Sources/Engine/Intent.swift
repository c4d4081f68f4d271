package import Event
import JSON
package import Sensor

/// A firing that was decided on: what has to be done, and everything needed to do it again after
/// a crash. It is on the log before anything is done.
package struct Intent: Equatable, Sendable {
  package let id: FiringID
  package let trigger: TriggerID
  /// The kind of the trigger when it was decided, such as `http`.
  package let kind: String
  /// The bus of the sensor.
  package let bus: String
  /// Fingerprint of the trigger's definition when it was decided. It says which edit fired and
  /// is no part of the id.
  package let generation: String
  package let hops: Int
  /// The firings from the first outside event to this one, this one included.
  package let path: [String]
  package let events: [EventReference]

  init(_ decision: Decision, kind: String, bus: String, generation: String) {
    let sensor = decision.trigger.sensor
    id = FiringID(
      namespace: sensor.namespace,
      sensor: sensor.name,
      trigger: decision.trigger.name,
      replay: decision.replay,
      dependencies: decision.events.map { ($0.dependency, $0.source, $0.eventID) }
    )
    trigger = decision.trigger
    self.kind = kind
    self.bus = bus
    self.generation = generation
    hops = decision.hops
    path = decision.path + [decision.trigger.description]
    events = decision.events
  }
}

extension Intent {
  /// The firing of `trigger` that takes the place of `failed` when nothing else helps: for the
  /// same events, one link further in the chain.
  init(afterFailureOf failed: Intent, _ trigger: TriggerPlan) {
    let decision = Decision(trigger: trigger.id, events: failed.events)
    let intent = Intent(
      decision,
      kind: trigger.kind,
      bus: trigger.bus,
      generation: trigger.generation
    )
    self.init(
      intent,
      hops: failed.hops + 1,
      path: failed.path + [trigger.id.description]
    )
  }

  private init(_ intent: Intent, hops: Int, path: [String]) {
    id = intent.id
    trigger = intent.trigger
    kind = intent.kind
    bus = intent.bus
    generation = intent.generation
    events = intent.events
    self.hops = hops
    self.path = path
  }

  var json: JSON {
    [
      "id": .string(id.text), "trigger": trigger.json, "kind": .string(kind), "bus": .string(bus),
      "generation": .string(generation), "hops": JSON(hops),
      "path": .array(path.map { .string($0) }), "events": .array(events.map(\.json)),
    ]
  }

  init?(_ json: JSON) {
    guard let id = json["id"]?.asText.flatMap({ FiringID($0) }),
      let trigger = json["trigger"].flatMap({ TriggerID($0) }), let kind = json["kind"]?.asText,
      let bus = json["bus"]?.asText, let generation = json["generation"]?.asText,
      let hops = json["hops"]?.integer, let path = json["path"]?.texts,
      let events = json["events"]?.items?.map({ EventReference($0) }),
      !events.contains(nil)
    else { return nil }
    self.id = id
    self.trigger = trigger
    self.kind = kind
    self.bus = bus
    self.generation = generation
    self.hops = hops
    self.path = path
    self.events = events.compactMap(\.self)
  }
}

extension TriggerID {
  var json: JSON {
    [.string(sensor.namespace), .string(sensor.name), .string(name)]
  }

  init?(_ json: JSON) {
    guard let parts = json.texts, parts.count == 3 else { return nil }
    self.init(sensor: SensorID(namespace: parts[0], name: parts[1]), name: parts[2])
  }
}

extension EventReference {
  var json: JSON {
    var members: [JSON.Member] = [
      .init(key: "dependency", value: .string(dependency)),
      .init(key: "source", value: .string(source)), .init(key: "id", value: .string(eventID)),
      .init(key: "at", value: .string(place)), .init(key: "hops", value: JSON(hops)),
      .init(key: "path", value: .array(path.map { .string($0) })),
    ]
    if replay > 0 { members.append(.init(key: "replay", value: JSON(replay))) }
    if let time { members.append(.init(key: "time", value: JSON(Int(time.nanoseconds)))) }
    return .object(members)
  }

  init?(_ json: JSON) {
    guard let dependency = json["dependency"]?.asText, let source = json["source"]?.asText,
      let id = json["id"]?.asText, let place = json["at"]?.asText, let hops = json["hops"]?.integer,
      let path = json["path"]?.texts
    else { return nil }
    self.init(
      dependency: dependency,
      source: source,
      eventID: id,
      place: place,
      hops: hops,
      path: path,
      replay: json["replay"]?.integer ?? 0,
      time: json["time"]?.integer.map { Timestamp(nanoseconds: Int64($0)) }
    )
  }
}

extension JSON {
  var asText: String? {
    if case .string(let text) = self { return text }
    return nil
  }

  var integer: Int? {
    if case .number(let text) = self { return Int(text) }
    return nil
  }

  var items: [JSON]? {
    if case .array(let items) = self { return items }
    return nil
  }

  var texts: [String]? {
    guard let items else { return nil }
    let texts = items.compactMap(\.asText)
    return texts.count == items.count ? texts : nil
  }
}
