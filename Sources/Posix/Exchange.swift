import Glibc

extension Socket {
  /// Sends bytes to a port of this machine and reads the answer until its end, blocking; for the
  /// command line.
  package static func exchange(_ bytes: [UInt8], port: Int) throws(SystemError) -> [UInt8] {
    let subject = "127.0.0.1:\(port)"
    let raw = try retryingInterrupts("socket", subject) {
      socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    }
    let connection = FileDescriptor(owning: raw)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(truncatingIfNeeded: port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let code = unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe connect(raw, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard code == 0 else { throw SystemError("connect", subject) }
    return try exchange(bytes, connection, subject)
  }

  /// The same over a socket file.
  package static func exchange(_ bytes: [UInt8], path: String) throws(SystemError) -> [UInt8] {
    let raw = try retryingInterrupts("socket", path) {
      socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    }
    let connection = FileDescriptor(owning: raw)
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
    return try Files.readToEnd(connection, subject, limit: 1 << 20)
  }
}
