import Glibc
import Posix

/// A folder that is gone when the closure returns. That may wait without giving its thread back.
package func withTemporaryFolder<Result>(
  _ body: (String) async throws -> Result
) async throws -> Result {
  var random = SystemRandomNumberGenerator()
  let folder = "/tmp/signalbox-test-\(getpid())-\(random.next())"
  try Files.makeFolder(folder)
  do {
    let result = try await withTaskExecutorPreference(OwnThreads.shared) { try await body(folder) }
    try Files.remove(folder)
    return result
  } catch {
    try Files.remove(folder)
    throw error
  }
}

/// The path of a program that is built beside the tests; of `signalbox` it is the one that
/// `SIGNALBOX_PROGRAM` names, where it does.
package func builtProgram(_ name: String) -> String {
  if name == "signalbox", let path = unsafe getenv("SIGNALBOX_PROGRAM") {
    return unsafe String(cString: path)
  }
  var buffer = [UInt8](repeating: 0, count: 4096)
  let count = unsafe buffer.withUnsafeMutableBytes { bytes -> Int in
    guard let base = unsafe bytes.assumingMemoryBound(to: CChar.self).baseAddress else { return 0 }
    return unsafe readlink("/proc/self/exe", base, bytes.count)
  }
  let path = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
  return Files.parent(of: path) + "/" + name
}
