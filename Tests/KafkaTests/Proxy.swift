import Dispatch
import Glibc
import Posix
import Synchronization
import TLS

/// Stands between clients and a broker on loopback. It puts its own port into what the broker says
/// about its address, so that clients stay with it; cuts connections when it is told to; and can
/// speak TLS to clients.
final class KafkaProxy: Sendable {
  let port: Int
  private let loop: EventLoop
  private let core: Core
  private let isClosed = Atomic(false)
  var address: String { "127.0.0.1:\(port)" }
  /// Connections accepted so far.
  var connections: Int { core.accepted.load(ordering: .relaxed) }

  init(to broker: Int, tls: TLSServerContext? = nil) throws {
    loop = try EventLoop(name: "proxy")
    let listener = try Socket.listen("127.0.0.1", 0)
    port = try Socket.port(listener)
    core = Core(loop, listener, broker: broker, own: port, tls)
    loop.post { [core] in core.start() }
  }

  /// Cuts every connection; new ones are accepted.
  func cut() { loop.post { [core] in core.cut() } }

  /// Cuts every connection and takes no new ones until `accept(true)`; once it returns nothing
  /// passes any more.
  func interrupt() {
    let isDone = DispatchSemaphore(value: 0)
    loop.post { [core] in
      core.isAccepting = false
      core.cut()
      isDone.signal()
    }
    isDone.wait()
  }

  /// While false, new connections are closed at once.
  func accept(_ isAccepting: Bool) { loop.post { [core] in core.isAccepting = isAccepting } }

  /// While true, connections stay open and nothing passes.
  func hold(_ isHolding: Bool) { loop.post { [core] in core.hold(isHolding) } }

  func close() {
    if isClosed.exchange(true, ordering: .relaxed) { return }
    loop.post { [core] in core.close() }
    loop.stop()
  }

  // What its sockets are watched with refers to it.
  deinit { close() }
}

/// On the loop.
private final class Core: @unchecked Sendable {
  // SAFETY: touched only on the loop's thread, but for `accepted`.
  let accepted = Atomic<Int>(0)
  var isAccepting = true
  private var isHolding = false
  private let loop: EventLoop
  private let listener: FileDescriptor
  private let broker: Int
  private let own: Int
  private let tls: TLSServerContext?
  private var watch: EventLoop.Watch?
  private var pipes: [ObjectIdentifier: Pair] = [:]

  init(
    _ loop: EventLoop,
    _ listener: consuming FileDescriptor,
    broker: Int,
    own: Int,
    _ tls: TLSServerContext?
  ) {
    self.loop = loop
    self.listener = listener
    self.broker = broker
    self.own = own
    self.tls = tls
  }

  func start() {
    watch = try? loop.watch(listener.raw, for: .readable) { [unowned self] _ in take() }
  }

  private func take() {
    while let client = try? Socket.accept(listener.raw) {
      accepted.add(1, ordering: .relaxed)
      guard isAccepting, let server = connect(to: broker) else { continue }
      let pair = Pair(
        loop,
        client,
        server,
        session: tls.flatMap { TLSSession($0) },
        needle: Array("127.0.0.1".utf8) + bytes(broker),
        replacement: Array("127.0.0.1".utf8) + bytes(own)
      )
      pair.isHolding = isHolding
      pair.ended = { [unowned self, unowned pair] in pipes[ObjectIdentifier(pair)] = nil }
      pipes[ObjectIdentifier(pair)] = pair
      pair.start()
    }
  }

  func cut() {
    for pair in pipes.values { pair.close() }
    pipes = [:]
  }

  func hold(_ isHolding: Bool) {
    self.isHolding = isHolding
    for pair in pipes.values { pair.hold(isHolding) }
  }

  func close() {
    watch?.cancel()
    cut()
  }

  private func bytes(_ port: Int) -> [UInt8] {
    [0, 0, UInt8(port >> 8 & 0xff), UInt8(port & 0xff)]
  }
}

/// A connection to a port of this machine, not blocking.
func connect(to port: Int) -> FileDescriptor? {
  let raw = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
  guard raw >= 0 else { return nil }
  let descriptor = FileDescriptor(owning: raw)
  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_port = UInt16(port).bigEndian
  address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
  let code = unsafe withUnsafePointer(to: &address) { pointer in
    unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
      unsafe connect(raw, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
    }
  }
  guard code == 0 else { return nil }
  _ = fcntl(raw, F_SETFL, fcntl(raw, F_GETFL) | O_NONBLOCK)
  var on: Int32 = 1
  _ = unsafe setsockopt(raw, Int32(IPPROTO_TCP), TCP_NODELAY, &on, 4)
  return descriptor
}

