import JSON
package import Manifest

/// The fields of an `argoCD` trigger.
package struct ApplicationSpec: ManifestBlock, Sendable {
  enum Operation: String, Sendable, CaseIterable { case sync, refresh, rollback, terminate }

  /// When a sync has succeeded.
  enum Goal: String, Sendable, CaseIterable {
    /// Everything was applied and hooks are through.
    case applied
    /// That, and the application is healthy, or paused by a rollout of its own.
    case healthy
  }

  /// What to do while another operation runs.
  enum Busy: String, Sendable, CaseIterable {
    /// The newest firing waits, older ones that wait are skipped.
    case coalesce
    case wait
    case fail
  }

  let operation: Operation
  let application: String
  /// nil: `argocd`.
  let namespace: String?
  let revision: String?
  let isPruning: Bool
  let isDryRun: Bool
  let isHard: Bool
  let strategy: String
  let isForced: Bool
  let syncOptions: [String]?
  let resources: [JSON]
  let retry: JSON?
  let historyID: Int?
  let goal: Goal
  let busy: Busy
  let isFollowed: Bool
  let timeout: Duration
  /// How long Degraded is no failure yet.
  let grace: Duration
  /// Argo CD's server; nil: the object in the cluster.
  let server: ArgoServerSpec?

  package init(from block: Block) {
    operation = Self.word(block, "operation", .sync)
    application = block.requiredString("application")
    namespace = block.string("namespace")
    revision = block.string("revision").flatMap { $0.isEmpty ? nil : $0 }
    isPruning = block.bool("prune") ?? false
    isDryRun = block.bool("dryRun") ?? false
    isHard = block.bool("hard") ?? false
    strategy = block.string("strategy") ?? "hook"
    if strategy != "hook" && strategy != "apply" {
      block.error("strategy", "found '\(strategy)', expected apply or hook")
    }
    isForced = block.bool("force") ?? false
    syncOptions = block.strings("syncOptions")
    resources = block.blocks("resources").map(Self.resource)
    retry = block.block("retry").map(Self.retry)
    historyID = block.integer("historyID", in: 0...Int(Int32.max))
    goal = Self.word(block, "until", .healthy)
    busy = Self.word(block, "whenBusy", .coalesce)
    isFollowed = block.bool("follow") ?? true
    timeout = block.duration("timeout") ?? .seconds(3600)
    grace = block.duration("degradedGrace") ?? .seconds(120)
    if historyID != nil && operation != .rollback {
      block.error("historyID", "belongs to operation rollback")
    }
    server = block.block("server").map { ArgoServerSpec(from: $0) }
    block.accept("parameters", "payload")
    block.finish()
  }

  private static func word<W: RawRepresentable & CaseIterable>(
    _ block: Block,
    _ key: String,
    _ standard: W
  ) -> W where W.RawValue == String {
    guard let text = block.string(key), !text.isEmpty else { return standard }
    if let word = W(rawValue: text) { return word }
    let known = W.allCases.map(\.rawValue).joined(separator: ", ")
    block.error(key, "found '\(text)', expected one of \(known)")
    return standard
  }

  private static func resource(_ block: Block) -> JSON {
    var resource: JSON = ["kind": .string(block.requiredString("kind"))]
    resource.set(.string(block.requiredString("name")), at: "name")
    for key in ["group", "namespace"] {
      if let text = block.string(key) { resource.set(.string(text), at: key) }
    }
    block.finish()
    return resource
  }

  private static func retry(_ block: Block) -> JSON {
    var retry: JSON = ["limit": JSON(block.integer("limit", in: -1...1000) ?? 5)]
    if let backoff = block.block("backoff") {
      for key in ["duration", "maxDuration"] {
        if let text = backoff.string(key) { retry.set(.string(text), at: "backoff", key) }
      }
      if let factor = backoff.integer("factor", in: 1...100) {
        retry.set(JSON(factor), at: "backoff", "factor")
      }
      backoff.finish()
    }
    if let refresh = block.bool("refresh") { retry.set(.bool(refresh), at: "refresh") }
    block.finish()
    return retry
  }
}
