/// How the manifests of a cluster are watched.
package struct KubernetesOptions: Sendable {
  /// The namespaces whose objects are watched; none: all.
  package var namespaces: [String]
  package var grants: NamespaceGrants

  package init(namespaces: [String] = [], grants: NamespaceGrants = NamespaceGrants()) {
    self.namespaces = namespaces
    self.grants = grants
  }
}
