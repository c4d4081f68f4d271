import Event
package import HTTP
import JSON
package import Manifest
package import Plugin
import TLS

/// `github`: signed webhooks of GitHub (spec section 2.4).
package struct GitHubSource: EventSource, RequestHandler {
  package struct Spec: ManifestBlock, Sendable {
    let context: WebhookContext?
    let webhookSecret: SecretSelector?
    let metadata: [JSON.Member]
    let allowsUnauthenticated: Bool

    package init(from block: Block) {
      let webhook = block.block("webhook")
      let own = block.block("signalbox")
      context = webhook.map { WebhookContext(from: $0, own: own, bodyLimit: 25 << 20) }
      webhook?.notSupportedYet("authSecret")
      webhook?.finish()
      if webhook == nil { block.error("webhook", "found nothing, expected a mapping") }
      webhookSecret = block.secret("webhookSecret")
      metadata = webhookMetadata(block)
      allowsUnauthenticated = own?.bool("unauthenticated") ?? false
      own?.finish()
      Self.registration(block)
      block.finish()
    }

    /// Fields that only say how to create the hook at GitHub.
    private static func registration(_ block: Block) {
      let keys = [
        "id", "owner", "repository", "repositories", "organizations", "events", "insecure",
        "active", "contentType", "githubBaseURL", "githubUploadURL", "deleteHookOnFinish",
      ]
      for key in keys { _ = block.node(key) }
      if block.contains("apiToken") || block.contains("githubApp") {
        block.warning(
          "apiToken",
          "hooks are not registered at GitHub yet; create the hook by hand"
        )
      }
    }
  }

  package static let kind = "github"
  private let spec: Spec
  private let context: WebhookContext?
  private let name: EventSourceName
  private let host: any SourceHost

  package init(_ spec: Spec, name: EventSourceName, host: any SourceHost, _ block: Block) {
    self.spec = spec
    context = spec.context
    self.name = name
    self.host = host
    checkSecret(spec.webhookSecret, "webhookSecret", host, block)
    if !isAuthenticated {
      block.warning(nil, "without webhookSecret anybody can send events here")
    }
  }

  package var isAuthenticated: Bool {
    spec.webhookSecret != nil || context?.checksClients == true || spec.allowsUnauthenticated
  }

  package var routes: [Route] {
    guard let context else { return [] }
    return [
      Route(
        port: context.port,
        path: context.endpoint,
        method: "POST",
        handler: self,
        tls: context.tls
      )
    ]
  }

  package func accept(_ head: RequestHead) -> Acceptance {
    .read(bodyLimit: context?.bodyLimit ?? 0) { await receive($0) }
  }

  private func receive(_ request: Request) async -> Response {
    // Nothing of the body is looked at before its signature holds.
    if let refusal = verify(request) { return refusal }
    let headers = request.head.headers
    let json: [UInt8]
    switch mediaType(headers) {
    case "application/json": json = request.body
    case "application/x-www-form-urlencoded":
      let fields = formFields(String(decoding: request.body, as: UTF8.self))
      guard case .array(let values)? = fields.first(where: { $0.key == "payload" })?.value,
        case .string(let text)? = values.first
      else { return refused("body", "the form has no field 'payload'") }
      json = Array(text.utf8)
    default: return refused("body", "expected application/json or a form with 'payload'")
    }
    let delivery = headers["X-GitHub-Delivery"] ?? ""
    let body: [UInt8]?
    do throws(JSONError) {
      body = try JSONDocument(json).objectByAppending([
        .init(key: "X-GitHub-Event", value: .string(headers["X-GitHub-Event"] ?? "")),
        .init(key: "X-GitHub-Delivery", value: .string(delivery)),
      ])
    } catch { return refused("body", "the body is not JSON: byte \(error.offset)") }
    guard let body else { return refused("body", "the body is no JSON object") }
    let event = Event(
      id: delivery.isEmpty
        ? Event.randomID()
        : Event.stableID(
          name.namespace,
          name.source,
          name.event,
          headers["X-GitHub-Hook-ID"] ?? "",
          delivery
        ),
      namespace: name.namespace,
      bus: name.bus,
      source: name.source,
      type: Self.kind,
      subject: name.event,
      time: host.now(),
      data: payload(headersKey: "headers", headers, body: body, metadata: spec.metadata),
      // Of the body alone: what stands between GitHub and us may add headers to a repetition.
      digest: delivery.isEmpty ? nil : hexadecimal(SHA256.digest(json).prefix(16))
    )
    return await store(event, name, host)
  }

  private func refused(_ reason: String, _ why: String) -> Response {
    host.countRefused(name, reason)
    return refusal(400, why)
  }

  /// nil when the body carries a signature made with one of the live secrets, or none is asked
  /// for. Whatever is wrong with a signature, the answer is the same.
  private func verify(_ request: Request) -> Response? {
    guard let selector = spec.webhookSecret else { return nil }
    let live: [Secret]
    do throws(SecretError) {
      live = try host.secrets.liveSecrets(name: selector.name, key: selector.key)
    } catch {
      host.countRefused(name, "secret")
      return refusal(500, "the server cannot check the signature")
    }
    let sent = request.head.headers.values("X-Hub-Signature-256")
    let signature = Array((sent.count == 1 ? sent[0] : "").utf8)
    let matches = live.filter { secret in
      let code = HMACKey(secret.reveal()).code(request.body)
      return constantTimeEquals(Array("sha256=\(hexadecimal(code))".utf8), signature)
    }
    if !matches.isEmpty { return nil }
    host.countRefused(name, "signature")
    return refusal(401, "the signature does not hold")
  }
}
