import JSON

extension Shape {
  /// GitHub names at most this many commits of a push.
  private static let githubCommitsMax = 2048

  static let github = Shape { event, body in
    var told = Told()
    if event == "push", var push = githubLike(body) {
      push.isTruncated = push.isTruncated || push.commits.count >= githubCommitsMax
      told.pushes = [push]
    }
    if event == "pull_request" { told.pullRequest = githubLikePullRequest(body) }
    return told
  }

  /// Gitea, Forgejo and Gogs name this many commits unless their operator chose another number;
  /// new versions say how many there were.
  private static let giteaCommitsMax = 5

  static let gitea = Shape { event, body in
    var told = Told()
    if event == "push", var push = githubLike(body) {
      let isCut =
        body.number("total_commits").map { $0 > push.commits.count }
        ?? (push.commits.count >= giteaCommitsMax)
      push.isTruncated = push.isTruncated || isCut
      told.pushes = [push]
    }
    if event == "pull_request" || event.hasPrefix("pull_request_"), body["review"] == nil,
      body["comment"] == nil
    {
      told.pullRequest = githubLikePullRequest(body)
    }
    return told
  }

  private static func githubLike(_ body: JSONFields) -> Push? {
    guard let ref = body.text("ref") else { return nil }
    let pusher = body.inside("pusher")
    var push = Push(
      repository: repository(body.inside("repository")),
      ref: ref.string,
      before: body.text("before"),
      after: body.text("after"),
      isForced: body.flag("forced"),
      commits: body.items("commits").map { commit($0.fields) },
      pusher: Push.Person(
        // At GitHub the name of a pusher is that of the account.
        name: pusher.text("full_name") ?? pusher.text("name") ?? pusher.text("login"),
        email: pusher.text("email"),
        username: pusher.text("login") ?? pusher.text("username") ?? pusher.text("name")
      ),
      compareURL: body.text("compare") ?? body.text("compare_url")
    )
    push.isTruncated = push.commits.contains { $0.paths == nil }
    return push
  }

  private static func repository(_ fields: JSONFields) -> Push.Repository {
    Push.Repository(
      fullName: fields.text("full_name"),
      name: fields.text("name"),
      cloneURL: fields.text("clone_url"),
      sshURL: fields.text("ssh_url"),
      webURL: fields.text("html_url"),
      defaultBranch: fields.text("default_branch")
    )
  }

  private static func commit(_ fields: JSONFields) -> Push.Commit {
    let author = fields.inside("author")
    return Push.Commit(
      id: fields.text("id"),
      message: fields.text("message"),
      author: Push.Person(
        name: author.text("name"),
        email: author.text("email"),
        username: author.text("username")
      ),
      time: fields.text("timestamp"),
      url: fields.text("url"),
      paths: fields.paths
    )
  }

  private static func githubLikePullRequest(_ body: JSONFields) -> PullRequest? {
    let fields = body.inside("pull_request")
    guard let action = body.text("action")?.string, fields.text("title") != nil else { return nil }
    let user = fields.inside("user")
    let isMerged = fields.flag("merged") ?? false
    return PullRequest(
      repository: repository(body.inside("repository")),
      number: body.number("number") ?? fields.number("number"),
      title: fields.text("title"),
      action: githubAction(action, isMerged: isMerged),
      providerAction: action,
      isDraft: fields.flag("draft"),
      webURL: fields.text("html_url"),
      author: Push.Person(
        name: user.text("full_name"),
        email: user.text("email"),
        username: user.text("login")
      ),
      source: side(fields.inside("head")),
      target: side(fields.inside("base")),
      mergeCommit: isMerged ? fields.text("merge_commit_sha") : nil
    )
  }

  private static func githubAction(_ action: String, isMerged: Bool) -> PullRequest.Action {
    switch action {
    case "opened": .opened
    case "reopened": .reopened
    case "closed": isMerged ? .merged : .closed
    default: .updated
    }
  }

  private static func side(_ fields: JSONFields) -> PullRequest.Side {
    PullRequest.Side(
      branch: fields.text("ref"),
      commit: fields.text("sha"),
      repository: fields.inside("repo").text("full_name")
    )
  }
}
