import CLinux
import Glibc

/// The number of a process (`pid_t`).
package typealias ProcessID = Int32

/// A program to start.
package struct Program: Sendable {
  /// Not searched for; a relative path starts from `folder`.
  package var path: String
  /// What the program sees as its arguments, its own name first.
  package var arguments: [String]
  /// Entries `NAME=value`; nothing is inherited.
  package var environment: [String]
  /// The working directory; nil for the caller's.
  package var folder: String?
  /// Whether it gets a session of its own; otherwise it gets a process group of its own.
  package var leadsSession: Bool
  /// Whether the kernel kills it when the calling thread ends, however that ends.
  package var diesWithCaller: Bool

  package init(
    path: String,
    arguments: [String],
    environment: [String],
    folder: String? = nil,
    leadsSession: Bool = false,
    diesWithCaller: Bool = false
  ) {
    self.path = path
    self.arguments = arguments
    self.environment = environment
    self.folder = folder
    self.leadsSession = leadsSession
    self.diesWithCaller = diesWithCaller
  }

  /// Starts it with `descriptors` (8 at the most) as its 0, 1, 2 ... and no others. The new process
  /// is the caller's to wait for. Wraps `vfork` and `execve`.
  /// - Throws: `SystemError` when nothing was started.
  package func start(descriptors: [Int32]) throws(SystemError) -> ProcessID {
    precondition(
      (arguments + environment).allSatisfy { !$0.utf8.contains(0) },
      "NUL in a C string"
    )
    let process = unsafe withCStrings(arguments) { arguments in
      unsafe withCStrings(environment) { environment in
        unsafe path.withCString { path in
          unsafe withOptionalCString(folder) { folder in
            unsafe descriptors.withUnsafeBufferPointer { descriptors in
              var program = unsafe clinux_program(
                path: path,
                arguments: arguments,
                environment: environment,
                folder: folder,
                descriptors: descriptors.baseAddress,
                descriptor_count: Int32(descriptors.count),
                leads_session: leadsSession ? 1 : 0,
                dies_with_caller: diesWithCaller ? 1 : 0
              )
              return unsafe clinux_start(&program)
            }
          }
        }
      }
    }
    if process < 0 { throw SystemError("start", path) }
    return process
  }
}

/// Lets this process open as many descriptors as it may at all: each connection is one. Programs
/// that it starts get the limit it had. Call it before any is started.
package func raiseDescriptorLimit() throws(SystemError) {
  try retryingInterrupts("setrlimit") { clinux_raise_descriptor_limit() }
}

/// How a process ended.
package enum ProcessEnd: Equatable, Sendable {
  case exited(Int32)
  case signalled(Int32)

  fileprivate init(_ status: Int32) {
    let signal = status & 0x7f
    self = signal == 0 ? .exited(status >> 8 & 0xff) : .signalled(signal)
  }
}

/// A running process that can be waited for without being its parent (`pidfd_open`).
package final class ProcessHandle: Sendable {
  private let descriptor: FileDescriptor

  /// Readable once the process has ended.
  package var raw: Int32 { descriptor.raw }

  /// - Throws: `SystemError`; `ESRCH` when no such process runs.
  package init(_ process: ProcessID) throws(SystemError) {
    let raw = try retryingInterrupts("pidfd_open") { clinux_pidfd_open(process) }
    descriptor = FileDescriptor(owning: raw)
  }
}

package enum Processes {
  /// Takes the status of a child that has ended; nil while it runs, and where there is none.
  /// With -1, of any child. Wraps `waitpid` with `WNOHANG`.
  package static func reap(_ process: ProcessID) -> (process: ProcessID, end: ProcessEnd)? {
    var status: Int32 = 0
    while true {
      let ended = unsafe waitpid(process, &status, WNOHANG)
      if ended > 0 { return (ended, ProcessEnd(status)) }
      if ended == 0 || errno != EINTR { return nil }
    }
  }

  /// Undoes `Program.diesWithCaller` for the calling process.
  package static func outliveCaller() throws(SystemError) {
    try retryingInterrupts("prctl") { clinux_outlive_caller() }
  }

  /// When `process` was started, in clock ticks since the machine's start: with the process id it
  /// names one process until the machine restarts (proc(5), field 22 of `stat`).
  package static func startTime(of process: ProcessID) throws(SystemError) -> String {
    let path = "/proc/\(process)/stat"
    let text = String(decoding: try Files.read(path, limit: 4096), as: UTF8.self)
    // The name in parentheses may hold anything, so fields are counted behind it.
    guard let name = text.lastIndex(of: ")") else { throw SystemError("read", path, code: EINVAL) }
    let fields = text[name...].split(separator: " ")
    guard fields.count > 20 else { throw SystemError("read", path, code: EINVAL) }
    return String(fields[20])
  }

  /// Changes with every start of the machine.
  package static func bootID() throws(SystemError) -> String {
    let bytes = try Files.read("/proc/sys/kernel/random/boot_id", limit: 256)
    return String(decoding: bytes.filter { $0 > 32 }, as: UTF8.self)
  }

  /// A variable of this process's environment; nil when unset.
  package static func environment(_ name: String) -> String? {
    guard let value = unsafe getenv(name) else { return nil }
    return unsafe String(cString: value)
  }
}

