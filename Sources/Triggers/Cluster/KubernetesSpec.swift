import Cluster
package import Manifest

/// The fields of a `k8s` trigger (spec section 4.4).
package struct KubernetesSpec: ManifestBlock, Sendable {
  enum Operation: String, Sendable, CaseIterable { case create, update, patch, delete }

  let operation: Operation
  let source: ObjectSource?
  let strategy: PatchStrategy
  /// Parameters change what the cluster has, not what the manifest says.
  let isLive: Bool

  package init(from block: Block) {
    let word = block.string("operation") ?? ""
    let operation = word.isEmpty ? .create : Operation(rawValue: word)
    if operation == nil {
      let known = Operation.allCases.map(\.rawValue).joined(separator: ", ")
      block.error("operation", "found '\(word)', expected one of \(known)")
    }
    self.operation = operation ?? .create
    source = ObjectSource(from: block)
    let strategy = block.string("patchStrategy").flatMap { $0.isEmpty ? nil : $0 }
    if let strategy, PatchStrategy(rawValue: strategy) == nil {
      let known = PatchStrategy.allCases.map(\.rawValue).joined(separator: ", ")
      block.error("patchStrategy", "found '\(strategy)', expected one of \(known)")
    }
    self.strategy = strategy.flatMap { PatchStrategy(rawValue: $0) } ?? .merge
    isLive = block.bool("liveObject") ?? false
    if isLive && self.operation != .update {
      block.error("liveObject", "found true with operation \(self.operation), expected update")
    }
    block.accept("parameters", "payload")
    block.finish()
  }
}
