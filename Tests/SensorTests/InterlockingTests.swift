import Event
import Expression
import Sensor
import Testing

/// A sensor over dependencies that wait for events named like them; `b` on `b`, and so on.
private struct Box {
  let interlocking: Interlocking
  var slots = Slots()
  private var place = 0

  /// The log time at which events are taken, in seconds since 1970.
  var seconds: Int64 = 0

  init(
    _ names: [String],
    _ conditions: [String?],
    filters: [String: DataFilters] = [:],
    resets: [Cron] = []
  ) throws {
    let id = SensorID(namespace: "default", name: "s")
    let plan = SensorPlan(
      id: id,
      bus: "default",
      dependencies: names.map { name in
        Dependency(
          name: name,
          key: EventKey(
            namespace: "default",
            bus: "default",
            source: "source",
            subject: name
          ),
          filters: filters[name].map { data in
            var filter = EventFilter()
            filter.data = data
            return filter
          },
          fingerprint: name
        )
      },
      triggers: try conditions.enumerated().map { number, text in
        TriggerRule(
          id: TriggerID(sensor: id, name: "t\(number)"),
          condition: try text.map { try Condition($0, names: names) } ?? .all(count: names.count),
          resets: resets
        )
      }
    )
    interlocking = Interlocking([plan])
  }

  /// Events are named by their dependency and a number: `a1`. What fired, as `trigger: events`.
  mutating func take(_ ids: String...) -> [String] {
    ids.flatMap { id in
      place += 1
      let event = Event(
        id: id,
        source: "source",
        type: "webhook",
        subject: String(id.prefix { $0.isLetter }),
        time: Timestamp(nanoseconds: seconds * 1_000_000_000),
        data: Array("{\"id\":\"\(id)\"}".utf8)
      )
      return interlocking.step(event, at: "\(place)", &slots, isActive: { _ in true })
        .decisions.map { decision in
          "\(decision.trigger.name): \(decision.events.map(\.eventID).joined(separator: " "))"
        }
    }
  }

  var held: [String] {
    slots.held.values.flatMap(\.values).map(\.eventID).sorted()
  }
}

@Suite struct InterlockingTests {
  @Test("without conditions all dependencies have to come, in the order of the sensor")
  func defaultAnd() throws {
    var box = try Box(["a", "b", "c"], [nil])
    #expect(box.take("c1", "a1").isEmpty)
    #expect(box.held == ["a1", "c1"])
    #expect(box.take("b1") == ["t0: a1 b1 c1"])
    #expect(box.held.isEmpty)
  }

  @Test("one dependency alone fires with every event and holds nothing")
  func single() throws {
    var box = try Box(["a"], [nil])
    #expect(box.take("a1", "a2") == ["t0: a1", "t0: a2"])
    #expect(box.held.isEmpty)
  }

  @Test("in a slot the latest event wins, and a firing empties all slots")
  func latestWins() throws {
    var box = try Box(["a", "b"], ["a && b"])
    #expect(box.take("a1", "a2", "b1") == ["t0: a2 b1"])
    #expect(box.take("b2").isEmpty)
    #expect(box.take("a3") == ["t0: a3 b2"])
  }

  @Test("a firing takes along and clears also what it could do without")
  func clearsAll() throws {
    var box = try Box(["a", "b", "c"], ["(a && b) || c"])
    #expect(box.take("a1", "c1") == ["t0: a1 c1"])
    #expect(box.take("b1").isEmpty)
    #expect(box.take("a2") == ["t0: a2 b1"])
  }

  @Test("with || alone each event fires by itself")
  func pureOr() throws {
    var box = try Box(["a", "b"], ["a || b"])
    #expect(box.take("a1", "b1", "a2") == ["t0: a1", "t0: b1", "t0: a2"])
    #expect(box.held.isEmpty)
  }

  @Test("&& binds tighter than ||, and parentheses tighter than both")
  func precedence() throws {
    var box = try Box(["a", "b", "c"], ["a || b && c", "(a || b) && c"])
    #expect(box.take("a1") == ["t0: a1"])
    #expect(box.take("c1") == ["t1: a1 c1"])
    #expect(box.take("b1") == ["t0: b1 c1"])
  }

  @Test("each trigger has its own slots, and takes no part in what its condition does not name")
  func ownSlots() throws {
    var box = try Box(["a", "b", "c"], ["a && b", "a && c"])
    #expect(box.take("a1", "b1") == ["t0: a1 b1"])
    #expect(box.take("c1") == ["t1: a1 c1"])
    #expect(box.take("b2", "c2").isEmpty)
    #expect(box.take("a2") == ["t0: a2 b2", "t1: a2 c2"])
  }

  @Test("an event that a filter refuses takes no slot and pushes none out")
  func filtered() throws {
    let filters = DataFilters(
      [try DataFilter(path: "id", type: "string", values: ["a1", "a2"], comparator: nil)],
      join: .all
    )
    var box = try Box(["a", "b"], [nil], filters: ["a": filters])
    #expect(box.take("a1", "a3", "b1") == ["t0: a1 b1"])
  }

  @Test("what another sensor waits for, or one that does not read yet, changes nothing")
  func inactive() throws {
    let box = try Box(["a"], [nil])
    var slots = Slots()
    let event = Event(
      id: "e",
      source: "source",
      type: "webhook",
      subject: "a",
      time: Timestamp(nanoseconds: 0),
      data: []
    )
    #expect(
      box.interlocking.step(event, at: "1", &slots, isActive: { _ in false }).decisions.isEmpty
    )
    var foreign = event
    foreign.namespace = "other"
    let step = box.interlocking.step(foreign, at: "1", &slots, isActive: { _ in true })
    #expect(step.decisions.isEmpty && step.verdicts.isEmpty)
  }

  @Test("applying the changes of each step gives the slots that the step left")
  func changes() throws {
    var box = try Box(["a", "b", "c"], ["a && b && c", "(a && b) || c"])
    var folded = Slots()
    var slots = Slots()
    for (place, subject) in ["a", "c", "b", "a", "b", "b", "c", "a"].enumerated() {
      let event = Event(
        id: "e\(place)",
        source: "source",
        type: "webhook",
        subject: subject,
        time: Timestamp(nanoseconds: 0),
        data: []
      )
      let step = box.interlocking.step(event, at: "\(place)", &slots, isActive: { _ in true })
      for change in step.changes { folded.apply(change) }
      #expect(folded == slots)
    }
    #expect(box.take().isEmpty)
  }

  @Test("a reset by time lets go what came before it, whenever the next event arrives")
  func reset() throws {
    let midnight = try Cron("0 0 * * *", zoneFile: { _ in nil })
    var box = try Box(["a", "b"], [nil], resets: [midnight])
    box.seconds = 86399
    #expect(box.take("a1").isEmpty)
    box.seconds = 86400
    #expect(box.take("b1").isEmpty)
    #expect(box.held == ["b1"])
    box.seconds = 2 * 86400 - 1
    #expect(box.take("a2") == ["t0: a2 b1"])
    #expect(box.take("a3").isEmpty)
    box.seconds += 5 * 86400
    #expect(box.take("a4", "b2") == ["t0: a4 b2"])
  }
}
