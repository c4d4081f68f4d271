import Cluster
import HTTPClient
import JSON

/// What a forge shows beside a commit: how something that was done with it stands.
package struct CommitStatus: Sendable, Equatable {
  package enum State: String, Sendable, CaseIterable {
    case pending, success, failure
    /// Nobody knows, or it was stopped: neither good nor bad.
    case error
  }

  /// Owner and name, as `push.repository.fullName` has it.
  package var repository: String
  /// 40 or 64 hexadecimal digits.
  package var commit: String
  package var state: State
  /// What tells this report from others on the commit.
  package var context: String
  package var description: String
  /// Where it leads; nil: nowhere, which not every forge takes.
  package var url: String?

  package init(
    repository: String,
    commit: String,
    state: State,
    context: String,
    description: String,
    url: String?
  ) {
    self.repository = repository
    self.commit = commit
    self.state = state
    self.context = context
    self.description = description
    self.url = url
  }
}

/// How a forge takes a status: a row of the table below.
private struct StatusRow {
  let path: @Sendable (_ repository: String, _ commit: String) -> String
  let words: @Sendable (CommitStatus.State) -> String
  /// Names of the fields in the body.
  let context: [String]
  let url: String
  let needsURL: Bool
  /// The longest context and description in characters; what is longer is cut.
  let contextMax: Int
  let descriptionMax: Int
}

extension ForgeKind {
  /// nil where commits have no statuses.
  private var statusRow: StatusRow? {
    switch self {
    case .github:
      StatusRow(
        path: { "/repos/\(pathSegments($0))/statuses/\($1)" },
        words: { $0.rawValue },
        context: ["context"],
        url: "target_url",
        needsURL: false,
        contextMax: 255,
        descriptionMax: 140
      )
    case .gitlab:
      StatusRow(
        path: { "/projects/\(percentEncoded($0))/statuses/\($1)" },
        // It knows no error; "canceled" does not pass for good or bad there either.
        words: {
          switch $0 {
          case .pending: "pending"
          case .success: "success"
          case .failure: "failed"
          case .error: "canceled"
          }
        },
        context: ["name"],
        url: "target_url",
        needsURL: false,
        contextMax: 255,
        descriptionMax: 255
      )
    case .gitea:
      StatusRow(
        path: { "/repos/\(pathSegments($0))/statuses/\($1)" },
        words: { $0.rawValue },
        context: ["context"],
        url: "target_url",
        needsURL: false,
        contextMax: 255,
        descriptionMax: 255
      )
    case .bitbucket:
      StatusRow(
        path: { "/repositories/\(pathSegments($0))/commit/\($1)/statuses/build" },
        words: { Self.atlassianWord($0, error: "STOPPED") },
        context: ["key", "name"],
        url: "url",
        needsURL: true,
        contextMax: 40,
        descriptionMax: 255
      )
    case .bitbucketserver:
      StatusRow(
        path: { repository, commit in
          "\(dataCenterPath(repository))/commits/\(commit)/builds"
        },
        words: { Self.atlassianWord($0, error: "CANCELLED") },
        context: ["key", "name"],
        url: "url",
        needsURL: true,
        contextMax: 255,
        descriptionMax: 255
      )
    case .gerrit: nil
    }
  }

  private static func atlassianWord(_ state: CommitStatus.State, error: String) -> String {
    switch state {
    case .pending: "INPROGRESS"
    case .success: "SUCCESSFUL"
    case .failure: "FAILED"
    case .error: error
    }
  }

  /// The call that reports `status`.
  /// - Throws: `ForgeError` where it cannot be one.
  func call(_ status: CommitStatus) throws(ForgeError) -> (path: String, body: JSON) {
    guard let row = statusRow else {
      throw ForgeError(.refused(status: 0), "\(rawValue) has no statuses of commits")
    }
    guard isRepositoryName(status.repository) else {
      throw ForgeError(.refused(status: 0), "'\(status.repository)' is no name of a repository")
    }
    let isCommit =
      [40, 64].contains(status.commit.utf8.count) && status.commit.allSatisfy(\.isHexDigit)
    guard isCommit else {
      throw ForgeError(.refused(status: 0), "'\(status.commit)' is no id of a commit")
    }
    if row.needsURL, status.url == nil {
      throw ForgeError(.refused(status: 0), "\(rawValue) takes no status without a targetURL")
    }
    var body: [JSON.Member] = [.init(key: "state", value: .string(row.words(status.state)))]
    for key in row.context {
      body.append(.init(key: key, value: .string(String(status.context.prefix(row.contextMax)))))
    }
    let description = String(status.description.prefix(row.descriptionMax))
    body.append(.init(key: "description", value: .string(description)))
    if let url = status.url { body.append(.init(key: row.url, value: .string(url))) }
    return (row.path(status.repository, status.commit.lowercased()), .object(body))
  }
}

/// `KEY/slug` as Data Center has it in paths.
func dataCenterPath(_ repository: String) -> String {
  let parts = repository.split(separator: "/", maxSplits: 1).map(String.init)
  let project = "/projects/\(percentEncoded(parts.first ?? ""))"
  return parts.count == 2 ? project + "/repos/\(percentEncoded(parts[1]))" : project
}

extension ForgeClient {
  /// Reports a status. The same one again changes nothing that anybody sees.
  /// - Throws: `ForgeError`.
  package func report(_ status: CommitStatus, key: String) async throws(ForgeError) {
    let (path, body) = try kind.call(status)
    do throws(ForgeError) {
      _ = try await call(.post, path, body, key: key)
    } catch {
      // GitLab refuses to take a status twice.
      if kind == .gitlab, case .refused(400) = error.kind,
        error.description.contains("Cannot transition status"),
        body["state"]?.asString.map({ error.description.contains("from :\($0)") }) == true
      {
        return
      }
      throw error
    }
  }
}
