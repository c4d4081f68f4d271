import Posix
import TLS

/// What is spoken on a connection once its first bytes have told. On the connection's loop.
protocol Conversation: AnyObject {
  /// The next bytes from the peer, in order.
  func receive(_ bytes: [UInt8])
  /// The peer will send nothing more.
  func peerFinished()
  /// All that was handed to the connection has left.
  func outputSent()
  /// Looks at its deadlines; called now and then.
  func sweep(_ now: MonotonicTime)
  /// The next request is the last one: ends when those that were accepted are answered.
  func drain()
  /// Ends now if no request is under way.
  func dismiss()
  /// The connection is gone; nothing may be sent any more.
  func closed()
}

/// The bytes of one client: socket, output and time. What they mean is its conversation's affair.
/// Everything happens on the loop that accepted it.
final class Connection: @unchecked Sendable {
  // SAFETY: touched only on the loop's thread.

  private enum State { case open, finishing, lingering, closed }

  unowned let pool: ConnectionPool
  private let socket: FileDescriptor
  private let handler: any RequestHandler
  /// nil: plain bytes.
  private let tls: TLSSession?
  /// Whose connection it is; behind a proxy that speaks the PROXY protocol, the client's.
  private(set) var peer: NetworkAddress?
  /// The proxy has not said yet whose connection it passes on.
  private var awaitsProxyHeader: Bool
  private var watch: EventLoop.Watch?
  private var state = State.open
  private var conversation: (any Conversation)?
  private var isPeerFinished = false
  private var hasReceived = false
  private var isReading = true
  /// Bytes came that are not wanted yet. Only then is epoll told to look away: most clients wait for
  /// their answer, and telling it twice a request costs two system calls.
  private var isUnwanted = false

  private var input: [UInt8] = []
  private var output: [UInt8] = []
  private var sent = 0
  /// Go with the next byte that is sent.
  private var descriptors: [SharedDescriptor] = []
  /// When bytes last left, or began to wait.
  private var progress: MonotonicTime
  /// Ends what no conversation watches over: the first bytes and the last ones.
  private var deadline: MonotonicTime
  private var drained = 0

  init(
    _ socket: consuming FileDescriptor,
    _ pool: ConnectionPool,
    _ handler: any RequestHandler,
    _ tls: TLSSession?
  ) {
    self.socket = socket
    self.pool = pool
    self.handler = handler
    self.tls = tls
    let rules = pool.limits.clients
    peer = Socket.peer(self.socket.raw)
    awaitsProxyHeader = rules.usesProxyProtocol && rules.trusts(peer)
    progress = pool.loop.now
    deadline = pool.loop.now + pool.limits.headTime
  }

  func start() {
    do throws(SystemError) {
      watch = try pool.loop.watch(socket.raw, for: .readable) { [unowned self] in ready($0) }
    } catch { close() }
  }

  /// The next request is the last one. An idle connection stays for a moment: its client may have
  /// sent a request already, and would lose it if the connection went now.
  func drain() {
    // What has reached this machine counts as accepted.
    if isReading && state == .open { receive() }
    if state == .open { conversation?.drain() }
  }

  /// Nothing came since `drain`: an idle connection goes.
  func dismiss() {
    guard state == .open else { return }
    if let conversation { return conversation.dismiss() }
    // A handshake under way has its own deadline.
    if !hasReceived { finish() }
  }

  func close() {
    guard state != .closed else { return }
    state = .closed
    conversation?.closed()
    conversation = nil
    watch?.cancel()
    pool.remove(self)
  }

  func sweep(_ now: MonotonicTime) {
    if sent < output.count, now >= progress + pool.limits.sendTime {
      pool.observer.misused(.slowReader)
      return close()
    }
    if state == .open, let conversation { return conversation.sweep(now) }
    if now >= deadline { close() }
  }

  // MARK: Bytes in

  /// Whether bytes from the peer are wanted; while not, it fills its own buffers, not ours.
  func read(_ isWanted: Bool) {
    isReading = isWanted
    if isWanted { isUnwanted = false }
    interest()
  }

  private func ready(_ readiness: EventLoop.Readiness) {
    if readiness.contains(.writable) { writable() }
    guard state != .closed else { return }
    if readiness.contains(.failed) && !isReading && state == .open {
      // Both directions are gone. A request under way ends; there is nobody to answer.
      return close()
    }
    if readiness.isDisjoint(with: .receivable) { return }
    if isReading || state != .open { return receive() }
    isUnwanted = true
    interest()
  }

