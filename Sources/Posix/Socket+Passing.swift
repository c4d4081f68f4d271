import CLinux
import Glibc

/// A descriptor that several holders keep open; closed when the last of them lets go.
package final class SharedDescriptor: Sendable {
  package let file: FileDescriptor

  package init(_ file: consuming FileDescriptor) { self.file = file }

  /// Another number for what `raw` stands for, closed on exec.
  package convenience init(copying raw: Int32) throws(SystemError) {
    let copy = try retryingInterrupts("fcntl") { fcntl(raw, F_DUPFD_CLOEXEC, 0) }
    self.init(FileDescriptor(owning: copy))
  }
}

/// Listening sockets that pass from one process to another (unix(7), SCM_RIGHTS).
extension Socket {
  /// The most descriptors that one message carries.
  package static let passedMax = 253

  /// Sends from `start` on, with copies of `descriptors` beside the first byte.
  package static func send(
    _ socket: Int32,
    _ bytes: [UInt8],
    from start: Int,
    passing descriptors: [SharedDescriptor]
  ) -> Transfer {
    let numbers = descriptors.map { $0.file.raw }
    while true {
      let count = unsafe bytes.withUnsafeBytes { buffer in
        unsafe clinux_send_descriptors(
          socket,
          buffer.baseAddress.map { unsafe $0 + start },
          buffer.count - start,
          numbers,
          Int32(numbers.count)
        )
      }
      if count >= 0 { return .bytes(count) }
      if errno == EAGAIN { return .wouldBlock }
      if errno != EINTR { return .closed }
    }
  }

  /// What a listening socket is bound to.
  package struct Place: Equatable, Sendable {
    /// Numeric; nil for a socket file.
    package let address: String?
    /// 0 for a socket file.
    package let port: Int
  }

  /// Makes a socket that another process made fit for ours: non-blocking, closed on exec.
  /// - Returns: nil when it is no listening stream socket.
  package static func adopt(_ raw: Int32) throws(SystemError) -> Place? {
    let flags = try retryingInterrupts("fcntl", "descriptor \(raw)") {
      fcntl(raw, F_GETFL, 0)
    }
    try retryingInterrupts("fcntl") { fcntl(raw, F_SETFL, flags | O_NONBLOCK) }
    try retryingInterrupts("fcntl") { fcntl(raw, F_SETFD, FD_CLOEXEC) }
    guard option(raw, SO_ACCEPTCONN) == 1, option(raw, SO_TYPE) == Int32(SOCK_STREAM.rawValue)
    else { return nil }
    return try place(raw)
  }

  private static func option(_ raw: Int32, _ name: Int32) -> Int32? {
    var value: Int32 = 0
    var length = socklen_t(4)
    return unsafe getsockopt(raw, SOL_SOCKET, name, &value, &length) == 0 ? value : nil
  }

  private static func place(_ raw: Int32) throws(SystemError) -> Place {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    let answers = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        let named = unsafe getsockname(raw, address, &length)
        let isInternet = unsafe [AF_INET, AF_INET6].contains(Int32(address.pointee.sa_family))
        let size = socklen_t(host.count)
        let told =
          unsafe isInternet
          ? getnameinfo(address, length, &host, size, nil, 0, NI_NUMERICHOST) : -1
        return (named, isInternet, told)
      }
    }
    guard answers.0 == 0 else { throw SystemError("getsockname") }
    guard answers.1 else { return Place(address: nil, port: 0) }
    guard answers.2 == 0 else { throw SystemError("getnameinfo", code: EINVAL) }
    let text = host.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    // The port stands at the same place in both address families.
    let port = unsafe withUnsafeBytes(of: &storage) {
      unsafe $0.loadUnaligned(fromByteOffset: 2, as: UInt16.self)
    }
    return Place(address: String(decoding: text, as: UTF8.self), port: Int(UInt16(bigEndian: port)))
  }

  /// A numeric address as `Place` writes it; nil when it is none.
  package static func canonical(_ address: String) -> String? {
    var hints = unsafe addrinfo()
    unsafe hints.ai_flags = AI_PASSIVE | AI_NUMERICHOST
    unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var found: UnsafeMutablePointer<addrinfo>?
    guard unsafe getaddrinfo(address, nil, &hints, &found) == 0, let info = unsafe found?.pointee
    else { return nil }
    defer { unsafe freeaddrinfo(found) }
    var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    let size = socklen_t(host.count)
    let told = unsafe getnameinfo(
      info.ai_addr,
      info.ai_addrlen,
      &host,
      size,
      nil,
      0,
      NI_NUMERICHOST
    )
    guard told == 0 else { return nil }
    return String(decoding: host.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}

/// A blocking conversation over a socket file that may bring descriptors.
package struct PassingClient: ~Copyable {
  private let connection: FileDescriptor
  private let path: String

  /// nil where nobody answers.
  /// - Throws: `SystemError` when it cannot be told whether somebody does.
  package static func connect(_ path: String) throws(SystemError) -> PassingClient? {
    let raw = try retryingInterrupts("socket", path) {
      socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    }
    let connection = FileDescriptor(owning: raw)
    var limit = timeval(tv_sec: 10, tv_usec: 0)
    let length = socklen_t(MemoryLayout<timeval>.size)
    _ = unsafe setsockopt(raw, SOL_SOCKET, SO_RCVTIMEO, &limit, length)
    _ = unsafe setsockopt(raw, SOL_SOCKET, SO_SNDTIMEO, &limit, length)
    var isAnswered = true
    try unsafe Socket.withUnixAddress(path) { (address, length) throws(SystemError) in
      if unsafe Glibc.connect(raw, address, length) == 0 { return }
      guard [ENOENT, ECONNREFUSED, ENOTDIR].contains(errno) else {
        throw SystemError("connect", path)
      }
      isAnswered = false
    }
    return isAnswered ? PassingClient(connection: connection, path: path) : nil
  }

  /// Sends bytes.
  package func send(_ bytes: [UInt8]) throws(SystemError) { try Files.write(bytes, to: connection) }

  /// What comes next: bytes, none at the end, and descriptors, which are the caller's.
  /// - Throws: `SystemError`, also when nothing comes for ten seconds.
  package func receive() throws(SystemError) -> (bytes: [UInt8], descriptors: [Int32]) {
    var bytes = [UInt8](repeating: 0, count: 64 << 10)
    var descriptors = [Int32](repeating: -1, count: Socket.passedMax)
    var count: Int32 = 0
    let (raw, size) = (connection.raw, bytes.count)
    let got = try retryingInterrupts("recvmsg", path) {
      unsafe clinux_receive_descriptors(raw, &bytes, size, &descriptors, &count)
    }
    return (Array(bytes[..<got]), Array(descriptors[..<Int(count)]))
  }
}
