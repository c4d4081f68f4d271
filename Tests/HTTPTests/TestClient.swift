import Foundation
import Posix

/// A blocking client for one connection; nothing takes longer than ten seconds.
final class TestClient {
  private let socket: Int32

  init(_ port: Int, receiveBuffer: Int32? = nil) throws {
    socket = Foundation.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    if var size = receiveBuffer {
      _ = unsafe setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &size, 4)
    }
    var time = timeval(tv_sec: 10, tv_usec: 0)
    let length = socklen_t(MemoryLayout<timeval>.size)
    _ = unsafe setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &time, length)
    _ = unsafe setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &time, length)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let code = unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    if code != 0 { throw SystemError("connect") }
  }

  deinit { close(socket) }

  /// False when the server has closed.
  @discardableResult
  func send(_ bytes: [UInt8]) -> Bool {
    var at = 0
    while at < bytes.count {
      guard case .bytes(let count) = Socket.send(socket, bytes, from: at) else { return false }
      at += count
    }
    return true
  }

  @discardableResult
  func send(_ text: String) -> Bool { send(Array(text.utf8)) }

  /// What comes next; empty at the end of the stream or after ten seconds.
  func receive() -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    let count = unsafe recv(socket, &buffer, buffer.count, 0)
    return count > 0 ? Array(buffer[..<count]) : []
  }

  func receiveText() -> String { String(decoding: receive(), as: UTF8.self) }

  /// Reads until `text` has come, or the end.
  func receive(until text: String) -> String {
    var all = ""
    while !all.contains(text) {
      let more = receiveText()
      if more.isEmpty { break }
      all += more
    }
    return all
  }

  func receiveToEnd() -> String {
    var all: [UInt8] = []
    while true {
      let more = receive()
      if more.isEmpty { return String(decoding: all, as: UTF8.self) }
      all += more
    }
  }

  /// Sends no more; still reads.
  func finishSending() { shutdown(socket, Int32(SHUT_WR)) }

  /// Ends both directions at once.
  func reset() {
    var option = linger(l_onoff: 1, l_linger: 0)
    let length = socklen_t(MemoryLayout<linger>.size)
    _ = unsafe setsockopt(socket, SOL_SOCKET, SO_LINGER, &option, length)
    shutdown(socket, Int32(SHUT_RDWR))
  }
}
