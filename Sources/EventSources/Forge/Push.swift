import JSON

/// One ref that moved, in one shape for every forge (`deploy/docs/forges.md`). What a forge does
/// not say is nil and left out.
struct Push {
  var repository: Repository
  /// In full, such as `refs/heads/main`.
  var ref: String
  /// Commits; all zeros where there was or is none.
  var before: String?
  var after: String?
  var isForced: Bool?
  /// Oldest first.
  var commits: [Commit] = []
  var pusher: Person?
  var compareURL: String?
  /// Whether commits or the paths of commits are missing.
  var isTruncated = false

  struct Repository {
    /// Owner and name, as in `owner/name`.
    var fullName: String?
    var name: String?
    var cloneURL: String?
    var sshURL: String?
    var webURL: String?
    var defaultBranch: String?
  }

  struct Person {
    var name: String?
    var email: String?
    var username: String?
  }

  struct Commit {
    var id: String?
    var message: String?
    var author: Person?
    /// As the forge writes it, RFC 3339 everywhere.
    var time: String?
    var url: String?
    /// nil where the forge lists no paths.
    var paths: Paths?
  }

  struct Paths {
    var added: [String]
    var modified: [String]
    var removed: [String]
  }

  var isCreated: Bool? { before.map(isZero) }
  var isDeleted: Bool? { after.map(isZero) }

  /// Every path that a commit touched, once, in the order of the commits.
  var changedPaths: [String] {
    var seen: Set<String> = []
    return commits.compactMap(\.paths).flatMap { $0.added + $0.modified + $0.removed }
      .filter { seen.insert($0).inserted }
  }
}

/// Whether it is the id that stands for no commit.
private func isZero(_ commit: String) -> Bool { commit.utf8.allSatisfy { $0 == 0x30 } }

extension Push {
  var json: JSON {
    var members: [JSON.Member] = [.init(key: "repository", value: repository.json)]
    members.add("ref", ref)
    members.add("branch", ref.behind("refs/heads/"))
    members.add("tag", ref.behind("refs/tags/"))
    members.add("before", before)
    members.add("after", after)
    members.add("created", isCreated)
    members.add("deleted", isDeleted)
    members.add("forced", isForced)
    members.append(.init(key: "commits", value: .array(commits.map(\.json))))
    members.append(
      .init(key: "changedPaths", value: .array(changedPaths.map { .string($0) }))
    )
    members.add("pusher", pusher)
    members.add("compareURL", compareURL)
    members.add("truncated", isTruncated)
    return .object(members)
  }
}

extension Push.Repository {
  var json: JSON {
    var members: [JSON.Member] = []
    members.add("fullName", fullName)
    members.add("name", name)
    members.add("cloneURL", cloneURL)
    members.add("sshURL", sshURL)
    members.add("webURL", webURL)
    members.add("defaultBranch", defaultBranch)
    return .object(members)
  }
}

extension Push.Commit {
  fileprivate var json: JSON {
    var members: [JSON.Member] = []
    members.add("id", id)
    members.add("message", message)
    members.add("author", author)
    members.add("time", time)
    members.add("url", url)
    if let paths {
      for (key, list) in [
        ("added", paths.added), ("modified", paths.modified), ("removed", paths.removed),
      ] {
        members.append(.init(key: key, value: .array(list.map { .string($0) })))
      }
    }
    return .object(members)
  }
}

/// A request to merge, in one shape for every forge.
struct PullRequest {
  enum Action: String { case opened, updated, reopened, merged, closed }

  var repository: Push.Repository
  var number: Int?
  var title: String?
  var action: Action
  /// The forge's own word for what happened.
  var providerAction: String?
  var isDraft: Bool?
  var webURL: String?
  var author: Push.Person?
  var source = Side()
  var target = Side()
  /// Where it was merged.
  var mergeCommit: String?

  struct Side {
    /// Without `refs/heads/`.
    var branch: String?
    var commit: String?
    /// The repository's full name.
    var repository: String?
  }

  var json: JSON {
    var members: [JSON.Member] = [.init(key: "repository", value: repository.json)]
    if let number { members.append(.init(key: "number", value: JSON(number))) }
    members.add("title", title)
    members.add("action", action.rawValue)
    members.add("providerAction", providerAction)
    members.add("draft", isDraft)
    members.add("webURL", webURL)
    members.add("author", author)
    members.append(.init(key: "source", value: source.json))
    members.append(.init(key: "target", value: target.json))
    members.add("mergeCommit", mergeCommit)
    return .object(members)
  }
}

extension PullRequest.Side {
  fileprivate var json: JSON {
    var members: [JSON.Member] = []
    members.add("branch", branch)
    members.add("commit", commit)
    members.add("repository", repository)
    return .object(members)
  }
}

extension [JSON.Member] {
  fileprivate mutating func add(_ key: String, _ text: String?) {
    if let text { append(.init(key: key, value: .string(text))) }
  }

  fileprivate mutating func add(_ key: String, _ flag: Bool?) {
    if let flag { append(.init(key: key, value: .bool(flag))) }
  }

  fileprivate mutating func add(_ key: String, _ person: Push.Person?) {
    guard let person else { return }
    var members: [JSON.Member] = []
    members.add("name", person.name)
    members.add("email", person.email)
    members.add("username", person.username)
    if !members.isEmpty { append(.init(key: key, value: .object(members))) }
  }
}

extension String {
  /// What follows `prefix`; nil where it does not begin with it.
  func behind(_ prefix: String) -> String? {
    hasPrefix(prefix) ? String(dropFirst(prefix.count)) : nil
  }
}
