package import Manifest

/// The fields of an `argoRollout` trigger.
package struct RolloutSpec: ManifestBlock, Sendable {
  enum Operation: String, Sendable, CaseIterable {
    case promote, promoteFull, abort, retry, restart, pause, undo, setImage
  }

  let operation: Operation
  let rollout: String
  /// nil: the sensor's.
  let namespace: String?
  /// Container to image; `*` for all.
  let images: [(container: String, image: String)]
  /// 0: the one before.
  let revision: Int
  let isFollowed: Bool
  let timeout: Duration

  package init(from block: Block) {
    let word = block.requiredString("operation")
    let operation = Operation(rawValue: word)
    if operation == nil && !word.isEmpty {
      let known = Operation.allCases.map(\.rawValue).joined(separator: ", ")
      block.error("operation", "found '\(word)', expected one of \(known)")
    }
    self.operation = operation ?? .pause
    rollout = block.requiredString("rollout")
    namespace = block.string("namespace").flatMap { $0.isEmpty ? nil : $0 }
    images = (block.stringMap("images") ?? []).map { ($0.key, $0.value) }
    if (operation == .setImage) == images.isEmpty, operation != nil {
      block.error("images", "belongs to operation setImage, which needs at least one")
    }
    revision = block.integer("toRevision", in: 0...Int(Int32.max)) ?? 0
    if revision != 0 && operation != .undo {
      block.error("toRevision", "belongs to operation undo")
    }
    let follow = block.bool("follow")
    isFollowed = follow ?? (self.operation != .pause)
    timeout = block.duration("timeout") ?? .seconds(24 * 3600)
    block.accept("parameters", "payload")
    block.finish()
  }
}
