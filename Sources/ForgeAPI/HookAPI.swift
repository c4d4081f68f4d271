import Cluster
import HTTPClient
package import JSON

/// What has a list of hooks at a forge.
package struct HookTarget: Hashable, Sendable, CustomStringConvertible {
  package enum Scope: String, Sendable {
    /// Owner and name; at GitLab a project, which a number may name too.
    case repository
    /// Of all repositories below it: GitHub's and Gitea's organisation, GitLab's group, Data
    /// Center's project.
    case organisation
  }

  package let scope: Scope
  package let name: String

  package init(_ scope: Scope, _ name: String) {
    self.scope = scope
    self.name = name
  }

  package var description: String { "\(scope.rawValue) \(name)" }
}

/// A hook as a manifest asks for it.
package struct HookWish: Sendable {
  package var url: String
  package var events: [String]
  /// nil: the forge is given none.
  package var secret: [UInt8]?
  package var isActive = true
  /// `json` or `form`, where the forge can be told.
  package var contentType = "json"
  package var verifiesTLS = true

  package init(url: String, events: [String], secret: [UInt8]?) {
    self.url = url
    self.events = events
    self.secret = secret
  }
}

/// A hook as a forge has it. Secrets are never told.
package struct FoundHook: Sendable, Equatable {
  package let id: String
  package let url: String
  package let events: Set<String>
  package let isActive: Bool
  /// nil where the forge does not say.
  package let contentType: String?
  package let verifiesTLS: Bool?
  /// In the forge's words, where it has stopped calling a hook that failed.
  package let trouble: String?
}

/// How a forge lists, makes and changes hooks: a row of the table below.
struct HookRow: Sendable {
  let path: @Sendable (HookTarget) -> String
  let listQuery: String
  /// The member of an answer that is the list; nil: the answer itself.
  let list: String?
  let update: OutboundRequest.Method
  let body: @Sendable (HookWish) -> JSON
  let found: @Sendable (JSON) -> FoundHook?
}

extension ForgeKind {
  var hookRow: HookRow {
    switch self {
    case .github: Self.githubHooks
    case .gitlab: Self.gitlabHooks
    case .gitea: Self.giteaHooks
    case .bitbucket: Self.bitbucketHooks
    case .bitbucketserver: Self.dataCenterHooks
    }
  }

  private static let githubHooks = HookRow(
    path: { ($0.scope == .repository ? "/repos/" : "/orgs/") + pathSegments($0.name) + "/hooks" },
    listQuery: "per_page=100",
    list: nil,
    update: .patch,
    body: { wish in
      var config: [JSON.Member] = [
        .init(key: "url", value: .string(wish.url)),
        .init(key: "content_type", value: .string(wish.contentType)),
        .init(key: "insecure_ssl", value: wish.verifiesTLS ? "0" : "1"),
      ]
      config.addSecret("secret", wish)
      return [
        "name": "web", "active": .bool(wish.isActive), "events": texts(wish.events),
        "config": .object(config),
      ]
    },
    found: { json in
      FoundHook(
        id: json["id"]?.text ?? "",
        url: json.at("config", "url")?.asString ?? "",
        events: textSet(json["events"]),
        isActive: json["active"] == .bool(true),
        contentType: json.at("config", "content_type")?.asString,
        verifiesTLS: json.at("config", "insecure_ssl").map { $0 != "1" && $0 != 1 },
        trouble: nil
      )
    }
  )

  /// GitLab has a flag for each event.
  private static let gitlabHooks = HookRow(
    path: {
      ($0.scope == .repository ? "/projects/" : "/groups/") + percentEncoded($0.name) + "/hooks"
    },
    listQuery: "per_page=100",
    list: nil,
    update: .put,
    body: { wish in
      var members: [JSON.Member] = [
        .init(key: "url", value: .string(wish.url)),
        .init(key: "enable_ssl_verification", value: .bool(wish.verifiesTLS)),
      ]
      members.addSecret("token", wish)
      for (name, flag) in gitlabEvents {
        members.append(.init(key: flag, value: .bool(wish.events.contains(name))))
      }
      return .object(members)
    },
    found: { json in
      let events = gitlabEvents.filter { json[$0.flag] == .bool(true) }.map(\.name)
      let status = json["alert_status"]?.asString ?? "executable"
      return FoundHook(
        id: json["id"]?.text ?? "",
        url: json["url"]?.asString ?? "",
        events: Set(events),
        isActive: true,
        contentType: nil,
        verifiesTLS: json["enable_ssl_verification"] == .bool(true),
        trouble: status == "executable" ? nil : status
      )
    }
  )

