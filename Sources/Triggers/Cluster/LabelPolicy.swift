import Cluster
import JSON
import Manifest
import Plugin
import Posix

/// `policy.k8s`: labels that an object gets from somebody else when all is well (spec section 4.8).
struct LabelPolicy: Sendable {
  private let labels: [(key: String, value: String)]
  private let timeout: Duration
  /// Whether it is a failure when they do not come in time.
  private let fails: Bool

  /// Reads what the manifest's reader has put into a trigger's block; nil: nothing.
  init?(from block: Block) {
    guard let own = block.block("policy.k8s") else { return nil }
    labels = own.stringMap("labels") ?? []
    timeout = own.duration("timeout") ?? .zero
    fails = own.bool("fails") ?? false
    own.finish()
  }

  var deadline: MonotonicTime { MonotonicTime.now() + timeout }

  func holds(_ object: JSON) -> Bool {
    labels.allSatisfy { object.at("metadata", "labels", $0.key) == .string($0.value) }
  }

  /// What it means that they did not come.
  func expired(_ result: JSON) -> Outcome {
    guard fails else { return .done(result: result) }
    let wanted = labels.map { "\($0.key)=\($0.value)" }.joined(separator: ", ")
    return .reject(why: "the object did not get \(wanted) within \(timeout)", result: result)
  }

  /// Waits for the labels of an object.
  /// - Parameter result: of the outcome.
  func wait(
    for object: JSON,
    _ type: ResourceType,
    _ connection: ClusterAccess.Connection,
    _ result: JSON
  ) async -> Outcome {
    if holds(object) { return .done(result: result) }
    let deadline = deadline
    let outcome = await connection.followers.follow(
      type,
      namespace: object.at("metadata", "namespace")?.asString ?? "",
      name: object.at("metadata", "name")?.asString ?? "",
      patience: { max(.zero, deadline - MonotonicTime.now()) }
    ) { sighting -> Outcome? in
      switch sighting {
      case .present(let object) where holds(object): return .done(result: result)
      case .gone(let last):
        if let last, holds(last) { return .done(result: result) }
        return .reject(why: "the object was deleted before it got its labels", result: result)
      case .present, .nothing:
        return MonotonicTime.now() >= deadline ? expired(result) : nil
      }
    }
    return outcome ?? .retry(after: nil, why: "shutting down", result: result)
  }
}
