import CLinux
import Glibc

/// Signals as readable events.
package enum Signals {
  /// A descriptor that becomes readable when one of `signals` arrives; they do nothing else any
  /// more. Call it once in a process.
  package static func descriptor(_ signals: [Int32]) throws(SystemError) -> FileDescriptor {
    let raw = try retryingInterrupts("eventfd") {
      eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
    }
    let descriptor = FileDescriptor(owning: raw)
    for signal in signals {
      try retryingInterrupts("sigaction") { clinux_forward_signal(signal, raw) }
    }
    return descriptor
  }

  /// Writing to a closed pipe or socket answers `EPIPE` instead of ending the process.
  package static func ignoreBrokenPipes() { _ = signal(SIGPIPE, SIG_IGN) }
}