  private func receive() {
    let transfer =
      if let tls, !awaitsProxyHeader {
        pool.receive(socket.raw, into: &tls.incoming)
      } else {
        pool.receive(socket.raw, into: &input)
      }
    switch transfer {
    case .wouldBlock: return
    case .closed: peerFinished()
    case .bytes(let count):
      hasReceived = true
      guard state == .open else {
        drained += count
        input = []
        tls?.incoming = []
        // What a peer may still send after an early refusal before it is cut off.
        if drained > 1 << 20 { close() }
        return
      }
      if awaitsProxyHeader && !passProxyHeader() { return }
      if let tls { decrypt(tls) } else if !input.isEmpty { deliver() }
    }
  }

  /// Whether the header of the PROXY protocol has been read; what follows it is handed on.
  private func passProxyHeader() -> Bool {
    switch ProxyHeader(input) {
    case .unfinished: return false
    case .bad:
      pool.observer.misused(.proxyHeader)
      close()
      return false
    case .read(let client, let length):
      awaitsProxyHeader = false
      if let client { peer = client }
      input.removeFirst(length)
      if let tls { swap(&input, &tls.incoming) }
      return true
    }
  }

  private func peerFinished() {
    isPeerFinished = true
    if state != .open || conversation == nil { return close() }
    conversation?.peerFinished()
    interest()
  }

  private func decrypt(_ tls: TLSSession) {
    let progress = tls.receive(into: &input)
    guard push(tls.takeOutput()) || state == .open else { return }
    switch progress {
    case .handshaking: return
    case .failed:
      if conversation == nil { pool.observer.misused(.handshake) }
      return finish()
    case .finished, .open:
      if !input.isEmpty || conversation == nil { deliver() }
      if progress == .finished && state == .open { peerFinished() }
    }
  }

  private func deliver() {
    if conversation == nil {
      guard let isHTTP2 = speaksHTTP2() else { return }
      conversation = isHTTP2 ? H2Conversation(self, handler) : H1Conversation(self, handler)
      if conversation == nil { return close() }
    }
    let bytes = input
    input = []
    if pool.isDraining { conversation?.drain() }
    conversation?.receive(bytes)
  }

  /// By ALPN, or by how the first bytes begin (RFC 9113 section 3.3); nil while they do not tell.
  private func speaksHTTP2() -> Bool? {
    if let tls { return tls.applicationProtocol == "h2" }
    let preface = "PRI * HTTP/2.0".utf8
    let begin = input.prefix(preface.count)
    guard begin.elementsEqual(preface.prefix(begin.count)) else { return false }
    return begin.count == preface.count ? true : nil
  }

  // MARK: Bytes out

  /// How many bytes wait for the peer to take them.
  var pending: Int { output.count - sent }

  /// Sends what the peer takes at once and keeps the rest. Whether all has left.
  func send(_ bytes: [UInt8], passing descriptors: [SharedDescriptor] = []) -> Bool {
    guard state == .open else { return false }
    if !descriptors.isEmpty { self.descriptors = descriptors }
    guard let tls else { return push(bytes) }
    guard tls.send(bytes) else {
      close()
      return false
    }
    return push(tls.takeOutput())
  }

  private func push(_ bytes: [UInt8]) -> Bool {
    if output.isEmpty {
      output = bytes
      progress = pool.loop.now
    } else {
      output += bytes
    }
    return flush()
  }

  /// Ends the connection once its output has left. The peer gets time to read that: closing at
  /// once would reset the connection and could take the last answer with it (RFC 9112 section
  /// 9.6).
  func finish() {
    guard state == .open else { return }
    state = .finishing
    conversation?.closed()
    conversation = nil
    input = []
    tls?.finishSending()
    if push(tls?.takeOutput() ?? []) { linger() }
  }

  private func writable() {
    guard flush() else { return }
    if state == .finishing { return linger() }
    conversation?.outputSent()
  }

  private func flush() -> Bool {
    while sent < output.count {
      let transfer =
        descriptors.isEmpty
        ? Socket.send(socket.raw, output, from: sent)
        : Socket.send(socket.raw, output, from: sent, passing: descriptors)
      switch transfer {
      case .bytes(let count):
        descriptors = []
        sent += count
        progress = pool.loop.now
      case .wouldBlock:
        interest()
        return false
      case .closed:
        close()
        return false
      }
    }
    output = []
    sent = 0
    interest()
    return true
  }

  private func linger() {
    if isPeerFinished { return close() }
    state = .lingering
    let time = pool.limits.lingerTime
    deadline = pool.loop.now + (pool.isDraining ? min(time, .seconds(1)) : time)
    Socket.finishSending(socket.raw)
    interest()
  }

  private func interest() {
    guard state != .closed else { return }
    var interest: EventLoop.Readiness = sent < output.count ? .writable : []
    if (isReading || state != .open || !isUnwanted) && !isPeerFinished {
      interest.insert(.readable)
    }
    watch?.update(interest)
  }
}

extension Connection: Hashable {
  static func == (a: Connection, b: Connection) -> Bool { a === b }
  func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
}
