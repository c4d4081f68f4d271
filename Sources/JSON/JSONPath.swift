/// A path that cannot be used, and where.
package struct JSONPathError: Error, Equatable, CustomStringConvertible {
  package let description: String
}

/// A way into a document: keys and indices separated by dots, `\` before a literal dot
/// (a subset of GJSON; the rest is refused by name). `@this` is the whole document.
package struct JSONPath: Hashable, Sendable {
  let segments: [String]

  package init(_ text: String) throws(JSONPathError) {
    segments = text == "@this" ? [] : try split(text, refusing: "#*?@|[]{}!", "a path")
  }
}

/// A place to set a value at (a subset of SJSON; spec section 4.2 "dest paths").
package struct JSONDestination: Hashable, Sendable, CustomStringConvertible {
  package let description: String
  let segments: [Segment]

  struct Segment: Hashable, Sendable {
    let key: String
    /// nil where it can only be a key; -1 appends.
    let index: Int?
  }

  /// Larger array indices are refused: they would fill memory with nulls.
  package static let largestIndex = 10_000

  package init(_ text: String) throws(JSONPathError) {
    description = text
    var segments: [Segment] = []
    for part in try split(text, refusing: "#*?@|", "a destination") {
      if part.hasPrefix(":"), Int(part.dropFirst()) != nil {
        segments.append(Segment(key: String(part.dropFirst()), index: nil))
        continue
      }
      let index = Int(part).flatMap { $0 >= -1 ? $0 : nil }
      if let index, index > Self.largestIndex {
        throw JSONPathError(
          description: "index \(index) is above the limit of \(Self.largestIndex)"
        )
      }
      segments.append(Segment(key: part, index: index))
    }
    self.segments = segments
  }

  /// The keys of the path, as a check against what may be set sees them.
  package var keys: [String] { segments.map(\.key) }
}

private func split(
  _ text: String,
  refusing special: String,
  _ what: String
) throws(JSONPathError) -> [String] {
  var segments: [String] = []
  var current = ""
  var isEscaped = false
  for (column, character) in text.enumerated() {
    if isEscaped {
      current.append(character)
      isEscaped = false
    } else if character == "\\" {
      isEscaped = true
    } else if special.contains(character) {
      throw JSONPathError(
        description: "'\(character)' at column \(column + 1) of '\(text)' is not supported yet"
      )
    } else if character == "." {
      segments.append(current)
      current = ""
    } else {
      current.append(character)
    }
  }
  segments.append(current)
  if isEscaped || segments.contains("") {
    throw JSONPathError(
      description: "found '\(text)', expected \(what) of keys and indices separated by dots"
    )
  }
  return segments
}

extension JSON {
  /// The value at a destination; nil where nothing is.
  package func value(at destination: JSONDestination) -> JSON? {
    var value = self
    for segment in destination.segments {
      switch value {
      case .object:
        guard let next = value[segment.key] else { return nil }
        value = next
      case .array(let items):
        guard let index = segment.index, items.indices.contains(index) else { return nil }
        value = items[index]
      default: return nil
      }
    }
    return value
  }

  /// A copy with `value` at a destination; missing parents are made, arrays padded with null.
  /// - Throws: `JSONPathError` where an array stands in the way of a key.
  package func setting(
    _ value: JSON,
    at destination: JSONDestination
  ) throws(JSONPathError) -> JSON {
    try setting(value, destination.segments[...])
  }

  private func setting(
    _ value: JSON,
    _ path: ArraySlice<JSONDestination.Segment>
  ) throws(JSONPathError) -> JSON {
    guard let segment = path.first else { return value }
    let rest = path.dropFirst()
    if case .array(var items) = self {
      guard let index = segment.index else {
        throw JSONPathError(description: "an array has no member '\(segment.key)'")
      }
      let place = index == -1 ? items.count : index
      while items.count <= place { items.append(.null) }
      items[place] = try items[place].setting(value, rest)
      return .array(items)
    }
    if case .object(var members) = self {
      if let place = members.firstIndex(where: { $0.key == segment.key }) {
        members[place].value = try members[place].value.setting(value, rest)
      } else {
        members.append(Member(key: segment.key, value: try JSON.null.setting(value, rest)))
      }
      return .object(members)
    }
    // A scalar or nothing: the next segment decides what is made in its place.
    return try (segment.index == nil ? JSON.object([]) : .array([])).setting(value, path)
  }
}
