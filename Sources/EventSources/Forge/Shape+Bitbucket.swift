import Event
import JSON

// Neither Bitbucket says which paths changed, so their pushes are truncated but for removed refs.

extension Shape {
  static let bitbucket = Shape(changes: ["push", "changes"]) { event, body in
    var told = Told()
    if event == "repo:push" {
      told.pushes = body.inside("push").items("changes").compactMap { push($0.fields, body) }
    }
    if let action = bitbucketActions[event] {
      told.pullRequest = pullRequest(event, action, body)
    }
    return told
  }

  private static let bitbucketActions: [String: PullRequest.Action] = [
    "pullrequest:created": .opened, "pullrequest:updated": .updated,
    "pullrequest:fulfilled": .merged, "pullrequest:rejected": .closed,
    "pullrequest:approved": .updated, "pullrequest:unapproved": .updated,
    "pullrequest:changes_request_created": .updated,
    "pullrequest:changes_request_removed": .updated,
  ]

  private static let zero = JSONValue(string: String(repeating: "0", count: 40))

  private static func push(_ change: JSONFields, _ body: JSONFields) -> Push? {
    let (old, new) = (change.inside("old"), change.inside("new"))
    guard let name = new.text("name") ?? old.text("name") else { return nil }
    let isTag = (new.text("type") ?? old.text("type"))?.string.hasSuffix("tag") ?? false
    let actor = body.inside("actor")
    var push = Push(
      repository: repository(body.inside("repository")),
      ref: (isTag ? "refs/tags/" : "refs/heads/") + name.string,
      before: old.inside("target").text("hash") ?? zero,
      after: new.inside("target").text("hash") ?? zero,
      isForced: change.flag("forced"),
      // The newest stands first.
      commits: change.items("commits").reversed().map { commit($0.fields) },
      pusher: Push.Person(name: actor.text("display_name"), username: actor.text("nickname")),
      compareURL: change.inside("links").inside("html").text("href")
    )
    push.isTruncated = push.isDeleted != true
    return push
  }

  private static func repository(_ fields: JSONFields) -> Push.Repository {
    let web = fields.inside("links").inside("html").text("href")
    return Push.Repository(
      fullName: fields.text("full_name"),
      name: fields.text("name"),
      cloneURL: web.map { JSONValue(string: $0.string + ".git") },
      webURL: web,
      defaultBranch: fields.inside("mainbranch").text("name")
    )
  }

  private static func commit(_ fields: JSONFields) -> Push.Commit {
    let author = fields.inside("author")
    let user = author["user"]?.fields ?? author
    // `Name <address>`.
    let raw = author.text("raw")?.string
    return Push.Commit(
      id: fields.text("hash"),
      message: fields.text("message"),
      author: Push.Person(
        name: user.text("display_name")
          ?? raw.map { JSONValue(string: String($0.prefix { $0 != "<" }.trimmedRight)) },
        email: raw.flatMap { raw in
          raw.firstIndex(of: "<").map {
            JSONValue(string: String(raw[$0...].dropFirst().prefix { $0 != ">" }))
          }
        },
        username: user.text("nickname")
      ),
      time: fields.text("date"),
      url: fields.inside("links").inside("html").text("href")
    )
  }

  private static func pullRequest(
    _ event: String,
    _ action: PullRequest.Action,
    _ body: JSONFields
  ) -> PullRequest? {
    let fields = body.inside("pullrequest")
    guard let number = fields.number("id") else { return nil }
    let author = fields.inside("author")
    func side(_ key: String) -> PullRequest.Side {
      let fields = fields.inside(key)
      return PullRequest.Side(
        branch: fields.inside("branch").text("name"),
        commit: fields.inside("commit").text("hash"),
        repository: fields.inside("repository").text("full_name")
      )
    }
    return PullRequest(
      repository: repository(body.inside("repository")),
      number: number,
      title: fields.text("title"),
      action: action,
      providerAction: event,
      isDraft: fields.flag("draft"),
      webURL: fields.inside("links").inside("html").text("href"),
      author: Push.Person(name: author.text("display_name"), username: author.text("nickname")),
      source: side("source"),
      target: side("destination"),
      mergeCommit: action == .merged ? fields.inside("merge_commit").text("hash") : nil
    )
  }

  // MARK: Data Center

