import CLinux
import Glibc
import Posix

/// A counter a thread can wait for: an eventfd in blocking mode.
func makeSemaphore() throws(SystemError) -> Int32 {
  try retryingInterrupts("eventfd") { eventfd(0, Int32(EFD_CLOEXEC)) }
}

func signalSemaphore(_ fd: Int32) {
  var one: UInt64 = 1
  _ = unsafe Glibc.write(fd, &one, 8)
}

func waitSemaphore(_ fd: Int32) {
  var counter: UInt64 = 0
  _ = unsafe Glibc.read(fd, &counter, 8)
}
