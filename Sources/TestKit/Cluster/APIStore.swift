import Event
import HTTP
import JSON
import Posix
import Synchronization

/// The objects of the test server with their history: what etcd and the API server's storage are
/// to a cluster. One lock; a write and the watch events it causes are one step.
final class APIStore: Sendable {
  /// What a write is told besides the object.
  struct Options: Sendable {
    var manager = "unknown"
    var isDryRun = false
    var isForced = false
    var subresource: String?
    /// Unknown fields are an error and not pruned (section A.10).
    var isStrict = false
  }

  struct Key: Hashable, Sendable {
    let kind: String
    let namespace: String
    let name: String
  }

  struct Record: Sendable {
    let revision: Int
    let key: Key
    /// nil: deleted.
    let object: JSON?
    let last: JSON?
    /// Who wrote it; empty for deletions.
    var manager = ""
  }

  struct State {
    var revision = 1000
    /// Revisions up to this one are forgotten.
    var compacted = 1000
    var objects: [Key: JSON] = [:]
    var history: [Record] = []
    var watchers: [Int: Watcher] = [:]
    var nextWatcher = 0
    var random = Seeded(1)
    var uids = 0
  }

  let state = Mutex(State())
  /// Records that are kept for watches that resume.
  private static let historyMax = 200_000

  // MARK: Reading

  func get(_ kind: APIKind, _ namespace: String, _ name: String) throws(APIFailure) -> JSON {
    let key = Key(kind: kind.key, namespace: namespace, name: name)
    guard let object = state.withLock({ $0.objects[key] }) else { throw .notFound(kind, name) }
    return object
  }

  /// Objects of a kind, by namespace and name.
  /// - Parameter namespace: nil: all.
  func all(_ kind: APIKind, _ namespace: String?) -> (objects: [JSON], revision: Int) {
    state.withLock { state in
      let found = state.objects.filter { entry in
        entry.key.kind == kind.key && (namespace == nil || entry.key.namespace == namespace)
      }
      let sorted = found.sorted {
        ($0.key.namespace, $0.key.name) < ($1.key.namespace, $1.key.name)
      }
      return (sorted.map(\.value), state.revision)
    }
  }

  /// Objects of a kind as they were (`resourceVersionMatch=Exact`, section A.5).
  func all(
    _ kind: APIKind,
    _ namespace: String?,
    at revision: Int
  ) throws(APIFailure) -> [JSON] {
    let found = state.withLock { state -> [Key: JSON]? in
      guard revision >= state.compacted else { return nil }
      var objects = state.objects
      for record in state.history.reversed() where record.revision > revision {
        objects[record.key] = record.last
      }
      return objects.filter { entry in
        entry.key.kind == kind.key && (namespace == nil || entry.key.namespace == namespace)
      }
    }
    guard let found else { throw .expired }
    return found.sorted { ($0.key.namespace, $0.key.name) < ($1.key.namespace, $1.key.name) }
      .map(\.value)
  }

  /// Forgets the history: watches and continuations from before get 410 (section A.5).
  func compact() {
    state.withLock { state in
      state.compacted = state.revision
      state.history = []
    }
  }

  var compacted: Int { state.withLock { $0.compacted } }
  var revision: Int { state.withLock { $0.revision } }

  // MARK: Writing

  func create(
    _ kind: APIKind,
    _ namespace: String,
    _ body: JSON,
    _ options: Options
  ) throws(APIFailure) -> JSON {
    var object = try Self.checked(body, kind, options)
    if body.at("metadata", "resourceVersion")?.asString?.isEmpty == false {
      throw .bad("resourceVersion should not be set on objects to be created")
    }
    if kind.hasStatus { object.set(nil, at: "status") }
    return try locked { (state) throws(APIFailure) in
      var name = object.at("metadata", "name")?.asString ?? ""
      if name.isEmpty {
        guard let base = object.at("metadata", "generateName")?.asString, !base.isEmpty else {
          throw .invalid("name or generateName is required")
        }
        // Section A.4: 5 characters, base cut to 58.
        let letters = Array("bcdfghjklmnpqrstvwxz2456789")
        name = String(base.prefix(58))
        for _ in 0..<5 { name.append(letters[Int(state.random.next() % 27)]) }
      }
      let key = Key(kind: kind.key, namespace: namespace, name: name)
      if state.objects[key] != nil { throw .alreadyExists(kind, name) }
      state.uids += 1
      object.set(.string(name), at: "metadata", "name")
      if kind.isNamespaced { object.set(.string(namespace), at: "metadata", "namespace") }
      let uid = "00000000-0000-4000-8000-" + padded(state.uids, 12)
      object.set(.string(uid), at: "metadata", "uid")
      object.set(.string(Self.now()), at: "metadata", "creationTimestamp")
      object.set(1, at: "metadata", "generation")
      var fields = ManagedFields(.null)
      fields.update(options.manager, ManagedFields.leaves(object, atomic: kind.atomicFields), [])
      object.set(fields.json(kind.apiVersion, Self.now()), at: "metadata", "managedFields")
      return Self.commit(key, object, nil, options, &state)
    }
  }

