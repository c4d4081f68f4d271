import CLinux
import Glibc

/// Signals as readable events: they are blocked for the whole process and read from a descriptor.
package enum Signals {
  /// Blocks `signals` in the calling thread and all threads it starts later. Call it first
  /// thing in `main`, before any other thread exists.
  package static func block(_ signals: [Int32]) {
    var set = make(signals)
    unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
  }

  /// A non-blocking descriptor that becomes readable when one of `signals` arrives.
  package static func descriptor(_ signals: [Int32]) throws(SystemError) -> FileDescriptor {
    var set = make(signals)
    let raw = try retryingInterrupts("signalfd") {
      unsafe signalfd(-1, &set, Int32(SFD_CLOEXEC) | Int32(SFD_NONBLOCK))
    }
    return FileDescriptor(owning: raw)
  }

  /// The number of the next pending signal; nil when none is.
  package static func next(_ descriptor: borrowing FileDescriptor) -> Int32? {
    var info = signalfd_siginfo()
    let size = MemoryLayout<signalfd_siginfo>.size
    guard unsafe Glibc.read(descriptor.raw, &info, size) == size else { return nil }
    return Int32(info.ssi_signo)
  }

  /// Writing to a closed pipe or socket answers `EPIPE` instead of ending the process.
  package static func ignoreBrokenPipes() { _ = signal(SIGPIPE, SIG_IGN) }

  private static func make(_ signals: [Int32]) -> sigset_t {
    var set = sigset_t()
    unsafe sigemptyset(&set)
    for signal in signals { unsafe sigaddset(&set, signal) }
    return set
  }
}
