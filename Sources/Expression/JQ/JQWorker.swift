import CLinux
import Glibc
import Posix

struct JQAnswer: Sendable {
  let status: JQFrame.Status
  let text: [UInt8]
}

/// One process that runs jq programs, with an empty environment and a socket as its standard
/// input and output.
final class JQWorker: Sendable {
  private let process: pid_t
  private let socket: Int32

  /// - Throws: `JQError` of kind `worker` when the system starts none.
  init(_ program: String, _ arguments: [String]) throws(JQError) {
    var ends: [Int32] = [-1, -1]
    let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
    guard unsafe socketpair(AF_UNIX, kind, 0, &ends) == 0 else {
      throw JQError(.worker, SystemError("socketpair").description)
    }
    defer { _ = Glibc.close(ends[1]) }
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    unsafe posix_spawn_file_actions_adddup2(&actions, ends[1], 0)
    unsafe posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
    // libjq says its last words there before it ends the process.
    unsafe posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
    let words = unsafe ([program] + arguments).map { unsafe strdup($0) }
    defer { unsafe words.forEach { unsafe free($0) } }
    var list = unsafe words + [nil]
    var environment: [UnsafeMutablePointer<CChar>?] = unsafe [nil]
    var process: pid_t = 0
    let code = unsafe posix_spawn(&process, program, &actions, nil, &list, &environment)
    guard code == 0 else {
      _ = Glibc.close(ends[0])
      throw JQError(.worker, SystemError("posix_spawn", program, code: code).description)
    }
    self.process = process
    socket = ends[0]
  }

  /// Kills the process and waits for its end. Called once.
  func end() {
    _ = kill(process, SIGKILL)
    while waitpid(process, nil, 0) < 0, errno == EINTR {}
    _ = Glibc.close(socket)
  }

  /// - Throws: `JQError`; the worker is of no use afterwards.
  func ask(
    _ request: [UInt8],
    answerMax: Int,
    until deadline: MonotonicTime
  ) throws(JQError) -> JQAnswer {
    var sent = 0
    while sent < request.count {
      try wait(Int16(POLLOUT), until: deadline)
      let flags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)
      let count = unsafe request.withUnsafeBytes { bytes in
        unsafe send(socket, bytes.baseAddress.map { unsafe $0 + sent }, bytes.count - sent, flags)
      }
      if count < 0, errno == EINTR || errno == EAGAIN { continue }
      guard count > 0 else { throw Self.ended }
      sent += count
    }
    let head = try receive(JQFrame.answerHead, until: deadline)
    let count = JQFrame.length(head[1...])
    guard let status = JQFrame.Status(rawValue: head[0]) else {
      throw JQError(.worker, "the worker answers in an unknown way")
    }
    guard count <= answerMax else { throw JQError(.limit, "the output is too large") }
    return JQAnswer(status: status, text: try receive(count, until: deadline))
  }

  private static var ended: JQError {
    JQError(.limit, "the program ended its worker: it takes too much memory, depth or time")
  }

  private func receive(_ count: Int, until deadline: MonotonicTime) throws(JQError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count {
      try wait(Int16(POLLIN), until: deadline)
      let got = unsafe bytes.withUnsafeMutableBytes { buffer in
        unsafe recv(
          socket,
          buffer.baseAddress.map { unsafe $0 + done },
          count - done,
          Int32(MSG_DONTWAIT)
        )
      }
      if got < 0, errno == EINTR || errno == EAGAIN { continue }
      guard got > 0 else { throw Self.ended }
      done += got
    }
    return bytes
  }

  private func wait(_ events: Int16, until deadline: MonotonicTime) throws(JQError) {
    while true {
      let left = (deadline - .now()).wholeNanoseconds
      guard left > 0 else { throw JQError(.limit, "the program takes too long") }
      var ready = pollfd(fd: socket, events: events, revents: 0)
      let count = unsafe poll(&ready, 1, Int32(min(left / 1_000_000 + 1, 60_000)))
      if count > 0 { return }
    }
  }
}
