import CLinux
import Foundation
import Synchronization

func crc32c(_ bytes: [UInt8]) -> UInt32 {
  unsafe bytes.withUnsafeBytes { unsafe clinux_crc32c(0, $0.baseAddress, $0.count) }
}

/// Answers one number after the other, the last for ever.
final class Ticks: Sendable {
  private let rest: Mutex<[Int64]>

  init(_ numbers: [Int64]) { rest = Mutex(numbers) }

  func next() -> Int64 {
    rest.withLock { $0.count > 1 ? $0.removeFirst() : $0[0] }
  }
}

/// A folder that is gone when the closure returns.
func withTemporaryFolder<Result>(
  _ body: (String) async throws -> Result
) async throws -> Result {
  let folder = NSTemporaryDirectory() + "signalbox-\(UUID().uuidString)"
  try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: folder) }
  return try await body(folder)
}

/// Where the programs that belong to the tests are built.
func builtProgram(_ name: String) -> String {
  let test = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
  return URL(fileURLWithPath: test).deletingLastPathComponent().appendingPathComponent(name).path
}