  static let bitbucketServer = Shape(changes: ["changes"], sharesCommits: true) { event, body in
    var told = Told()
    if event == "repo:refs_changed" {
      told.pushes = body.items("changes").compactMap { serverPush($0.fields, body) }
    }
    if event.hasPrefix("pr:"), !event.hasPrefix("pr:comment:") {
      told.pullRequest = serverPullRequest(event, body)
    }
    return told
  }

  private static func serverPush(_ change: JSONFields, _ body: JSONFields) -> Push? {
    guard let ref = change.inside("ref").text("id") ?? change.text("refId") else { return nil }
    let repository = body.inside("repository")
    var push = Push(
      repository: serverRepository(repository),
      ref: ref.string,
      before: change.text("fromHash"),
      after: change.text("toHash"),
      // New versions list commits, the newest first.
      commits: body.items("commits").reversed().map { serverCommit($0.fields) },
      pusher: serverPerson(body.inside("actor"))
    )
    if push.isCreated == false, push.isDeleted == false,
      let web = push.repository.webURL?.string.withoutSuffix("/browse"), let before = push.before,
      let after = push.after
    {
      push.compareURL = JSONValue(
        string: "\(web)/compare/diff?sourceBranch=\(after.string)&targetBranch=\(before.string)"
      )
    }
    push.isTruncated = push.isDeleted != true
    return push
  }

  private static func serverRepository(_ fields: JSONFields) -> Push.Repository {
    func clone(_ name: String) -> JSONValue? {
      fields.inside("links").items("clone").map(\.fields).first { $0.text("name")?.string == name }?
        .text("href")
    }
    let slug = fields.text("slug")
    let key = fields.inside("project").text("key")
    return Push.Repository(
      fullName: key.flatMap { key in
        slug.map { JSONValue(string: "\(key.string)/\($0.string)") }
      },
      name: fields.text("name"),
      cloneURL: clone("http") ?? clone("https"),
      sshURL: clone("ssh"),
      webURL: fields.inside("links").items("self").first?.fields.text("href")
    )
  }

  private static func serverPerson(_ fields: JSONFields) -> Push.Person {
    Push.Person(
      name: fields.text("displayName") ?? fields.text("name"),
      email: fields.text("emailAddress"),
      username: fields.text("slug")
    )
  }

  private static func serverCommit(_ fields: JSONFields) -> Push.Commit {
    Push.Commit(
      id: fields.text("id"),
      message: fields.text("message"),
      author: serverPerson(fields.inside("author")),
      time: fields.number("authorTimestamp").flatMap { milliseconds in
        let (nanoseconds, isOverflow) = Int64(milliseconds).multipliedReportingOverflow(
          by: 1_000_000
        )
        return isOverflow ? nil : JSONValue(string: Timestamp(nanoseconds: nanoseconds).description)
      }
    )
  }

  private static func serverPullRequest(_ event: String, _ body: JSONFields) -> PullRequest? {
    let fields = body.inside("pullRequest")
    guard let number = fields.number("id") else { return nil }
    func side(_ key: String) -> PullRequest.Side {
      let fields = fields.inside(key)
      return PullRequest.Side(
        branch: fields.text("displayId"),
        commit: fields.text("latestCommit"),
        repository: serverRepository(fields.inside("repository")).fullName
      )
    }
    let action: PullRequest.Action =
      switch event {
      case "pr:opened": .opened
      case "pr:merged": .merged
      case "pr:declined", "pr:deleted": .closed
      default: .updated
      }
    return PullRequest(
      repository: serverRepository(fields.inside("toRef").inside("repository")),
      number: number,
      title: fields.text("title"),
      action: action,
      providerAction: event,
      isDraft: fields.flag("draft"),
      webURL: fields.inside("links").items("self").first?.fields.text("href"),
      author: serverPerson(fields.inside("author").inside("user")),
      source: side("fromRef"),
      target: side("toRef"),
      mergeCommit: fields.inside("properties").inside("mergeCommit").text("id")
    )
  }
}

extension StringProtocol {
  fileprivate var trimmedRight: SubSequence {
    var text = self[...]
    while text.last == " " { text.removeLast() }
    return text
  }
}

extension String {
  fileprivate func withoutSuffix(_ suffix: String) -> String {
    hasSuffix(suffix) ? String(dropLast(suffix.count)) : self
  }
}
