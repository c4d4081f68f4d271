import Event
import EventSources
import HTTP
import JSON
import Manifest
import Plugin
import Testing

@Suite struct DeduplicationTests {
  private func make(
    _ own: JSON,
    _ host: RecordingHost,
    _ diagnostics: Diagnostics
  ) throws -> (any EventSource)? {
    let spec: JSON = ["endpoint": "/hook", "port": "12000", "signalbox": own]
    let kind = try #require(eventSourceKinds.first { $0.kind == "webhook" })
    let name = EventSourceName(namespace: "default", bus: "default", source: "s", event: "e")
    let node = Node(spec, at: Mark(file: "t", line: 1, column: 1))
    return kind.make(node, "spec.webhook.e", name, host, diagnostics)
  }

  /// The events that these requests become.
  private func events(_ by: JSON, _ requests: [(body: String, ids: [String])]) async throws
    -> [Event]
  {
    var events: [Event] = []
    for request in requests {
      let (host, diagnostics) = (RecordingHost(), Diagnostics())
      let made = try make(["deduplicateBy": by], host, diagnostics)
      let source = try #require(made, "\(diagnostics.sorted)")
      let route = try #require(source.routes.first)
      var headers = Headers([.init("Host", "x"), .init("Content-Type", "application/json")])
      for id in request.ids { headers.add("X-Request-Id", id) }
      let head = RequestHead(method: "POST", path: "/hook", query: "", headers: headers)
      let whole = Request(head: head, body: Array(request.body.utf8))
      _ = await route.handler.accept(head).response(to: whole)
      events += host.events
    }
    return events
  }

  @Test("a header names the event, and another body under the same name is told apart")
  func byHeader() async throws {
    let events = try await events(
      ["header": "x-request-id"],
      [("{}", ["a"]), ("{}", ["a"]), ("{\"b\":1}", ["a"]), ("{}", ["b"])]
    )
    #expect(events[0].id == events[1].id && events[0].digest == events[1].digest)
    #expect(events[0].digest != nil)
    #expect(events[2].id == events[0].id && events[2].digest != events[0].digest)
    #expect(events[3].id != events[0].id)
  }

  @Test("a path into the data names the event, whatever else is in it")
  func byPath() async throws {
    let events = try await events(
      ["path": "body.order.id"],
      [
        (#"{"order":{"id":7},"try":1}"#, []), (#"{"try":2,"order":{"id":7}}"#, []),
        (#"{"order":{"id":"8"}}"#, []), (#"{"order":{"id":8}}"#, []),
      ]
    )
    #expect(events[0].id == events[1].id)
    #expect(events.allSatisfy { $0.digest == nil })
    #expect(events[2].id != events[0].id && events[2].id == events[3].id)
  }

  @Test("without a name each request is an event of its own")
  func unnamed() async throws {
    let header = try await events(
      ["header": "X-Request-Id"],
      [("{}", []), ("{}", [""]), ("{}", ["a", "a"]), ("{}", ["a", "a"])]
    )
    #expect(Set(header.map(\.id)).count == 4)
    let path = try await events(
      ["path": "body.id"],
      [("{}", []), ("{}", []), (#"{"id":null}"#, []), (#"{"id":null}"#, []), (#"{"id":""}"#, [])]
    )
    #expect(Set(path.map(\.id)).count == 5)
  }

  @Test(
    "what is no header and no path is an error with its place",
    arguments: [
      (JSON.object([]), "deduplicateBy: found neither"),
      (["header": "X-Id", "path": "body.id"], "deduplicateBy: found both"),
      (["header": "X Id"], "deduplicateBy.header: found 'X Id'"),
      (["path": ""], "deduplicateBy.path: found an empty path"),
      (["heder": "X-Id"], "did you mean 'header'?"),
    ] as [(JSON, String)]
  )
  func refused(by: JSON, message: String) throws {
    let diagnostics = Diagnostics()
    #expect(try make(["deduplicateBy": by], RecordingHost(), diagnostics) == nil)
    #expect(
      diagnostics.sorted.map(\.description).joined().contains(message),
      "\(diagnostics.sorted)"
    )
  }
}
