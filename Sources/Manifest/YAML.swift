import Yams

/// The documents of YAML text that stands inside something else; marks count from its first line.
/// - Parameter file: what problems name as the file.
package func yamlDocuments(
  _ text: String,
  file: String,
  _ diagnostics: Diagnostics
) -> [Node] {
  var reader = YAMLReader(file: file, diagnostics: diagnostics)
  return reader.documents(text)
}

/// Reads YAML (JSON included) with the scalars of the YAML 1.2 core schema.
struct YAMLReader {
  let file: String
  let diagnostics: Diagnostics
  /// What a plain scalar is.
  private let scalars: (String) -> Node.Value
  private let hasTypedKeys: Bool
  /// Values a file may have once its aliases are written out: an alias of aliases of aliases
  /// grows as a power of the file's size.
  private var valuesLeft = 200_000

  init(
    file: String,
    diagnostics: Diagnostics,
    scalars: ((String) -> Node.Value)? = nil
  ) {
    self.file = file
    self.diagnostics = diagnostics
    self.scalars = scalars ?? coreValue
    hasTypedKeys = scalars != nil
  }

  /// The documents of a stream, empty ones left out. After a syntax error nothing more of the
  /// file is read.
  mutating func documents(_ text: String) -> [Node] {
    guard !hasComposedKeys(text) else {
      error(
        Mark(file: file, line: 1, column: 1),
        "found a key that is no plain text beside anchors"
      )
      return []
    }
    var documents: [Node] = []
    do {
      // Scalars are told apart below; the basic resolver makes keys that differ in quotes equal.
      let parser = try Parser(yaml: text, resolver: .basic, encoding: .utf8)
      while let root = try parser.nextRoot() {
        let node = convert(root)
        guard valuesLeft > 0 else {
          error(
            node.mark,
            "found too many values, expected at most 200000 with aliases written out"
          )
          return documents
        }
        if case .null = node.value { continue }
        documents.append(node)
      }
    } catch {
      report(error)
    }
    return documents
  }

  private mutating func convert(_ node: Yams.Node) -> Node {
    valuesLeft -= 1
    let mark = place(node.mark)
    guard valuesLeft > 0 else { return Node(.null, mark) }
    switch node {
    case .scalar(let scalar):
      return Node(value(of: scalar, mark), mark)
    case .sequence(let sequence):
      var items: [Node] = []
      for item in sequence { items.append(convert(item)) }
      return Node(.sequence(items), mark)
    case .mapping(let mapping):
      return Node(.mapping(entries(of: mapping)), mark)
    case .alias:
      // The parser has put the anchor's value in its place.
      error(mark, "found an alias without its anchor")
      return Node(.null, mark)
    }
  }

  private mutating func entries(of mapping: Yams.Node.Mapping) -> [Node.Entry] {
    var entries: [Node.Entry] = []
    var merged: [Node.Entry] = []
    var keys: Set<String> = []
    for (key, value) in mapping {
      let mark = place(key.mark)
      guard case .scalar(let scalar) = key else {
        error(mark, "found a key that is a list or a mapping, expected text")
        continue
      }
      if scalar.string == "<<", scalar.style == .plain {
        merged += merge(convert(value))
      } else {
        let name = keyText(scalar)
        keys.insert(name)
        entries.append(Node.Entry(key: name, mark: mark, node: convert(value)))
      }
    }
    // What the mapping says itself wins over what it merges, and earlier over later.
    return entries + merged.filter { keys.insert($0.key).inserted }
  }

  /// A key as written; where scalars have the types of YAML 1.1 as those are printed.
  private func keyText(_ scalar: Yams.Node.Scalar) -> String {
    guard hasTypedKeys, scalar.style == .plain else { return scalar.string }
    switch scalars(scalar.string) {
    case .bool(let value): return value ? "true" : "false"
    case .number(let text): return text
    case .null: return "null"
    default: return scalar.string
    }
  }

  private func merge(_ node: Node) -> [Node.Entry] {
    switch node.value {
    case .mapping(let entries): return entries
    case .sequence(let nodes): return nodes.flatMap { merge($0) }
    default:
      error(
        node.mark,
        "found \(node.kindName) under '<<', expected a mapping or a list of mappings"
      )
      return []
    }
  }

  private func value(of scalar: Yams.Node.Scalar, _ mark: Mark) -> Node.Value {
    let tag = scalar.tag.description
    if tag == Tag.Name.str.rawValue { return .string(scalar.string) }
    if tag.hasPrefix("!") && tag != "!" {
      error(mark, "found the tag '\(tag)', expected none")
    }
    return scalar.style == .plain ? scalars(scalar.string) : .string(scalar.string)
  }

  // MARK: Reporting

  private func place(_ mark: Yams.Mark?) -> Mark {
    Mark(file: file, line: mark?.line ?? 1, column: mark?.column ?? 1)
  }

