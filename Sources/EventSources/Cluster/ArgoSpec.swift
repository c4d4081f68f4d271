import Cluster
import JSON
package import Manifest

/// The fields of an `argo` event source, which is ours.
package struct ArgoSpec: ManifestBlock, Sendable {
  enum Kind: String, CaseIterable, Sendable {
    case workflow = "Workflow"
    case application = "Application"
    case rollout = "Rollout"
    case analysisRun = "AnalysisRun"

    var plural: String { rawValue.lowercased() + "s" }
  }

  /// nil: all.
  let namespace: String?
  let kinds: [Kind]
  /// Only these are told; empty: all.
  let phases: Set<String>
  let filter: ObjectFilter
  let metadata: [JSON.Member]

  package init(from block: Block) {
    namespace = block.string("namespace").flatMap { $0.isEmpty ? nil : $0 }
    var kinds: [Kind] = []
    for (index, word) in (block.strings("kinds") ?? []).enumerated() {
      guard let kind = Kind(rawValue: word) else {
        let known = Kind.allCases.map(\.rawValue).joined(separator: ", ")
        block.error("kinds[\(index)]", "found '\(word)', expected one of \(known)")
        continue
      }
      if !kinds.contains(kind) { kinds.append(kind) }
    }
    self.kinds = kinds.isEmpty ? Kind.allCases : kinds
    phases = Set(block.strings("phases") ?? [])
    filter = ObjectFilter(from: block.block("filter"))
    metadata = webhookMetadata(block)
    block.finish()
  }
}
