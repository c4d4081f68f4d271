import Event
import Glibc
import HTTP
import JSON
import Logging
import Posix
import Synchronization

/// A line of JSON for each request to an event source. Requests never wait for the file: lines are
/// gathered and written by a thread of their own; what does not fit meanwhile, or is not taken by
/// the disk, is counted and said in the next line that is. No query and no header of the request but its `User-Agent` is
/// written: others hold secrets.
final class AccessLog: Sendable {
  private static let waitingMax = 4 << 20

  private struct State {
    var lines: [UInt8] = []
    var dropped = 0
    var isClosed = false
    var wantsReopening = false
    /// Said already.
    var isFailing = false
  }

  private let path: String
  private let logger: Logger
  private let state = Mutex(State())
  private let bell: Bell
  private let writer = Mutex<Thread?>(nil)

  /// Opens the file for appending, made with mode 0600.
  /// - Throws: `SystemError` that names it.
  init(_ path: String, _ logger: Logger) throws(SystemError) {
    self.path = path
    self.logger = logger
    bell = try Bell()
    let file = try Self.open(path)
    let thread = try Thread("access-log") { [self, raw = file.release()] in
      write(to: FileDescriptor(owning: raw))
    }
    writer.withLock { $0 = thread }
  }

  private static func open(_ path: String) throws(SystemError) -> FileDescriptor {
    try FileDescriptor.open(path, O_WRONLY | O_APPEND | O_CREAT, mode: 0o600)
  }

  func note(_ answered: Answered, port: String) {
    guard let head = answered.head else { return }
    var members: [JSON.Member] = [
      .init(
        key: "time",
        value: .string(Timestamp(nanoseconds: wallClockNanoseconds()).description)
      )
    ]
    if let client = head.client {
      members.append(.init(key: "client", value: .string("\(client)")))
    }
    members += [
      .init(key: "port", value: .number(port)),
      .init(key: "method", value: .string(head.method)),
      .init(key: "path", value: .string(head.path)),
      .init(key: "status", value: JSON(answered.status)),
      .init(key: "bytes", value: JSON(answered.bodyBytes)),
      .init(key: "microseconds", value: JSON(Int(answered.took / .microseconds(1)))),
    ]
    if let agent = head.headers["User-Agent"] {
      members.append(.init(key: "userAgent", value: .string(agent)))
    }
    add(JSON.object(members).encoded() + [0x0a])
  }

  private func add(_ line: [UInt8]) {
    let isFirst = state.withLock { state -> Bool in
      guard state.lines.count + line.count <= Self.waitingMax else {
        state.dropped += 1
        return false
      }
      let isFirst = state.lines.isEmpty
      if state.dropped > 0 {
        state.lines += JSON.object([.init(key: "dropped", value: JSON(state.dropped))]).encoded()
        state.lines.append(0x0a)
        state.dropped = 0
      }
      state.lines += line
      return isFirst
    }
    if isFirst { bell.ring() }
  }

  /// Opens the file of that name anew, as after it was moved away.
  func reopen() {
    state.withLock { $0.wantsReopening = true }
    bell.ring()
  }

  /// Writes what waits.
  func close() {
    state.withLock { $0.isClosed = true }
    bell.ring()
    writer.withLock { $0.take() }?.join()
  }

  /// Requests go on all the same; whoever looks is told, once until it is better.
  private func failed(_ lines: [UInt8], _ error: SystemError) {
    let isNew = state.withLock { state in
      defer { state.isFailing = true }
      state.dropped += lines.count { $0 == 0x0a }
      return !state.isFailing
    }
    if isNew { logger.error("the access log cannot be written", metadata: ["error": "\(error)"]) }
  }

  private func write(to file: consuming FileDescriptor) {
    var file = consume file
    while true {
      bell.wait()
      let (lines, isClosed, wantsReopening) = state.withLock { state in
        defer {
          state.lines = []
          state.wantsReopening = false
        }
        return (state.lines, state.isClosed, state.wantsReopening)
      }
      do throws(SystemError) {
        try Files.write(lines, to: file)
        if !lines.isEmpty { state.withLock { $0.isFailing = false } }
      } catch { failed(lines, error) }
      do throws(SystemError) {
        if wantsReopening { file = try Self.open(path) }
      } catch { failed([], error) }
      if isClosed { return }
    }
  }
}
