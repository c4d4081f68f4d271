import Expression
import Foundation
import JSON

/// The cases of a vector file; none, said in one line, where it is absent.
func vectorCases(_ name: String) throws -> [JSON] {
  guard let file = try vectorFile(name) else { return [] }
  return try JSON(parsing: file).items ?? []
}

private func vectorFile(_ name: String) throws -> [UInt8]? {
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
  return [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
}

/// Data as the vectors' maker spelt it when it ran the original: a space behind `,` and `:`.
func spelled(_ value: JSON) -> [UInt8] {
  switch value {
  case .array(let items):
    [0x5b] + Array(items.map { spelled($0) }.joined(separator: [0x2c, 0x20])) + [0x5d]
  case .object(let members):
    [0x7b]
      + Array(
        members.map { JSON.string($0.key).encoded() + [0x3a, 0x20] + spelled($0.value) }
          .joined(separator: [0x2c, 0x20])
      ) + [0x7d]
  default: value.encoded()
  }
}

/// The machine's time zones, and a clock that stands still.
let vectorWorld = TemplateWorld(
  now: { GoTime(seconds: 1_700_000_000, nanoseconds: 0, zone: .utc) },
  zoneFile: zoneFile,
  random: { 4 }
)

@Sendable func zoneFile(_ name: String) -> [UInt8]? {
  (try? Data(contentsOf: URL(fileURLWithPath: "/usr/share/zoneinfo/" + name))).map { [UInt8]($0) }
}

extension JSON {
  var items: [JSON]? {
    if case .array(let items) = self { return items }
    return nil
  }

  /// The text of a string; that of anything else as JSON.
  var asText: String {
    if case .string(let text) = self { return text }
    return text
  }

  /// The text of a string member; empty where there is none.
  func text(_ key: String) -> String {
    if case .string(let text)? = self[key] { return text }
    return ""
  }
}
