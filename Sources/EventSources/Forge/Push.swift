import JSON

/// One ref that moved, in one shape for every forge (`deploy/docs/forges.md`). What a forge does
/// not say is nil and left out. Texts stay as the forge wrote them, so that none is read and
/// written again on the way of every push.
struct Push {
  var repository: Repository
  /// In full, such as `refs/heads/main`.
  var ref: String
  /// Commits; all zeros where there was or is none.
  var before: JSONValue?
  var after: JSONValue?
  var isForced: Bool?
  /// Oldest first.
  var commits: [Commit] = []
  var pusher: Person?
  var compareURL: JSONValue?
  /// Whether commits or the paths of commits are missing.
  var isTruncated = false
  /// All paths, by a comparison of `before` and `after`; nil where there was none.
  var comparedPaths: [JSONValue]?

  struct Repository {
    /// Owner and name, as in `owner/name`.
    var fullName: JSONValue?
    var name: JSONValue?
    var cloneURL: JSONValue?
    var sshURL: JSONValue?
    var webURL: JSONValue?
    var defaultBranch: JSONValue?
  }

  struct Person {
    var name: JSONValue?
    var email: JSONValue?
    var username: JSONValue?
  }

  struct Commit {
    var id: JSONValue?
    var message: JSONValue?
    var author: Person?
    /// As the forge writes it, RFC 3339 everywhere.
    var time: JSONValue?
    var url: JSONValue?
    /// nil where the forge lists no paths.
    var paths: Paths?
  }

  struct Paths {
    var added: [JSONValue]
    var modified: [JSONValue]
    var removed: [JSONValue]
  }

  var isCreated: Bool? { before.map(isZero) }
  var isDeleted: Bool? { after.map(isZero) }

  /// Every path that a commit touched, once, in the order of the commits.
  private var changedPaths: [JSONValue] {
    var seen: Set<JSONValue> = []
    var changed: [JSONValue] = []
    for paths in commits.lazy.compactMap(\.paths) {
      for list in [paths.added, paths.modified, paths.removed] {
        for path in list where seen.insert(path).inserted { changed.append(path) }
      }
    }
    // What a commit changed and a later one undid is in no comparison.
    for path in comparedPaths ?? [] where seen.insert(path).inserted { changed.append(path) }
    return changed
  }
}

/// Whether it is the id that stands for no commit.
private func isZero(_ commit: JSONValue) -> Bool {
  commit.raw.dropFirst().dropLast().allSatisfy { $0 == 0x30 }
}

extension Push {
  func write(_ key: String? = nil, to writer: inout JSONWriter) {
    writer.object(key) { writer in
      repository.write(to: &writer)
      writer.add("ref", .init(string: ref))
      writer.add("branch", ref.behind("refs/heads/").map(JSONValue.init(string:)))
      writer.add("tag", ref.behind("refs/tags/").map(JSONValue.init(string:)))
      writer.add("before", before)
      writer.add("after", after)
      writer.add("created", isCreated)
      writer.add("deleted", isDeleted)
      writer.add("forced", isForced)
      writer.array("commits") { writer in
        for commit in commits { commit.write(to: &writer) }
      }
      writer.add("changedPaths", changedPaths)
      pusher?.write("pusher", to: &writer)
      writer.add("compareURL", compareURL)
      writer.add("truncated", isTruncated)
    }
  }
}

extension Push.Repository {
  fileprivate func write(to writer: inout JSONWriter) {
    writer.object("repository") { writer in
      writer.add("fullName", fullName)
      writer.add("name", name)
      writer.add("cloneURL", cloneURL)
      writer.add("sshURL", sshURL)
      writer.add("webURL", webURL)
      writer.add("defaultBranch", defaultBranch)
    }
  }
}

extension Push.Commit {
  fileprivate func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.add("id", id)
      writer.add("message", message)
      author?.write("author", to: &writer)
      writer.add("time", time)
      writer.add("url", url)
      guard let paths else { return }
      writer.add("added", paths.added)
      writer.add("modified", paths.modified)
      writer.add("removed", paths.removed)
    }
  }
}

extension Push.Person {
  /// Nobody of whom nothing is known.
  fileprivate func write(_ key: String, to writer: inout JSONWriter) {
    guard name != nil || email != nil || username != nil else { return }
    writer.object(key) { writer in
      writer.add("name", name)
      writer.add("email", email)
      writer.add("username", username)
    }
  }
}
/// A request to merge, in one shape for every forge.
struct PullRequest {
  enum Action: String { case opened, updated, reopened, merged, closed }

  var repository: Push.Repository
  var number: Int?
  var title: JSONValue?
  var action: Action
  /// The forge's own word for what happened.
  var providerAction: String?
  var isDraft: Bool?
  var webURL: JSONValue?
  var author: Push.Person?
  var source = Side()
  var target = Side()
  /// Where it was merged.
  var mergeCommit: JSONValue?

  struct Side {
    /// Without `refs/heads/`.
    var branch: JSONValue?
    var commit: JSONValue?
    /// The repository's full name.
    var repository: JSONValue?
  }

  func write(_ key: String, to writer: inout JSONWriter) {
    writer.object(key) { writer in
      repository.write(to: &writer)
      writer.add("number", number)
      writer.add("title", title)
      writer.add("action", .init(string: action.rawValue))
      writer.add("providerAction", providerAction.map(JSONValue.init(string:)))
      writer.add("draft", isDraft)
      writer.add("webURL", webURL)
      author?.write("author", to: &writer)
      source.write("source", to: &writer)
      target.write("target", to: &writer)
      writer.add("mergeCommit", mergeCommit)
    }
  }
}

extension PullRequest.Side {
  fileprivate func write(_ key: String, to writer: inout JSONWriter) {
    writer.object(key) { writer in
      writer.add("branch", branch)
      writer.add("commit", commit)
      writer.add("repository", repository)
    }
  }
}

extension String {
  /// What follows `prefix`; nil where it does not begin with it.
  func behind(_ prefix: String) -> String? {
    hasPrefix(prefix) ? String(dropFirst(prefix.count)) : nil
  }
}

extension JSONValue {
  /// What follows `prefix` in a string; nil where it does not begin with it.
  func behind(_ prefix: String) -> JSONValue? {
    string.behind(prefix).map(JSONValue.init(string:))
  }
}
