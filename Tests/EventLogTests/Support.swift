import CLinux
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
