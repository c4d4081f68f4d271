import Glibc

/// A system call that failed: which one, on what, and why.
package struct SystemError: Error, Equatable, CustomStringConvertible {
  /// The C function, such as `open`.
  package let call: String
  /// The path or address it was about; empty where there is none.
  package let subject: String
  /// The value of `errno` after the call.
  package let code: Int32

  package init(_ call: String, _ subject: String = "", code: Int32 = errno) {
    self.call = call
    self.subject = subject
    self.code = code
  }

  package var description: String {
    let reason = unsafe String(cString: strerror(code))
    return subject.isEmpty ? "\(call): \(reason)" : "\(call) \(subject): \(reason)"
  }

  /// A descriptor that was closed already.
  package static var closed: SystemError { SystemError("dup", code: EBADF) }

  /// Nothing is there (`ENOENT`).
  package var isMissing: Bool { code == ENOENT }

  /// The disk or the quota is exhausted (`ENOSPC`, `EDQUOT`): space may come free again.
  package var isOutOfSpace: Bool { code == ENOSPC || code == EDQUOT }
}

/// Calls `body` again while it fails with `EINTR`; a negative answer is an error.
@discardableResult
package func retryingInterrupts<I: SignedInteger>(
  _ call: String,
  _ subject: String = "",
  _ body: () -> I
) throws(SystemError) -> I {
  while true {
    let result = body()
    if result >= 0 { return result }
    if errno != EINTR { throw SystemError(call, subject) }
  }
}
