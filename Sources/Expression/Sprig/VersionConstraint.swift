/// A range of versions, such as `^1.2, !=1.2.5 || 2.x` (Masterminds/semver 3).
struct VersionConstraint {
  private enum Operation: String, CaseIterable {
    case notEqual = "!="
    case atLeast = ">="
    case atLeastReversed = "=>"
    case atMost = "<="
    case atMostReversed = "=<"
    case pessimistic = "~>"
    case equal = "="
    case greater = ">"
    case less = "<"
    case tilde = "~"
    case caret = "^"
    case none = ""
  }

  /// Missing and `x` parts stand for any.
  private struct Clause {
    var operation: Operation
    let version: SemanticVersion
    var anyMajor = false
    var anyMinor = false
    var anyPatch = false

    var isOpen: Bool { anyMajor || anyMinor || anyPatch }
  }

  /// One list has to hold whole.
  private let alternatives: [[Clause]]

  init?(_ text: String) {
    var alternatives: [[Clause]] = []
    for part in Self.alternatives(text) {
      guard let clauses = Self.clauses(part) else { return nil }
      alternatives.append(clauses)
    }
    self.alternatives = alternatives
  }

  private static func alternatives(_ text: String) -> [Substring] {
    ByteString(text).split("||", limit: -1).map { Substring($0.description) }
  }

  /// Clauses with spaces or commas between them; `1.2 - 3` is a range of both ends.
  private static func clauses(_ text: Substring) -> [Clause]? {
    var rest = text
    var clauses: [Clause] = []
    var isFirst = true
    while true {
      rest = rest.drop(while: \.isWhitespace)
      if rest.isEmpty { return clauses.isEmpty ? nil : clauses }
      if !isFirst, rest.first == "," { rest = rest.dropFirst().drop(while: \.isWhitespace) }
      guard var clause = clause(&rest) else { return nil }
      let behind = rest.drop(while: \.isWhitespace)
      let isRange =
        clause.operation == .none && rest.first?.isWhitespace == true && behind.first == "-"
        && behind.dropFirst().first?.isWhitespace == true
      if isRange {
        rest = behind.dropFirst().drop(while: \.isWhitespace)
        guard var end = Self.clause(&rest), end.operation == .none else { return nil }
        clause.operation = .atLeast
        end.operation = .atMost
        clauses += [clause, end]
      } else {
        clauses.append(clause)
      }
      isFirst = false
      // Something has to stand between two clauses.
      if let next = rest.first, !next.isWhitespace, next != "," { return nil }
    }
  }

  private static func clause(_ rest: inout Substring) -> Clause? {
    let operation = Operation.allCases.first { rest.hasPrefix($0.rawValue) } ?? .none
    rest = rest.dropFirst(operation.rawValue.count).drop(while: \.isWhitespace)
    if rest.first == "v" { rest.removeFirst() }
    var parts: [Substring] = []
    repeat {
      if !parts.isEmpty { rest.removeFirst() }
      let part = rest.prefix { $0.isASCIIDigit || "xX*|".contains($0) }
      guard !part.isEmpty else { return nil }
      parts.append(part)
      rest = rest.dropFirst(part.count)
    } while rest.first == "." && parts.count < 3
    var tail = ""
    for mark in ["-", "+"] where rest.hasPrefix(mark) {
      let identifiers = rest.dropFirst().prefix {
        $0.isASCII && ($0.isLetter || $0.isNumber) || $0 == "-" || $0 == "."
      }
      guard !identifiers.isEmpty else { return nil }
      if mark == "-" { tail = "-" + identifiers }
      rest = rest.dropFirst(1 + identifiers.count)
    }
    func isAny(_ place: Int) -> Bool {
      place >= parts.count || ["x", "X", "*"].contains(parts[place])
    }
    let text: String
    var (anyMajor, anyMinor, anyPatch) = (false, false, false)
    if isAny(0) {
      (text, anyMajor) = ("0.0.0", true)
    } else if isAny(1) {
      (text, anyMinor) = ("\(parts[0]).0.0", true)
    } else if isAny(2) {
      (text, anyPatch) = ("\(parts[0]).\(parts[1]).0", true)
    } else {
      text = parts.joined(separator: ".")
    }
    guard let version = SemanticVersion(text + tail) else { return nil }
    return Clause(
      operation: operation,
      version: version,
      anyMajor: anyMajor,
      anyMinor: anyMinor,
      anyPatch: anyPatch
    )
  }

  /// A pre-release passes only where the constraint names one.
  func admits(_ version: SemanticVersion) -> Bool {
    alternatives.contains { clauses in
      let names = clauses.contains { !$0.version.prerelease.isEmpty }
      if !version.prerelease.isEmpty, !names { return false }
      return clauses.allSatisfy { Self.admits(version, $0) }
    }
  }

  private static func admits(_ version: SemanticVersion, _ clause: Clause) -> Bool {
    let wanted = clause.version
    let order = version.compare(wanted)
    switch clause.operation {
    case .none, .equal: return clause.isOpen ? tilde(version, clause) : order == 0
    case .tilde, .pessimistic: return tilde(version, clause)
    case .atLeast, .atLeastReversed: return order >= 0
    case .less: return order < 0
    case .atMost, .atMostReversed:
      guard clause.isOpen else { return order <= 0 }
      if version.major != wanted.major { return version.major < wanted.major }
      return clause.anyMinor || version.minor <= wanted.minor
    case .greater:
      guard clause.isOpen else { return order > 0 }
      if version.major != wanted.major { return version.major > wanted.major }
      if clause.anyMinor { return false }
      return clause.anyPatch ? version.minor > wanted.minor : order > 0
    case .notEqual: return differs(version, clause)
    case .caret: return caret(version, clause)
    }
  }

  private static func differs(_ version: SemanticVersion, _ clause: Clause) -> Bool {
    let wanted = clause.version
    guard clause.isOpen else { return version.compare(wanted) != 0 }
    if version.major != wanted.major { return true }
    if clause.anyMinor { return false }
    if version.minor != wanted.minor { return true }
    if clause.anyPatch {
      return SemanticVersion.compare(version.prerelease, wanted.prerelease) != 0
    }
    return version.patch != wanted.patch || version.compare(wanted) != 0
  }

  private static func tilde(_ version: SemanticVersion, _ clause: Clause) -> Bool {
    let wanted = clause.version
    guard version.compare(wanted) >= 0 else { return false }
    let isZero = wanted.major == 0 && wanted.minor == 0 && wanted.patch == 0
    if isZero, !clause.anyMinor, !clause.anyPatch { return true }
    return version.major == wanted.major && (clause.anyMinor || version.minor == wanted.minor)
  }

  private static func caret(_ version: SemanticVersion, _ clause: Clause) -> Bool {
    let wanted = clause.version
    guard version.compare(wanted) >= 0 else { return false }
    if wanted.major > 0 || clause.anyMinor { return version.major == wanted.major }
    if version.major > 0 { return false }
    if wanted.minor > 0 || clause.anyPatch { return version.minor == wanted.minor }
    return version.minor == 0 && version.patch == wanted.patch
  }
}
