package import JSON

/// The first document of a YAML text as JSON with sorted keys, the way Go's libraries turn event
/// data into it: scalars and keys have the types of YAML 1.1 (`yes` is true, `0777` octal). nil for
/// what is no YAML or is too large.
package func jsonFromYAML(_ bytes: [UInt8]) -> JSON? {
  let diagnostics = Diagnostics()
  var reader = YAMLReader(file: "data", diagnostics: diagnostics, scalars: legacyValue)
  let documents = reader.documents(String(decoding: bytes, as: UTF8.self))
  if diagnostics.hasErrors { return nil }
  return documents.first.map { sorted($0.json) } ?? .null
}

/// The first document of a YAML text with the place of each value, in the scalars of YAML 1.2; nil
/// where there is none. Problems go to `diagnostics`.
package func yamlDocument(_ bytes: [UInt8], file: String, _ diagnostics: Diagnostics) -> Node? {
  var reader = YAMLReader(file: file, diagnostics: diagnostics)
  return reader.documents(String(decoding: bytes, as: UTF8.self)).first
}

/// A plain scalar by YAML 1.1 as Go resolves it.
func legacyValue(_ text: String) -> Node.Value {
  switch text {
  case "y", "Y", "yes", "Yes", "YES", "on", "On", "ON": return .bool(true)
  case "n", "N", "no", "No", "NO", "off", "Off", "OFF": return .bool(false)
  default: break
  }
  // Digits behind a zero are octal, and prefixes tell the base; `_` may stand between digits.
  let isNegative = text.hasPrefix("-")
  let digits = text.drop { $0 == "-" || $0 == "+" }.filter { $0 != "_" }
  guard let first = digits.first, first.isASCII, first.isNumber || first == "." else {
    return coreValue(text)
  }
  let bases: [(String, Int)] = [("0x", 16), ("0b", 2), ("0o", 8), ("0", 8)]
  for (prefix, base) in bases where digits.hasPrefix(prefix) && digits.count > prefix.count {
    if let number = Int(digits.dropFirst(prefix.count), radix: base) {
      return .number(String(isNegative ? -number : number))
    }
  }
  return coreValue(text.filter { $0 != "_" }).number.map { .number($0) } ?? .string(text)
}

extension Node.Value {
  fileprivate var number: String? {
    if case .number(let text) = self { return text }
    return nil
  }
}

private func sorted(_ value: JSON) -> JSON {
  switch value {
  case .object(let members):
    .object(
      members.map { JSON.Member(key: $0.key, value: sorted($0.value)) }
        .sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    )
  case .array(let items): .array(items.map(sorted))
  default: value
  }
}
