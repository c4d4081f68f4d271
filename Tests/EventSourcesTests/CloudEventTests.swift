import Event
import EventSources
import HTTP
import JSON
import Manifest
import Plugin
import Testing

@Suite struct CloudEventTests {
  /// What a webhook answers to a request, and what it stores.
  private func send(
    _ body: String,
    _ headers: [(String, String)]
  ) async throws -> (status: Int, events: [Event], answer: String) {
    let spec: JSON = ["endpoint": "/hook", "port": "12000"]
    let (host, diagnostics) = (RecordingHost(), Diagnostics())
    let kind = try #require(eventSourceKinds.first { $0.kind == "webhook" })
    let name = EventSourceName(namespace: "default", bus: "default", source: "s", event: "e")
    let node = Node(spec, at: Mark(file: "t", line: 1, column: 1))
    let made = kind.make(node, "spec.webhook.e", name, host, diagnostics)
    let source = try #require(made, "\(diagnostics.sorted)")
    let route = try #require(source.routes.first)
    let fields = Headers(headers.map { .init($0.0, $0.1) })
    let head = RequestHead(method: "POST", path: "/hook", query: "", headers: fields)
    guard case .read(_, let respond) = route.handler.accept(head) else { return (0, [], "") }
    let response = await respond(Request(head: head, body: Array(body.utf8)))
    return (response.status, host.events, String(decoding: response.body, as: UTF8.self))
  }

  private static let structured = """
    {"specversion": "1.0", "id": "1", "source": "/shop", "type": "order.placed", "subject": "o/7",
     "time": "2026-01-01T12:00:00.5+01:00", "datacontenttype": "application/json", "tenant": "x",
     "priority": 3, "data": {"n": 1.0}}
    """
  private static let batchType = ("Content-Type", "application/cloudevents-batch+json")
  private static let type = ("Content-Type", "application/cloudevents+json; charset=utf-8")

  @Test("structured: id, type, time, source and extensions are kept, the data are the body")
  func structured() async throws {
    let (status, events, _) = try await send(Self.structured, [Self.type])
    #expect(status == 202)
    let event = try #require(events.first)
    #expect(
      [event.id, event.type, event.source, event.subject] == ["1", "order.placed", "s", "e"]
    )
    #expect(event.time.description == "2026-01-01T11:00:00.5Z")
    let data = try JSON(parsing: event.data)
    #expect(data["body"] == .object([.init(key: "n", value: .number("1.0"))]))
    #expect(data["header"]?["Content-Type"] != nil)
    let kept = data["cloudEvent"]
    #expect(kept?["source"] == "/shop" && kept?["subject"] == "o/7" && kept?["tenant"] == "x")
    #expect(kept?["priority"] == 3 && kept?["data"] == nil)
  }

  @Test("binary: attributes are headers, the data are the body whatever they are")
  func binary() async throws {
    let headers = [
      ("ce-specversion", "1.0"), ("Ce-Id", "a%20b"), ("ce-source", "/x"), ("CE-TYPE", "t"),
      ("ce-tenant", "Euro%20%E2%82%AC"), ("Content-Type", "text/plain"),
    ]
    let (status, events, _) = try await send("hello", headers)
    #expect(status == 202 && events.first?.id == "a b" && events.first?.type == "t")
    let data = try JSON(parsing: try #require(events.first).data)
    #expect(data["body"] == "hello" && data["cloudEvent"]?["tenant"] == "Euro \u{20ac}")
    #expect(data["cloudEvent"]?["datacontenttype"] == "text/plain")
    for (type, body, kept) in [
      ("application/vnd.x+json", "[1]", "[1]"), ("application/json", "{", "\"ew==\""),
      ("image/png", "\u{1}", "\"AQ==\""), ("application/json", "", "null"),
    ] {
      let sent = try await send(body, headers.dropLast() + [("Content-Type", type)])
      let event = try #require(sent.events.first)
      let data = try JSON(parsing: event.data)
      #expect(data["body"].map { String(decoding: $0.encoded(), as: UTF8.self) } == kept)
    }
  }

  @Test("batched: all are stored together, under their ids, and ids are each source's own")
  func batched() async throws {
    let other = Self.structured.replacing("/shop", with: "/mall")
    let (status, events, answer) = try await send(
      "[\(Self.structured), \(Self.structured.replacing("\"1\"", with: "\"2\"")), \(other)]",
      [Self.batchType]
    )
    #expect(status == 202 && answer.contains("\"ids\":[\"1\",\"2\""))
    #expect(events.prefix(2).map(\.id) == ["1", "2"])
    let again = try await send(Self.structured, [Self.type])
    #expect(again.events.first?.digest == events.first?.digest)
    let mall = try await send(other, [Self.type])
    #expect(mall.events.first?.digest != events.first?.digest)
    #expect(try await send("[]", [Self.batchType]).status == 200)
  }

  @Test("base64 data are what they say they are")
  func base64() async throws {
    let text = Self.structured.replacing(
      #""data": {"n": 1.0}"#,
      with: #""data_base64": "eyJhIjoxfQ==""#
    )
    let (_, events, _) = try await send(text, [Self.type])
    #expect(try JSON(parsing: try #require(events.first).data)["body"] == ["a": 1])
  }

  @Test(
    "what is no CloudEvent is refused with 400 and why",
    arguments: [
      ("{", "the body is not JSON: byte 1"), ("[]", "an event is no JSON object"),
      ("{}", "specversion is not 1.0"),
      (#"{"specversion":"0.3"}"#, "specversion is not 1.0"),
      (#"{"specversion":"1.0","source":"s","type":"t"}"#, "id is missing or empty"),
      (#"{"specversion":"1.0","id":"","source":"s","type":"t"}"#, "id is missing or empty"),
      (#"{"specversion":"1.0","id":"1","type":"t"}"#, "source is missing or empty"),
      (#"{"specversion":"1.0","id":"1","source":"s"}"#, "type is missing or empty"),
      (
        #"{"specversion":"1.0","id":"1\u0000","source":"s","type":"t"}"#,
        "id is too long or has control characters"
      ),
      (
        #"{"specversion":"1.0","id":"1","source":"s","type":"t","time":"now"}"#,
        "time is not of RFC 3339"
      ),
      (
        #"{"specversion":"1.0","id":"1","source":"s","type":"t","Bad":"x"}"#,
        "an attribute's name is not of lower-case letters and digits"
      ),
      (
        #"{"specversion":"1.0","id":"1","source":"s","type":"t","x":{}}"#,
        "an attribute is no string, number or boolean"
      ),
      (
        #"{"specversion":"1.0","id":"1","source":"s","type":"t","data":1,"data_base64":""}"#,
        "there are both data and data_base64"
      ),
      (
        #"{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"?"}"#,
        "data_base64 is no base64"
      ),
    ]
  )
  func refused(_ body: String, _ why: String) async throws {
    let (status, events, answer) = try await send(body, [Self.type])
    #expect(status == 400 && events.isEmpty)
    #expect(answer.contains("the request is no CloudEvent: \(why)"), "\(answer)")
    if body != "[]", body != "{" {
      #expect(try await send("[\(Self.structured),\(body)]", [Self.batchType]).events.isEmpty)
    }
  }
}
