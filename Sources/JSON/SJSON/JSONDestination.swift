/// A place to set a value at: an SJSON path (spec section 5), compiled.
package struct JSONDestination: Hashable, Sendable, CustomStringConvertible {
  /// Larger array indices are refused: they would fill memory with nulls.
  package static let largestIndex = 10_000

  package let description: String
  /// The same text read as a GJSON path, which is how the place is looked at.
  package let path: JSONPath
  /// nil for a path that only replaces what it matches.
  let parts: [Part]?

  struct Part: Sendable {
    /// Without escapes.
    let name: [UInt8]
    let lookup: JSONPath
    /// Marked with `:` as a key, whatever it looks like.
    let isForced: Bool

    /// The index it names in an array that is made or extended; no name at all is index 0.
    var index: Int? {
      guard !isForced, name.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
      let digits = name.drop { $0 == 0x30 }
      return digits.count > 9 ? .max : digits.reduce(0) { $0 * 10 + Int($1 - 0x30) }
    }

    var isAppend: Bool { !isForced && name == [0x2d, 0x31] }
  }

  /// - Throws: for an empty path, one longer than `JSONPath.lengthMax`, and too large an index.
  package init(_ text: String) throws(JSONPathError) {
    guard !text.isEmpty else { throw JSONPathError(description: "a destination is empty") }
    description = text
    path = try JSONPath(text)
    parts = try Self.split(Array(text.utf8))
    for part in parts ?? [] {
      if let index = part.index, index > Self.largestIndex {
        throw JSONPathError(
          description: "index \(String(decoding: part.name, as: UTF8.self)) is above the limit of "
            + "\(Self.largestIndex)"
        )
      }
    }
  }

  package static func == (a: JSONDestination, b: JSONDestination) -> Bool {
    a.description == b.description
  }

  package func hash(into hasher: inout Hasher) { hasher.combine(description) }

  /// The keys of the path, as a check against what may be set sees them; nil for a path that
  /// takes more than keys to read.
  package var keys: [String]? { parts?.map { String(decoding: $0.name, as: UTF8.self) } }

  /// nil where a component is a pattern, a query or the like.
  private static func split(_ text: [UInt8]) throws(JSONPathError) -> [Part]? {
    var parts: [Part] = []
    var at = 0
    while true {
      let isForced = at < text.count && text[at] == 0x3a
      if isForced { at += 1 }
      let start = at
      var name: [UInt8] = []
      while at < text.count, text[at] != 0x2e {
        if "|#@*?".utf8.contains(text[at]) { return nil }
        if text[at] == 0x5c {
          name += text[at...].dropFirst().prefix(1)
          at += 2
        } else {
          name.append(text[at])
          at += 1
        }
      }
      let lookup = String(decoding: text[start..<min(at, text.count)], as: UTF8.self)
      parts.append(Part(name: name, lookup: try JSONPath(lookup), isForced: isForced))
      guard at < text.count else { return parts }
      at += 1
    }
  }
}