  /// A whole object in the place of another, or of its status (section A.6).
  func replace(
    _ kind: APIKind,
    _ namespace: String,
    _ name: String,
    _ body: JSON,
    _ options: Options
  ) throws(APIFailure) -> JSON {
    let wanted = try Self.checked(body, kind, options)
    let version = body.at("metadata", "resourceVersion")?.asString ?? ""
    if version.isEmpty && !kind.isBuiltIn {
      throw .invalid(
        "metadata.resourceVersion: Invalid value: 0x0: must be specified for an update"
      )
    }
    return try write(kind, namespace, name, options) { _ in wanted }
  }

  func patch(
    _ kind: APIKind,
    _ namespace: String,
    _ name: String,
    _ options: Options,
    _ change: (JSON) throws(APIFailure) -> JSON
  ) throws(APIFailure) -> JSON {
    try write(kind, namespace, name, options) { (old) throws(APIFailure) in
      try Self.checked(try change(old), kind, options)
    }
  }

  private func write(
    _ kind: APIKind,
    _ namespace: String,
    _ name: String,
    _ options: Options,
    _ change: (JSON) throws(APIFailure) -> JSON
  ) throws(APIFailure) -> JSON {
    let key = Key(kind: kind.key, namespace: namespace, name: name)
    return try locked { (state) throws(APIFailure) in
      guard let old = state.objects[key] else { throw .notFound(kind, name) }
      var new = try change(old)
      try Self.guardWrite(kind, name, old, new)
      new = Self.kept(kind, old, new, options)
      let fields = Self.owned(kind, old, new, options)
      if Self.withoutBookkeeping(old) == Self.withoutBookkeeping(new) { return old }
      new.set(fields, at: "metadata", "managedFields")
      return Self.commit(key, new, old, options, &state)
    }
  }

  /// Server-side apply (section A.7): creates, takes, refuses and removes fields.
  func apply(
    _ kind: APIKind,
    _ namespace: String,
    _ name: String,
    _ body: JSON,
    _ options: Options
  ) throws(APIFailure) -> JSON {
    guard body["apiVersion"] != nil, body["kind"] != nil,
      body.at("metadata", "name")?.asString == name
    else { throw .bad("an apply needs apiVersion, kind and the name of the URL") }
    if body.at("metadata", "managedFields") != nil { throw .bad("managedFields must be nil") }
    let key = Key(kind: kind.key, namespace: namespace, name: name)
    let wanted = try Self.checked(body, kind, options)
    let isThere = state.withLock { $0.objects[key] != nil }
    if !isThere {
      _ = try create(kind, namespace, wanted, Options(manager: "", isDryRun: options.isDryRun))
      if options.isDryRun { return wanted }
    }
    return try locked { (state) throws(APIFailure) in
      guard let old = state.objects[key] else { throw .notFound(kind, name) }
      var fields = ManagedFields(old)
      // What the creation above noted for nobody.
      if !isThere { fields = ManagedFields(.null) }
      let paths = ManagedFields.leaves(wanted, atomic: kind.atomicFields)
      let conflicts = fields.conflicts(of: options.manager, paths, wanted, with: old)
      if !conflicts.isEmpty && !options.isForced { throw Self.conflict(conflicts) }
      var new = old
      for path in fields.abandoned(by: options.manager, paths) { new.set(nil, at: path[...]) }
      for path in paths { new.set(wanted.at(path), at: path[...]) }
      fields.apply(options.manager, paths, taking: Set(conflicts.map(\.path)))
      new = Self.kept(kind, old, new, options)
      new.set(fields.json(kind.apiVersion, Self.now()), at: "metadata", "managedFields")
      if new == old { return old }
      return Self.commit(key, new, old, options, &state)
    }
  }