/// One client's connection and its own to the broker.
private final class Pair {
  private let loop: EventLoop
  private let client: FileDescriptor
  private let server: FileDescriptor
  private let session: TLSSession?
  private let needle: [UInt8]
  private let replacement: [UInt8]
  private var clientWatch: EventLoop.Watch?
  private var serverWatch: EventLoop.Watch?
  private var toClient: [UInt8] = []
  private var toServer: [UInt8] = []
  /// The broker's bytes up to the end of a frame.
  private var frames: [UInt8] = []
  private var isClosed = false
  var isHolding = false
  var ended: (() -> Void)?

  init(
    _ loop: EventLoop,
    _ client: consuming FileDescriptor,
    _ server: consuming FileDescriptor,
    session: TLSSession?,
    needle: [UInt8],
    replacement: [UInt8]
  ) {
    self.loop = loop
    self.client = client
    self.server = server
    self.session = session
    self.needle = needle
    self.replacement = replacement
  }

  func start() {
    clientWatch = try? loop.watch(client.raw, for: .readable) { [unowned self] _ in fromClient() }
    serverWatch = try? loop.watch(server.raw, for: .readable) { [unowned self] _ in fromServer() }
    watch()
  }

  func hold(_ isHolding: Bool) {
    self.isHolding = isHolding
    watch()
  }

  private func watch() {
    let reading: EventLoop.Readiness = isHolding ? [] : .readable
    clientWatch?.update(toClient.isEmpty ? reading : reading.union(.writable))
    serverWatch?.update(toServer.isEmpty ? reading : reading.union(.writable))
  }

  private func fromClient() {
    var bytes: [UInt8] = []
    var isOpen = flush(&toClient, client.raw) && read(client.raw, &bytes)
    if let session {
      var plain: [UInt8] = []
      session.incoming += bytes
      switch session.receive(into: &plain) {
      case .handshaking, .open: break
      case .finished, .failed: isOpen = false
      }
      toServer += plain
      toClient += session.takeOutput()
    } else {
      toServer += bytes
    }
    finish(isOpen)
  }

  private func fromServer() {
    var bytes: [UInt8] = []
    let isOpen = flush(&toServer, server.raw) && read(server.raw, &bytes)
    frames += bytes
    var whole = 0
    while frames.count - whole >= 4 {
      let length = frames[whole..<whole + 4].reduce(0) { $0 << 8 | Int($1) }
      guard frames.count - whole >= 4 + length else { break }
      whole += 4 + length
    }
    if whole > 0 {
      let plain = rewritten(Array(frames[..<whole]))
      frames.removeFirst(whole)
      if let session {
        _ = session.send(plain)
        toClient += session.takeOutput()
      } else {
        toClient += plain
      }
    }
    finish(isOpen)
  }

  private func rewritten(_ bytes: [UInt8]) -> [UInt8] {
    var bytes = bytes
    var at = 0
    while at + needle.count <= bytes.count {
      if bytes[at] == needle[0], bytes[at..<at + needle.count].elementsEqual(needle) {
        bytes.replaceSubrange(at..<at + needle.count, with: replacement)
      }
      at += 1
    }
    return bytes
  }

  private func finish(_ isOpen: Bool) {
    guard isOpen, flush(&toClient, client.raw), flush(&toServer, server.raw) else {
      let ended = ended
      close()
      ended?()
      return
    }
    watch()
  }

  /// False when the connection is over.
  private func read(_ socket: Int32, _ bytes: inout [UInt8]) -> Bool {
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    let transfer = unsafe buffer.withUnsafeMutableBytes { unsafe Socket.receive(socket, $0) }
    switch transfer {
    case .bytes(let count): bytes += buffer[..<count]
    case .wouldBlock: break
    case .closed: return false
    }
    return true
  }

  private func flush(_ bytes: inout [UInt8], _ socket: Int32) -> Bool {
    var sent = 0
    defer { bytes.removeFirst(sent) }
    while sent < bytes.count {
      switch Socket.send(socket, bytes, from: sent) {
      case .bytes(let count): sent += count
      case .wouldBlock: return true
      case .closed: return false
      }
    }
    return true
  }

  func close() {
    guard !isClosed else { return }
    isClosed = true
    clientWatch?.cancel()
    serverWatch?.cancel()
    _ = shutdown(client.raw, Int32(SHUT_RDWR))
    _ = shutdown(server.raw, Int32(SHUT_RDWR))
  }
}
