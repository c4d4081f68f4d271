import Foundation
import Glibc
import Posix
import Synchronization
import TestKit

/// Connections that are kept busy with new signed pushes, each sent once. Whatever goes wrong is a
/// trouble: a server that is replaced must not be noticed.
final class SteadyClient: Sendable {
  private struct Tally {
    var next = 0
    var acknowledged: Set<Int> = []
    var troubles: [String] = []
  }

  private let port: Int
  private let gap: Int32
  private let tally = Mutex(Tally())
  private let isStopping = Atomic(false)
  private let done = DispatchGroup()

  var acknowledged: Set<Int> { tally.withLock { $0.acknowledged } }
  var troubles: [String] { tally.withLock { $0.troubles } }

  /// A gap in milliseconds after each push keeps what a long run has to count within bounds.
  init(port: Int, connections: Int, gap: Int32 = 0) {
    self.port = port
    self.gap = gap
    for _ in 0..<connections {
      done.enter()
      Thread.detachNewThread { [self] in
        run()
        done.leave()
      }
    }
  }

  /// Waits until `count` more pushes were acknowledged, or something went wrong.
  func waitForMore(_ count: Int) {
    let wanted = count + tally.withLock { $0.acknowledged.count }
    while tally.withLock({ $0.acknowledged.count < wanted && $0.troubles.isEmpty }) {
      _ = poll(nil, 0, 5)
    }
  }

  /// Lets every push that was begun get its answer.
  func finish() {
    isStopping.store(true, ordering: .relaxed)
    done.wait()
  }

  private func run() {
    var connection: TestConnection?
    while !isStopping.load(ordering: .relaxed) {
      let number = tally.withLock { tally in
        defer { tally.next += 1 }
        return tally.next
      }
      let request = signedPush(
        #"{"number":\#(number)}"#,
        delivery: "d-\(number)",
        secret: "canary-secret"
      )
      do throws(SystemError) {
        let open = if let connection { connection } else { try TestConnection(port) }
        let answer = try open.exchange(request)
        connection = answer.isLast ? nil : open
        tally.withLock { tally in
          if answer.status == 202 {
            _ = tally.acknowledged.insert(number)
          } else {
            tally.troubles.append("push \(number): status \(answer.status)")
          }
        }
      } catch {
        tally.withLock { $0.troubles.append("push \(number): \(error)") }
        return
      }
      if gap > 0 { _ = poll(nil, 0, gap) }
    }
  }
}

/// A blocking connection of HTTP/1.1.
final class TestConnection {
  private let socket: FileDescriptor

  init(_ port: Int) throws(SystemError) {
    let raw = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    socket = FileDescriptor(owning: raw)
    var limit = timeval(tv_sec: 60, tv_usec: 0)
    let size = socklen_t(MemoryLayout<timeval>.size)
    _ = unsafe setsockopt(raw, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(truncatingIfNeeded: port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let code = unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe connect(raw, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    if code != 0 { throw SystemError("connect") }
  }

  /// Sends a request and reads its whole answer.
  /// - Throws: `SystemError`; `EPIPE` when the connection ended before that.
  func exchange(_ request: [UInt8]) throws(SystemError) -> (status: Int, isLast: Bool) {
    try send(request)
    return try receive()
  }

  func send(_ request: [UInt8]) throws(SystemError) {
    var sent = 0
    while sent < request.count {
      guard case .bytes(let count) = Socket.send(socket.raw, request, from: sent) else {
        throw SystemError("send")
      }
      sent += count
    }
  }

  /// The next answer.
  func receive() throws(SystemError) -> (status: Int, isLast: Bool) {
    var answer: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = unsafe recv(socket.raw, &chunk, chunk.count, 0)
      if count < 0 { throw SystemError("recv") }
      if count == 0 { throw SystemError("recv", "after \(answer.count) bytes", code: EPIPE) }
      answer += chunk[..<count]
      let text = String(decoding: answer, as: UTF8.self)
      guard let end = text.range(of: "\r\n\r\n") else { continue }
      let head = text[..<end.lowerBound].lowercased()
      let length = head.range(of: "content-length: ").flatMap {
        Int(head[$0.upperBound...].prefix { $0.isNumber })
      }
      if text[end.upperBound...].utf8.count >= length ?? 0 {
        return (Int(head.dropFirst(9).prefix(3)) ?? 0, head.contains("\r\nconnection: close"))
      }
    }
  }
}
