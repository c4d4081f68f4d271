// The table of forges. What it says was read in their documentation; the traps are in the tests.
// The row is fixed by the manifest and never guessed from headers: Gitea also sends those of
// GitHub and Gogs, and Bitbucket signs in a header that at GitHub means SHA-1.

enum GitHub: ProviderRow {
  static let provider = Provider(
    kind: "github",
    proof: .code(header: "X-Hub-Signature-256", prefix: "sha256=", covers: .body),
    event: .header("X-GitHub-Event"),
    // One event that two hooks report has one delivery id.
    hook: .header("X-GitHub-Hook-ID"),
    delivery: [.header("X-GitHub-Delivery")],
    takesForms: true,
    injectedHeaders: ["X-GitHub-Event", "X-GitHub-Delivery"],
    shape: .github
  )
}

enum GitLab: ProviderRow {
  static let provider = Provider(
    kind: "gitlab",
    proof: .token(header: "X-Gitlab-Token"),
    event: .header("X-Gitlab-Event"),
    hook: .header("X-Gitlab-Webhook-UUID"),
    // The event's UUID is shared by all events that one request to GitLab led to.
    delivery: [.header("Idempotency-Key"), .header("X-Gitlab-Event-UUID")],
    shape: .gitlab
  )
}

enum Bitbucket: ProviderRow {
  static let provider = Provider(
    kind: "bitbucket",
    proof: .code(header: "X-Hub-Signature", prefix: "sha256=", covers: .body),
    event: .header("X-Event-Key"),
    hook: .header("X-Hook-UUID"),
    delivery: [.header("X-Request-UUID")],
    shape: .bitbucket
  )
}

enum BitbucketServer: ProviderRow {
  static let provider = Provider(
    kind: "bitbucketserver",
    proof: .code(header: "X-Hub-Signature", prefix: "sha256=", covers: .body),
    event: .header("X-Event-Key"),
    delivery: [.header("X-Request-Id")],
    shape: .bitbucketServer
  )
}

enum Gerrit: ProviderRow {
  static let provider = Provider(
    kind: "gerrit",
    proof: .none,
    event: .body("type"),
    delivery: [.digest],
    shape: .gerrit
  )
}

/// Also Forgejo, which sends the same headers beside its own.
enum Gitea: ProviderRow {
  static let provider = Provider(
    kind: "gitea",
    proof: .code(header: "X-Gitea-Signature", prefix: "", covers: .json),
    event: .header("X-Gitea-Event"),
    delivery: [.header("X-Gitea-Delivery")],
    takesForms: true,
    shape: .gitea
  )
}

enum Gogs: ProviderRow {
  static let provider = Provider(
    kind: "gogs",
    proof: .code(header: "X-Gogs-Signature", prefix: "", covers: .json),
    event: .header("X-Gogs-Event"),
    delivery: [.header("X-Gogs-Delivery")],
    takesForms: true,
    shape: .gitea
  )
}

enum AzureDevOps: ProviderRow {
  static let provider = Provider(
    kind: "azureDevOps",
    proof: .basic,
    event: .body("eventType"),
    hook: .body("subscriptionId"),
    delivery: [.body("id")],
    shape: .azureDevOps
  )
}

enum StandardWebhooks: ProviderRow {
  static let provider = Provider(
    kind: "standardWebhooks",
    proof: .standard,
    event: .body("type"),
    delivery: [.header("webhook-id")],
    bodyLimit: 1 << 20
  )
}
