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
  /// It waits until then; nil: it does not.
  let notBefore: Timestamp?
  /// What it shares a limit of concurrency with.
  let lane: String?

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
    notBefore = decision.notBefore
    lane = decision.lane
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
    notBefore = intent.notBefore
    lane = intent.lane
    self.hops = hops
    self.path = path
  }

  var json: JSON {
    var members: [JSON.Member] = [
      .init(key: "id", value: .string(id.text)), .init(key: "trigger", value: trigger.json),
      .init(key: "kind", value: .string(kind)), .init(key: "bus", value: .string(bus)),
      .init(key: "generation", value: .string(generation)),
      .init(key: "hops", value: JSON(hops)),
      .init(key: "path", value: .array(path.map { .string($0) })),
      .init(key: "events", value: .array(events.map(\.json))),
    ]
    if let notBefore {
      members.append(.init(key: "notBefore", value: JSON(Int(notBefore.nanoseconds))))
    }
    if let lane { members.append(.init(key: "lane", value: .string(lane))) }
    return .object(members)
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
    notBefore = json["notBefore"]?.integer.map { Timestamp(nanoseconds: Int64($0)) }
    lane = json["lane"]?.asText
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

extension WindowID {
  var json: JSON {
    [
      "trigger": trigger.json, "kind": .string(kind.rawValue), "key": .string(key),
    ]
  }

  init?(_ json: JSON) {
    guard let trigger = json["trigger"].flatMap({ TriggerID($0) }),
      let kind = json["kind"]?.asText.flatMap({ Kind(rawValue: $0) }), let key = json["key"]?.asText
    else { return nil }
    self.init(trigger: trigger, kind: kind, key: key)
  }
}

extension Window {
  var json: JSON {
    [
      "opened": opened.json, "due": due.map(\.json) ?? .null,
      "events": .array(events.map(\.json)), "count": JSON(count),
      "lane": lane.map { .string($0) } ?? .null,
    ]
  }

  init?(_ json: JSON) {
    guard let opened = Timestamp(json["opened"]), let count = json["count"]?.integer,
      let events = json["events"]?.items?.map({ EventReference($0) }), !events.contains(nil)
    else { return nil }
    self.init(
      opened: opened,
      due: Timestamp(json["due"]),
      events: events.compactMap(\.self),
      count: count,
      lane: json["lane"]?.asText
    )
  }
}

extension WindowChange {
  var json: JSON {
    switch self {
    case .add(let event, let due, let lane):
      [
        "add": event.json, "due": due.map(\.json) ?? .null,
        "lane": lane.map { .string($0) } ?? .null,
      ]
    case .replace(let events, let opened, let due, let lane):
      [
        "replace": .array(events.map(\.json)), "opened": opened.json,
        "due": due.map(\.json) ?? .null, "lane": lane.map { .string($0) } ?? .null,
      ]
    case .take(let places, let due):
      ["take": .array(places.map { JSON($0) }), "due": due.map(\.json) ?? .null]
    case .count(let count, let opened, let due):
      ["count": JSON(count), "opened": opened.json, "due": due.map(\.json) ?? .null]
    case .close: ["close": true]
    }
  }

  init?(_ json: JSON) {
    let (due, lane) = (Timestamp(json["due"]), json["lane"]?.asText)
    if let event = json["add"].flatMap({ EventReference($0) }) {
      self = .add(event, due: due, lane: lane)
    } else if let events = json["replace"]?.items?.map({ EventReference($0) }),
      !events.contains(nil), let opened = Timestamp(json["opened"])
    {
      self = .replace(events.compactMap(\.self), opened: opened, due: due, lane: lane)
    } else if let places = json["take"]?.items?.map(\.integer), !places.contains(nil) {
      self = .take(places.compactMap(\.self), due: due)
    } else if let count = json["count"]?.integer, let opened = Timestamp(json["opened"]) {
      self = .count(count, opened: opened, due: due)
    } else if json["close"] == true {
      self = .close
    } else {
      return nil
    }
  }
}

extension Timestamp {
  /// Nanoseconds since 1970.
  var json: JSON { JSON(Int(nanoseconds)) }

  init?(_ json: JSON?) {
    guard let number = json?.integer else { return nil }
    self.init(nanoseconds: Int64(number))
  }
}
