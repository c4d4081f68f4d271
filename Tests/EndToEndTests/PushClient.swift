import Foundation
import Glibc
import Posix
import Synchronization
import TestKit

/// Connections that are kept busy with new signed pushes, each sent until it gets a 2xx.
final class PushClient: Sendable {
  struct Tally {
    var next = 0
    var acknowledged: Set<Int> = []
    var requests = 0
    var lastSlow = MonotonicTime.now()
  }

  private let port: Int
  private let tally = Mutex(Tally())
  private let isStopping = Atomic(false)
  private let done = DispatchGroup()

  var numbers: Tally { tally.withLock { $0 } }

  init(port: Int, connections: Int) {
    self.port = port
    for _ in 0..<connections {
      done.enter()
      Thread.detachNewThread { [self] in
        run()
        done.leave()
      }
    }
  }

  /// Lets every push that was begun get its answer.
  func finish() {
    isStopping.store(true, ordering: .relaxed)
    done.wait()
  }

  private func run() {
    var connection: Int32 = -1
    defer { if connection >= 0 { close(connection) } }
    while !isStopping.load(ordering: .relaxed) {
      let (number, isSlow) = tally.withLock { tally in
        defer { tally.next += 1 }
        // About as many slow ones as two cores can run.
        let now = MonotonicTime.now()
        let isSlow = now - tally.lastSlow > .milliseconds(1500)
        if isSlow { tally.lastSlow = now }
        return (tally.next, isSlow)
      }
      let body = #"{"ref":"refs/heads/main","number":\#(number),"slow":\#(isSlow)}"#
      let request = signedPush(body, delivery: "d-\(number)", secret: "canary-secret")
      while !send(request, on: &connection) {}
      tally.withLock { _ = $0.acknowledged.insert(number) }
    }
  }

  /// Whether it was answered with a 2xx.
  private func send(_ request: [UInt8], on connection: inout Int32) -> Bool {
    tally.withLock { $0.requests += 1 }
    if connection < 0 { connection = connect() }
    if connection >= 0, let status = exchange(request, connection) {
      return (200...299).contains(status)
    }
    if connection >= 0 { close(connection) }
    connection = -1
    // Nobody listens for a moment; the pause keeps the refusals from eating the machine.
    _ = poll(nil, 0, 10)
    return false
  }

  private func connect() -> Int32 {
    let raw = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(truncatingIfNeeded: port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let code = unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe Glibc.connect(raw, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    if code == 0 { return raw }
    close(raw)
    return -1
  }

  /// The status; nil when the connection broke before the whole answer.
  private func exchange(_ request: [UInt8], _ connection: Int32) -> Int? {
    var sent = 0
    while sent < request.count {
      guard case .bytes(let count) = Socket.send(connection, request, from: sent) else {
        return nil
      }
      sent += count
    }
    var answer: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = unsafe chunk.withUnsafeMutableBytes {
        unsafe recv(connection, $0.baseAddress, $0.count, 0)
      }
      if count <= 0 { return nil }
      answer += chunk[..<count]
      let text = String(decoding: answer, as: UTF8.self)
      guard let end = text.range(of: "\r\n\r\n") else { continue }
      let head = text[..<end.lowerBound].lowercased()
      let length = head.range(of: "content-length: ").flatMap {
        Int(head[$0.upperBound...].prefix { $0.isNumber })
      }
      if text[end.upperBound...].utf8.count >= length ?? 0 {
        return Int(head.dropFirst(9).prefix(3))
      }
    }
  }
}
