import Event
import ForgeAPI
import HTTP
import JSON
import Manifest
import Plugin
import TLS

/// Webhooks of a forge (spec section 2.4); which one is a row of the table.
struct ForgeSource<Row: ProviderRow>: EventSource, RequestHandler, HookOwner {
  static var kind: String { Row.provider.kind }

  private let spec: ForgeSpec<Row>
  private let context: WebhookContext?
  private let name: EventSourceName
  private let host: any SourceHost
  private let keys = HMACKeys()
  let keeper: HookKeeper?
  /// Of the changes of one delivery: its sender waits.
  private static var completedMax: Int { 1 }

  init(_ spec: ForgeSpec<Row>, name: EventSourceName, host: any SourceHost, _ block: Block) {
    self.spec = spec
    context = spec.context
    self.name = name
    self.host = host
    do throws(SecretError) {
      keeper = try spec.registration.map { (registration) throws(SecretError) in
        try HookKeeper(
          registration,
          name,
          kind: Self.kind,
          secret: spec.check.secret,
          queryToken: spec.check.queryToken,
          host
        )
      }
    } catch {
      keeper = nil
      block.error("tls", "\(error)")
    }
    if let registration = spec.registration,
      registration.isManaged || spec.completion?.needsAPI == true
    {
      registration.access.check(host.secrets, block)
    }
    checkSecrets(block)
    if !isAuthenticated {
      let field = if case .token = spec.check.proof { "secretToken" } else { "webhookSecret" }
      switch spec.check.proof {
      case .code, .token, .standard:
        block.warning(nil, "without \(field) anybody can send events here")
      case .basic, .none:
        block.warning(
          nil,
          "anybody can send events here: \(Self.kind) can sign nothing; see README"
        )
      }
    }
  }

  private func checkSecrets(_ block: Block) {
    let check = spec.check
    let field = if case .token = check.proof { "secretToken" } else { "webhookSecret" }
    checkSecret(check.secret, field, host, block)
    checkSecret(check.basicUser, "basicAuth", host, block)
    checkSecret(check.basicPassword, "basicAuth", host, block)
    checkSecret(check.bearer, "webhook", host, block)
    checkSecret(check.queryToken, "signalbox", host, block)
    guard case .standard = check.proof, let selector = check.secret,
      let live = try? host.secrets.liveSecrets(name: selector.name, key: selector.key)
    else { return }
    for secret in live where StandardSignature.Key(secret.reveal()) == nil {
      block.error(
        "webhookSecret",
        "the secret '\(selector.name)/\(selector.key)' has another form, "
          + StandardSignature.Key.expected
      )
    }
  }

  var isAuthenticated: Bool {
    spec.check.isAsked || context?.checksClients == true || spec.allowsUnauthenticated
  }

