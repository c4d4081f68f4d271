import JSON

/// One place where what was found is not what was expected.
package struct Difference: Equatable, Sendable {
  /// Such as `firings[0].payload.ref`.
  package let path: String
  /// As compact JSON or words; nil: nothing.
  package let expected: String?
  package let found: String?

  init(_ path: String, expected: String?, found: String?) {
    self.path = path
    self.expected = expected
    self.found = found
  }
}

enum Comparison {
  /// Where `found` is not `expected`.
  /// - Parameter isPartial: whether mappings may have more keys than are expected.
  static func differences(
    _ expected: JSON,
    _ found: JSON?,
    at path: String,
    isPartial: Bool
  ) -> [Difference] {
    switch (expected, found) {
    case (.object(let members), .object(let others)?):
      var differences = members.flatMap { member in
        Self.differences(
          member.value,
          others.first { $0.key == member.key }?.value,
          at: "\(path).\(member.key)",
          isPartial: isPartial
        )
      }
      if !isPartial {
        for other in others where !members.contains(where: { $0.key == other.key }) {
          differences.append(
            Difference("\(path).\(other.key)", expected: nil, found: other.value.text)
          )
        }
      }
      return differences
    case (.array(let items), .array(let others)?):
      return (0..<max(items.count, others.count)).flatMap { index -> [Difference] in
        let place = "\(path)[\(index)]"
        guard index < items.count else {
          return [Difference(place, expected: nil, found: others[index].text)]
        }
        let other = index < others.count ? others[index] : nil
        return Self.differences(items[index], other, at: place, isPartial: isPartial)
      }
    case (_, let found?) where isEqual(expected, found): return []
    default: return [Difference(path, expected: expected.text, found: found?.text)]
    }
  }

  /// Numbers are equal when they are as much, however they are written.
  private static func isEqual(_ a: JSON, _ b: JSON) -> Bool {
    if case .number(let first) = a, case .number(let second) = b, let first = Double(first),
      let second = Double(second)
    {
      return first == second
    }
    return a == b
  }
}

extension JSON {
  /// Compact JSON.
  var text: String { String(decoding: encoded(), as: UTF8.self) }
}
