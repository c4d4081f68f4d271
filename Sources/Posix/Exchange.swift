import Glibc

extension Socket {
  /// Sends bytes to a port of this machine and reads the answer until its end, blocking; for the
  /// command line.
  /// - Parameter loopback: which one of the addresses 127.0.0.0/24.
  package static func exchange(
    _ bytes: [UInt8],
    port: Int,
    loopback: UInt8 = 1
  ) throws(SystemError) -> [UInt8] {
    let subject = "127.0.0.\(loopback):\(port)"
    let raw = try retryingInterrupts("socket", subject) {
      socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    }
    let connection = FileDescriptor(owning: raw)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(truncatingIfNeeded: port).bigEndian
    address.sin_addr.s_addr = (0x7f00_0000 | UInt32(loopback)).bigEndian
    let code = unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe connect(raw, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard code == 0 else { throw SystemError("connect", subject) }
    return try exchange(bytes, connection, subject)
  }

  /// The same over a socket file.
  /// - Parameter limit: how long each call waits for the other side; nil: for ever.
  package static func exchange(
    _ bytes: [UInt8],
    path: String,
    atMost limit: Duration? = nil
  ) throws(SystemError) -> [UInt8] {
    let raw = try retryingInterrupts("socket", path) {
      socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    }
    let connection = FileDescriptor(owning: raw)
    if let limit {
      let (seconds, attoseconds) = limit.components
      var time = timeval(tv_sec: Int(seconds), tv_usec: Int(attoseconds / 1_000_000_000_000))
      for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
        try retryingInterrupts("setsockopt", path) {
          unsafe setsockopt(raw, SOL_SOCKET, option, &time, socklen_t(MemoryLayout<timeval>.size))
        }
      }
    }
    try unsafe withUnixAddress(path) { (address, length) throws(SystemError) in
      try retryingInterrupts("connect", path) { unsafe connect(raw, address, length) }
    }
    return try exchange(bytes, connection, path)
  }

  private static func exchange(
    _ bytes: [UInt8],
    _ connection: borrowing FileDescriptor,
    _ subject: String
  ) throws(SystemError) -> [UInt8] {
    try Files.write(bytes, to: connection)
    return try Files.readToEnd(connection, subject, limit: 64 << 20)
  }
}
