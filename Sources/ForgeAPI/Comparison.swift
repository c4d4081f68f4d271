import Cluster
import HTTPClient
import JSON
package import Posix

/// How a forge tells which paths differ between two commits: a row of the table below.
private struct ComparisonRow {
  let path: @Sendable (_ repository: String, _ before: String, _ after: String) -> String
  /// The paths of a page; nil where the forge left some out.
  let paths: @Sendable (JSON) -> [String]?
}

extension ForgeKind {
  fileprivate var comparisonRow: ComparisonRow? {
    switch self {
    case .github:
      ComparisonRow(
        path: { "/repos/\(pathSegments($0))/compare/\($1)...\($2)?per_page=1" },
        paths: { body in
          let files = body["files"]?.items ?? []
          // It lists 300 at the most, whatever page is asked for.
          return files.count >= 300 ? nil : texts(files, ["filename"], ["previous_filename"])
        }
      )
    case .gitlab:
      ComparisonRow(
        path: {
          "/projects/\(percentEncoded($0))/repository/compare?from=\($1)&to=\($2)"
        },
        paths: { body in
          let diffs = body["diffs"]?.items ?? []
          let isCut = body["compare_timeout"] == .bool(true) || diffs.count >= 1000
          return isCut ? nil : texts(diffs, ["new_path"], ["old_path"])
        }
      )
    case .gitea:
      ComparisonRow(
        path: { "/repos/\(pathSegments($0))/compare/\($1)...\($2)" },
        paths: { body in
          let commits = body["commits"]?.items ?? []
          // Older versions list no files, and a longer comparison not all commits.
          guard commits.allSatisfy({ $0["files"] != nil }),
            commits.count == body["total_commits"]?.wholeNumber
          else { return nil }
          return texts(commits.flatMap { $0["files"]?.items ?? [] }, ["filename"])
        }
      )
    case .bitbucket:
      ComparisonRow(
        path: { "/repositories/\(pathSegments($0))/diffstat/\($2)..\($1)?pagelen=500" },
        paths: { texts($0["values"]?.items ?? [], ["new", "path"], ["old", "path"]) }
      )
    case .bitbucketserver:
      ComparisonRow(
        path: { "\(dataCenterPath($0))/compare/changes?from=\($2)&to=\($1)&limit=1000" },
        paths: { texts($0["values"]?.items ?? [], ["path", "toString"], ["srcPath", "toString"]) }
      )
    case .gerrit: nil
    }
  }
}

/// The texts behind any of the keys in each item; each text once.
private func texts(_ items: [JSON], _ keys: [String]...) -> [String] {
  var seen: Set<String> = []
  return items.flatMap { item in keys.compactMap { item.at($0)?.asString } }
    .filter { !$0.isEmpty && seen.insert($0).inserted }
}

extension ForgeClient {
  /// More pages of a comparison than this, or more paths, are not waited for.
  private static let comparisonPagesMax = 5

  /// The paths that differ between two commits; nil where the forge does not tell all of them.
  /// - Parameter deadline: when to give up: somebody waits for the answer.
  /// - Throws: `ForgeError`.
  package func changedPaths(
    _ repository: String,
    from before: String,
    to after: String,
    until deadline: MonotonicTime
  ) async throws(ForgeError) -> [String]? {
    guard isRepositoryName(repository) else {
      throw ForgeError(.refused(status: 0), "'\(repository)' is no name of a repository")
    }
    for commit in [before, after] where !commit.allSatisfy(\.isHexDigit) || commit.isEmpty {
      throw ForgeError(.refused(status: 0), "'\(commit)' is no id of a commit")
    }
    guard let row = kind.comparisonRow else {
      throw ForgeError(.refused(status: 0), "\(kind.rawValue) compares no commits")
    }
    let first = row.path(repository, before, after)
    var page: String? = first
    var found: [String] = []
    var pages = 0
    while let path = page {
      guard pages < Self.comparisonPagesMax else { return nil }
      pages += 1
      let answer = try await call(.get, path, timeout: deadline - .now())
      guard let paths = row.paths(answer.body) else { return nil }
      found += paths
      // GitHub's next pages are of commits, and files stand on the first alone.
      page = kind == .github ? nil : answer.next ?? Self.next(answer.body, first)
    }
    return found
  }
}