  /// The names that manifests have for GitLab's events, and the flags of its API.
  package static let gitlabEvents: [(name: String, flag: String)] = [
    ("PushEvents", "push_events"), ("TagPushEvents", "tag_push_events"),
    ("MergeRequestsEvents", "merge_requests_events"), ("IssuesEvents", "issues_events"),
    ("ConfidentialIssuesEvents", "confidential_issues_events"), ("NoteEvents", "note_events"),
    ("ConfidentialNoteEvents", "confidential_note_events"), ("JobEvents", "job_events"),
    ("PipelineEvents", "pipeline_events"), ("WikiPageEvents", "wiki_page_events"),
    ("DeploymentEvents", "deployment_events"), ("ReleasesEvents", "releases_events"),
    ("SubGroupEvents", "subgroup_events"), ("EmojiEvents", "emoji_events"),
    ("MemberEvents", "member_events"), ("FeatureFlagEvents", "feature_flag_events"),
    ("ResourceAccessTokenEvents", "resource_access_token_events"),
  ]

  private static let giteaHooks = HookRow(
    path: githubHooks.path,
    listQuery: "limit=50",
    list: nil,
    update: .patch,
    body: { wish in
      var config: [JSON.Member] = [
        .init(key: "url", value: .string(wish.url)),
        .init(key: "content_type", value: .string(wish.contentType)),
        .init(key: "http_method", value: "post"),
      ]
      config.addSecret("secret", wish)
      return [
        "type": "gitea", "active": .bool(wish.isActive), "events": texts(wish.events),
        "config": .object(config),
      ]
    },
    found: { json in
      FoundHook(
        id: json["id"]?.text ?? "",
        url: json.at("config", "url")?.asString ?? "",
        events: textSet(json["events"]),
        isActive: json["active"] == .bool(true),
        contentType: json.at("config", "content_type")?.asString,
        verifiesTLS: nil,
        trouble: nil
      )
    }
  )

  private static let bitbucketHooks = HookRow(
    path: {
      ($0.scope == .repository ? "/repositories/" : "/workspaces/") + pathSegments($0.name)
        + "/hooks"
    },
    listQuery: "pagelen=100",
    list: "values",
    update: .put,
    body: { wish in
      var members: [JSON.Member] = [
        .init(key: "description", value: "signalbox"),
        .init(key: "url", value: .string(wish.url)),
        .init(key: "active", value: .bool(wish.isActive)),
        .init(key: "skip_cert_verification", value: .bool(!wish.verifiesTLS)),
        .init(key: "events", value: texts(wish.events)),
      ]
      members.addSecret("secret", wish)
      return .object(members)
    },
    found: { json in
      FoundHook(
        id: json["uuid"]?.asString ?? "",
        url: json["url"]?.asString ?? "",
        events: textSet(json["events"]),
        isActive: json["active"] == .bool(true),
        contentType: nil,
        verifiesTLS: json["skip_cert_verification"].map { $0 != .bool(true) },
        trouble: nil
      )
    }
  )

  private static let dataCenterHooks = HookRow(
    path: { dataCenterPath($0.name) + "/webhooks" },
    listQuery: "limit=100",
    list: "values",
    update: .put,
    body: { wish in
      var members: [JSON.Member] = [
        .init(key: "name", value: "signalbox"), .init(key: "url", value: .string(wish.url)),
        .init(key: "active", value: .bool(wish.isActive)),
        .init(key: "sslVerificationRequired", value: .bool(wish.verifiesTLS)),
        .init(key: "events", value: texts(wish.events)),
      ]
      var configuration: [JSON.Member] = []
      configuration.addSecret("secret", wish)
      members.append(.init(key: "configuration", value: .object(configuration)))
      return .object(members)
    },
    found: { json in
      FoundHook(
        id: json["id"]?.text ?? "",
        url: json["url"]?.asString ?? "",
        events: textSet(json["events"]),
        isActive: json["active"] == .bool(true),
        contentType: nil,
        verifiesTLS: json["sslVerificationRequired"].map { $0 != .bool(false) },
        trouble: nil
      )
    }
  )
}

private func texts(_ list: [String]) -> JSON { .array(list.map { .string($0) }) }

private func textSet(_ list: JSON?) -> Set<String> {
  Set(list?.items.compactMap(\.asString) ?? [])
}

extension [JSON.Member] {
  fileprivate mutating func addSecret(_ key: String, _ wish: HookWish) {
    guard let secret = wish.secret else { return }
    append(.init(key: key, value: .string(String(decoding: secret, as: UTF8.self))))
  }
}

extension ForgeClient {
  /// More pages of a list than this are not asked for.
  private static let pagesMax = 50

