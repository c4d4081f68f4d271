import JSON

extension Shape {
  /// It lists commits without their paths.
  static let azureDevOps = Shape(
    changes: ["resource", "refUpdates"],
    sharesCommits: true
  ) { event, body in
    var told = Told()
    let resource = body.inside("resource")
    if event == "git.push" {
      told.pushes = resource.items("refUpdates").compactMap { azurePush($0.fields, resource) }
    }
    if event.hasPrefix("git.pullrequest.") { told.pullRequest = azurePullRequest(event, resource) }
    return told
  }

  private static func azurePush(_ update: JSONFields, _ resource: JSONFields) -> Push? {
    guard let ref = update.text("name") else { return nil }
    let pusher = resource.inside("pushedBy")
    var push = Push(
      repository: azureRepository(resource.inside("repository")),
      ref: ref.string,
      before: update.text("oldObjectId"),
      after: update.text("newObjectId"),
      // The newest stands first.
      commits: resource.items("commits").reversed().map { azureCommit($0.fields) },
      pusher: Push.Person(
        name: pusher.text("displayName"),
        username: pusher.text("uniqueName")
      )
    )
    push.isTruncated = push.isDeleted != true
    return push
  }

  private static func azureRepository(_ fields: JSONFields) -> Push.Repository {
    let name = fields.text("name")
    let project = fields.inside("project").text("name")
    return Push.Repository(
      fullName: project.flatMap { project in
        name.map { JSONValue(string: "\(project.string)/\($0.string)") }
      },
      name: name,
      cloneURL: fields.text("remoteUrl"),
      sshURL: fields.text("sshUrl"),
      webURL: fields.text("webUrl") ?? fields.text("remoteUrl"),
      defaultBranch: fields.text("defaultBranch")?.behind("refs/heads/")
    )
  }

  private static func azureCommit(_ fields: JSONFields) -> Push.Commit {
    let author = fields.inside("author")
    return Push.Commit(
      id: fields.text("commitId"),
      message: fields.text("comment"),
      author: Push.Person(name: author.text("name"), email: author.text("email")),
      time: author.text("date"),
      url: fields.text("url")
    )
  }

  private static func azurePullRequest(_ event: String, _ fields: JSONFields) -> PullRequest? {
    guard let number = fields.number("pullRequestId") else { return nil }
    let author = fields.inside("createdBy")
    let repository = azureRepository(fields.inside("repository"))
    // "merged" also tells that a merge was tried; the status tells what came of it.
    let action: PullRequest.Action =
      switch (event, fields.text("status")?.string) {
      case ("git.pullrequest.created", _): .opened
      case (_, "completed"): .merged
      case (_, "abandoned"): .closed
      default: .updated
      }
    return PullRequest(
      repository: repository,
      number: number,
      title: fields.text("title"),
      action: action,
      providerAction: event,
      isDraft: fields.flag("isDraft"),
      webURL: repository.webURL.map {
        JSONValue(string: "\($0.string)/pullrequest/\(number)")
      },
      author: Push.Person(
        name: author.text("displayName"),
        username: author.text("uniqueName")
      ),
      source: PullRequest.Side(
        branch: fields.text("sourceRefName")?.behind("refs/heads/"),
        commit: fields.inside("lastMergeSourceCommit").text("commitId")
      ),
      target: PullRequest.Side(
        branch: fields.text("targetRefName")?.behind("refs/heads/"),
        commit: fields.inside("lastMergeTargetCommit").text("commitId"),
        repository: repository.fullName
      ),
      mergeCommit: action == .merged
        ? fields.inside("lastMergeCommit").text("commitId") : nil
    )
  }

  // MARK: Gerrit

  static let gerrit = Shape { event, body in
    var told = Told()
    if event == "ref-updated" { told.pushes = gerritPush(body).map { [$0] } ?? [] }
    if let action = gerritAction(event, body) {
      told.pullRequest = gerritChange(event, action, body)
    }
    return told
  }

  private static func gerritPush(_ body: JSONFields) -> Push? {
    let update = body.inside("refUpdate")
    guard let name = update.text("refName")?.string, let project = update.text("project") else {
      return nil
    }
    var push = Push(
      repository: Push.Repository(fullName: project, name: project),
      // Old versions leave out the beginning of a branch.
      ref: name.hasPrefix("refs/") ? name : "refs/heads/" + name,
      before: update.text("oldRev"),
      after: update.text("newRev"),
      pusher: gerritPerson(body.inside("submitter"))
    )
    push.isTruncated = push.isDeleted != true
    return push
  }

  private static func gerritPerson(_ fields: JSONFields) -> Push.Person {
    Push.Person(
      name: fields.text("name"),
      email: fields.text("email"),
      username: fields.text("username")
    )
  }

  private static func gerritAction(_ event: String, _ body: JSONFields) -> PullRequest.Action? {
    switch event {
    case "patchset-created":
      body.inside("patchSet").number("number") == 1 ? .opened : .updated
    case "change-merged": .merged
    case "change-abandoned", "change-deleted": .closed
    case "change-restored": .reopened
    case "topic-changed", "hashtags-changed", "wip-state-changed", "private-state-changed": .updated
    default: nil
    }
  }

  private static func gerritChange(
    _ event: String,
    _ action: PullRequest.Action,
    _ body: JSONFields
  ) -> PullRequest? {
    let change = body.inside("change")
    guard let project = change.text("project"), let number = change.number("number") else {
      return nil
    }
    return PullRequest(
      repository: Push.Repository(fullName: project, name: project),
      number: number,
      title: change.text("subject"),
      action: action,
      providerAction: event,
      isDraft: change.flag("wip"),
      webURL: change.text("url"),
      author: gerritPerson(change.inside("owner")),
      source: PullRequest.Side(commit: body.inside("patchSet").text("revision")),
      target: PullRequest.Side(
        branch: change.text("branch")?.behind("refs/heads/") ?? change.text("branch"),
        repository: project
      ),
      mergeCommit: action == .merged ? body.text("newRev") : nil
    )
  }
}
