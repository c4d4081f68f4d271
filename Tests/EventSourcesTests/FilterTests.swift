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

  private func make(_ filter: JSON, _ diagnostics: Diagnostics) throws -> (any EventSource)? {
    let spec: JSON = [
      "endpoint": "/hook", "port": "12000", "method": "POST", "filter": filter,
    ]
    let kind = try #require(eventSourceKinds.first { $0.kind == "webhook" })
    let name = EventSourceName(namespace: "default", bus: "default", source: "s", event: "e")
    let node = Node(spec, at: Mark(file: "t", line: 1, column: 1))
    return kind.make(node, "spec.webhook.e", name, sink, diagnostics)
  }

  private func post(_ body: String, _ filter: String) async throws -> Response {
    let diagnostics = Diagnostics()
    let made = try make(["expression": .string(filter)], diagnostics)
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