extension FileDescriptor {
  /// A file that holds `bytes`, has no name on any disk and is positioned at its start.
  /// Wraps `memfd_create`.
  package static func memory(_ name: String, _ bytes: [UInt8]) throws(SystemError)
    -> FileDescriptor
  {
    let raw = try retryingInterrupts("memfd_create", name) { unsafe clinux_memory_file(name) }
    let file = FileDescriptor(owning: raw)
    try Files.write(bytes, to: file)
    try retryingInterrupts("lseek", name) { lseek(raw, 0, SEEK_SET) }
    return file
  }
}

/// Two ends that close on exec; reading does not block.
package struct PipeEnds: ~Copyable {
  package let reading: FileDescriptor
  /// nil closes it: the reader sees the end once every copy is closed.
  package var writing: FileDescriptor?

  /// Wraps `pipe2`.
  package init() throws(SystemError) {
    var ends: [Int32] = [0, 0]
    try retryingInterrupts("pipe2") { unsafe clinux_pipe(&ends) }
    reading = FileDescriptor(owning: ends[0])
    writing = FileDescriptor(owning: ends[1])
    // Only an invalid number or flag could make it fail.
    _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
  }
}

extension EventLoop {
  /// Suspends the caller, wherever it runs, until `process` ends, `limit` has passed or the task
  /// is cancelled; the caller then looks which.
  package func waitForEnd(of process: ProcessHandle?, atMost limit: Duration? = nil) async {
    let wait = ProcessWait(process)
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        post { [self] in wait.begin(on: self, limit, continuation) }
      }
    } onCancel: {
      post { wait.cancel() }
    }
  }
}

/// One waiting task; woken by the first of what it waits for. On the loop.
private final class ProcessWait: @unchecked Sendable {
  // SAFETY: `process` never changes; the rest is touched only on the loop's thread.
  private let process: ProcessHandle?
  private var watch: EventLoop.Watch?
  private var timer: EventLoop.Timer?
  private var continuation: CheckedContinuation<Void, Never>?
  private var isCancelled = false

  init(_ process: ProcessHandle?) { self.process = process }

  func begin(
    on loop: EventLoop,
    _ limit: Duration?,
    _ continuation: CheckedContinuation<Void, Never>
  ) {
    self.continuation = continuation
    if isCancelled { return wake() }
    var limit = limit
    if let process {
      do throws(SystemError) {
        watch = try loop.watch(process.raw, for: .readable) { [self] _ in wake() }
      } catch {
        // Without a watch the wait becomes a poll.
        limit = min(limit ?? .milliseconds(250), .milliseconds(250))
      }
    }
    if let limit { timer = loop.timer(after: limit) { [self] in wake() } }
  }

  func cancel() {
    isCancelled = true
    wake()
  }

  private func wake() {
    watch?.cancel()
    timer?.cancel()
    watch = nil
    timer = nil
    continuation?.resume()
    continuation = nil
  }
}

private func withOptionalCString<R>(
  _ text: String?,
  _ body: (UnsafePointer<CChar>?) -> R
) -> R {
  guard let text else { return body(nil) }
  return unsafe text.withCString { unsafe body($0) }
}

private func withCStrings<R>(
  _ texts: [String],
  _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> R
) -> R {
  var pointers = unsafe texts.map { unsafe strdup($0) }
  unsafe pointers.append(nil)
  defer { for index in unsafe pointers.indices { unsafe free(pointers[index]) } }
  return unsafe pointers.withUnsafeBufferPointer { buffer in
    guard let base = buffer.baseAddress else { preconditionFailure("never empty") }
    return unsafe body(base)
  }
}
