import JSON

/// The grammar of label selectors (section A.5): `a=b,c!=d,e in (x,y),f notin (z),g,!h`.
struct LabelSelector: Sendable {
  private enum Test: Sendable {
    case isIn(Set<String>)
    case notIn(Set<String>)
    case exists
    case absent
  }

  private var tests: [(key: String, test: Test)] = []

  init(_ text: String) throws(APIFailure) {
    var parts: [String] = []
    var depth = 0
    var part = ""
    for character in text {
      if character == "(" { depth += 1 }
      if character == ")" { depth -= 1 }
      if character == "," && depth == 0 {
        parts.append(part)
        part = ""
      } else {
        part.append(character)
      }
    }
    parts.append(part)
    for part in parts where !part.isEmpty { tests.append(try Self.test(part)) }
  }

  private static func test(_ part: String) throws(APIFailure) -> (String, Test) {
    func trimmed(_ text: Substring) -> String {
      String(text.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }
    for (word, isIn) in [(" notin ", false), (" in ", true)] {
      guard let range = part.firstRange(of: word) else { continue }
      let list = trimmed(part[range.upperBound...]).dropFirst().dropLast()
      let values = Set(list.split(separator: ",").map(trimmed))
      return (trimmed(part[..<range.lowerBound]), isIn ? .isIn(values) : .notIn(values))
    }
    for (word, isIn) in [("!=", false), ("==", true), ("=", true)] {
      guard let range = part.firstRange(of: word) else { continue }
      let value: Set<String> = [trimmed(part[range.upperBound...])]
      return (trimmed(part[..<range.lowerBound]), isIn ? .isIn(value) : .notIn(value))
    }
    if part.hasPrefix("!") { return (trimmed(part.dropFirst()), .absent) }
    return (trimmed(part[...]), .exists)
  }

  func matches(_ object: JSON) -> Bool {
    tests.allSatisfy { key, test in
      let value = object.at("metadata", "labels", key)?.asString
      switch test {
      case .isIn(let values): return value.map(values.contains) ?? false
      case .notIn(let values): return !(value.map(values.contains) ?? false)
      case .exists: return value != nil
      case .absent: return value == nil
      }
    }
  }
}

/// `metadata.name` and `metadata.namespace`: all that custom resources have (section A.5).
struct FieldSelector: Sendable {
  private var tests: [(field: String, value: String, isEqual: Bool)] = []

  init(_ text: String) throws(APIFailure) {
    for part in text.split(separator: ",") {
      let isEqual = !part.contains("!=")
      let pieces = part.split(separator: "=", maxSplits: 1)
      var field = String(pieces[0])
      if !isEqual { field.removeLast() }
      guard ["metadata.name", "metadata.namespace"].contains(field) else {
        throw .bad("field label not supported: \(field)")
      }
      let value = pieces.count > 1 ? pieces[1].drop { $0 == "=" } : ""
      tests.append((field, String(value), isEqual))
    }
  }

  func matches(_ object: JSON) -> Bool {
    tests.allSatisfy { test in
      let key = String(test.field.dropFirst("metadata.".count))
      return (object.at("metadata", key)?.asString == test.value) == test.isEqual
    }
  }
}
