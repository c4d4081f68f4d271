import CLinux
import Glibc

/// Stream sockets, non-blocking and closed on exec.
package enum Socket {
  /// Listens on a numeric address; port 0 takes a free one.
  /// - Throws: `SystemError`, whose subject is `address:port`.
  package static func listen(_ address: String, _ port: Int) throws(SystemError) -> FileDescriptor {
    let subject = address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)"
    var hints = unsafe addrinfo()
    unsafe hints.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV
    unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var found: UnsafeMutablePointer<addrinfo>?
    guard unsafe getaddrinfo(address, String(port), &hints, &found) == 0,
      let info = unsafe found?.pointee
    else { throw SystemError("listen", subject, code: EADDRNOTAVAIL) }
    defer { unsafe freeaddrinfo(found) }
    let raw = try retryingInterrupts("socket", subject) {
      unsafe socket(info.ai_family, Int32(SOCK_STREAM.rawValue) | flags, 0)
    }
    let listener = FileDescriptor(owning: raw)
    var on: Int32 = 1
    _ = unsafe setsockopt(raw, SOL_SOCKET, SO_REUSEADDR, &on, 4)
    try retryingInterrupts("bind", subject) { unsafe bind(raw, info.ai_addr, info.ai_addrlen) }
    try retryingInterrupts("listen", subject) { Glibc.listen(raw, 1024) }
    return listener
  }

  /// Listens on a path with mode 0600. A socket file that nobody answers on is replaced.
  package static func listen(path: String) throws(SystemError) -> FileDescriptor {
    if Files.kind(path) != nil {
      guard connects(path) == false else { throw SystemError("bind", path, code: EADDRINUSE) }
      try Files.remove(path)
    }
    let raw = try retryingInterrupts("socket", path) {
      socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | flags, 0)
    }
    let listener = FileDescriptor(owning: raw)
    let old = umask(0o177)
    defer { umask(old) }
    try unsafe withUnixAddress(path) { (address, length) throws(SystemError) in
      try retryingInterrupts("bind", path) { unsafe bind(raw, address, length) }
    }
    try retryingInterrupts("listen", path) { Glibc.listen(raw, 64) }
    return listener
  }

  /// The port a listener has.
  package static func port(_ listener: borrowing FileDescriptor) throws(SystemError) -> Int {
    var storage = sockaddr_in6()
    var length = socklen_t(MemoryLayout<sockaddr_in6>.size)
    let raw = listener.raw
    let code = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe getsockname(raw, $0, &length)
      }
    }
    guard code == 0 else { throw SystemError("getsockname") }
    // The port stands at the same place in both address families.
    return Int(UInt16(bigEndian: storage.sin6_port))
  }

  /// The next connection; nil when none waits.
  package static func accept(
    _ listener: Int32
  ) throws(SystemError) -> FileDescriptor? {
    let raw = clinux_accept(listener)
    if raw >= 0 {
      var on: Int32 = 1
      _ = unsafe setsockopt(raw, Int32(IPPROTO_TCP), TCP_NODELAY, &on, 4)
      return FileDescriptor(owning: raw)
    }
    switch errno {
    case EAGAIN, EINTR, ECONNABORTED, EPROTO: return nil
    default: throw SystemError("accept")
    }
  }

  /// The address of the other end of a connection; nil where it has none, as over a socket file.
  package static func peer(_ socket: Int32) -> NetworkAddress? {
    var storage = sockaddr_in6()
    var length = socklen_t(MemoryLayout<sockaddr_in6>.size)
    return unsafe withUnsafeMutablePointer(to: &storage) { pointer in
      let code = unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe getpeername(socket, $0, &length)
      }
      guard code == 0 else { return nil }
      return unsafe NetworkAddress(socketAddress: pointer, length: Int(length))
    }
  }

  package enum Transfer: Equatable, Sendable {
    case bytes(Int)
    case wouldBlock
    /// The end of the stream, or an error that ends it.
    case closed
  }

  package static func receive(_ socket: Int32, _ buffer: UnsafeMutableRawBufferPointer) -> Transfer
  {
    while true {
      let count = unsafe recv(socket, buffer.baseAddress, buffer.count, 0)
      if count > 0 { return .bytes(count) }
      if count == 0 { return .closed }
      if errno == EAGAIN { return .wouldBlock }
      if errno != EINTR { return .closed }
    }
  }

  /// Sends from `start` on.
  package static func send(_ socket: Int32, _ bytes: [UInt8], from start: Int) -> Transfer {
    while true {
      let count = unsafe bytes.withUnsafeBytes { buffer in
        unsafe Glibc.send(
          socket,
          buffer.baseAddress.map { unsafe $0 + start },
          buffer.count - start,
          Int32(MSG_NOSIGNAL)
        )
      }
      if count >= 0 { return .bytes(count) }
      if errno == EAGAIN { return .wouldBlock }
      if errno != EINTR { return .closed }
    }
  }

  /// Says that nothing more is sent; what comes can still be read.
  package static func finishSending(_ socket: Int32) { _ = shutdown(socket, Int32(SHUT_WR)) }

  private static let flags =
    Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)

  /// Whether somebody answers on a socket file; nil where it cannot be told.
  private static func connects(_ path: String) -> Bool? {
    let raw = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard raw >= 0 else { return nil }
    let probe = FileDescriptor(owning: raw)
    do throws(SystemError) {
      try unsafe withUnixAddress(path) { (address, length) throws(SystemError) in
        let code = unsafe connect(probe.raw, address, length)
        if code != 0 { throw SystemError("connect", path) }
      }
      return true
    } catch { return error.code == ECONNREFUSED || error.code == ENOTSOCK ? false : nil }
  }

  static func withUnixAddress(
    _ path: String,
    _ body: (UnsafePointer<sockaddr>, socklen_t) throws(SystemError) -> Void
  ) throws(SystemError) {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    guard bytes.count < 108 else { throw SystemError("bind", path, code: ENAMETOOLONG) }
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
    var failure: SystemError?
    unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        do throws(SystemError) {
          unsafe try body(pointer, socklen_t(MemoryLayout<sockaddr_un>.size))
        } catch { failure = error }
      }
    }
    if let failure { throw failure }
  }
}
