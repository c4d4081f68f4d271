import Event
import EventSources
import Expression
import HTTP
import JSON
import Manifest
import Plugin
import Synchronization
import Testing

@Suite struct FilterTests {
  private let sink = RecordingHost()
  private let oldSink = RecordingHost(compat: .argo19)

  private func make(
    _ filter: JSON,
    _ diagnostics: Diagnostics,
    to sink: RecordingHost? = nil
  ) throws -> (any EventSource)? {
    let spec: JSON = [
      "endpoint": "/hook", "port": "12000", "method": "POST", "filter": filter,
    ]
    let kind = try #require(eventSourceKinds.first { $0.kind == "webhook" })
    let name = EventSourceName(namespace: "default", bus: "default", source: "s", event: "e")
    let node = Node(spec, at: Mark(file: "t", line: 1, column: 1))
    return kind.make(node, "spec.webhook.e", name, sink ?? self.sink, diagnostics)
  }

  private func post(
    _ body: String,
    _ filter: String,
    to sink: RecordingHost? = nil
  ) async throws -> Response {
    let diagnostics = Diagnostics()
    let made = try make(["expression": .string(filter)], diagnostics, to: sink)
    let source = try #require(made, "\(diagnostics.sorted)")
    let route = try #require(source.routes.first)
    let headers = Headers([.init("Host", "x"), .init("Content-Type", "application/json")])
    let head = RequestHead(method: "POST", path: "/hook", query: "", headers: headers)
    return await route.handler.accept(head).response(
      to: Request(head: head, body: Array(body.utf8))
    )
  }

  @Test(
    "what the filter of a source does not want is answered, counted and not stored",
    arguments: [
      ("body.ref == 'refs/heads/main'", true, [String]()),
      ("body.ref == 'refs/heads/dev'", false, ["filtered"]),
      ("body.ref > 1", false, ["filter-error"]),
      ("body.ref", false, ["filter-error"]),
      ("sprig.hasPrefix('refs/', body.ref) && header['Content-Type'][0] != ''", true, []),
    ] as [(String, Bool, [String])]
  )
  func filtering(expression: String, isWanted: Bool, reasons: [String]) async throws {
    let response = try await post("{\"ref\":\"refs/heads/main\"}", expression)
    #expect(response.status == (isWanted ? 202 : 200))
    let answer = try JSON(parsing: response.body)
    #expect((answer["filtered"] == true) == !isWanted)
    #expect(sink.events.count == (isWanted ? 1 : 0))
    #expect(sink.reasons == reasons)
  }

  @Test(
    "source-filters: what release 1.15.5 fails at refuses the event in mode argo-1.9",
    arguments: [
      // A filter that is none: an error here when it loads, there of each event.
      ("body.ref ==", nil, ["filter-error"]), ("", nil, ["filter-error"]),
      ("type == 'x'", ["filtered"], ["filter-error"]),
      ("!(body.missing contains 'x')", [], ["filter-error"]),
      ("body.ref contains 'main'", [], []), ("body.ref == 'dev'", ["filtered"], ["filtered"]),
    ] as [(String, [String]?, [String])]
  )
  func modes(expression: String, fixed: [String]?, argo: [String]) async throws {
    let body = "{\"ref\":\"refs/heads/main\"}"
    let diagnostics = Diagnostics()
    let made = try make(["expression": .string(expression)], diagnostics)
    #expect((made != nil) == (fixed != nil), "\(diagnostics.sorted)")
    if let fixed {
      _ = try await post(body, expression)
      #expect(sink.reasons == fixed && sink.events.count == (fixed.isEmpty ? 1 : 0))
    }
    let response = try await post(body, expression, to: oldSink)
    #expect(response.status == (argo.isEmpty ? 202 : 200))
    #expect(oldSink.reasons == argo && oldSink.events.count == (argo.isEmpty ? 1 : 0))
  }

  @Test("in mode argo-1.9 a filter that is no expression is a warning with its place")
  func oldBroken() throws {
    for filter in [["expression": "a =="] as JSON, [:]] {
      let diagnostics = Diagnostics()
      #expect(try make(filter, diagnostics, to: oldSink) != nil)
      let warnings = diagnostics.sorted.filter { $0.severity == .warning }
      #expect(warnings.map(\.field) == ["spec.webhook.e.filter.expression"])
      #expect(warnings.first?.message.hasSuffix("; no event passes, as in Argo Events 1.9") == true)
    }
  }

  @Test("a filter that is no expression, or can only fail, is an error with its place")
  func broken() throws {
    for (filter, wanted) in [
      (["expression": "a =="] as JSON, "1:4: the end cannot stand here"),
      (["expression": "1 == \"1\""], "1:3: '==' does not go with int and string"),
      (["expression": ""], "found an empty string"), ([:], "found nothing, expected a string"),
      (["expression": "true", "other": 1], "unknown key 'other'"),
    ] {
      let diagnostics = Diagnostics()
      #expect(try make(filter, diagnostics) == nil)
      let messages = diagnostics.sorted.map(\.description)
      #expect(messages.contains { $0.contains(wanted) }, "\(messages)")
    }
  }
}