  /// Every hook of `target`, all pages.
  /// - Throws: `ForgeError`.
  package func hooks(of target: HookTarget) async throws(ForgeError) -> [FoundHook] {
    let row = kind.hookRow
    let first = row.path(target) + "?" + row.listQuery
    var found: [FoundHook] = []
    var page: String? = first
    var pages = 0
    while let path = page {
      guard pages < Self.pagesMax else {
        throw ForgeError(.refused(status: 0), "\(target) has more hooks than can be looked at")
      }
      pages += 1
      let answer = try await call(.get, path)
      let list = row.list.map { answer.body[$0] ?? .null } ?? answer.body
      guard case .array(let items) = list else {
        throw ForgeError(.later(after: nil), "the forge's answer is no list of hooks")
      }
      found += items.compactMap(row.found)
      page = answer.next ?? Self.next(answer.body, first)
    }
    return found
  }

  /// The page after this one where the body says it: Bitbucket's.
  static func next(_ body: JSON, _ first: String) -> String? {
    if let next = body["next"]?.asString { return next }
    guard body["isLastPage"] == .bool(false), let start = body["nextPageStart"]?.wholeNumber else {
      return nil
    }
    return "\(first)&start=\(start)"
  }

  /// - Returns: the new hook's id.
  /// - Throws: `ForgeError`.
  package func create(_ wish: HookWish, at target: HookTarget) async throws(ForgeError) -> String {
    let row = kind.hookRow
    let answer = try await call(.post, row.path(target), row.body(wish))
    guard let hook = row.found(answer.body), !hook.id.isEmpty else {
      throw ForgeError(.later(after: nil), "the forge did not say which hook it made")
    }
    return hook.id
  }

  /// - Throws: `ForgeError`.
  package func update(
    _ id: String,
    _ wish: HookWish,
    at target: HookTarget
  ) async throws(ForgeError) {
    let row = kind.hookRow
    _ = try await call(row.update, row.path(target) + "/" + percentEncoded(id), row.body(wish))
  }

  /// One that is gone already is no failure.
  /// - Throws: `ForgeError`.
  package func remove(_ id: String, at target: HookTarget) async throws(ForgeError) {
    do throws(ForgeError) {
      _ = try await call(.delete, kind.hookRow.path(target) + "/" + percentEncoded(id))
    } catch {
      if error.kind != .refused(status: 404) { throw error }
    }
  }

  /// Has GitLab call a hook that it has disabled: an answer of success enables it again.
  /// - Throws: `ForgeError`.
  package func test(_ id: String, _ event: String, at target: HookTarget) async throws(ForgeError) {
    let flag = ForgeKind.gitlabEvents.first { $0.name == event }?.flag ?? "push_events"
    _ = try await call(.post, "\(kind.hookRow.path(target))/\(percentEncoded(id))/test/\(flag)")
  }
}

/// One attempt of GitHub to call a hook.
package struct HookDelivery: Sendable {
  package let id: Int
  package let guid: String
  /// 0 where nobody answered.
  package let status: Int
}

extension ForgeClient {
  private func deliveries(_ hook: String, _ target: HookTarget) -> String {
    "\(kind.hookRow.path(target))/\(percentEncoded(hook))/deliveries"
  }

  /// A page of what was delivered to a hook, the newest first.
  /// - Parameter page: as the page before it says; nil: the first.
  /// - Throws: `ForgeError`.
  package func deliveries(
    of hook: String,
    at target: HookTarget,
    page: String?
  ) async throws(ForgeError) -> (deliveries: [HookDelivery], answer: ForgeAnswer) {
    let answer = try await call(.get, page ?? deliveries(hook, target) + "?per_page=100")
    guard case .array(let items) = answer.body else {
      throw ForgeError(.later(after: nil), "the forge's answer is no list of deliveries")
    }
    let found = items.compactMap { item -> HookDelivery? in
      guard let id = item["id"]?.wholeNumber, let guid = item["guid"]?.asString else { return nil }
      return HookDelivery(id: id, guid: guid, status: item["status_code"]?.wholeNumber ?? 0)
    }
    return (found, answer)
  }

  /// Has the forge send a delivery again.
  /// - Throws: `ForgeError`.
  package func redeliver(
    _ delivery: Int,
    of hook: String,
    at target: HookTarget
  ) async throws(ForgeError) -> ForgeAnswer {
    try await call(.post, "\(deliveries(hook, target))/\(delivery)/attempts")
  }

  /// What the forge sent: headers and the body as JSON.
  /// - Throws: `ForgeError`.
  package func fetch(
    _ delivery: Int,
    of hook: String,
    at target: HookTarget
  ) async throws(ForgeError) -> (headers: [(name: String, value: String)], body: JSON) {
    let answer = try await call(.get, "\(deliveries(hook, target))/\(delivery)")
    guard let request = answer.body["request"], let body = request["payload"],
      !body.members.isEmpty
    else {
      throw ForgeError(.refused(status: 410), "the forge does not have the delivery any more")
    }
    let headers = request["headers"]?.members.compactMap { member in
      member.value.asString.map { (name: member.key, value: $0) }
    }
    return (headers ?? [], body)
  }
}
