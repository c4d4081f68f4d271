import Foundation
import TestKit
import Testing

/// Our parser of HTTP/1.1 beside h11 on generated inputs: a slice of `deploy/h1-compare`.
@Suite struct CompareTests {
  /// A Python that has h11.
  private static let python = ["/usr/bin/python3", "python3"].first { name in
    (try? run([name, "-c", "import h11"]).status) == 0
  }

  @Test("what h11 takes for a request is the same request to us, or refused for a named reason")
  func compared() throws {
    guard let python = Self.python else {
      print("CompareTests: there is no python3 with h11; skipped")
      return
    }
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    let script = root.appendingPathComponent("deploy/h1-compare").path
    let cases = ProcessInfo.processInfo.environment["SIGNALBOX_COMPARISONS"] ?? "4000"
    let answer = try Self.run([python, script, builtProgram("h1-reader"), cases, "7"])
    #expect(answer.status == 0, "\(answer.output)")
    #expect(answer.output.contains(" the same\n"))
  }

  private static func run(_ command: [String]) throws -> (status: Int32, output: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = command
    let output = Pipe()
    process.standardOutput = output
    process.standardError = output
    try process.run()
    let bytes = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: bytes, as: UTF8.self))
  }
}
