package import ForgeAPI
package import JSON
import Plugin

/// What is on the log of a hook that an entry has at a forge, so that it can be known again, and
/// removed when nothing speaks of it any more. Secrets are named in it, never told.
package struct HookRecord: Sendable, Equatable {
  package let target: HookTarget
  package let id: String
  /// Of the secret that the forge was given last, made with the installation's key.
  let secretDigest: String?
  /// Where its deliveries went, without a token; nil in records of versions that did not say it.
  let url: String?
  /// Whether the entry said that the hook goes with it.
  package let deletes: Bool
  /// Where the hook is and who may remove it; nil in records of versions that did not say it.
  let access: JSON?

  init(
    _ target: HookTarget,
    id: String,
    secretDigest: String?,
    _ registration: HookRegistration
  ) {
    self.target = target
    self.id = id
    self.secretDigest = secretDigest
    url = registration.url
    deletes = registration.deletes
    access = registration.access.record
  }

  /// nil where a place tells of something else.
  init?(key: String, _ value: JSON) {
    guard let target = key.behind(Self.prefix).flatMap(HookTarget.init),
      let id = value["id"]?.asString
    else { return nil }
    self.target = target
    self.id = id
    secretDigest = value["secret"]?.asString
    url = value["url"]?.asString
    deletes = value["deletes"] == .bool(true)
    access = value["access"]
  }

  private static let prefix = "hook "

  var key: String { Self.key(target) }

  static func key(_ target: HookTarget) -> String { prefix + target.description }

  var value: JSON {
    var members = [JSON.Member(key: "id", value: .string(id))]
    if let secretDigest { members.append(.init(key: "secret", value: .string(secretDigest))) }
    if let url { members.append(.init(key: "url", value: .string(url))) }
    members.append(.init(key: "deletes", value: .bool(deletes)))
    if let access { members.append(.init(key: "access", value: access)) }
    return .object(members)
  }

  /// What is noted when the hook is nobody's any more.
  var forgotten: [SourcePlace] {
    [SourcePlace(key: key, value: nil), SourcePlace(key: deliveriesKey, value: nil)]
  }

  var deliveriesKey: String { Self.deliveriesKey(target, id) }

  /// Where it stands how far the deliveries of a hook have been looked at.
  static func deliveriesKey(_ target: HookTarget, _ hook: String) -> String {
    "deliveries \(target) \(hook)"
  }

  /// Those among the places of an entry, in the order of their targets.
  package static func all(in places: [String: JSON]) -> [HookRecord] {
    places.compactMap { HookRecord(key: $0.key, $0.value) }.sorted { $0.key < $1.key }
  }
}
