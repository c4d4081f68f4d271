import JSON

extension Shape {
  static let gitlab = Shape { _, body in
    var told = Told()
    // The header says "System Hook" for all that a system hook tells; the body is clearer.
    switch (body.text("object_kind") ?? body.text("event_name"))?.string {
    case "push", "tag_push": told.pushes = push(body).map { [$0] } ?? []
    case "merge_request": told.pullRequest = mergeRequest(body)
    default: break
    }
    return told
  }

  private static func push(_ body: JSONFields) -> Push? {
    guard let ref = body.text("ref") else { return nil }
    let project = project(body)
    var push = Push(
      repository: project,
      ref: ref.string,
      before: body.text("before"),
      after: body.text("after"),
      commits: body.items("commits").map { commit($0.fields) },
      pusher: Push.Person(
        name: body.text("user_name"),
        email: body.text("user_email"),
        username: body.text("user_username")
      )
    )
    if push.isCreated == false, push.isDeleted == false, let web = project.webURL,
      let before = push.before, let after = push.after
    {
      push.compareURL = JSONValue(
        string: "\(web.string)/-/compare/\(before.string)...\(after.string)"
      )
    }
    // At most 20 commits are listed; the count is that of all.
    let isCut = body.number("total_commits_count").map { $0 > push.commits.count } ?? false
    push.isTruncated = isCut || push.commits.contains { $0.paths == nil }
    return push
  }

  private static func project(_ body: JSONFields) -> Push.Repository {
    let fields = body.inside("project")
    return Push.Repository(
      fullName: fields.text("path_with_namespace"),
      name: fields.text("name"),
      cloneURL: fields.text("git_http_url"),
      sshURL: fields.text("git_ssh_url"),
      webURL: fields.text("web_url"),
      defaultBranch: fields.text("default_branch")
    )
  }

  private static func commit(_ fields: JSONFields) -> Push.Commit {
    let author = fields.inside("author")
    return Push.Commit(
      id: fields.text("id"),
      message: fields.text("message"),
      author: Push.Person(name: author.text("name"), email: author.text("email")),
      time: fields.text("timestamp"),
      url: fields.text("url"),
      paths: fields.paths
    )
  }

  private static func mergeRequest(_ body: JSONFields) -> PullRequest? {
    let fields = body.inside("object_attributes")
    guard let number = fields.number("iid") else { return nil }
    let user = body.inside("user")
    let action = fields.text("action")?.string
    return PullRequest(
      repository: project(body),
      number: number,
      title: fields.text("title"),
      action: gitlabAction(action),
      providerAction: action,
      isDraft: fields.flag("draft") ?? fields.flag("work_in_progress"),
      webURL: fields.text("url"),
      // Who did it: the body has no more than a number for the author.
      author: action == "open"
        ? Push.Person(name: user.text("name"), username: user.text("username")) : nil,
      source: PullRequest.Side(
        branch: fields.text("source_branch"),
        commit: fields.inside("last_commit").text("id"),
        repository: fields.inside("source").text("path_with_namespace")
      ),
      target: PullRequest.Side(
        branch: fields.text("target_branch"),
        repository: fields.inside("target").text("path_with_namespace")
      ),
      mergeCommit: fields.text("merge_commit_sha")
    )
  }

  private static func gitlabAction(_ action: String?) -> PullRequest.Action {
    switch action {
    case "open": .opened
    case "reopen": .reopened
    case "merge": .merged
    case "close": .closed
    default: .updated
    }
  }
}
