package import HTTPClient

/// A forge that can be asked and told over HTTP: where its API is and how a caller shows who it
/// is. What is done there has tables of its own, `CommitStatus` and `HookAPI`.
package enum ForgeKind: String, Sendable, CaseIterable {
  case github, gitlab, gitea, bitbucket
  /// Bitbucket Data Center, as manifests call it.
  case bitbucketserver
  /// With its plugin `webhooks`.
  case gerrit

  /// Those that show statuses beside commits.
  package static var withStatuses: [ForgeKind] { allCases.filter { $0 != .gerrit } }

  /// The address of the API that everybody shares; nil where each installation has its own.
  package var publicRoot: String? {
    switch self {
    case .github: "https://api.github.com"
    case .gitlab: "https://gitlab.com/api/v4"
    case .bitbucket: "https://api.bitbucket.org/2.0"
    case .gitea, .bitbucketserver, .gerrit: nil
    }
  }

  /// The field that says where an installation is, as Argo Events calls it where it has one.
  package var addressField: String {
    switch self {
    case .github: "githubBaseURL"
    case .gitlab: "gitlabBaseURL"
    case .gitea: "giteaBaseURL"
    case .bitbucket: "bitbucketBaseURL"
    case .bitbucketserver: "bitbucketserverBaseURL"
    case .gerrit: "gerritBaseURL"
    }
  }

  /// Where the API of an installation is; people write the address with or without its end.
  /// - Throws: `OutboundError` of kind `malformedURL`.
  package func root(of address: String) throws(OutboundError) -> String {
    let url = try OutboundURL(parsing: address)
    if url.hasUser { throw OutboundError(.malformedURL, "the URL names a user") }
    var path = url.path
    while path.hasSuffix("/") { path.removeLast() }
    switch self {
    case .github:
      let isPublic = url.host.hasPrefix("api.") || url.host.contains(".api.")
      if !isPublic, !path.hasSuffix("/api/v3") { path += "/api/v3" }
    case .gitlab: if !path.hasSuffix("/api/v4") { path += "/api/v4" }
    case .gitea: if !path.hasSuffix("/api/v1") { path += "/api/v1" }
    case .bitbucket: if !path.hasSuffix("/2.0") { path += "/2.0" }
    case .bitbucketserver:
      if !path.contains("/rest") { path += "/rest" }
      if path.hasSuffix("/rest") { path += "/api/1.0" }
    // Where Gerrit asks who calls.
    case .gerrit: if !path.hasSuffix("/a") { path += "/a" }
    }
    return url.origin + path
  }

  /// The header of a token.
  func header(token: String) -> (name: String, value: String) {
    switch self {
    case .gitlab: ("PRIVATE-TOKEN", token)
    case .gitea: ("Authorization", "token " + token)
    case .github, .bitbucket, .bitbucketserver, .gerrit: ("Authorization", "Bearer " + token)
    }
  }

  /// What every request carries.
  var headers: [(name: String, value: String)] {
    switch self {
    case .github:
      [("Accept", "application/vnd.github+json"), ("X-GitHub-Api-Version", "2022-11-28")]
    // Without it Data Center takes a request with a body for one of a browser.
    case .bitbucketserver: [("Accept", "application/json"), ("X-Atlassian-Token", "no-check")]
    default: [("Accept", "application/json")]
    }
  }
}
