import Cluster
import HTTPClient
import JSON

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

  /// nil where `description` does not have the form that `description` gives.
  package init?(_ description: String) {
    let parts = description.split(separator: " ", maxSplits: 1).map(String.init)
    guard parts.count == 2, let scope = Scope(rawValue: parts[0]) else { return nil }
    self.init(scope, parts[1])
  }
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
  /// What the hook is called, where the one who makes it says so; nil: the forge gives it an id.
  package var name: String?
  /// How often a call is tried, where the forge can be told; nil: as the forge will.
  package var triesMax: Int?

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
  /// nil where the forge does not say.
  package var triesMax: Int?
  /// In the forge's words, where it has stopped calling a hook that failed.
  package let trouble: String?
}

extension ForgeClient {
  /// More pages of a list than this are not asked for.
  private static let pagesMax = 50

  /// Every hook of `target`, all pages.
  /// - Throws: `ForgeError`.
  package func hooks(of target: HookTarget) async throws(ForgeError) -> [FoundHook] {
    let row = kind.hookRow
    let first = row.path(target) + row.listEnd
    var found: [FoundHook] = []
    var page: String? = first
    var pages = 0
    while let path = page {
      guard pages < Self.pagesMax else {
        throw ForgeError(.refused(status: 0), "\(target) has more hooks than can be looked at")
      }
      pages += 1
      let answer = try await call(.get, path)
      guard let items = row.items(answer.body) else {
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
    if let name = wish.name {
      try await update(name, wish, at: target)
      return name
    }
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
