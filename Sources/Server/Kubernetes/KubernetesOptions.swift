/// How the manifests of a cluster are watched.
package struct KubernetesOptions: Sendable {
  /// The namespaces whose objects are watched; none: all.
  package var namespaces: [String]
  package var grants: NamespaceGrants
  /// Whether nothing runs before an EventBus object puts the bus on Kafka.
  package var needsKafka: Bool

  package init(
    namespaces: [String] = [],
    grants: NamespaceGrants = NamespaceGrants(),
    needsKafka: Bool = false
  ) {
    self.namespaces = namespaces
    self.grants = grants
    self.needsKafka = needsKafka
  }
}
