import Glibc
import Posix

/// What a command writes: the first bytes go to a file, the last ones are remembered.
struct CommandOutput {
  /// Bytes of the end that are remembered.
  static let tailBytes = 16 << 10

  private let claim: JobFolder.Claim
  /// Bytes taken so far.
  private(set) var count = 0
  /// Nobody can write any more.
  private(set) var isEnded = false
  private var tail: [UInt8] = []
  private var chunk = [UInt8](repeating: 0, count: 64 << 10)

  init(_ claim: JobFolder.Claim) { self.claim = claim }

  /// The remembered end. Where something was left out before it, so is the line that was cut.
  var tailText: String {
    var kept = tail.suffix(Self.tailBytes)
    if count > kept.count {
      kept = kept.firstIndex(of: 0x0a).map { kept[($0 + 1)...] } ?? []
    }
    return String(decoding: kept, as: UTF8.self)
  }

  /// Takes what `pipe`, which does not block, holds now; at most one chunk.
  mutating func take(from pipe: borrowing FileDescriptor) {
    let raw = pipe.raw
    let got = unsafe chunk.withUnsafeMutableBytes { unsafe read(raw, $0.baseAddress, $0.count) }
    if got < 0 {
      if errno != EAGAIN && errno != EINTR { isEnded = true }
      return
    }
    if got == 0 {
      isEnded = true
      return
    }
    keep(chunk[..<got])
  }

  private mutating func keep(_ bytes: ArraySlice<UInt8>) {
    let room = max(0, JobFolder.outputBytes - count)
    if room > 0 {
      // A full disk costs output, not the command.
      do throws(SystemError) { try Files.write(Array(bytes.prefix(room)), to: claim.output) } catch
      {
        count = max(count, JobFolder.outputBytes)
      }
    }
    count += bytes.count
    tail += bytes
    if tail.count > 4 * Self.tailBytes { tail.removeFirst(tail.count - Self.tailBytes) }
  }

  /// Takes the rest, until the end or for `limit`.
  mutating func drain(_ pipe: borrowing FileDescriptor, atMost limit: Duration) {
    let deadline = MonotonicTime.now() + limit
    while !isEnded {
      let left = deadline - .now()
      if left <= .zero || !poll([pipe.raw], atMost: left)[0] { return }
      take(from: pipe)
    }
  }
}