  private func error(_ mark: Mark, _ message: String) {
    diagnostics.add(Diagnostic(.error, mark, field: "", message))
  }

  private func report(_ problem: any Error) {
    switch problem as? YamlError {
    case .scanner(let context, let text, let mark, _), .parser(let context, let text, let mark, _),
      .composer(let context, let text, let mark, _):
      let around = context.map { " \($0.text)" } ?? ""
      error(place(mark), "YAML syntax: \(text)\(around)")
    case .duplicatedKeysInMapping(let keys, let context):
      for key in keys {
        error(place(context.mark), "found the key '\(key)' more than once, expected it once")
      }
    case .reader(let problem, let offset, _, let text):
      let before = text.utf8.prefix(offset ?? 0)
      let line = before.split(separator: 0x0a, omittingEmptySubsequences: false)
      let column = String(decoding: line.last ?? before, as: UTF8.self).unicodeScalars.count + 1
      error(Mark(file: file, line: line.count, column: column), "YAML syntax: \(problem)")
    default:
      error(place(nil), "YAML syntax: \(problem)")
    }
  }
}

/// A plain scalar in the core schema (YAML 1.2.2 section 10.3.2); numbers in the form of JSON.
func coreValue(_ text: String) -> Node.Value {
  switch text {
  case "", "~", "null", "Null", "NULL": return .null
  case "true", "True", "TRUE": return .bool(true)
  case "false", "False", "FALSE": return .bool(false)
  default: break
  }
  if let prefix = ["0x": 16, "0o": 8][text.prefix(2)],
    let number = Int(text.dropFirst(2), radix: prefix),
    !text.dropFirst(2).hasPrefix("+"), !text.dropFirst(2).hasPrefix("-")
  {
    return .number(String(number))
  }
  return jsonNumber(text).map { .number($0) } ?? .string(text)
}

/// `[-+]? ( . [0-9]+ | [0-9]+ ( . [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?` rewritten so that JSON takes
/// it; nil for anything else.
private func jsonNumber(_ text: String) -> String? {
  var rest = Substring(text)
  func digits() -> Substring {
    let digits = rest.prefix { $0 >= "0" && $0 <= "9" }
    rest.removeFirst(digits.count)
    return digits
  }
  func take(_ characters: String) -> Character? {
    guard let first = rest.first, characters.contains(first) else { return nil }
    return rest.removeFirst()
  }
  let sign = take("-+") == "-" ? "-" : ""
  let whole = digits()
  var number = sign + String(whole.drop { $0 == "0" })
  if number == sign { number += "0" }
  if take(".") != nil {
    let fraction = digits()
    if whole.isEmpty, fraction.isEmpty { return nil }
    if !fraction.isEmpty { number += "." + fraction }
  } else if whole.isEmpty {
    return nil
  }
  if take("eE") != nil {
    let sign = take("-+").map { String($0) } ?? ""
    let exponent = digits()
    if exponent.isEmpty { return nil }
    number += "e" + sign + exponent
  }
  return rest.isEmpty ? number : nil
}

/// Whether the text may use lists, mappings or aliases as keys while it has anchors. The parser
/// compares keys by value, so such keys could cost a power of the file's size before anything
/// here can count.
private func hasComposedKeys(_ text: String) -> Bool {
  let bytes = Array(text.utf8)
  var hasAnchors = false
  var hasKeys = false
  for (index, byte) in bytes.enumerated() where byte == 0x26 || byte == 0x2a || byte == 0x3f {
    let before = index == 0 ? 0x0a : bytes[index - 1]
    guard [0x0a, 0x0d, 0x20, 0x09, 0x5b, 0x7b, 0x2c, 0x3a].contains(before) else { continue }
    let after = bytes[(index + 1)...]
    switch byte {
    case 0x26: hasAnchors = hasAnchors || after.first.map { $0 > 0x20 } ?? false
    case 0x3f: hasKeys = hasKeys || after.first.map { $0 <= 0x20 } ?? true
    default:
      let name = after.prefix { $0 > 0x20 && $0 != 0x2c && $0 != 0x5d && $0 != 0x7d }
      let next = after[name.endIndex...].drop { $0 == 0x20 || $0 == 0x09 }.first
      hasKeys = hasKeys || (!name.isEmpty && (next == 0x3a || name.last == 0x3a))
    }
  }
  return hasAnchors && (hasKeys || endsKeyWithBracket(bytes))
}

/// `]:` or `}:` somewhere.
private func endsKeyWithBracket(_ bytes: [UInt8]) -> Bool {
  for (index, byte) in bytes.enumerated() where byte == 0x5d || byte == 0x7d {
    let next = bytes[(index + 1)...].drop { $0 == 0x20 || $0 == 0x09 }
    guard next.first == 0x3a else { continue }
    return true
  }
  return false
}
