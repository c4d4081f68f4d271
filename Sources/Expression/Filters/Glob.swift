/// A pattern for paths with `/` between their parts: `*`, `?` and `[a-z]` within a part, `**` as a
/// part for any number of parts, none included. A pattern that ends in `/` is for all below it.
/// The whole path is compared, from its beginning; upper and lower case differ.
package struct Glob: Sendable {
  /// In bytes.
  package static let lengthMax = 1024

  private enum Part: Sendable, Equatable {
    case anything
    case pattern([UInt8])
  }

  private let parts: [Part]

  /// - Throws: `FilterError` for what matches nothing that anybody could mean.
  package init(_ text: String) throws(FilterError) {
    guard !text.isEmpty, text.utf8.count <= Self.lengthMax else {
      throw FilterError(
        description:
          "found '\(text.prefix(40))', expected a pattern of 1 to \(Self.lengthMax) bytes"
      )
    }
    var parts: [Part] = []
    let texts = (text.hasSuffix("/") ? text + "**" : text).split(
      separator: "/",
      omittingEmptySubsequences: false
    )
    for part in texts {
      if part == "**" {
        if parts.last != .anything { parts.append(.anything) }
        continue
      }
      if part.contains("**") {
        throw FilterError(description: "found '\(text)', expected '**' alone between slashes")
      }
      if part.isEmpty || part == "." || part == ".." {
        throw FilterError(
          description: "found '\(text)', expected a path from the repository's root, such as "
            + "'docs/**', without '.', '..' or '//'"
        )
      }
      let bytes = Array(part.utf8)
      guard Self.isComplete(bytes) else {
        throw FilterError(description: "found '\(text)', expected a ']' for its '['")
      }
      parts.append(.pattern(bytes))
    }
    self.parts = parts
  }

  /// Time grows with the product of the lengths at the most.
  package func matches(_ path: String) -> Bool {
    let path = path.utf8.split(separator: 0x2f, omittingEmptySubsequences: true)
    // The last `**` seen, and where the path stood then: it takes one part more each time.
    var (part, at) = (0, 0)
    var retry: (part: Int, at: Int)?
    while at < path.count {
      if part < parts.count, parts[part] == .anything {
        retry = (part, at)
        part += 1
        continue
      }
      if part < parts.count, case .pattern(let pattern) = parts[part],
        Self.matches(pattern, Array(path[at]))
      {
        part += 1
        at += 1
        continue
      }
      guard let last = retry else { return false }
      retry = (last.part, last.at + 1)
      part = last.part + 1
      at = last.at + 1
    }
    return parts[part...].allSatisfy { $0 == .anything }
  }

  private static func matches(_ pattern: [UInt8], _ text: [UInt8]) -> Bool {
    var (place, at) = (0, 0)
    var retry: (place: Int, at: Int)?
    while at < text.count {
      if place < pattern.count, pattern[place] == 0x2a {
        place += 1
        retry = (place, at)
        continue
      }
      if let next = step(pattern, place, text[at]) {
        place = next
        at += 1
        continue
      }
      guard let last = retry else { return false }
      retry = (last.place, last.at + 1)
      (place, at) = (last.place, last.at + 1)
    }
    return pattern[place...].allSatisfy { $0 == 0x2a }
  }

  /// Where the pattern goes on when the item at `place` takes `byte`; nil when it does not.
  private static func step(_ pattern: [UInt8], _ place: Int, _ byte: UInt8) -> Int? {
    guard place < pattern.count else { return nil }
    switch pattern[place] {
    case 0x3f: return place + 1
    case 0x5b:
      guard let end = classEnd(pattern, place) else { return nil }
      var items = pattern[(place + 1)..<end]
      let isNegated = items.first == 0x21 || items.first == 0x5e
      if isNegated { items = items.dropFirst() }
      return isIn(Array(items), byte) != isNegated ? end + 1 : nil
    default: return pattern[place] == byte ? place + 1 : nil
    }
  }

  private static func isIn(_ items: [UInt8], _ byte: UInt8) -> Bool {
    var at = 0
    while at < items.count {
      if at + 2 < items.count, items[at + 1] == 0x2d {
        if items[at] <= byte && byte <= items[at + 2] { return true }
        at += 3
      } else {
        if items[at] == byte { return true }
        at += 1
      }
    }
    return false
  }

  /// The place of the `]` of a class; one that stands first is an item.
  private static func classEnd(_ pattern: [UInt8], _ place: Int) -> Int? {
    var at = place + 1
    if at < pattern.count, pattern[at] == 0x21 || pattern[at] == 0x5e { at += 1 }
    if at < pattern.count, pattern[at] == 0x5d { at += 1 }
    return at < pattern.count ? pattern[at...].firstIndex(of: 0x5d) : nil
  }

  private static func isComplete(_ pattern: [UInt8]) -> Bool {
    var at = 0
    while at < pattern.count {
      if pattern[at] == 0x5b {
        guard let end = classEnd(pattern, at) else { return false }
        at = end
      }
      at += 1
    }
    return true
  }
}
