import Event
import Expression
import JSON
import Sensor
import Testing

/// Scripts and templates where sensors use them.
@Suite struct LanguageTests {
  private func event(_ data: String) -> Event {
    Event(
      id: "1",
      source: "hooks",
      type: "webhook",
      subject: "push",
      time: Timestamp(nanoseconds: 7_500_000_000),
      data: Array(data.utf8)
    )
  }

  private func verdict(_ data: String, _ dependency: Dependency) -> FilterVerdict? {
    let id = SensorID(namespace: "default", name: "s")
    let plan = SensorPlan(id: id, bus: "default", dependencies: [dependency], triggers: [])
    var slots = Slots()
    return Interlocking([plan]).step(event(data), at: "1", &slots) { _ in true }
      .verdicts.first?.filter
  }

  private func dependency(
    filters: DataFilters? = nil,
    transform: String? = nil,
    script: String? = nil,
    scriptIsAlternative: Bool = false
  ) throws -> Dependency {
    Dependency(
      name: "a",
      key: EventKey(namespace: "default", bus: "default", source: "hooks", subject: "push"),
      filters: filters,
      transform: try transform.map { EventTransform(try LuaScript($0)) },
      script: try script.map { ScriptFilter(try LuaScript($0)) },
      scriptIsAlternative: scriptIsAlternative,
      fingerprint: ""
    )
  }

  private func isOne() throws -> DataFilters {
    DataFilters(
      [try DataFilter(path: "n", type: "number", values: ["1"], comparator: "=")],
      isAny: false
    )
  }

  @Test("a script filter decides beside the others, or alone")
  func scripts() throws {
    let script = "return event.ok"
    let both = try dependency(filters: isOne(), script: script)
    let either = try dependency(filters: isOne(), script: script, scriptIsAlternative: true)
    let alone = try dependency(script: script, scriptIsAlternative: true)
    let table: [(data: String, both: Bool, either: Bool, alone: Bool)] = [
      (#"{"n":1,"ok":true}"#, true, true, true), (#"{"n":1,"ok":1}"#, false, true, false),
      (#"{"n":2,"ok":true}"#, false, true, true), (#"{"n":2}"#, false, false, false),
    ]
    for row in table {
      #expect((verdict(row.data, both) == .pass) == row.both, "\(row)")
      #expect((verdict(row.data, either) == .pass) == row.either, "\(row)")
      #expect((verdict(row.data, alone) == .pass) == row.alone, "\(row)")
    }
    guard case .error? = verdict("[1]", alone) else {
      Issue.record("data that are no object are judged")
      return
    }
  }

  @Test("filters see what the transform made, and a failed transform is an error")
  func transforms() throws {
    let more = try dependency(filters: isOne(), transform: "event.n = event.n - 1 return event")
    #expect(verdict(#"{"n":2}"#, more) == .pass)
    #expect(verdict(#"{"n":1}"#, more) != .pass)
    for broken in ["error('x')", "return 1"] {
      guard case .error? = verdict("{}", try dependency(transform: broken)) else {
        Issue.record("\(broken) passes")
        continue
      }
    }
  }

  @Test("a transformed event is JSON, keeps its identity, and knows only its own time")
  func transformed() throws {
    let transform = EventTransform(try LuaScript("return {t = os.time(), n = event.n}"))
    let changed = try transform.applied(to: event(#"{"n":1,"x":2}"#))
    #expect(String(decoding: changed.data, as: UTF8.self) == #"{"n":1,"t":7}"#)
    #expect(changed.id == "1")
    #expect(try transform.applied(to: event("")).data.isEmpty)
    #expect(throws: TransformError.self) { try transform.applied(to: event("{")) }
  }

  @Test("a parameter's template comes before its key, and its failure behind it")
  func templates() throws {
    let world = TemplateWorld(
      now: { GoTime(seconds: 0, nanoseconds: 0, zone: .utc) },
      zoneFile: { _ in nil },
      random: { 0 }
    )
    func parameter(
      _ data: String?,
      _ context: String? = nil,
      key: String? = nil,
      value: String? = nil
    ) throws -> Parameter {
      func compiled(_ text: String?) throws -> Parameter.Template? {
        try text.map { text in
          let template = try GoTemplate(parsing: text)
          return { try? template.execute(["Input": $0], in: world) }
        }
      }
      return Parameter(
        dependency: "a",
        dataKey: try key.map { try JSONPath($0) },
        contextKey: nil,
        dataTemplate: try compiled(data),
        contextTemplate: try compiled(context),
        value: value,
        useRawData: true,
        destination: try JSONDestination("x"),
        operation: .overwrite
      )
    }
    let table: [(parameter: Parameter, wanted: String)] = [
      (try parameter("{{ .Input.s | upper }}"), #"{"x":"TEXT"}"#),
      (try parameter("{{ .Input.n }}"), #"{"x":"12.5"}"#),
      (try parameter("{{ .Input.missing }}", key: "n"), #"{"x":12.50}"#),
      (try parameter("{{ fail \"x\" }}", value: "default"), #"{"x":"default"}"#),
      (try parameter(nil, "{{ .Input.subject }}"), #"{"x":"push"}"#),
      (try parameter("data", "context"), #"{"x":"data"}"#),
    ]
    for (number, row) in table.enumerated() {
      var events = FiringEvents([("a", event(#"{"n":12.50,"s":"text"}"#))])
      let body = try [row.parameter].payload(&events)
      #expect(body.map { String(decoding: $0, as: UTF8.self) } == row.wanted, "\(number)")
    }
    var events = FiringEvents([("a", event("{}"))])
    #expect(throws: ParameterError.self) { try [parameter("{{ .Input.x }}")].payload(&events) }
  }
}
