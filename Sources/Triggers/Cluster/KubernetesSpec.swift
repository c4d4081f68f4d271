import Cluster
import JSON
package import Manifest

/// The fields of a `k8s` trigger (spec section 4.4).
package struct KubernetesSpec: ManifestBlock, Sendable {
  enum Operation: String, Sendable, CaseIterable { case create, update, patch, delete }

  let operation: Operation
  let source: ObjectSource?
  let strategy: PatchStrategy
  /// Parameters change what the cluster has, not what the manifest says.
  let isLive: Bool
  let labels: LabelPolicy?

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
    labels = LabelPolicy(from: block)
    if labels != nil && self.operation == .delete {
      block.error("operation", "found delete, which leaves nothing that policy.k8s could wait for")
    }
    if self.strategy == .json { Self.checkPatch(source, block) }
    block.accept("parameters", "payload")
    block.finish()
  }

  /// A JSON patch is a list, and a source is an object: it names the object that is meant and has
  /// the list as its `patch`.
  private static func checkPatch(_ source: ObjectSource?, _ block: Block) {
    guard case .inline(let object)? = source else { return }
    if let problem = problem(inPatch: object) { block.error("source", problem) }
  }

  /// nil for a list of operations that can be sent.
  static func problem(inPatch object: JSON) -> String? {
    guard let operations = object["patch"]?.items, !operations.isEmpty else {
      return
        "found no list of operations as `patch`, which a JSON patch needs beside the object's name"
    }
    let known = ["add", "remove", "replace", "move", "copy", "test"]
    for (index, operation) in operations.enumerated() {
      let word = operation["op"]?.asString ?? ""
      if !known.contains(word) {
        return "patch[\(index)].op: found '\(word)', expected one of "
          + known.joined(separator: ", ")
      }
      guard operation["path"]?.asString?.hasPrefix("/") == true else {
        return "patch[\(index)].path: expected a path that begins with /"
      }
    }
    return nil
  }
}
