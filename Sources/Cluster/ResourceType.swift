import JSON

/// A kind of object as the cluster serves it: found by discovery, never by guessing plurals.
package struct ResourceType: Hashable, Sendable, CustomStringConvertible {
  /// Empty for the core group.
  package let group: String
  package let version: String
  /// The name in URLs, such as `workflows`.
  package let plural: String
  package let kind: String
  package let isNamespaced: Bool
  /// Whether `/status` is kept apart from the rest.
  package let hasStatus: Bool

  package init(
    group: String,
    version: String,
    plural: String,
    kind: String,
    isNamespaced: Bool = true,
    hasStatus: Bool = false
  ) {
    self.group = group
    self.version = version
    self.plural = plural
    self.kind = kind
    self.isNamespaced = isNamespaced
    self.hasStatus = hasStatus
  }

  /// `group/version`, as in an object's `apiVersion`.
  package var apiVersion: String { group.isEmpty ? version : "\(group)/\(version)" }

  package var description: String { group.isEmpty ? plural : "\(plural).\(group)" }

  /// The path of the collection, or of one object of it (spec section A.3).
  /// - Parameter namespace: nil: all namespaces, of the collection only.
  /// - Throws: `ClusterError` for a name that is none.
  func path(
    namespace: String?,
    name: String? = nil,
    subresource: String? = nil
  ) throws(ClusterError) -> String {
    var path = group.isEmpty ? "/api/\(version)" : "/apis/\(group)/\(version)"
    if isNamespaced, let namespace {
      try checkName(namespace, "namespace")
      path += "/namespaces/\(namespace)"
    }
    path += "/\(plural)"
    if let name {
      try checkName(name, "name")
      path += "/\(percentEncoded(name))"
    }
    return path + (subresource.map { "/\($0)" } ?? "")
  }
}

/// Names come from events too: what is none must not become another URL. Some kinds, such as
/// roles, have names with `:`, so only what the server's own path rule forbids is refused.
private func checkName(_ name: String, _ what: String) throws(ClusterError) {
  let isFine =
    !name.isEmpty && name.utf8.count <= 253 && name != "." && name != ".."
    && name.utf8.allSatisfy { (0x21...0x7e).contains($0) && $0 != 0x2f && $0 != 0x25 }
  guard isFine else {
    throw ClusterError(.configuration, "found the \(what) '\(name)', which no object can have")
  }
}

/// Splits `apiVersion` into group and version.
package func groupAndVersion(_ apiVersion: String) -> (group: String, version: String) {
  guard let slash = apiVersion.firstIndex(of: "/") else { return ("", apiVersion) }
  return (String(apiVersion[..<slash]), String(apiVersion[apiVersion.index(after: slash)...]))
}

/// What a cluster serves, asked for once and again where something is missing from it.
actor Discovery {
  private var known: [String: [ResourceType]] = [:]

  /// The resources of a group and version.
  /// - Parameter fetch: gets an APIResourceList.
  func resources(
    of apiVersion: String,
    isWanted: @Sendable (ResourceType) -> Bool,
    fetch: (_ path: String) async throws(ClusterError) -> JSON
  ) async throws(ClusterError) -> ResourceType {
    if let found = known[apiVersion]?.first(where: isWanted) { return found }
    let (group, version) = groupAndVersion(apiVersion)
    let path = group.isEmpty ? "/api/\(version)" : "/apis/\(group)/\(version)"
    let list = try await fetch(path)["resources"]?.items ?? []
    let names = Set(list.compactMap { $0["name"]?.asString })
    let resources = list.compactMap { entry -> ResourceType? in
      guard let name = entry["name"]?.asString, !name.contains("/"),
        let kind = entry["kind"]?.asString
      else { return nil }
      return ResourceType(
        group: group,
        version: version,
        plural: name,
        kind: kind,
        isNamespaced: entry["namespaced"] == true,
        hasStatus: names.contains(name + "/status")
      )
    }
    known[apiVersion] = resources
    guard let found = resources.first(where: isWanted) else {
      throw ClusterError(.configuration, "the cluster serves no such kind in \(apiVersion)")
    }
    return found
  }
}
