import Cluster
import HTTPClient
import JSON

/// How a forge lists, makes and changes hooks: a row of the table below.
struct HookRow: Sendable {
  let path: @Sendable (HookTarget) -> String
  /// What the path of the list ends with.
  let listEnd: String
  /// The hooks in an answer that is a list of them; nil where it is none.
  let items: @Sendable (JSON) -> [JSON]?
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
    case .gerrit: Self.gerritHooks
    }
  }

  private static let githubHooks = HookRow(
    path: { ($0.scope == .repository ? "/repos/" : "/orgs/") + pathSegments($0.name) + "/hooks" },
    listEnd: "?per_page=100",
    items: { plainList($0) },
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
    listEnd: "?per_page=100",
    items: { plainList($0) },
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
    listEnd: "?limit=50",
    items: { plainList($0) },
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
    listEnd: "?pagelen=100",
    items: { $0["values"].flatMap(plainList) },
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
    listEnd: "?limit=100",
    items: { $0["values"].flatMap(plainList) },
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

  /// The remotes of the plugin `webhooks`, which have names and no secrets.
  private static let gerritHooks = HookRow(
    path: { "/config/server/webhooks~projects/\(percentEncoded($0.name))/remotes" },
    listEnd: "/",
    items: { list in
      guard case .object(let members) = list else { return nil }
      return members.map { member in
        var hook = member.value
        hook.set(.string(member.key), at: "name")
        return hook
      }
    },
    update: .put,
    body: { wish in
      var members: [JSON.Member] = [
        .init(key: "url", value: .string(wish.url)),
        .init(key: "events", value: texts(wish.events)),
        .init(key: "sslVerify", value: .bool(wish.verifiesTLS)),
      ]
      if let tries = wish.triesMax { members.append(.init(key: "maxTries", value: JSON(tries))) }
      return .object(members)
    },
    found: { json in
      FoundHook(
        id: json["name"]?.asString ?? "",
        url: json["url"]?.asString ?? "",
        events: textSet(json["events"]),
        isActive: true,
        contentType: nil,
        verifiesTLS: json["sslVerify"].map { $0 == .bool(true) },
        triesMax: json["maxTries"]?.wholeNumber,
        trouble: nil
      )
    }
  )
}

private func plainList(_ json: JSON) -> [JSON]? {
  if case .array(let items) = json { items } else { nil }
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
