import Event
package import HTTP
import JSON
package import Manifest
package import Plugin
import TLS

/// `webhook`: plain HTTP requests (spec section 2.4).
package struct WebhookSource: EventSource, RequestHandler {
  package struct Spec: ManifestBlock, Sendable {
    let context: WebhookContext
    let allowsUnauthenticated: Bool
    let deduplication: Deduplication?

    package init(from block: Block) {
      let own = block.block("signalbox")
      context = WebhookContext(from: block, own: own, bodyLimit: 1 << 20)
      allowsUnauthenticated = own?.bool("unauthenticated") ?? false
      deduplication = Deduplication(from: own)
      own?.finish()
      block.finish()
    }
  }

  package static let kind = "webhook"
  private let context: WebhookContext
  private let name: EventSourceName
  private let host: any SourceHost
  private let allowsUnauthenticated: Bool
  private let deduplication: Deduplication?

  package init(_ spec: Spec, name: EventSourceName, host: any SourceHost, _ block: Block) {
    context = spec.context
    allowsUnauthenticated = spec.allowsUnauthenticated
    deduplication = spec.deduplication
    self.name = name
    self.host = host
    checkSecret(context.authSecret, "authSecret", host, block)
  }

  package var isAuthenticated: Bool {
    context.authSecret != nil || context.checksClients || allowsUnauthenticated
  }

  package var routes: [Route] {
    [
      Route(
        port: context.port,
        path: context.endpoint,
        method: context.method,
        handler: self,
        tls: context.tls
      )
    ]
  }

  package func accept(_ head: RequestHead) -> Acceptance {
    if let refusal = authorize(head.headers) { return .answer(refusal) }
    return .read(bodyLimit: context.bodyLimit) { await receive($0) }
  }

  /// nil when the bearer token is one of the live secrets, or none is asked for.
  private func authorize(_ headers: Headers) -> Response? {
    guard let selector = context.authSecret else { return nil }
    let live: [Secret]
    do throws(SecretError) {
      live = try host.secrets.liveSecrets(name: selector.name, key: selector.key)
    } catch {
      host.countRefused(name, "secret")
      return refusal(500, "the server cannot check the token")
    }
    let sent = headers.values("Authorization")
    let token = sent.count == 1 && sent[0].hasPrefix("Bearer ") ? sent[0].dropFirst(7) : ""
    // Every live secret is compared, so that time does not tell which one was close.
    let matches = live.filter { constantTimeEquals($0.reveal(), Array(token.utf8)) }
    if !token.isEmpty && !matches.isEmpty { return nil }
    host.countRefused(name, "authorization")
    return refusal(401, "not authorized")
  }

  private func receive(_ request: Request) async -> Response {
    do throws(CloudEvent.Problem) {
      if request.head.method != "GET", let events = try CloudEvent.events(in: request) {
        return await receive(events, request)
      }
    } catch {
      host.countRefused(name, "body")
      return refusal(400, "the request is no CloudEvent: \(error.words)")
    }
    let body: [UInt8]
    if request.head.method == "GET" {
      body = JSON.object(formFields(request.head.query)).encoded()
    } else if mediaType(request.head.headers) == "application/x-www-form-urlencoded" {
      body = JSON.object(formFields(String(decoding: request.body, as: UTF8.self))).encoded()
    } else {
      do throws(JSONError) { body = Array(try JSONDocument(request.body).root.raw) } catch {
        host.countRefused(name, "body")
        return refusal(400, "the body is not JSON: byte \(error.offset)")
      }
    }
    let cause = cause(request.head.headers)
    let data = payload(
      headersKey: "header",
      request.head.headers,
      body: body,
      metadata: context.metadata
    )
    let known = deduplication?.name(request.head.headers, data: data)
    let event = Event(
      id: known.map {
        Event.stableID(name.namespace, name.source, name.event, "named", $0.value)
      }
        // A firing of ours sends once; a repetition after a crash is the same event.
        ?? cause.map {
          Event.stableID(name.namespace, name.source, name.event, $0.firing.text)
        } ?? Event.randomID(),
      namespace: name.namespace,
      bus: name.bus,
      source: name.source,
      type: Self.kind,
      subject: name.event,
      time: host.now(),
      data: data,
      cause: cause,
      digest: known?.comparesBodies == true ? hexadecimal(SHA256.digest(body).prefix(16)) : nil
    )
    return await store(event, name, host)
  }

  /// CloudEvents keep their id, type and time; their source and everything else is beside the body
  /// under `cloudEvent`.
  private func receive(_ events: [CloudEvent], _ request: Request) async -> Response {
    let cause = cause(request.head.headers)
    let received = events.map { event in
      let attributes = JSON.object([
        .init(key: "cloudEvent", value: .object(event.attributes))
      ]).encoded()
      return Event(
        id: event.id,
        namespace: name.namespace,
        bus: name.bus,
        source: name.source,
        type: event.type,
        subject: name.event,
        time: event.time ?? host.now(),
        data: payload(
          headersKey: "header",
          request.head.headers,
          body: event.body,
          metadata: context.metadata,
          further: attributes.dropFirst().dropLast()
        ),
        cause: cause,
        // An id is its sender's own: the same one of another source is another event.
        digest: hexadecimal(SHA256.digest(Array("\(event.source) \(event.id)".utf8)).prefix(16))
      )
    }
    return await store(received, name, host)
  }

  /// The firing of ours that the request comes from.
  private func cause(_ headers: Headers) -> Cause? {
    let sent = headers.values("Signalbox-Cause")
    return sent.count == 1 ? host.cause(verifying: sent[0]) : nil
  }
}
