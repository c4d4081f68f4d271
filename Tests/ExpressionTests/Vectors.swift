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
}
