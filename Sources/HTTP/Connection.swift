import Posix

/// One client. Everything happens on the loop that accepted it.
final class Connection: @unchecked Sendable {
  // SAFETY: touched only on the loop's thread; the handler's task prefers the same loop.

  private enum Phase { case idle, head, body, answering, sending, lingering, closed }

  private let socket: FileDescriptor
  private unowned let pool: ConnectionPool
  private let handler: any RequestHandler
  private var watch: EventLoop.Watch?
  private var timer: EventLoop.Timer?
  private var deadline: MonotonicTime
  private var phase = Phase.idle
  private var parser: H1Parser

  private var input: [UInt8] = []
  private var used = 0
  private var output: [UInt8] = []
  private var sent = 0

  private var head: H1Parser.Head?
  private var acceptance: (limit: Int, respond: @Sendable (Request) async -> Response)?
  private var body: [UInt8] = []
  private var reserved = 0
  private var task: Task<Void, Never>?
  /// The peer has finished sending, or the answer ends the connection.
  private var closesAfterAnswer = false
  private var isBodyPending = false
  private var drained = 0

  init(_ socket: consuming FileDescriptor, _ pool: ConnectionPool, _ handler: any RequestHandler) {
    self.socket = socket
    self.pool = pool
    self.handler = handler
    parser = H1Parser(pool.limits)
    deadline = pool.loop.now + pool.limits.headTime
  }

  func start() {
    do throws(SystemError) {
      watch = try pool.loop.watch(socket.raw, for: .readable) { [unowned self] in ready($0) }
      arm()
    } catch { close() }
  }

  /// No new requests: an idle connection goes, another one after its answer.
  func drain() {
    closesAfterAnswer = true
    if phase == .idle && input.isEmpty { close() }
  }

  func close() {
    guard phase != .closed else { return }
    phase = .closed
    releaseBody()
    watch?.cancel()
    timer?.cancel()
    pool.remove(self)
  }

  // MARK: Bytes in

  private func ready(_ readiness: EventLoop.Readiness) {
    if readiness.contains(.writable) { flush() }
    if phase != .closed, !readiness.isDisjoint(with: [.readable, .failed]) { receive() }
  }

  private func receive() {
    switch pool.receive(socket.raw, into: &input) {
    case .wouldBlock: return
    case .closed:
      // Half a request will never be whole. An answer under way is still sent.
      if phase == .answering || phase == .sending { closesAfterAnswer = true } else { close() }
      if phase != .closed { watch?.update(output.isEmpty ? [] : .writable) }
    case .bytes(let count):
      if phase == .lingering {
        drained += count
        input.removeAll(keepingCapacity: true)
        // What a peer may still send after an early refusal before it is cut off.
        if drained > 1 << 20 { close() }
        return
      }
      advance()
    }
  }

  private func advance() {
    while phase == .idle || phase == .head || phase == .body {
      guard let action = parser.next(input, &used) else { break }
      switch action {
      case .head(let head): begin(head)
      case .body(let range): take(range)
      case .end: finish()
      case .refuse(let status, let why): refuse(status, why)
      }
    }
    input.removeFirst(used)
    used = 0
    if phase == .idle && !input.isEmpty { enter(.head, within: pool.limits.headTime) }
    interest()
  }

  private func begin(_ head: H1Parser.Head) {
    self.head = head
    isBodyPending = head.length != 0
    switch handler.accept(head.request) {
    case .answer(let response): answer(response)
    case .read(let limit, let respond):
      if let length = head.length, length > limit {
        return answer(.text(413, "body larger than \(limit) bytes"))
      }
      acceptance = (limit, respond)
      if head.expectsContinue && isBodyPending {
        output += "HTTP/1.1 100 Continue\r\n\r\n".utf8
        flush()
        if phase == .closed { return }
      }
      enter(.body, within: pool.limits.bodyTime)
    }
  }

