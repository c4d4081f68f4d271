import Event
import HTTPClient
import JSON
package import Manifest
package import Plugin
import Posix

/// `slack`: one message through Slack's `chat.postMessage` (spec section 4.4). Parameters over the
/// fields work, which Argo Events computes and ignores.
package struct SlackTrigger: Trigger {
  package struct Spec: ManifestBlock, Sendable {
    let token: SecretSelector?
    /// Without the leading `#`.
    let channel: String
    let message: String
    /// Lists as JSON text; empty: none.
    let attachments: String
    let blocks: String
    let username: String
    /// `:name:`, or the address of a picture.
    let icon: String
    /// Where Slack's methods are, with a slash at the end.
    let api: String

    package init(from block: Block) {
      token = block.secret("slackToken")
      if token == nil, !block.contains("slackToken") {
        block.error("slackToken", "found nothing, expected a secret {name, key}")
      }
      let channel = block.string("channel") ?? ""
      self.channel = channel.hasPrefix("#") ? String(channel.dropFirst()) : channel
      message = block.string("message") ?? ""
      attachments = block.string("attachments") ?? ""
      blocks = block.string("blocks") ?? ""
      block.notSupportedYet("thread")
      let sender = block.block("sender")
      username = sender?.string("username") ?? ""
      icon = sender?.string("icon") ?? ""
      sender?.finish()
      let own = block.block("signalbox")
      let api = own?.string("apiURL") ?? ""
      self.api = api.isEmpty ? "https://slack.com/api/" : api.hasSuffix("/") ? api : api + "/"
      own?.finish()
      block.accept("parameters")
      block.finish()
    }
  }

  package static let kind = "slack"
  package static let concurrency = 4
  package static let runsPrograms = false

  private static let destinations = [
    "channel", "message", "attachments", "blocks", "sender.username", "sender.icon",
  ]
  /// What another attempt may mend, in Slack's words.
  private static let transient: Set<String> = [
    "fatal_error", "internal_error", "ratelimited", "rate_limited", "request_timeout",
    "service_unavailable",
  ]

  private let spec: Spec
  private let host: any TriggerHost

  package static func refusal(ofParameter destination: String) -> String? {
    if destinations.contains(destination) { return nil }
    return "found '\(destination)', expected one of \(destinations.joined(separator: ", "))"
  }

  package init(_ spec: Spec, original: Spec?, host: any TriggerHost, _ block: Block) {
    self.spec = spec
    self.host = host
    // What parameters bring is looked at when they have: a template may leave gaps.
    if let original, spec.api != original.api {
      block.error("signalbox.apiURL", "an event must not choose where the token goes")
    }
    for (field, text) in [("attachments", spec.attachments), ("blocks", spec.blocks)]
    where !text.isEmpty && original == nil {
      if Self.list(text) == nil { block.error(field, "found no JSON list") }
    }
    if let token = spec.token {
      do throws(SecretError) {
        _ = try host.secrets.secret(name: token.name, key: token.key)
      } catch { block.error("slackToken", "\(error)") }
    }
  }

  private static func list(_ text: String) -> JSON? {
    guard let json = try? JSON(parsing: Array(text.utf8)), case .array = json else { return nil }
    return json
  }

  package func fire(_ firing: Firing) async -> Outcome {
    guard !spec.channel.isEmpty else {
      return .reject(why: "no slack channel provided", result: .null)
    }
    guard let selector = spec.token else { return .reject(why: "no slackToken", result: .null) }
    var body: [JSON.Member] = [.init(key: "channel", value: .string(spec.channel))]
    if !spec.message.isEmpty { body.append(.init(key: "text", value: .string(spec.message))) }
    for (key, text) in [("attachments", spec.attachments), ("blocks", spec.blocks)]
    where !text.isEmpty {
      guard let list = Self.list(text) else {
        return .reject(why: "\(key) are no JSON list", result: .null)
      }
      body.append(.init(key: key, value: list))
    }
    guard body.count > 1 else {
      return .reject(
        why: "no text to post: at least one of message, attachments and blocks must be there",
        result: .null
      )
    }
    if !spec.username.isEmpty { body.append(.init(key: "username", value: .string(spec.username))) }
    if !spec.icon.isEmpty {
      let isEmoji = spec.icon.hasPrefix(":") && spec.icon.hasSuffix(":")
      body.append(
        .init(key: isEmoji ? "icon_emoji" : "icon_url", value: .string(spec.icon))
      )
    }
    return await post(.object(body), selector, firing)
  }

  private func post(_ body: JSON, _ selector: SecretSelector, _ firing: Firing) async -> Outcome {
    let token: [UInt8]
    do throws(SecretError) {
      token = try host.secrets.secret(name: selector.name, key: selector.key).reveal()
    } catch { return .retry(after: nil, why: "\(error)", result: .null) }
    let mask = SecretMask([token])
    let request = OutboundRequest(
      .post,
      spec.api + "chat.postMessage",
      headers: [
        ("Authorization", "Bearer " + String(decoding: token, as: UTF8.self)),
        ("Content-Type", "application/json; charset=utf-8"), ("Idempotency-Key", firing.id.text),
      ],
      body: body.encoded(),
      rule: .trusted,
      timeout: .seconds(60),
      bodyLimit: 64 << 10
    )
    do throws(OutboundError) {
      return outcome(of: try await host.send(request), mask)
    } catch {
      let why = mask.applied(to: error.description)
      switch error.kind {
      case .malformedURL, .malformedHeader, .refusedAddress:
        return .reject(why: why, result: .null)
      default: return .retry(after: nil, why: why, result: .null)
      }
    }
  }

  /// Slack says in the body whether it worked, mostly with status 200.
  private func outcome(of response: OutboundResponse, _ mask: SecretMask) -> Outcome {
    let answer = try? JSON(parsing: response.body)
    var result: [JSON.Member] = [.init(key: "status", value: JSON(response.status))]
    for key in ["channel", "ts", "error", "warning"] {
      if case .string(let text)? = answer?[key] {
        result.append(.init(key: key, value: .string(mask.applied(to: text))))
      }
    }
    let kept = JSON.object(result)
    if response.status == 200, answer?["ok"] == .bool(true) { return .done(result: kept) }
    let after = response.header("Retry-After").flatMap {
      retryAfter($0, now: wallClockNanoseconds() / 1_000_000_000)
    }
    guard response.status == 200, case .string(let code)? = answer?["error"] else {
      let why = "Slack answered with status \(response.status)"
      return .retry(after: after, why: why, result: kept)
    }
    let why = mask.applied(to: "Slack refused the message: \(code)")
    return Self.transient.contains(code)
      ? .retry(after: after, why: why, result: kept) : .reject(why: why, result: kept)
  }
}