  var routes: [Route] {
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

  func accept(_ head: RequestHead) -> Acceptance {
    if let senders = spec.senders, !senders.admits(head) {
      return .answer(refused("address"))
    }
    // What the head proves is asked for before the body is read.
    let verdict = spec.check.check(head, host.secrets)
    if let refusal = refusal(of: verdict) { return .answer(refusal) }
    let limit = context?.bodyLimit ?? 0
    let isForm = Row.provider.takesForms && mediaType(head.headers) == formType
    switch spec.check.signature(in: head, isForm: isForm, host.secrets) {
    case .wholeBody: return .read(bodyLimit: limit) { await receive($0, verdict, nil) }
    case .refused: return .answer(refused())
    case .code(let sent, let live):
      let check = SignatureCheck(keys.keys(of: live), sent: sent) { refused() }
      return .check(bodyLimit: limit, by: check) { request in
        await receive(request, verdict, .holds(usedPrevious: check.usedPrevious))
      }
    }
  }

  private func receive(
    _ request: Request,
    _ headVerdict: ProofCheck.Verdict,
    _ bodyVerdict: ProofCheck.Verdict?
  ) async -> Response {
    // Nothing of the body is looked at before its signature holds, except that a form is opened
    // where the code covers what is inside.
    let form = formPayload(request)
    let verdict =
      bodyVerdict ?? spec.check.check(request, json: form, now: host.now(), host.secrets)
    if let refusal = refusal(of: verdict) { return refusal }
    count(headVerdict, verdict)
    let json: [UInt8]
    switch mediaType(request.head.headers) {
    case "application/json": json = request.body
    case formType where Row.provider.takesForms:
      guard let form else { return refused("body", "the form has no field 'payload'") }
      json = form
    default:
      let also = Row.provider.takesForms ? " or a form with 'payload'" : ""
      return refused("body", "expected application/json\(also)")
    }
    return await take(json, request.head.headers)
  }

  /// Stores what a delivery tells.
  /// - Parameter isFetched: whether it is not what was sent, byte for byte, but what the forge says
  ///   it was.
  private func take(
    _ json: [UInt8],
    _ headers: Headers,
    isFetched: Bool = false
  ) async -> Response {
    let document: JSONDocument
    do throws(JSONError) { document = try JSONDocument(json) } catch {
      return refused("body", "the body is not JSON: byte \(error.offset)")
    }
    guard document.root.kind == .object else {
      return refused("body", "the body is no JSON object")
    }
    let delivery = Delivery(Row.provider, headers, document)
    var parts = Told.parts(document, delivery.event, Row.provider.shape, splits: spec.splits)
    if let completion = spec.completion {
      for index in parts.indices.prefix(Self.completedMax) {
        parts[index] = await completion.completed(parts[index], keeper?.client, name, host)
      }
    }
    var isRepeated = false
    if let id = delivery.id, spec.check.secret != nil, !isFetched {
      isRepeated = host.isRepeatedBody(delivery.digest, delivery: id, of: name)
    }
    let events = parts.enumerated().map { index, part in
      var event = event(part, parts.count > 1 ? index : nil, delivery, headers, isRepeated)
      // Of the body alone: what stands between the forge and us may add headers to a repetition.
      event.digest = delivery.id == nil || isFetched ? nil : delivery.digest
      return event
    }
    return await store(events, name, host)
  }

  /// - Parameter index: The number of the change where a delivery was taken apart.
  private func event(
    _ part: Told,
    _ index: Int?,
    _ delivery: Delivery,
    _ headers: Headers,
    _ isRepeated: Bool
  ) -> Event {
    let injected = Row.provider.injectedHeaders.map {
      JSON.Member(key: $0, value: .string(headers[$0] ?? ""))
    }
    let body = part.document.objectByAppending(injected) ?? Array(part.document.root.raw)
    var further = part.members
    if isRepeated {
      if !further.isEmpty { further.append(0x2c) }
      further += "\"repeatedBody\":true".utf8
    }
    let number = index.map { " \($0)" } ?? ""
    return Event(
      id: delivery.id.map { eventID(delivery.hook, $0 + number) } ?? Event.randomID(),
      namespace: name.namespace,
      bus: name.bus,
      source: name.source,
      type: Self.kind,
      subject: name.event,
      time: host.now(),
      data: payload(
        headersKey: "headers",
        headers,
        body: body,
        metadata: spec.metadata,
        further: further
      )
    )
  }

  private func eventID(_ hook: String, _ delivery: String) -> String {
    Event.stableID(name.namespace, name.source, name.event, hook, delivery)
  }

  /// Keeps the hooks at the forge.
  func run() async {
    guard let keeper, keeper.registration.isManaged, keeper.client != nil else { return }
    var watch = HookWatch(keeper) { headers, body in
      await take(body, headers, isFetched: true)
    } eventID: { hook, delivery in
      eventID(hook, delivery)
    }
    await watch.run()
  }

  private var formType: String { "application/x-www-form-urlencoded" }

  private func formPayload(_ request: Request) -> [UInt8]? {
    guard Row.provider.takesForms, mediaType(request.head.headers) == formType else { return nil }
    let fields = formFields(String(decoding: request.body, as: UTF8.self))
    guard case .array(let values)? = fields.first(where: { $0.key == "payload" })?.value,
      case .string(let text)? = values.first
    else { return nil }
    return Array(text.utf8)
  }

  private func count(_ head: ProofCheck.Verdict, _ body: ProofCheck.Verdict) {
    guard spec.check.isAsked else { return }
    var usedPrevious = false
    for case .holds(let previous) in [head, body] where previous { usedPrevious = true }
    host.countVerified(name, usedPrevious: usedPrevious)
  }

  private func refused(_ reason: String, _ why: String) -> Response {
    host.countRefused(name, reason)
    return EventSources.refusal(400, why)
  }

  /// - Parameter reason: what the metric calls it; the sender is told nothing of it.
  private func refused(_ reason: String = "signature") -> Response {
    host.countRefused(name, reason)
    return EventSources.refusal(401, "the signature does not hold")
  }

  /// nil where the proof holds. Whatever is wrong with one, the answer is the same.
  private func refusal(of verdict: ProofCheck.Verdict) -> Response? {
    switch verdict {
    case .holds: return nil
    case .refused: return refused()
    case .broken:
      host.countRefused(name, "secret")
      return EventSources.refusal(500, "the server cannot check the signature")
    }
  }
}
