/// A mapping being read. What is asked for becomes a known key; `finish` reports every key that
/// nobody asked for, so the code that reads a block is also its schema.
///
/// Reading never throws: a problem is added to the diagnostics and a harmless value returned, so
/// one pass finds all problems. A `null` value counts as absent.
package final class Block {
  package var mark: Mark { node.mark }
  /// The mapping itself.
  package let node: Node
  /// The path of this block from the document's root.
  package let path: String
  package let diagnostics: Diagnostics
  private let entries: [Node.Entry]
  private var known: [String] = []

  /// Anything but a mapping is reported and read as an empty one.
  package init(_ node: Node, path: String, _ diagnostics: Diagnostics) {
    self.node = node
    self.path = path
    self.diagnostics = diagnostics
    if case .mapping(let entries) = node.value {
      self.entries = entries
    } else {
      entries = []
      diagnostics.add(
        Diagnostic(.error, node.mark, field: path, "found \(node.kindName), expected a mapping")
      )
    }
  }

  // MARK: Reading

  /// The raw node under `key`, for what has no fixed shape; nil when absent or null.
  package func node(_ key: String) -> Node? {
    know(key)
    guard let node = entries.first(where: { $0.key == key })?.node else { return nil }
    if case .null = node.value { return nil }
    return node
  }

  package func contains(_ key: String) -> Bool { node(key) != nil }

  package func string(_ key: String) -> String? {
    guard let node = node(key) else { return nil }
    guard case .string(let text) = node.value else {
      mismatch(key, node, "a string")
      return nil
    }
    return text
  }

  /// A string that must be there and not be empty.
  package func requiredString(_ key: String) -> String {
    guard let node = node(key) else {
      missing(key, "a string")
      return ""
    }
    guard case .string(let text) = node.value else {
      mismatch(key, node, "a string")
      return ""
    }
    if text.isEmpty { error(key, "found an empty string, expected text") }
    return text
  }

  package func bool(_ key: String) -> Bool? {
    guard let node = node(key) else { return nil }
    guard case .bool(let value) = node.value else {
      mismatch(key, node, "true or false")
      return nil
    }
    return value
  }

  package func integer(_ key: String, in range: ClosedRange<Int>) -> Int? {
    guard let node = node(key) else { return nil }
    guard case .number(let text) = node.value, let number = Int(text) else {
      mismatch(key, node, "a whole number")
      return nil
    }
    guard range.contains(number) else {
      let bounds = "\(range.lowerBound) to \(range.upperBound)"
      error(key, "found \(number), expected a number from \(bounds)")
      return nil
    }
    return number
  }

  package func number(_ key: String) -> Double? {
    guard let node = node(key) else { return nil }
    guard case .number(let text) = node.value, let number = Double(text), number.isFinite else {
      mismatch(key, node, "a number")
      return nil
    }
    return number
  }

  package func strings(_ key: String) -> [String]? {
    guard let nodes = list(key) else { return nil }
    return nodes.enumerated().compactMap { index, node in
      if case .string(let text) = node.value { return text }
      mismatch("\(key)[\(index)]", node, "a string")
      return nil
    }
  }

  /// A mapping of strings, in the order written.
  package func stringMap(_ key: String) -> [(key: String, value: String)]? {
    guard let node = node(key) else { return nil }
    guard case .mapping(let entries) = node.value else {
      mismatch(key, node, "a mapping of strings")
      return nil
    }
    return entries.compactMap { entry in
      if case .string(let text) = entry.node.value { return (entry.key, text) }
      mismatch("\(key).\(entry.key)", entry.node, "a string")
      return nil
    }
  }

  package func list(_ key: String) -> [Node]? {
    guard let node = node(key) else { return nil }
    guard case .sequence(let nodes) = node.value else {
      mismatch(key, node, "a list")
      return nil
    }
    return nodes
  }

  /// The mapping under `key`, to be read and finished by the caller.
  package func block(_ key: String) -> Block? {
    node(key).map { Block($0, path: child(key), diagnostics) }
  }

  /// The mappings of a list, each to be read and finished by the caller.
  package func blocks(_ key: String) -> [Block] {
    (list(key) ?? []).enumerated().map { index, node in
      Block(node, path: child("\(key)[\(index)]"), diagnostics)
    }
  }

  /// The entries of the mapping under `key`: name, its place, value.
  package func named(_ key: String) -> [Node.Entry] {
    guard let node = node(key) else { return [] }
    guard case .mapping(let entries) = node.value else {
      mismatch(key, node, "a mapping")
      return []
    }
    return entries
  }

  /// A `{name, key}` selector of a secret (spec section 2.2).
  package func secret(_ key: String) -> SecretSelector? {
    guard let block = block(key) else { return nil }
    let selector = SecretSelector(
      name: block.requiredString("name"),
      key: block.requiredString("key"),
      mark: block.mark
    )
    if block.bool("optional") == true {
      block.error("optional", "not supported: a secret that is named here must exist")
    }
    block.finish()
    return selector
  }

  /// A duration: a Go duration string such as `1m30s`, or a whole number of nanoseconds
  /// (spec section 2.2).
  package func duration(_ key: String) -> Duration? {
    guard let node = node(key) else { return nil }
    switch node.value {
    case .number(let text):
      if let nanoseconds = Int64(text), nanoseconds >= 0 { return .nanoseconds(nanoseconds) }
    case .string(let text):
      if let duration = Duration(goDuration: text) { return duration }
      error(key, "found '\(text)', expected a duration such as 500ms, 30s or 1h30m")
      return nil
    default: break
    }
    mismatch(key, node, "a duration such as 500ms, 30s or 1h30m")
    return nil
  }

  // MARK: Keys that are known but not read

  /// Keys that belong here and that somebody else reads, or nobody needs.
  package func accept(_ keys: String...) {
    for key in keys { know(key) }
  }

  /// Keys that only mean something in Kubernetes: accepted, and said so at info.
  package func kubernetesOnly(_ keys: String...) {
    for key in keys where contains(key) {
      report(.info, key, "has no meaning outside Kubernetes and is not used")
    }
  }

  /// Keys that are known but have no implementation yet: an error that says so.
  package func notSupportedYet(_ keys: String...) {
    for key in keys where contains(key) { error(key, "is not supported yet") }
  }

  // MARK: Reporting

  package func error(_ key: String? = nil, _ message: String) { report(.error, key, message) }

  package func warning(_ key: String? = nil, _ message: String) { report(.warning, key, message) }

  package func report(_ severity: Diagnostic.Severity, _ key: String?, _ message: String) {
    let field = key.map { child($0) } ?? path
    diagnostics.add(Diagnostic(severity, key.map(mark(of:)) ?? mark, field: field, message))
  }

  /// Where the value of `key` is, or the key itself where the value spans lines; the place of
  /// the block where there is no such key. A key may have a path below it: `args[0]`, `src.value`.
  package func mark(of key: String) -> Mark {
    let own = String(key.prefix { $0 != "[" })
    guard let entry = entries.first(where: { $0.key == own }) else { return mark }
    switch entry.node.value {
    case .null, .mapping: return entry.mark
    case .sequence(let items):
      let index = key.dropFirst(own.count + 1).prefix { $0 != "]" }
      guard let index = Int(index), items.indices.contains(index) else { return entry.mark }
      return items[index].mark
    default: return entry.node.mark
    }
  }

  /// Reports every key that was not asked for. Call it last.
  package func finish() {
    let expected = known.sorted().joined(separator: ", ")
    for entry in entries where !known.contains(entry.key) {
      let nearest = nearestName(to: entry.key, in: known)
      let hint = nearest.map { "; did you mean '\($0)'?" } ?? ", expected one of \(expected)"
      diagnostics.add(
        Diagnostic(
          .error,
          entry.mark,
          field: child(entry.key),
          "found an unknown key '\(entry.key)'\(hint)"
        )
      )
    }
  }

  package func child(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

  private func know(_ key: String) {
    if !known.contains(key) { known.append(key) }
  }

  private func missing(_ key: String, _ expected: String) {
    diagnostics.add(
      Diagnostic(.error, mark, field: child(key), "found nothing, expected \(expected)")
    )
  }

  private func mismatch(_ key: String, _ node: Node, _ expected: String) {
    diagnostics.add(
      Diagnostic(
        .error,
        node.mark,
        field: child(key),
        "found \(node.kindName), expected \(expected)"
      )
    )
  }
}

/// The place of a secret value (spec section 2.2).
package struct SecretSelector: Hashable, Sendable {
  package let name: String
  package let key: String
  /// Where the manifest names it.
  package let mark: Mark

  package init(name: String, key: String, mark: Mark) {
    self.name = name
    self.key = key
    self.mark = mark
  }
}

/// A part of a manifest that can be read from a block. It reads all its keys and finishes it.
package protocol ManifestBlock {
  init(from block: Block)
}

func nearestName(to name: String, in names: [String]) -> String? {
  let ranked = names.map { (name: $0, distance: editDistance(name, $0)) }
  let best = ranked.min { $0.distance < $1.distance }
  guard let best, best.distance <= max(2, name.count / 3) else { return nil }
  return best.name
}

private func editDistance(_ a: String, _ b: String) -> Int {
  let b = Array(b.lowercased())
  var row = Array(0...b.count)
  for (i, x) in a.lowercased().enumerated() {
    var diagonal = row[0]
    row[0] = i + 1
    for j in b.indices {
      let change = diagonal + (x == b[j] ? 0 : 1)
      diagonal = row[j + 1]
      row[j + 1] = min(change, row[j] + 1, row[j + 1] + 1)
    }
  }
  return row[b.count]
}
