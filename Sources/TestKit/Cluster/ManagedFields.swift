import JSON

/// Who owns which field (section A.7, server-side apply): per manager a set of paths to leaves.
/// Lists are leaves, as in the kinds of Argo.
struct ManagedFields {
  typealias Path = [String]

  struct Entry: Equatable {
    let manager: String
    /// `Apply` or `Update`.
    let operation: String
    var paths: Set<Path>
  }

  private(set) var entries: [Entry]

  init(_ object: JSON) {
    entries = (object.at("metadata", "managedFields")?.items ?? []).map { entry in
      var paths: Set<Path> = []
      Self.decode(entry["fieldsV1"] ?? .null, [], &paths)
      return Entry(
        manager: entry["manager"]?.asString ?? "",
        operation: entry["operation"]?.asString ?? "",
        paths: paths
      )
    }
  }

  /// Other managers that own a path with another value than `object` has.
  func conflicts(
    of manager: String,
    _ wanted: Set<Path>,
    _ applied: JSON,
    with object: JSON
  ) -> [(path: Path, manager: String)] {
    wanted.sorted { $0.joined(separator: ".") < $1.joined(separator: ".") }.compactMap { path in
      guard object.at(path) != applied.at(path), object.at(path) != nil else { return nil }
      let owner = entries.first {
        $0.paths.contains(path) && !($0.manager == manager && $0.operation == "Apply")
      }
      return owner.map { (path, $0.manager) }
    }
  }

  /// What `manager` applied before and owns alone.
  func abandoned(by manager: String, _ wanted: Set<Path>) -> Set<Path> {
    let own = entries.first { $0.manager == manager && $0.operation == "Apply" }?.paths ?? []
    let others = entries.filter { !($0.manager == manager && $0.operation == "Apply") }
      .reduce(into: Set<Path>()) { $0.formUnion($1.paths) }
    return own.subtracting(wanted).subtracting(others)
  }

  mutating func apply(_ manager: String, _ wanted: Set<Path>, taking stolen: Set<Path>) {
    for index in entries.indices { entries[index].paths.subtract(stolen) }
    entries.removeAll { $0.manager == manager && $0.operation == "Apply" }
    entries.append(Entry(manager: manager, operation: "Apply", paths: wanted))
    entries.removeAll { $0.paths.isEmpty }
  }

  /// A write that is no apply takes what it changed.
  mutating func update(_ manager: String, _ changed: Set<Path>, _ removed: Set<Path>) {
    for index in entries.indices {
      entries[index].paths.subtract(removed)
      if entries[index].manager != manager { entries[index].paths.subtract(changed) }
    }
    let place = entries.firstIndex { $0.manager == manager && $0.operation == "Update" }
    if let place {
      entries[place].paths.formUnion(changed)
    } else {
      entries.append(Entry(manager: manager, operation: "Update", paths: changed))
    }
    entries.removeAll { $0.paths.isEmpty }
  }

  func json(_ apiVersion: String, _ time: String) -> JSON {
    .array(
      entries.map { entry in
        [
          "manager": .string(entry.manager), "operation": .string(entry.operation),
          "apiVersion": .string(apiVersion), "time": .string(time), "fieldsType": "FieldsV1",
          "fieldsV1": Self.encode(entry.paths),
        ]
      }
    )
  }

  /// The paths of all leaves below `value`.
  static func leaves(_ value: JSON, atomic: Set<String>) -> Set<Path> {
    var found: Set<Path> = []
    func walk(_ value: JSON, _ path: Path) {
      if case .object(let members) = value, !members.isEmpty,
        !atomic.contains(path.joined(separator: "."))
      {
        for member in members { walk(member.value, path + [member.key]) }
      } else if !path.isEmpty {
        found.insert(path)
      }
    }
    walk(value, [])
    let own: Set<String> = [
      "apiVersion", "kind", "metadata.name", "metadata.namespace", "metadata.uid",
      "metadata.resourceVersion", "metadata.generation", "metadata.creationTimestamp",
      "metadata.managedFields", "metadata.deletionTimestamp", "metadata.generateName",
    ]
    return found.filter { !own.contains($0.joined(separator: ".")) }
  }

  private static func encode(_ paths: Set<Path>) -> JSON {
    var tree = JSON.object([])
    for path in paths { tree.set(.object([]), at: path.map { "f:" + $0 }[...]) }
    return tree
  }

  private static func decode(_ tree: JSON, _ path: Path, _ paths: inout Set<Path>) {
    if tree.members.isEmpty {
      if !path.isEmpty { paths.insert(path) }
      return
    }
    for member in tree.members {
      decode(member.value, path + [String(member.key.dropFirst(2))], &paths)
    }
  }
}
