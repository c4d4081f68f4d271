/// A version as semver.org has it, read as loosely as Masterminds/semver 3 does: a `v` before it
/// and missing parts are fine.
package struct SemanticVersion: Sendable {
  package let major: UInt64
  package let minor: UInt64
  package let patch: UInt64
  package let prerelease: String
  package let metadata: String
  /// As it was written.
  package let original: String

  init?(_ text: String) {
    var rest = Substring(text)
    if rest.first == "v" { rest.removeFirst() }
    var metadata = ""
    if let plus = rest.firstIndex(of: "+") {
      metadata = String(rest[rest.index(after: plus)...])
      rest = rest[..<plus]
      guard Self.areIdentifiers(metadata) else { return nil }
    }
    var prerelease = ""
    if let dash = rest.firstIndex(of: "-") {
      prerelease = String(rest[rest.index(after: dash)...])
      rest = rest[..<dash]
      let parts = prerelease.split(separator: ".", omittingEmptySubsequences: false)
      // A number may not begin with a zero.
      let areCanonical = parts.allSatisfy { part in
        !(part.count > 1 && part.first == "0" && part.allSatisfy(\.isASCIIDigit))
      }
      guard Self.areIdentifiers(prerelease), areCanonical else { return nil }
    }
    let parts = rest.split(separator: ".", omittingEmptySubsequences: false)
    guard (1...3).contains(parts.count) else { return nil }
    var numbers: [UInt64] = []
    for part in parts {
      guard part.allSatisfy(\.isASCIIDigit), let number = UInt64(part) else { return nil }
      numbers.append(number)
    }
    while numbers.count < 3 { numbers.append(0) }
    (major, minor, patch) = (numbers[0], numbers[1], numbers[2])
    (self.prerelease, self.metadata, original) = (prerelease, metadata, text)
  }

  private init(_ major: UInt64, _ minor: UInt64, _ patch: UInt64, prefix: String) {
    (self.major, self.minor, self.patch) = (major, minor, patch)
    (prerelease, metadata) = ("", "")
    original = prefix + "\(major).\(minor).\(patch)"
  }

  private static func areIdentifiers(_ text: String) -> Bool {
    text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { part in
      !part.isEmpty
        && part.utf8.allSatisfy {
          (0x30...0x39).contains($0) || (0x41...0x5a).contains($0 & 0xdf) || $0 == 0x2d
        }
    }
  }

  var text: String {
    "\(major).\(minor).\(patch)" + (prerelease.isEmpty ? "" : "-" + prerelease)
      + (metadata.isEmpty ? "" : "+" + metadata)
  }

  func incremented(_ part: String) -> SemanticVersion {
    let prefix = original.hasPrefix("v") ? "v" : ""
    switch part {
    case "IncMajor": return SemanticVersion(major &+ 1, 0, 0, prefix: prefix)
    case "IncMinor": return SemanticVersion(major, minor &+ 1, 0, prefix: prefix)
    default:
      // The version behind a pre-release is the release itself.
      let next = prerelease.isEmpty ? patch &+ 1 : patch
      return SemanticVersion(major, minor, next, prefix: prefix)
    }
  }

  /// -1, 0 or 1; metadata do not count (semver.org section 11).
  func compare(_ other: SemanticVersion) -> Int {
    for (a, b) in [(major, other.major), (minor, other.minor), (patch, other.patch)] where a != b {
      return a < b ? -1 : 1
    }
    if prerelease.isEmpty || other.prerelease.isEmpty {
      if prerelease.isEmpty, other.prerelease.isEmpty { return 0 }
      return prerelease.isEmpty ? 1 : -1
    }
    return Self.compare(prerelease, other.prerelease)
  }

  static func compare(_ a: String, _ b: String) -> Int {
    let first = a.split(separator: ".", omittingEmptySubsequences: false)
    let second = b.split(separator: ".", omittingEmptySubsequences: false)
    for place in 0..<max(first.count, second.count) {
      guard place < first.count else { return -1 }
      guard place < second.count else { return 1 }
      let (one, other) = (first[place], second[place])
      if one == other { continue }
      switch (UInt64(one), UInt64(other)) {
      case (let one?, let other?): return one < other ? -1 : 1
      case (_?, nil): return -1
      case (nil, _?): return 1
      default: return Array(one.utf8).lexicographicallyPrecedes(Array(other.utf8)) ? -1 : 1
      }
    }
    return 0
  }
}

extension Character {
  var isASCIIDigit: Bool { ("0"..."9").contains(self) }
}
