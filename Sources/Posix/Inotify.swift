import Glibc

/// The kernel's news of files (`inotify`).
package struct Inotify: ~Copyable, Sendable {
  /// What happened to something in a folder that is watched, or to the folder itself.
  package struct News: Sendable, Equatable {
    /// As `watch` answered it; -1 where news were lost.
    package let watch: Int32
    /// `IN_CREATE` and its like.
    package let mask: UInt32
    /// Within the folder; empty for the folder itself.
    package let name: String
  }

  private let descriptor: FileDescriptor
  /// Readable when there are news.
  package var raw: Int32 { descriptor.raw }

  /// - Throws: `SystemError` when the system's limit of instances is reached.
  package init() throws(SystemError) {
    let raw = try retryingInterrupts("inotify_init1") {
      inotify_init1(Int32(IN_CLOEXEC) | Int32(IN_NONBLOCK))
    }
    descriptor = FileDescriptor(owning: raw)
  }

  /// Watches a folder; a number that its news carry, the same one for the same folder.
  package borrowing func watch(_ path: String, _ mask: UInt32) throws(SystemError) -> Int32 {
    let raw = descriptor.raw
    return try retryingInterrupts("inotify_add_watch", path) {
      unsafe inotify_add_watch(raw, path, mask | UInt32(IN_ONLYDIR))
    }
  }

  package borrowing func unwatch(_ watch: Int32) { _ = inotify_rm_watch(descriptor.raw, watch) }

  /// What there is, without waiting; empty where there is nothing.
  package borrowing func read() throws(SystemError) -> [News] {
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    let raw = descriptor.raw
    let count = unsafe buffer.withUnsafeMutableBytes { bytes in
      unsafe Glibc.read(raw, bytes.baseAddress, bytes.count)
    }
    guard count >= 0 else {
      if errno == EAGAIN || errno == EINTR { return [] }
      throw SystemError("read")
    }
    var news: [News] = []
    // struct inotify_event: wd, mask, cookie, len (4 bytes each), then len bytes of name and NULs.
    var at = 0
    while at + 16 <= count {
      func word(_ place: Int) -> UInt32 {
        (0..<4).reduce(0) { $0 | UInt32(buffer[at + place + $1]) << (8 * UInt32($1)) }
      }
      let length = Int(word(12))
      guard at + 16 + length <= count else { break }
      let name = buffer[(at + 16)..<(at + 16 + length)].prefix { $0 != 0 }
      news.append(
        News(
          watch: Int32(bitPattern: word(0)),
          mask: word(4),
          name: String(decoding: name, as: UTF8.self)
        )
      )
      at += 16 + length
    }
    return news
  }
}

extension EventLoop {
  /// Suspends until `descriptor` is readable or the task is cancelled; the caller then looks which.
  /// The descriptor must stay open until this returns. From anywhere.
  package func waitUntilReadable(_ descriptor: Int32) async {
    let wait = ReadableWait()
    await withTaskCancellationHandler {
      // This closure may run on any thread, whatever the caller's executor: only posts are safe.
      await withCheckedContinuation { continuation in
        post { [self] in wait.begin(continuation, self, descriptor) }
      }
    } onCancel: {
      post { wait.end() }
    }
  }
}

private final class ReadableWait: @unchecked Sendable {
  // SAFETY: after its making touched on the loop's thread only.

  private var continuation: CheckedContinuation<Void, Never>?
  private var watch: EventLoop.Watch?
  private var isOver = false

  func begin(
    _ continuation: CheckedContinuation<Void, Never>,
    _ loop: EventLoop,
    _ descriptor: Int32
  ) {
    self.continuation = continuation
    if isOver { return end() }
    do throws(SystemError) {
      watch = try loop.watch(descriptor, for: .readable) { [unowned self] _ in end() }
    } catch {
      // The caller looks and finds what it finds.
      end()
    }
  }

  func end() {
    isOver = true
    watch?.cancel()
    watch = nil
    continuation?.resume()
    continuation = nil
  }
}
