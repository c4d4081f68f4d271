import Event
import JSON
import Posix

/// What a write may change.
extension APIStore {
  static func now() -> String { Timestamp(nanoseconds: wallClockNanoseconds()).wholeSeconds }

  /// The object as the kind's schema lets it in: pruned, or refused (section A.7).
  static func checked(
    _ body: JSON,
    _ kind: APIKind,
    _ options: Options
  ) throws(APIFailure) -> JSON {
    guard case .object = body else { throw .bad("the body is no object") }
    if let named = body["kind"]?.asString, named != kind.kind {
      throw .bad("found kind \(named), expected \(kind.kind)")
    }
    var object = body
    object.set(.string(kind.apiVersion), at: "apiVersion")
    object.set(.string(kind.kind), at: "kind")
    if object["metadata"] == nil { object.set(.object([]), at: "metadata") }
    guard let schema = kind.schema else { return object }
    for (path, known) in schema {
      let keys = path.split(separator: ".").map(String.init)
      for member in (object.at(keys) ?? .null).members where !known.contains(member.key) {
        if options.isStrict {
          throw .bad("strict decoding error: unknown field \"\(path).\(member.key)\"")
        }
        object.set(nil, at: (keys + [member.key])[...])
      }
    }
    for parameter in object.at("spec", "arguments", "parameters")?.items ?? [] {
      for field in ["value", "default"] {
        guard let value = parameter[field], value.asString == nil, value != .null else { continue }
        throw .invalid(
          "spec.arguments.parameters.\(field): Invalid value: must be of type string"
        )
      }
    }
    return object
  }

  /// Sections A.6 and A.7: a version or uid in the body must be the object's.
  static func guardWrite(
    _ kind: APIKind,
    _ name: String,
    _ old: JSON,
    _ new: JSON
  ) throws(APIFailure) {
    if let version = new.at("metadata", "resourceVersion"),
      version != old.at("metadata", "resourceVersion")
    {
      throw .conflict(kind, name, "the object has been modified; apply your changes to the latest")
    }
    if let uid = new.at("metadata", "uid"), uid != old.at("metadata", "uid") {
      throw .conflict(kind, name, "the uid is not the object's")
    }
  }

  /// What a write cannot change stays; the status where it is kept apart (section A.6).
  static func kept(_ kind: APIKind, _ old: JSON, _ new: JSON, _ options: Options) -> JSON {
    var result = new
    if options.subresource == "status" {
      result = old
      result.set(new["status"], at: "status")
    } else if kind.hasStatus {
      result.set(old["status"], at: "status")
    }
    for field in [
      "name", "namespace", "uid", "creationTimestamp", "resourceVersion", "deletionTimestamp",
      "generation", "managedFields",
    ] {
      result.set(old.at("metadata", field), at: "metadata", field)
    }
    // The quick map: without a status subresource the generation moves with the status too.
    func counted(_ object: JSON) -> JSON {
      var counted = object
      counted.set(nil, at: "metadata")
      if kind.hasStatus { counted.set(nil, at: "status") }
      return counted
    }
    if counted(old) != counted(result) {
      let generation = old.at("metadata", "generation")?.wholeNumber ?? 0
      result.set(JSON(generation + 1), at: "metadata", "generation")
    }
    return result
  }

  static func withoutBookkeeping(_ object: JSON) -> JSON {
    var bare = object
    for field in ["resourceVersion", "managedFields", "generation"] {
      bare.set(nil, at: "metadata", field)
    }
    return bare
  }

  /// `managedFields` after a write that is no apply.
  static func owned(_ kind: APIKind, _ old: JSON, _ new: JSON, _ options: Options) -> JSON {
    let before = ManagedFields.leaves(old, atomic: kind.atomicFields)
    let after = ManagedFields.leaves(new, atomic: kind.atomicFields)
    let changed = after.filter { old.at($0) != new.at($0) }
    var fields = ManagedFields(old)
    if !changed.isEmpty || before != after {
      fields.update(options.manager, changed, before.subtracting(after))
    }
    return fields.json(kind.apiVersion, now())
  }
}
