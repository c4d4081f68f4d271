import Cluster
import Foundation
import JSON
import Posix
import TestKit
import Testing

/// What gzip made comes out as it went in, and nothing else does.
@Suite struct GzipTests {
  /// Compressed by the program that everybody has.
  private func compressed(_ bytes: [UInt8], _ options: [String], _ folder: String) throws
    -> [UInt8]
  {
    let path = folder + "/plain"
    try Files.writeDurably(bytes, to: path)
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["gzip", "--stdout"] + options + [path]
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let result = [UInt8](output.fileHandleForReading.readDataToEndOfFile())
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
    return result
  }

  /// Empty, one byte, runs, text, what cannot be compressed, and a mixture of all.
  private func samples() -> [[UInt8]] {
    var random = Seeded(UInt64(setting("SIGNALBOX_SEED", 5)))
    let noise = (0..<100_000).map { _ in UInt8.random(in: 0...255, using: &random) }
    let nodes = (0..<5000).map { #""node-\#($0)":{"phase":"Succeeded","type":"Pod"}"# }
    let text = Array("{\(nodes.joined(separator: ","))}".utf8)
    return [
      [], [7], Array(repeating: 0x61, count: 300_000), text, noise,
      text.prefix(3000) + noise.prefix(70_000) + Array(repeating: 0, count: 40_000) + text,
    ]
  }

  @Test("what gzip made is opened, whichever way it compressed", arguments: ["-1", "-6", "-9"])
  func opened(level: String) async throws {
    try await withTemporaryFolder { folder in
      for sample in samples() {
        for name in ["--name", "--no-name"] {
          let bytes = try compressed(sample, [level, name], folder)
          #expect(try Gzip.opened(bytes, limit: sample.count) == sample)
        }
      }
    }
  }

  @Test("what is damaged, cut, of another kind or too large is refused")
  func refused() async throws {
    try await withTemporaryFolder { folder in
      let sample = samples()[3]
      let bytes = try compressed(sample, ["-6"], folder)
      #expect(throws: Gzip.Failure.tooLarge(limit: sample.count - 1)) {
        _ = try Gzip.opened(bytes, limit: sample.count - 1)
      }
      let zeros = try compressed(Array(repeating: 0, count: 20_000_000), ["-9"], folder)
      #expect(throws: Gzip.Failure.tooLarge(limit: 1000)) {
        _ = try Gzip.opened(zeros, limit: 1000)
      }
      for other: [UInt8] in [[], [0x1f, 0x8b], Array("no gzip, but long enough".utf8)] {
        #expect(throws: Gzip.Failure.notGzip) { _ = try Gzip.opened(other, limit: 1000) }
      }
      // zstd begins so.
      #expect(throws: Gzip.Failure.notGzip) {
        _ = try Gzip.opened([0x28, 0xb5, 0x2f, 0xfd] + bytes, limit: 1000)
      }
      for count in stride(from: 18, to: bytes.count, by: 97) {
        #expect(throws: Gzip.Failure.damaged) {
          _ = try Gzip.opened(Array(bytes.prefix(count)), limit: sample.count)
        }
      }
      // Ten bytes of a header say little of what is inside; every bit behind it counts.
      var random = Seeded(UInt64(setting("SIGNALBOX_SEED", 5)))
      for _ in 0..<300 {
        var broken = bytes
        let place = Int.random(in: 16..<bytes.count, using: &random)
        broken[place] ^= 1 << UInt8.random(in: 0...7, using: &random)
        #expect(throws: Gzip.Failure.self, "\(place)") {
          _ = try Gzip.opened(broken, limit: sample.count * 2)
        }
      }
    }
  }

  @Test("nodes that stand compressed in a workflow are read at its end, others stay elsewhere")
  func nodes() async throws {
    try await withTemporaryFolder { folder in
      let nodes: JSON = [
        "w": [
          "type": "DAG", "phase": "Failed",
          "outputs": ["parameters": [["name": "image", "value": "shop:1"]]],
        ],
        "w-1": [
          "id": "w-1", "type": "Pod", "phase": "Failed", "displayName": "build",
          "message": "exit 3",
          "finishedAt": "2026-01-01T00:00:30Z", "outputs": ["exitCode": "3"],
        ],
      ]
      let bytes = try compressed(nodes.encoded(), [], folder)
      func state(_ compressed: [UInt8], finished: Bool = true) -> WorkflowState {
        let text = String(decoding: Base64.encode(compressed[...]), as: UTF8.self)
        return WorkflowState([
          "metadata": ["name": "w"],
          "status": [
            "phase": "Failed", "finishedAt": finished ? "2026-01-01T00:01:00Z" : "",
            "compressedNodes": .string(text),
          ],
        ])
      }
      let whole = state(bytes)
      #expect(!whole.hasDistantNodes)
      #expect(whole.result.at("outputs", "image") == "shop:1")
      #expect(whole.result.at("failedNode", "displayName") == "build")
      #expect(whole.result.at("failedNode", "exitCode") == "3")
      #expect(whole.result["nodesOffloaded"] == nil)
      // While it runs they change all the time and are left alone; zstd is for argo-server.
      for other in [state(bytes, finished: false), state([0x28, 0xb5, 0x2f, 0xfd])] {
        #expect(other.hasDistantNodes)
        #expect(other.result["nodesOffloaded"] == true)
      }
    }
  }
}
