import Posix
import TLS

/// The connections of one loop and what they share.
final class ConnectionPool: @unchecked Sendable {
  // SAFETY: the variables are touched only on the loop's thread.
  let loop: EventLoop
  let limits: HTTPLimits
  let observer: HTTPObserver
  private let share: Int
  private var connections: Set<Connection> = []
  private(set) var isDraining = false
  private var drained: (() -> Void)?
  private var isSweeping = false
  private var scratch = [UInt8](repeating: 0, count: 64 << 10)
  /// What a refused body was in, for the next one.
  private var spare: [UInt8] = []
  private var cachedDate = (second: 0, text: "")

  init(
    _ loop: EventLoop,
    _ limits: HTTPLimits,
    _ observer: HTTPObserver,
    share: Int
  ) {
    self.loop = loop
    self.limits = limits
    self.observer = observer
    self.share = share
  }

  func add(
    _ socket: consuming FileDescriptor,
    _ handler: any RequestHandler,
    _ encryption: Encryption
  ) {
    if isDraining { return }
    var session: TLSSession?
    switch encryption {
    case .plain: break
    case .tls(let context):
      session = TLSSession(context)
      if session == nil { return }
    case .unavailable: return
    }
    guard connections.count < share else {
      observer.answered(.init(status: 503, head: nil, bodyBytes: 0, took: .zero))
      if session != nil { return }
      let response = Response.busy("too many connections, try again")
      let bytes = responseBytes(response, to: nil, keepsAlive: false, date: date())
      _ = Socket.send(socket.raw, bytes, from: 0)
      return
    }
    let connection = Connection(socket, self, handler, session)
    connections.insert(connection)
    observer.connections(1)
    connection.start()
    if !isSweeping { sweep() }
  }

  /// One timer for all deadlines of a loop: a timer a request would outlive the request by far.
  private func sweep() {
    let now = loop.now
    for connection in connections { connection.sweep(now) }
    isSweeping = !connections.isEmpty
    if isSweeping { loop.timer(after: limits.sweepTime) { [weak self] in self?.sweep() } }
  }

  func remove(_ connection: Connection) {
    guard connections.remove(connection) != nil else { return }
    observer.connections(-1)
    if connections.isEmpty, let drained {
      self.drained = nil
      drained()
    }
  }

  /// Calls `then` once the last connection is gone.
  func drain(_ grace: Duration, _ then: @escaping () -> Void) {
    isDraining = true
    for connection in connections { connection.drain() }
    if connections.isEmpty { return then() }
    drained = then
    loop.timer(after: min(grace, limits.quietTime)) { [weak self] in
      for connection in self?.connections ?? [] { connection.dismiss() }
      self?.hurry()
    }
    loop.timer(after: grace) { [weak self] in
      for connection in self?.connections ?? [] { connection.close() }
    }
  }

  /// Somebody waits for the end: deadlines are looked at more often.
  private func hurry() {
    for connection in connections { connection.sweep(loop.now) }
    if !connections.isEmpty {
      loop.timer(after: .milliseconds(50)) { [weak self] in self?.hurry() }
    }
  }

  /// Reads once into the shared buffer, so that an idle connection owns none.
  func receive(_ socket: Int32, into input: inout [UInt8]) -> Socket.Transfer {
    let transfer = unsafe scratch.withUnsafeMutableBytes { unsafe Socket.receive(socket, $0) }
    if case .bytes(let count) = transfer { input += scratch[..<count] }
    return transfer
  }

  /// What is said to a head: what holds for every client, then what the handler says.
  func accept(
    _ head: inout RequestHead,
    from peer: NetworkAddress?,
    _ handler: any RequestHandler
  ) -> Acceptance {
    head.client = limits.clients.client(peer, head.headers)
    if let rate = limits.clients.rate, let client = head.client,
      let wait = rate.excess(of: client, at: loop.now)
    {
      var response = Response.text(429, "too many requests from this address")
      response.headers.add("Retry-After", "\(wait.components.seconds + 1)")
      return .answer(response)
    }
    return handler.accept(head)
  }

  /// An empty buffer for a body.
  func takeBuffer() -> [UInt8] {
    var buffer: [UInt8] = []
    swap(&buffer, &spare)
    return buffer
  }

  /// Takes back the buffer of a body that nobody is going to read.
  func reclaim(_ body: IncomingBody) {
    let buffer = body.surrender()
    if buffer.capacity <= 64 << 10 && buffer.capacity > spare.capacity { spare = buffer }
  }

  func date() -> String {
    let second = Int(wallClockNanoseconds() / 1_000_000_000)
    if cachedDate.second != second { cachedDate = (second, httpDate(second)) }
    return cachedDate.text
  }
}
