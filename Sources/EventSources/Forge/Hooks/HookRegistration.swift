package import ForgeAPI
import Manifest

/// Which hooks an entry asks its forge for: what Argo Events' fields say of it.
package struct HookRegistration: Sendable {
  package let access: ForgeAccess
  /// Where deliveries go: `webhook.url` and the endpoint; nil where the entry does not say how the
  /// world reaches us.
  package let url: String?
  package let targets: [HookTarget]
  package let events: [String]
  package let isActive: Bool
  package let contentType: String
  package let verifiesTLS: Bool
  /// Whether a hook goes when its target leaves the entry.
  package let deletes: Bool
  /// What the hook is called where it has a name: at Gerrit.
  package let name: String?
  /// How often Gerrit tries a call; nil: as it is configured.
  let triesMax: Int?
  /// Between two looks at a target.
  package let interval: Duration

  /// Whether hooks are made and kept by the program.
  package var isManaged: Bool { access.login != nil && url != nil && !targets.isEmpty }

  /// Reads the fields of `block`; `own` is its `signalbox` block. The caller finishes both.
  init(_ kind: ForgeKind, from block: Block, own: Block?, _ context: WebhookContext?) {
    access = ForgeAccess(kind, from: block)
    url = context.flatMap { context in
      context.url.map { ($0.hasSuffix("/") ? String($0.dropLast()) : $0) + context.endpoint }
    }
    targets = Self.targets(kind, block)
    events = block.strings("events") ?? []
    isActive = kind == .github ? block.bool("active") ?? true : true
    var contentType = "json"
    if kind == .github {
      contentType = block.string("contentType") ?? ""
      if contentType.isEmpty { contentType = "json" }
      if !["json", "form"].contains(contentType) {
        block.error("contentType", "found '\(contentType)', expected json or form")
      }
      block.accept("id", "githubUploadURL")
    }
    self.contentType = contentType
    switch kind {
    case .github: verifiesTLS = block.bool("insecure").map { !$0 } ?? true
    // Argo Events sends what is written, and false where nothing is.
    case .gitlab: verifiesTLS = block.bool("enableSSLVerification") ?? true
    case .gerrit: verifiesTLS = block.bool("sslVerify") ?? true
    default: verifiesTLS = true
    }
    let hookName = kind == .gerrit ? block.string("hookName") ?? "" : ""
    name = hookName.isEmpty ? nil : hookName
    triesMax = kind == .gerrit ? block.integer("maxTries", in: 1...100) : nil
    deletes = block.bool("deleteHookOnFinish") ?? false
    let isOwnField = [.github, .gitlab, .bitbucket, .gerrit].contains(kind)
    let place = isOwnField ? own : block
    interval = place?.duration("checkInterval") ?? .seconds(60)
    if !(Duration.seconds(1)...Duration.seconds(86_400)).contains(interval) {
      place?.error("checkInterval", "found \(interval), expected 1s to 24h")
    }
    check(block)
  }

  private func check(_ block: Block) {
    if access.kind == .gitlab {
      let known = ForgeKind.gitlabEvents.map(\.name)
      for event in events where !known.contains(event) {
        block.error("events", "found '\(event)', expected any of \(known.joined(separator: ", "))")
      }
    }
    for target in targets where target.scope == .repository && !isFit(target.name) {
      block.error(nil, "found '\(target.name)', which cannot name a repository")
    }
    guard access.login != nil else { return }
    if access.kind == .gerrit, name == nil {
      block.error("hookName", "found nothing, expected what the hook is called at Gerrit")
    }
    if url == nil {
      let message = "hooks are registered only where webhook.url says how the forge reaches us"
      block.warning(access.loginField, message)
      return
    }
    if targets.isEmpty {
      block.error(nil, "found no target to register hooks at: \(Self.targetFields(access.kind))")
    }
    if events.isEmpty {
      block.error("events", "found none, expected those that the hook is to be called for")
    }
    if access.root == nil {
      block.error(access.kind.addressField, "found nothing, expected where the forge is")
    }
  }

  /// GitLab's projects may be numbers, and Gerrit's have no owner.
  private func isFit(_ name: String) -> Bool {
    isRepositoryName(name) || access.kind == .gitlab && Int(name) != nil
      || access.kind == .gerrit && isRepositoryName("-/" + name)
  }

  private static func targetFields(_ kind: ForgeKind) -> String {
    switch kind {
    case .github, .gitea: "expected repositories or organizations"
    case .gitlab: "expected projects or groups"
    case .bitbucket: "expected repositories"
    case .bitbucketserver: "expected repositories or projects"
    case .gerrit: "expected projects"
    }
  }

  // MARK: Targets

  private static func targets(_ kind: ForgeKind, _ block: Block) -> [HookTarget] {
    var found: [HookTarget] = []
    func add(_ scope: HookTarget.Scope, _ name: String) {
      let target = HookTarget(scope, name)
      if !name.isEmpty, !found.contains(target) { found.append(target) }
    }
    switch kind {
    case .github, .gitea:
      for entry in block.blocks("repositories") {
        let owner = entry.requiredString("owner")
        for name in entry.strings("names") ?? [] { add(.repository, "\(owner)/\(name)") }
        entry.finish()
      }
      if let owner = block.string("owner"), let name = block.string("repository"),
        !owner.isEmpty, !name.isEmpty
      {
        add(.repository, "\(owner)/\(name)")
      }
      let hasRepositories = !found.isEmpty
      for name in block.strings("organizations") ?? [] { add(.organisation, name) }
      if hasRepositories, found.contains(where: { $0.scope == .organisation }) {
        block.error("organizations", "found beside repositories: only one of the two is allowed")
      }
    case .gitlab:
      for name in block.strings("projects") ?? [] { add(.repository, name) }
      if let name = block.string("projectID") { add(.repository, name) }
      for name in block.strings("groups") ?? [] { add(.organisation, name) }
    case .bitbucket:
      for entry in block.blocks("repositories") {
        let (owner, slug) = (
          entry.requiredString("owner"), entry.requiredString("repositorySlug")
        )
        add(.repository, "\(owner)/\(slug)")
        entry.finish()
      }
      block.accept("projectKey")
      if let owner = block.string("owner"), let slug = block.string("repositorySlug") {
        add(.repository, "\(owner)/\(slug)")
      }
    case .bitbucketserver:
      for entry in block.blocks("repositories") {
        let (key, slug) = (
          entry.requiredString("projectKey"), entry.requiredString("repositorySlug")
        )
        add(.repository, "\(key)/\(slug)")
        entry.finish()
      }
      if let key = block.string("projectKey"), let slug = block.string("repositorySlug") {
        add(.repository, "\(key)/\(slug)")
      }
      for key in block.strings("projects") ?? [] { add(.organisation, key) }
    case .gerrit: for name in block.strings("projects") ?? [] { add(.repository, name) }
    }
    return found
  }
}
