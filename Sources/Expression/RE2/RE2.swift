import CRE2

/// Why a pattern is refused.
package struct RE2Error: Error, Equatable, CustomStringConvertible {
  package let description: String
}

/// A compiled regular expression in the syntax of Go's `regexp`: RE2, linear in the length of the
/// text whatever the pattern, an unanchored search, leftmost-first. Offsets are in bytes.
package struct RE2: Sendable {
  /// What a program and its matching state may take, in bytes; larger patterns are refused.
  package static let memoryMax: Int64 = 16 << 20

  private let program: Program
  /// Groups in parentheses; the whole match, group 0, is not counted.
  package let groupCount: Int

  package init(_ pattern: String) throws(RE2Error) {
    var translated = try Self.translated(Array(pattern.utf8))
    program = Program(&translated)
    if let problem = program.problem {
      throw RE2Error(description: "bad regular expression '\(pattern)': \(problem)")
    }
    groupCount = program.groupCount
  }

  /// The names of the groups from 1 on; nil for a group without one.
  package var groupNames: [String?] {
    (0..<groupCount).map { program.groupName($0 + 1) }
  }

  /// Whether the pattern matches anywhere.
  package func isMatch(_ text: String) -> Bool {
    var text = text
    return text.withUTF8 { unsafe program.match($0, from: 0, groups: 0) != nil }
  }

  /// Whether the pattern matches anywhere.
  package func isMatch(_ bytes: ArraySlice<UInt8>) -> Bool {
    unsafe bytes.withUnsafeBufferPointer { unsafe program.match($0, from: 0, groups: 0) != nil }
  }

  /// The first match at or behind `start`: the range of the whole and of each group, nil for a
  /// group that took no part. What stands before `start` counts as context for `^` and `\b`.
  package func firstMatch(in bytes: [UInt8], from start: Int = 0) -> [Range<Int>?]? {
    precondition((0...bytes.count).contains(start), "a search starts within the text")
    return unsafe bytes.withUnsafeBufferPointer {
      unsafe program.match($0, from: start, groups: groupCount + 1)
    }
  }

  /// Go spells a named group `(?<n>…)` as well, which this release of RE2 does not know; and it
  /// knows `\C`, which Go refuses.
  private static func translated(_ pattern: [UInt8]) throws(RE2Error) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(pattern.count + 8)
    var at = 0
    // Where the innermost open class began its members; a `]` right there is a member.
    var classStart: Int?
    while at < pattern.count {
      let byte = pattern[at]
      let rest = pattern[at...]
      if byte == 0x5c {
        if rest.starts(with: "\\Q".utf8), classStart == nil {
          let end = (at..<pattern.count).first { pattern[$0...].starts(with: "\\E".utf8) }
          let stop = end ?? pattern.count
          out += pattern[at..<stop]
          at = stop
          if end == nil { break }
        }
        if at + 1 < pattern.count, pattern[at + 1] == 0x43 {
          throw RE2Error(description: "bad regular expression: invalid escape sequence: \\C")
        }
        out += pattern[at..<min(at + 2, pattern.count)]
        at += 2
        continue
      }
      if let start = classStart {
        if rest.starts(with: "[:".utf8),
          let end = (at + 2..<max(at + 2, pattern.count)).first(where: {
            pattern[$0...].starts(with: ":]".utf8)
          })
        {
          out += pattern[at..<end + 2]
          at = end + 2
          continue
        }
        if byte == 0x5d, at > start { classStart = nil }
      } else if byte == 0x5b {
        classStart = rest.starts(with: "[^".utf8) ? at + 2 : at + 1
      } else if rest.starts(with: "(?<".utf8) {
        out += "(?P<".utf8
        at += 3
        continue
      }
      out.append(byte)
      at += 1
    }
    return out
  }
}

/// Owns the compiled program.
// SAFETY: the program is never changed after init, and RE2 allows matching from many threads.
@safe private final class Program: @unchecked Sendable {
  private let regex: OpaquePointer

  init(_ pattern: inout [UInt8]) {
    let length = pattern.count
    unsafe regex = pattern.withUnsafeBytes {
      unsafe cre2_compile($0.bindMemory(to: CChar.self).baseAddress, length, RE2.memoryMax)
    }
  }

  deinit { unsafe cre2_free(regex) }

  var problem: String? { unsafe cre2_error(regex).map { unsafe String(cString: $0) } }

  var groupCount: Int { unsafe Int(cre2_group_count(regex)) }

  func groupName(_ group: Int) -> String? {
    unsafe cre2_group_name(regex, Int32(group)).map { unsafe String(cString: $0) }
  }

  /// The ranges of the first `groups` groups; empty where none was asked for.
  func match(
    _ text: UnsafeBufferPointer<UInt8>,
    from start: Int,
    groups: Int
  ) -> [Range<Int>?]? {
    let bytes = unsafe UnsafeRawBufferPointer(text).bindMemory(to: CChar.self).baseAddress
    if groups == 0 {
      return unsafe cre2_match(regex, bytes, text.count, start, nil, 0) ? [] : nil
    }
    return unsafe withUnsafeTemporaryAllocation(of: Int64.self, capacity: 2 * groups) { offsets in
      guard
        unsafe cre2_match(
          regex,
          bytes,
          text.count,
          start,
          offsets.baseAddress,
          Int32(groups)
        )
      else { return nil }
      return (0..<groups).map { group in
        let from = unsafe Int(offsets[2 * group])
        return unsafe from < 0 ? nil : from..<Int(offsets[2 * group + 1])
      }
    }
  }
}
