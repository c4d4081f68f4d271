package import Posix
import Synchronization
package import TLS

/// How a new connection's bytes pass.
package enum Encryption: Sendable {
  case plain
  case tls(TLSServerContext)
  /// There should be TLS and cannot be now: the connection is closed, never served in plain.
  case unavailable
}

/// One listener with its connections, dealt in turn to the loops.
package final class HTTPServer: Sendable {
  private let listener: Listener
  private let pools: [ConnectionPool]
  /// What is spoken over TLS, best first: the names for ALPN.
  package static let protocols = ["h2", "http/1.1"]
  /// The port it listens on; 0 for a path.
  package let port: Int

  /// Listens on a numeric address; port 0 takes a free one.
  /// - Parameter encryption: asked for each new connection; connections keep what they began with.
  /// - Throws: `SystemError` that names address and port.
  package convenience init(
    address: String,
    port: Int,
    loops: [EventLoop],
    limits: HTTPLimits = HTTPLimits(),
    observer: HTTPObserver = HTTPObserver(),
    encryption: @escaping @Sendable () -> Encryption = { .plain },
    handler: any RequestHandler
  ) async throws(SystemError) {
    let socket = try Socket.listen(address, port)
    let port = try Socket.port(socket)
    try await self.init(socket, port, loops, limits, observer, encryption, handler)
  }

  /// Serves a socket that listens already.
  /// - Parameter isShared: somebody else holds the socket too and will serve it after us.
  package convenience init(
    socket: consuming FileDescriptor,
    isShared: Bool,
    loops: [EventLoop],
    limits: HTTPLimits = HTTPLimits(),
    observer: HTTPObserver = HTTPObserver(),
    encryption: @escaping @Sendable () -> Encryption = { .plain },
    handler: any RequestHandler
  ) async throws(SystemError) {
    let port = try Socket.port(socket)
    try await self.init(socket, port, loops, limits, observer, encryption, handler)
    if isShared { leaveQueue() }
  }

  /// Listens on a socket file with mode 0600.
  package convenience init(
    path: String,
    loops: [EventLoop],
    limits: HTTPLimits = HTTPLimits(),
    observer: HTTPObserver = HTTPObserver(),
    handler: any RequestHandler
  ) async throws(SystemError) {
    try await self.init(
      try Socket.listen(path: path),
      0,
      loops,
      limits,
      observer,
      { .plain },
      handler
    )
  }

  private init(
    _ socket: consuming FileDescriptor,
    _ port: Int,
    _ loops: [EventLoop],
    _ limits: HTTPLimits,
    _ observer: HTTPObserver,
    _ encryption: @escaping @Sendable () -> Encryption,
    _ handler: any RequestHandler
  ) async throws(SystemError) {
    precondition(!loops.isEmpty, "a server needs a loop")
    pools = loops.map {
      ConnectionPool($0, limits, observer, share: max(1, limits.connections / loops.count))
    }
    self.port = port
    listener = Listener(socket, loops[0], pools, encryption, handler)
    let listener = listener
    let failure: SystemError? = await withCheckedContinuation { continuation in
      loops[0].post { continuation.resume(returning: listener.start()) }
    }
    if let failure { throw failure }
  }

  /// The listening socket, for a process that is going to serve it.
  package func sharedSocket() async throws(SystemError) -> SharedDescriptor {
    let copied: Result<SharedDescriptor, SystemError> = await withCheckedContinuation { answer in
      listener.loop.post { [listener] in answer.resume(returning: listener.copy()) }
    }
    return try copied.get()
  }

  /// From now on, connections that nobody has accepted when the server stops are left to whoever
  /// else holds the socket.
  package func leaveQueue() { listener.isShared.store(true, ordering: .relaxed) }

  /// Stops listening, lets requests that were accepted finish, and cuts what is left after
  /// `grace`.
  package func shutdown(grace: Duration) async {
    await withCheckedContinuation { continuation in
      listener.loop.post { [listener] in
        listener.stop()
        continuation.resume()
      }
    }
    // All at once: a loop that waits for an answer must not keep the others serving.
    await withDiscardingTaskGroup { group in
      for pool in pools {
        group.addTask {
          await withCheckedContinuation { continuation in
            pool.loop.post { pool.drain(grace) { continuation.resume() } }
          }
        }
      }
    }
  }
}

/// Accepts on one loop and deals connections to all.
private final class Listener: @unchecked Sendable {
  // SAFETY: touched only on its loop's thread.
  let loop: EventLoop
  private let pools: [ConnectionPool]
  private let encryption: @Sendable () -> Encryption
  private let handler: any RequestHandler
  private var socket: FileDescriptor?
  private var watch: EventLoop.Watch?
  private var turn = 0
  let isShared = Atomic(false)

  init(
    _ socket: consuming FileDescriptor,
    _ loop: EventLoop,
    _ pools: [ConnectionPool],
    _ encryption: @escaping @Sendable () -> Encryption,
    _ handler: any RequestHandler
  ) {
    self.socket = consume socket
    self.loop = loop
    self.pools = pools
    self.encryption = encryption
    self.handler = handler
  }

  func start() -> SystemError? {
    guard let fd = socket?.raw else { return nil }
    do throws(SystemError) {
      watch = try loop.watch(fd, for: .readable) { [unowned self] _ in accept() }
      return nil
    } catch { return error }
  }

  func copy() -> Result<SharedDescriptor, SystemError> {
    guard let fd = socket?.raw else { return .failure(.closed) }
    return Result { () throws(SystemError) in try SharedDescriptor(copying: fd) }
  }

  func stop() {
    // Who is in the kernel's queue has been told that the connection stands.
    if !isShared.load(ordering: .relaxed) { accept(atMost: 4096) }
    watch?.cancel()
    watch = nil
    socket = nil
  }

  /// A bound, so that a flood of connections cannot starve those that are open.
  private func accept(atMost count: Int = 64) {
    for _ in 0..<count {
      do throws(SystemError) {
        guard let fd = try next() else { return }
        let pool = pools[turn % pools.count]
        turn += 1
        let handler = handler
        let encryption = encryption()
        pool.loop.post { pool.add(FileDescriptor(owning: fd), handler, encryption) }
      } catch {
        // Out of descriptors: the waiting client is served when one comes free.
        watch?.update([])
        loop.timer(after: .milliseconds(100)) { [weak self] in self?.watch?.update(.readable) }
        return
      }
    }
  }

  private func next() throws(SystemError) -> Int32? {
    guard let fd = socket?.raw else { return nil }
    return try Socket.accept(fd)?.release()
  }
}
