import CLinux
import Glibc

/// A named operating-system thread that runs one closure and can be waited for.
///
/// Three things need a thread of their own: event loops, the log's writer and blocking calls
/// with no readiness to wait for. Everything else runs on those.
package final class Thread: Sendable {
  private let handle: pthread_t

  /// Starts the thread at once.
  /// - Throws: `SystemError` when the system has no thread to give.
  package init(_ name: String, _ body: @escaping @Sendable () -> Void) throws(SystemError) {
    var handle = pthread_t()
    let start = unsafe Unmanaged.passRetained(Start(name: name, body: body))
    let code = unsafe pthread_create(
      &handle,
      nil,
      { argument in
        guard let argument = unsafe argument else { return nil }
        let start = unsafe Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
        unsafe clinux_set_thread_name(start.name)
        start.body()
        return nil
      },
      start.toOpaque()
    )
    guard code == 0 else {
      unsafe start.release()
      throw SystemError("pthread_create", name, code: code)
    }
    self.handle = handle
  }

  /// Waits until the closure has returned. Call it once.
  package func join() { _ = pthread_join(handle, nil) }
}

private final class Start: Sendable {
  let name: String
  let body: @Sendable () -> Void

  init(name: String, body: @escaping @Sendable () -> Void) {
    self.name = name
    self.body = body
  }
}
