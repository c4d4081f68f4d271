import Foundation
import JSON

/// The cases of a vector file; nil, said in one line, where it is absent.
func vectorCases(_ name: String) throws -> [JSON]? {
  let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
  let base =
    ProcessInfo.processInfo.environment["SIGNALBOX_VECTORS"]
    ?? root.appendingPathComponent("shared").path
  let path = base + "/conformance/" + name + ".json"
  guard FileManager.default.fileExists(atPath: path) else {
    print("no test vectors at \(path)")
    return nil
  }
  let content = try JSON(parsing: [UInt8](try Data(contentsOf: URL(fileURLWithPath: path))))
  guard case .array(let cases) = content else { return nil }
  return cases
}

extension JSON {
  /// The text of a string member.
  func string(_ key: String) -> String? {
    guard case .string(let text)? = self[key] else { return nil }
    return text
  }

  /// Equal but for the spelling of numbers and the order of members.
  static func isSame(_ a: JSON, _ b: JSON) -> Bool {
    switch (a, b) {
    case (.number(let a), .number(let b)): return a == b || Double(a) == Double(b)
    case (.array(let a), .array(let b)):
      return a.count == b.count && zip(a, b).allSatisfy(isSame)
    case (.object(let a), .object(let b)):
      func sorted(_ members: [Member]) -> [Member] {
        members.sorted { Array($0.key.utf8).lexicographicallyPrecedes(Array($1.key.utf8)) }
      }
      return a.count == b.count
        && zip(sorted(a), sorted(b)).allSatisfy { $0.key == $1.key && isSame($0.value, $1.value) }
    default: return a == b
    }
  }
}
