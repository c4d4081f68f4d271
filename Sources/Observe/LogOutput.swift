import Glibc
import Synchronization

/// A file descriptor that whole lines go to, one after the other, from any thread.
package final class LogOutput: Sendable {
  private let descriptor: Mutex<Int32>

  /// - Parameter descriptor: stays the caller's and must outlive this.
  package init(descriptor: Int32) { self.descriptor = Mutex(descriptor) }

  /// Standard error.
  package static let standardError = LogOutput(descriptor: STDERR_FILENO)

  /// Whether a person is likely to be looking: a terminal, and neither `NO_COLOR` nor a dumb one.
  package var wantsColour: Bool {
    guard descriptor.withLock({ isatty($0) }) == 1, unsafe getenv("NO_COLOR") == nil else {
      return false
    }
    guard let kind = unsafe getenv("TERM") else { return false }
    return unsafe strcmp(kind, "dumb") != 0
  }

  /// Writes `line` and a line feed. The lock is held for the whole line, so lines never mix.
  /// A line that the descriptor does not take is lost: there is nowhere left to say so.
  func write(_ line: String) {
    let bytes = Array((line + "\n").utf8)
    descriptor.withLock { descriptor in
      unsafe bytes.withUnsafeBytes { buffer in
        var rest = unsafe buffer[...]
        while unsafe !rest.isEmpty {
          let start = unsafe UnsafeRawBufferPointer(rebasing: rest)
          let written = unsafe Glibc.write(descriptor, start.baseAddress, start.count)
          if written > 0 {
            unsafe rest = rest.dropFirst(written)
          } else if errno == EAGAIN {
            waitUntilWritable(descriptor)
          } else if errno != EINTR {
            return
          }
        }
      }
    }
  }
}

private func waitUntilWritable(_ descriptor: Int32) {
  var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
  _ = unsafe poll(&entry, 1, -1)
}
