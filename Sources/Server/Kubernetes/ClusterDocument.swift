import JSON

/// One of our objects in a cluster, read as if it were a document of a manifest file.
struct ClusterDocument: Sendable, Equatable {
  struct Key: Hashable, Sendable, Comparable, CustomStringConvertible {
    let namespace: String
    let kind: String
    let name: String

    /// What messages call it: `namespace/kind/name`.
    var description: String { "\(namespace)/\(kind)/\(name)" }

    static func < (a: Key, b: Key) -> Bool {
      (a.namespace, a.kind, a.name) < (b.namespace, b.kind, b.name)
    }
  }

  let key: Key
  let uid: String
  /// `metadata.generation`, which counts edits of the spec.
  let generation: Int
  let created: String
  /// What it says, without what the cluster and others keep in it.
  let content: JSON

  /// The kinds, with the names that they have in addresses.
  static let kinds = [
    "EventBus": "eventbus", "EventSource": "eventsources", "Sensor": "sensors",
  ]
  static let apiVersion = "argoproj.io/v1alpha1"

  /// nil for what is none of ours.
  init?(_ object: JSON) {
    guard let kind = object["kind"]?.asString, Self.kinds[kind] != nil,
      let name = object.at("metadata", "name")?.asString,
      let namespace = object.at("metadata", "namespace")?.asString
    else { return nil }
    key = Key(namespace: namespace, kind: kind, name: name)
    uid = object.at("metadata", "uid")?.asString ?? ""
    generation = object.at("metadata", "generation")?.wholeNumber ?? 0
    created = object.at("metadata", "creationTimestamp")?.asString ?? ""
    var content: JSON = [
      "apiVersion": .string(Self.apiVersion), "kind": .string(kind),
      "metadata": ["name": .string(name), "namespace": .string(namespace)],
    ]
    if let spec = object["spec"] { content.set(spec, at: "spec") }
    self.content = content
  }

  /// As `init` reads it.
  var object: JSON {
    var object = content
    object.set(.string(uid), at: "metadata", "uid")
    object.set(JSON(generation), at: "metadata", "generation")
    object.set(.string(created), at: "metadata", "creationTimestamp")
    return object
  }
}
