import Expression
import Foundation
import Testing

@Suite struct DifferencesTests {
  @Test("every deliberate difference is told in the documentation, and no other")
  func documented() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    let page = try String(
      contentsOf: root.appendingPathComponent("deploy/docs/languages.md"),
      encoding: .utf8
    )
    let told = page.split(separator: "\n").filter { $0.hasPrefix("- ") }.map { $0.dropFirst(2) }
    #expect(told.map(String.init) == LuaScript.differences + JQProgram.differences)
    for name in TemplateFunctions.differences.keys {
      #expect(page.contains(name), "\(name)")
    }
  }
}
