import Foundation
import JSON

/// The folder of the test vectors; nil, said in one line, where it is absent.
func vectors(_ name: String) -> String? {
  let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
  let base =
    ProcessInfo.processInfo.environment["SIGNALBOX_VECTORS"]
    ?? root.appendingPathComponent("shared").path
  let path = base + "/conformance/" + name
  if FileManager.default.fileExists(atPath: path) { return path }
  print("no test vectors at \(path)")
  return nil
}

/// The cases of a vector file; none where it is absent.
func cases(_ name: String) throws -> [JSON] {
  guard let file = vectors(name) else { return [] }
  let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: file)))
  guard case .array(let cases) = try JSON(parsing: bytes) else { return [] }
  return cases
}

extension JSON {
  var asString: String? {
    if case .string(let text) = self { return text }
    return nil
  }
}
