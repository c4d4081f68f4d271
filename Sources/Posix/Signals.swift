import CLinux
import Glibc

extension FileDescriptor {
  /// A counter from zero that is readable once something was added to it, and never blocks
  /// (`eventfd`).
  package static func counter() throws(SystemError) -> FileDescriptor {
    let raw = try retryingInterrupts("eventfd") {
      eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
    }
    return FileDescriptor(owning: raw)
  }
}

/// Signals as readable events.
package enum Signals {
  /// A descriptor that becomes readable when one of `signals` arrives; they do nothing else any
  /// more. A signal belongs to the descriptor that asked last.
  package static func descriptor(_ signals: [Int32]) throws(SystemError) -> FileDescriptor {
    let descriptor = try FileDescriptor.counter()
    let raw = descriptor.raw
    for signal in signals {
      try retryingInterrupts("sigaction") { clinux_forward_signal(signal, raw) }
    }
    return descriptor
  }

  /// Writing to a closed pipe or socket answers `EPIPE` instead of ending the process.
  package static func ignoreBrokenPipes() { _ = signal(SIGPIPE, SIG_IGN) }
}

/// An eventfd that the program rings itself; `EventLoop.readable(of:)` hears it.
package final class Bell: Sendable {
  private let counter: FileDescriptor
  package var raw: Int32 { counter.raw }

  package init() throws(SystemError) {
    let raw = try retryingInterrupts("eventfd") {
      eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
    }
    counter = FileDescriptor(owning: raw)
  }

  package func ring() {
    var one: UInt64 = 1
    // EAGAIN means that it has been ringing for long.
    _ = unsafe write(counter.raw, &one, 8)
  }

  /// Blocks the thread until it rings, or returns at once when it rang since the last time.
  package func wait() {
    var count: UInt64 = 0
    while unsafe read(counter.raw, &count, 8) != 8 {
      var entry = pollfd(fd: counter.raw, events: Int16(POLLIN), revents: 0)
      _ = unsafe poll(&entry, 1, -1)
    }
  }
}

extension EventLoop {
  /// Suspends until one of `counters` (eventfd) counts, empties and returns it. From anywhere.
  /// - Returns: nil when none did within `limit`.
  package func readable(of counters: [Int32], within limit: Duration? = nil) async -> Int32? {
    await withCheckedContinuation { continuation in
      post { [self] in
        let waits = Waits()
        waits.timer = limit.map { limit in
          timer(after: limit) {
            waits.end()
            continuation.resume(returning: nil)
          }
        }
        for counter in counters {
          do throws(SystemError) {
            let watch = try watch(counter, for: .readable) { _ in
              var count: UInt64 = 0
              guard unsafe read(counter, &count, 8) == 8 else { return }
              waits.end()
              continuation.resume(returning: counter)
            }
            waits.all.append(watch)
          } catch { preconditionFailure("cannot watch a counter: \(error)") }
        }
      }
    }
  }

  private final class Waits {
    var all: [Watch] = []
    var timer: Timer?

    func end() {
      for watch in all { watch.cancel() }
      all = []
      timer?.cancel()
    }
  }
}
