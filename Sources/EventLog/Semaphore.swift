import CLinux
import Glibc
package import Posix

/// A counter a thread can wait for: an eventfd.
package func makeSemaphore() throws(SystemError) -> Int32 {
  try retryingInterrupts("eventfd") { eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)) }
}

/// Wakes who waits, or whoever waits next.
package func signalSemaphore(_ fd: Int32) {
  var one: UInt64 = 1
  _ = unsafe Glibc.write(fd, &one, 8)
}

/// Returns when the semaphore is signalled, or after the time at the latest.
package func waitSemaphore(_ fd: Int32, atMost wait: Duration) {
  var entry = pollfd(fd: fd, events: Int16(POLLIN), revents: 0)
  let milliseconds = Int32(clamping: wait.wholeNanoseconds / 1_000_000)
  _ = unsafe poll(&entry, 1, milliseconds)
  var counter: UInt64 = 0
  _ = unsafe Glibc.read(fd, &counter, 8)
}
