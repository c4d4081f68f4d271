import Expression
import Foundation
import TestKit
import Testing
import Vectors

/// What our languages answer to the vectors that the originals' answers are in.
@Suite(.serialized) struct ConformanceTests {
  /// The folder with the vectors; nil, said in one line, where it is absent.
  private func vectors() -> String? {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let base =
      ProcessInfo.processInfo.environment["SIGNALBOX_VECTORS"]
      ?? root.appendingPathComponent("shared").path
    let path = base + "/conformance"
    if FileManager.default.fileExists(atPath: path) { return path }
    print("no test vectors at \(path)")
    return nil
  }

  @Test("every vector passes in mode argo-1.9, but for the deliberate differences")
  func original() throws {
    guard let path = vectors() else { return }
    let reports = try Conformance(mode: .argo19, worker: builtProgram("signalbox")).reports(path)
    for report in reports {
      for failure in report.failures { Issue.record("\(report.name) \(failure)") }
      print("vectors: \(report.name) \(report.passed) passed, \(report.skippedCount) skipped")
    }
    #expect(reports.count == 16)
    #expect(reports.reduce(0) { $0 + $1.passed } > 6600)
    for report in reports where report.name != "conditions" {
      #expect(report.skippedCount <= 1, "\(report.name)")
    }
  }

  @Test("the default mode differs from it where the committed table says so, and nowhere else")
  func defaults() throws {
    guard let path = vectors() else { return }
    let reports = try Conformance(mode: .fixed, worker: builtProgram("signalbox")).reports(path)
    for report in reports {
      for failure in report.failures { Issue.record("\(report.name) \(failure)") }
    }
    let differing = reports.reduce(into: Set<String>()) { $0.formUnion($1.defaults.keys) }
    #expect(differing == Conformance.statedDefaults)
  }

  @Test("a wrong answer is a failure with its input, and one on the list is not")
  func failures() async throws {
    try await withTemporaryFolder { folder in
      let cases = """
        [{"id": "a", "expr": "1 + 1", "env": {}, "expect": 3, "type": "int"},
         {"id": "b", "expr": "1 + 1", "env": {}, "expect": 2, "type": "int"},
         {"id": "c", "expr": "1 + 1", "env": {}, "expect": 3, "type": "int", "quirk": true}]
        """
      let unknown = folder + "/unknown.json"
      try Data(cases.utf8).write(to: URL(fileURLWithPath: folder + "/expr-more.json"))
      try Data("[]".utf8).write(to: URL(fileURLWithPath: unknown))
      let reports = try Conformance(mode: .argo19, worker: "/nonexistent").reports(folder)
      #expect(reports.lastLine == "1 passed, 1 failed, 2 skipped")
      let failure = try #require(reports.first?.failures.first)
      #expect(failure.id == "a")
      #expect(failure.input == "1 + 1 with {}")
      #expect(failure.expected == "3 (int)")
      #expect(failure.found == "2 (int)")
    }
  }
}