  private func take(_ range: Range<Int>) {
    guard let acceptance else { return }
    guard body.count + range.count <= acceptance.limit else {
      return answer(.text(413, "body larger than \(acceptance.limit) bytes"))
    }
    guard pool.budget.reserve(range.count) else {
      var response = Response.text(503, "too many bodies in memory, try again")
      response.headers.add("Retry-After", "1")
      return answer(response)
    }
    reserved += range.count
    if body.isEmpty, let length = head?.length { body.reserveCapacity(length) }
    body += input[range]
  }

  private func finish() {
    guard let head, let acceptance else { return }
    isBodyPending = false
    phase = .answering
    timer?.cancel()
    timer = nil
    let request = Request(head: head.request, body: body)
    body = []
    // Started at once on this loop: a handler that does not wait never leaves the thread.
    task = Task.immediate(executorPreference: pool.loop) { [self] in
      let response = await acceptance.respond(request)
      if phase != .closed { answer(response) }
    }
  }

  private func refuse(_ status: Int, _ why: String) {
    head = nil
    isBodyPending = true
    answer(.text(status, why))
  }

  // MARK: Bytes out

  private func answer(_ response: Response) {
    releaseBody()
    let keepsAlive =
      head?.keepsAlive == true && !closesAfterAnswer && !isBodyPending && !pool.isDraining
    if !keepsAlive { closesAfterAnswer = true }
    output += responseBytes(
      response,
      isHead: head?.request.method == "HEAD",
      keepsAlive: keepsAlive,
      date: pool.date()
    )
    pool.observer.answered(response.status)
    acceptance = nil
    head = nil
    enter(.sending, within: pool.limits.sendTime)
    flush()
    // A pipelined request may wait in the buffer behind an answer that came from a task.
    if phase == .idle && !input.isEmpty && used == 0 { advance() }
  }

  private func flush() {
    while sent < output.count {
      switch Socket.send(socket.raw, output, from: sent) {
      case .bytes(let count):
        sent += count
        if phase == .sending { deadline = pool.loop.now + pool.limits.sendTime }
      case .wouldBlock: return interest()
      case .closed: return close()
      }
    }
    output.removeAll()
    sent = 0
    if phase == .sending { sentAnswer() }
    interest()
  }

  private func sentAnswer() {
    guard closesAfterAnswer else { return enter(.idle, within: pool.limits.idleTime) }
    guard isBodyPending else { return close() }
    // Closing now would reset the connection and take the answer with it.
    Socket.finishSending(socket.raw)
    input = []
    used = 0
    enter(.lingering, within: pool.limits.lingerTime)
  }

  private func interest() {
    guard phase != .closed else { return }
    var interest: EventLoop.Readiness = output.isEmpty ? [] : .writable
    // While an answer is made, a pipelining peer fills its own buffers, not ours.
    if phase != .answering && phase != .sending { interest.insert(.readable) }
    watch?.update(interest)
    if phase == .idle && input.isEmpty { input = [] }
  }

  // MARK: Time

  private func enter(_ phase: Phase, within time: Duration) {
    self.phase = phase
    deadline = pool.loop.now + time
    if timer == nil { arm() }
  }

  /// One timer a connection: it looks at the deadline and sleeps on when that has moved.
  private func arm() {
    timer = pool.loop.timer(at: deadline) { [unowned self] in
      timer = nil
      if pool.loop.now < deadline { arm() } else { expire() }
    }
  }

  private func expire() {
    switch phase {
    case .head, .body:
      isBodyPending = true
      closesAfterAnswer = true
      answer(.text(408, "request took too long"))
    case .answering, .closed: break
    case .idle, .sending, .lingering: close()
    }
  }

  private func releaseBody() {
    pool.budget.release(reserved)
    reserved = 0
    body = []
  }
}

extension Connection: Hashable {
  static func == (a: Connection, b: Connection) -> Bool { a === b }
  func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
}
