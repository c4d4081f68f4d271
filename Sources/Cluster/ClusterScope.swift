/// The namespaces that requests on behalf of somebody may go to.
///
/// The program's own account may do more than whoever wrote a manifest: what a manifest asks for is
/// held against this first, wherever the namespace comes from.
package struct ClusterScope: Sendable, Equatable {
  /// nil: every namespace, and objects that are in none.
  private let namespaces: Set<String>?

  package static let everywhere = ClusterScope(nil)

  package init(_ namespaces: Set<String>?) { self.namespaces = namespaces }

  /// Why something in `namespace` is out of reach; nil where it is not.
  /// - Parameter namespace: nil: of all namespaces, or in none.
  package func refusal(of namespace: String?) -> String? {
    guard let namespaces else { return nil }
    if let namespace, namespaces.contains(namespace) { return nil }
    let place = namespace.map { "the namespace '\($0)'" } ?? "all namespaces"
    let allowed = namespaces.sorted().joined(separator: ", ")
    return "\(place) is out of reach, expected one of \(allowed); more is for the operator to grant"
      + " (--allow-namespace)"
  }

  /// - Throws: `ClusterError` of kind `configuration`.
  func check(_ type: ResourceType, _ namespace: String?) throws(ClusterError) {
    if let refusal = refusal(of: type.isNamespaced ? namespace : nil) {
      throw ClusterError(.configuration, "\(type.plural): \(refusal)")
    }
  }
}
