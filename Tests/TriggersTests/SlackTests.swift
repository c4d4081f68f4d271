import HTTP
import JSON
import Plugin
import Posix
import Synchronization
import Testing
import Triggers

/// Slack's API as far as a message goes.
private final class SlackAPI: RequestHandler {
  private let seen = Mutex<[Request]>([])
  var requests: [Request] { seen.withLock { $0 } }

  func accept(_ head: RequestHead) -> Acceptance {
    .read(bodyLimit: 1 << 20) { [self] request in
      seen.withLock { $0.append(request) }
      let text = (try? JSON(parsing: request.body))?["text"]
      switch text {
      case "busy":
        var response = Response.text(429, "slow down")
        response.headers.add("Retry-After", "30")
        return response
      case "broken": return .json(200, Array(#"{"ok":false,"error":"internal_error"}"#.utf8))
      case "nobody": return .json(200, Array(#"{"ok":false,"error":"channel_not_found"}"#.utf8))
      default: return .json(200, Array(#"{"ok":true,"channel":"C1","ts":"1.5"}"#.utf8))
      }
    }
  }
}

@Suite struct SlackTests {
  private func serving(_ body: (String, SlackAPI, Host) async throws -> Void) async throws {
    let loop = try EventLoop(name: "slack")
    let api = SlackAPI()
    let server = try await HTTPServer(address: "127.0.0.1", port: 0, loops: [loop], handler: api)
    let host = try Host("/nowhere", secrets: ["slack/token": "xoxb-1"])
    do {
      try await body("http://127.0.0.1:\(server.port)/api", api, host)
    } catch { Issue.record(error) }
    await host.close()
    await server.shutdown(grace: .zero)
    loop.stop()
  }

  private func fields(_ api: String, _ more: String) -> String {
    """
    {"slackToken": {"name": "slack", "key": "token"}, "signalbox": {"apiURL": "\(api)"}, \(more)}
    """
  }

  @Test("a message goes to its channel with everything the manifest says")
  func message() async throws {
    try await serving { url, api, host in
      let more = """
        "channel": "#general", "message": "hello <&>", "blocks": "[{\\"type\\":\\"divider\\"}]",
        "attachments": "[]", "sender": {"username": "bus", "icon": ":bus:"}
        """
      let (trigger, problems) = try made("slack", fields(url, more), host)
      #expect(problems == [])
      let outcome = await trigger?.fire(firing())
      #expect(outcome == .done(result: ["status": 200, "channel": "C1", "ts": "1.5"]))
      let request = try #require(api.requests.first)
      #expect(request.head.path == "/api/chat.postMessage")
      #expect(request.head.headers["Authorization"] == "Bearer xoxb-1")
      #expect(
        try JSON(parsing: request.body) == [
          "channel": "general", "text": "hello <&>", "attachments": [],
          "blocks": [["type": "divider"]], "username": "bus", "icon_emoji": ":bus:",
        ]
      )
    }
  }

  @Test("parameters over the fields work; one over where the token goes does not")
  func parameters() async throws {
    try await serving { url, api, host in
      let original = fields(url, #""channel": "a", "message": "m""#)
      let changed = fields(url, #""channel": "b", "message": "from an event""#)
      let (trigger, problems) = try made("slack", changed, from: original, host)
      #expect(problems == [])
      _ = await trigger?.fire(firing())
      let sent = try JSON(parsing: try #require(api.requests.first).body)
      #expect(sent == ["channel": "b", "text": "from an event"])
      let away = fields("http://127.0.0.1:1", #""channel": "b", "message": "m""#)
      #expect(
        try made("slack", away, from: original, host).problems == [
          "slack.signalbox.apiURL: an event must not choose where the token goes"
        ]
      )
    }
    let slack = try #require(triggerKinds.first { $0.kind == "slack" })
    #expect(slack.refusal("message") == nil && slack.refusal("sender.icon") == nil)
    #expect(slack.refusal("slackToken.name") != nil && slack.refusal("signalbox.apiURL") != nil)
  }

  @Test("what Slack cannot do now is tried again, what it will never do is not")
  func failures() async throws {
    try await serving { url, _, host in
      func outcome(_ more: String) async throws -> Outcome? {
        await (try made("slack", fields(url, more), host)).trigger?.fire(firing())
      }
      #expect(
        try await outcome(#""channel": "a", "message": "busy""#)
          == .retry(
            after: .seconds(30),
            why: "Slack answered with status 429",
            result: ["status": 429]
          )
      )
      guard
        case .retry(nil, let why, _)? = try await outcome(#""channel": "a", "message": "broken""#)
      else { throw SystemError("retry", "", code: 1) }
      #expect(why == "Slack refused the message: internal_error")
      for (more, why) in [
        (#""channel": "a", "message": "nobody""#, "Slack refused the message: channel_not_found"),
        (#""message": "m""#, "no slack channel provided"),
        (
          #""channel": "a""#,
          "no text to post: at least one of message, attachments and blocks must be there"
        ),
      ] {
        guard case .reject(let said, _)? = try await outcome(more) else {
          throw SystemError("reject", more, code: 1)
        }
        #expect(said == why)
      }
    }
  }

  @Test("a manifest that cannot work is refused")
  func refused() throws {
    let host = try Host("/nowhere")
    #expect(
      try made("slack", #"{"channel": "a", "blocks": "{", "thread": {}, "x": 1}"#, host).problems
        == [
          "slack.slackToken: found nothing, expected a secret {name, key}",
          "slack.thread: is not supported yet",
          "slack.x: found an unknown key 'x', expected one of attachments, blocks, channel, message, "
            + "parameters, sender, signalbox, slackToken, thread",
          "slack.blocks: found no JSON list",
        ]
    )
  }
}
