import ForgeAPI
import JSON
import Manifest

/// The manifest's entry of a forge (spec section 2.4), as its row of the table says.
struct ForgeSpec<Row: ProviderRow>: ManifestBlock, Sendable {
  let context: WebhookContext?
  let check: ProofCheck
  let metadata: [JSON.Member]
  let allowsUnauthenticated: Bool
  /// Whether a delivery that tells of several refs becomes one event for each.
  let splits: Bool
  /// nil: paths that the forge does not name stay missing.
  let completion: PathCompletion?
  /// From where requests are taken; nil: from anywhere.
  let senders: SenderAddresses?
  /// Which hooks it wants at the forge; nil where they cannot be made from here.
  let registration: HookRegistration?

  init(from block: Block) {
    let provider = Row.provider
    let webhook = block.block("webhook")
    let own = block.block("signalbox")
    context = webhook.map { WebhookContext(from: $0, own: own, bodyLimit: provider.bodyLimit) }
    webhook?.finish()
    if webhook == nil { block.error("webhook", "found nothing, expected a mapping") }
    check = Self.check(block, own, context)
    metadata = webhookMetadata(block)
    allowsUnauthenticated = own?.bool("unauthenticated") ?? false
    // Known kinds have what is ours below `signalbox`.
    let splitting = Row.provider.kind == "bitbucket" ? own : block
    splits =
      Row.provider.shape.changes == nil ? false : splitting?.bool("oneEventPerChange") ?? true
    senders = SenderAddresses(from: own)
    completion = PathCompletion(from: own)
    registration = ForgeKind(rawValue: provider.kind).map { [context] kind in
      HookRegistration(kind, from: block, own: own, context)
    }
    if let completion, completion.needsAPI, registration?.access.kind == .gerrit {
      own?.error("completePaths", "api: Gerrit compares no commits")
    } else if let completion, completion.needsAPI,
      registration?.access.login == nil || registration?.access.root == nil
    {
      let message = "api: needs a token for the forge, and where the forge is"
      own?.error("completePaths", message)
    }
    own?.finish()
    if Row.provider.kind == "bitbucketserver" {
      block.notSupportedYet("skipBranchRefsChangedOnOpenPR")
    }
    block.finish()
  }

  private static func check(
    _ block: Block,
    _ own: Block?,
    _ context: WebhookContext?
  ) -> ProofCheck {
    let proof = Row.provider.proof
    var secret: SecretSelector?
    var user: SecretSelector?
    var password: SecretSelector?
    var tolerance = Duration.seconds(300)
    switch proof {
    case .code: secret = block.secret("webhookSecret")
    case .token: secret = block.secret("secretToken")
    case .standard:
      secret = block.secret("webhookSecret")
      tolerance = block.duration("tolerance") ?? tolerance
      if !(Duration.seconds(1)...Duration.seconds(86_400)).contains(tolerance) {
        block.error("tolerance", "found \(tolerance), expected 1s to 24h")
      }
    case .basic:
      if let basic = block.block("basicAuth") {
        user = basic.secret("username")
        password = basic.secret("password")
        if user == nil { basic.error("username", "found nothing, expected a secret") }
        if password == nil { basic.error("password", "found nothing, expected a secret") }
        basic.finish()
      }
      if user != nil && context?.authSecret != nil {
        block.error("basicAuth", "stands in the same header as webhook.authSecret: keep one")
      }
    case .none: break
    }
    return ProofCheck(
      proof: proof,
      secret: secret,
      basicUser: user,
      basicPassword: password,
      bearer: context?.authSecret,
      queryToken: own?.secret("queryToken"),
      tolerance: tolerance
    )
  }
}
