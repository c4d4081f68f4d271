import Event
import JSON
import Sensor
import Testing

@Suite struct ParameterTests {
  private func event(_ data: String) -> Event {
    Event(
      id: "1",
      source: "hooks",
      type: "webhook",
      subject: "push",
      time: Timestamp(nanoseconds: 0),
      data: Array(data.utf8)
    )
  }

  private func parameter(
    _ dependency: String = "a",
    data: String? = nil,
    context: String? = nil,
    value: String? = nil,
    raw: Bool = false,
    to destination: String? = "x",
    _ operation: Parameter.Operation = .overwrite
  ) throws -> Parameter {
    Parameter(
      dependency: dependency,
      data: Parameter.Selector(key: try data.map { try JSONPath($0) }),
      context: Parameter.Selector(key: try context.map { try JSONPath($0) }),
      value: value,
      useRawData: raw,
      destination: try destination.map { try JSONDestination($0) },
      operation: operation
    )
  }

  private let data = #"{"n":12.50,"s":"text","o":{"k":[1,null]},"t":true,"z":null}"#

  @Test("a value goes in as a string, or as it is with useRawData")
  func rawOrText() throws {
    let table: [(path: String, raw: Bool, expected: String)] = [
      ("s", false, #"{"x":"text"}"#), ("s", true, #"{"x":"text"}"#),
      ("o", false, #"{"x":"{\"k\":[1,null]}"}"#), ("o", true, #"{"x":{"k":[1,null]}}"#),
      ("t", false, #"{"x":"true"}"#), ("t", true, #"{"x":true}"#),
      ("z", false, #"{"x":"null"}"#), ("z", true, #"{"x":null}"#),
    ]
    for row in table {
      var events = FiringEvents([("a", event(data))])
      let body = try [parameter(data: row.path, raw: row.raw)].payload(&events)
      #expect(body.map { String(decoding: $0, as: UTF8.self) } == row.expected, "\(row)")
    }
  }

  @Test("data wins over context, and the default over nothing")
  func selectors() throws {
    var events = FiringEvents([("a", event(data))])
    let parameters = [
      try parameter(data: "s", context: "subject", to: "both"),
      try parameter(context: "subject", to: "context"),
      try parameter(data: "missing", value: "default", to: "missing"),
      try parameter("absent", data: "s", to: "skipped"),
      try parameter("absent", data: "s", value: "given", to: "absent"),
    ]
    let body = try parameters.payload(&events)
    #expect(
      body.map { String(decoding: $0, as: UTF8.self) }
        == #"{"both":"text","context":"push","missing":"default","absent":"given"}"#
    )
  }

  @Test("what cannot be resolved or read is an error with the dependency's name")
  func unresolved() throws {
    var events = FiringEvents([("a", event(data)), ("broken", event("{"))])
    for parameter in [try parameter(data: "missing"), try parameter("broken", data: "s")] {
      let error = #expect(throws: ParameterError.self) { _ = try [parameter].payload(&events) }
      #expect(error?.description.contains("'\(parameter.dependency)'") == true)
    }
  }

  @Test("without a destination the value is the whole body, byte for byte")
  func wholeBody() throws {
    var events = FiringEvents([("a", event(#"{"o": {"k" : 1.0}}"#))])
    let parameters = [
      try parameter(data: "o", to: "ignored"), try parameter(data: "o", to: nil),
    ]
    let body = try parameters.payload(&events)
    #expect(body == Array(#"{"k" : 1.0}"#.utf8))
  }

  @Test("no list is no body; a list of which nothing has a value is an empty one")
  func emptyBody() throws {
    var events = FiringEvents([("a", event(data))])
    #expect(try [Parameter]().payload(&events) == nil)
    #expect(try [parameter("absent", data: "s")].payload(&events) == [])
  }

  @Test("append and prepend join texts, and set where nothing was")
  func joining() throws {
    var events = FiringEvents([("a", event(data))])
    let object = try JSON(parsing: Array(#"{"url":"http://h/","n":5}"#.utf8))
    let parameters = [
      try parameter(data: "s", to: "url", .append), try parameter(data: "s", to: "n", .prepend),
      try parameter(data: "s", to: "new", .append),
    ]
    let changed = try parameters.applied(to: object, &events)
    #expect(
      String(decoding: changed.encoded(), as: UTF8.self)
        == #"{"url":"http://h/text","n":"text5","new":"text"}"#
    )
  }

  @Test("without a selector the event itself goes in, its data in base64")
  func envelope() throws {
    var events = FiringEvents([("a", event("{}"))])
    let body = try #require(try [parameter(to: nil)].payload(&events))
    let json = try JSON(parsing: body)
    #expect(json["context"]?["subject"] == "push")
    #expect(json["data"] == "e30=")
  }
}