  private static func conflict(_ conflicts: [(path: [String], manager: String)]) -> APIFailure {
    APIFailure(
      code: 409,
      reason: "Conflict",
      message: "Apply failed with \(conflicts.count) conflict: conflict with "
        + "\"\(conflicts[0].manager)\": .\(conflicts[0].path.joined(separator: "."))",
      details: [
        "causes": .array(
          conflicts.map { conflict in
            [
              "reason": "FieldManagerConflict",
              "message": .string("conflict with \"\(conflict.manager)\""),
              "field": .string("." + conflict.path.joined(separator: ".")),
            ]
          }
        )
      ]
    )
  }

  /// Removes an object, or marks it while it has finalizers (section A.8).
  func delete(
    _ kind: APIKind,
    _ namespace: String,
    _ name: String,
    _ body: JSON,
    _ options: Options
  ) throws(APIFailure) -> JSON {
    let key = Key(kind: kind.key, namespace: namespace, name: name)
    return try locked { (state) throws(APIFailure) in
      guard let old = state.objects[key] else { throw .notFound(kind, name) }
      for field in ["uid", "resourceVersion"] {
        guard let wanted = body.at("preconditions", field) else { continue }
        if wanted != old.at("metadata", field) {
          throw .conflict(kind, name, "the \(field) in the precondition is not the object's")
        }
      }
      if options.isDryRun { return old }
      if old.at("metadata", "finalizers")?.items.isEmpty == false {
        var marked = old
        marked.set(.string(Self.now()), at: "metadata", "deletionTimestamp")
        return Self.commit(key, marked, old, options, &state)
      }
      Self.remove(key, old, &state)
      return [
        "kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Success",
        "details": ["name": .string(name), "uid": old.at("metadata", "uid") ?? .null],
      ]
    }
  }

  // MARK: Under the lock

  private func locked(
    _ body: (inout State) throws(APIFailure) -> JSON
  ) throws(APIFailure) -> JSON {
    let result = state.withLock { state -> Result<JSON, APIFailure> in
      do throws(APIFailure) { return .success(try body(&state)) } catch { return .failure(error) }
    }
    return try result.get()
  }

  private static func commit(
    _ key: Key,
    _ object: JSON,
    _ old: JSON?,
    _ options: Options,
    _ state: inout State
  ) -> JSON {
    var object = object
    if options.isDryRun { return object }
    state.revision += 1
    object.set(.string(String(state.revision)), at: "metadata", "resourceVersion")
    // The last finalizer is gone.
    if object.at("metadata", "deletionTimestamp") != nil,
      object.at("metadata", "finalizers")?.items.isEmpty ?? true
    {
      state.objects[key] = object
      remove(key, object, &state)
      return object
    }
    state.objects[key] = object
    tell(
      Record(
        revision: state.revision,
        key: key,
        object: object,
        last: old,
        manager: options.manager
      ),
      &state
    )
    return object
  }

  private static func remove(_ key: Key, _ old: JSON, _ state: inout State) {
    state.revision += 1
    state.objects[key] = nil
    var last = old
    last.set(.string(String(state.revision)), at: "metadata", "resourceVersion")
    tell(Record(revision: state.revision, key: key, object: nil, last: last), &state)
    // Garbage collection of what it owned (section A.4).
    let uid = old.at("metadata", "uid")
    let owned = state.objects.filter { entry in
      entry.key.namespace == key.namespace
        && entry.value.at("metadata", "ownerReferences")?.items.contains { $0["uid"] == uid }
          == true
    }
    for (key, object) in owned { remove(key, object, &state) }
  }

  private static func tell(_ record: Record, _ state: inout State) {
    state.history.append(record)
    if state.history.count > historyMax {
      let cut = state.history.count / 2
      state.compacted = state.history[cut - 1].revision
      state.history.removeFirst(cut)
    }
    for watcher in state.watchers.values { watcher.take(record) }
  }
}

func padded(_ number: Int, _ width: Int) -> String {
  let text = String(number)
  return String(repeating: "0", count: max(0, width - text.count)) + text
}
