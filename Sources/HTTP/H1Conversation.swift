import Posix

/// HTTP/1.1 on one connection: one request after the other (RFC 9112).
final class H1Conversation: Conversation, @unchecked Sendable {
  // SAFETY: touched only on the loop's thread; the handler's task prefers the same loop.

  private enum Phase { case idle, head, body, answering, streaming, sending, ended }

  private unowned let connection: Connection
  private let pool: ConnectionPool
  private let handler: any RequestHandler
  private var phase = Phase.idle
  private var deadline: MonotonicTime
  private var parser: H1Parser
  private var input: [UInt8] = []
  private var used = 0
  private var isAdvancing = false

  private var head: H1Parser.Head?
  /// When the head was whole.
  private var began: MonotonicTime
  private var respond: (@Sendable (Request) async -> Response)?
  private var body: IncomingBody?
  private var isLast = false
  private var isBodyPending = false
  /// The body that is being sent while it comes to be, and how its pieces are framed.
  private var stream: ResponseStream?
  private var isChunked = false

  init(_ connection: Connection, _ handler: any RequestHandler) {
    self.connection = connection
    pool = connection.pool
    self.handler = handler
    parser = H1Parser(headBytes: pool.limits.headBytes, headerCount: pool.limits.headerCount)
    began = pool.loop.now
    deadline = began + pool.limits.headTime
  }

  func receive(_ bytes: [UInt8]) {
    if input.isEmpty { input = bytes } else { input += bytes }
    advance()
  }

  func peerFinished() {
    // Half a request will never be whole. An answer under way is still sent.
    isLast = true
    if phase != .answering && phase != .sending { connection.close() }
  }

  func outputSent() {
    if phase == .streaming { return sendStream() }
    guard phase == .sending else { return }
    sentAnswer()
    advance()
  }

  func drain() {
    isLast = true
    // A stream may go on for ever: it ends here.
    stream?.finish()
    sendStream()
  }

  func dismiss() { if phase == .idle { connection.finish() } }

  func closed() {
    phase = .ended
    stream?.abandon()
    stream = nil
    body = nil
    input = []
  }

  func sweep(_ now: MonotonicTime) {
    guard now >= deadline else { return }
    switch phase {
    case .head, .body:
      pool.observer.misused(phase == .head ? .slowHead : .slowBody)
      isBodyPending = true
      answer(.text(408, "request took too long"))
    case .idle: connection.close()
    case .answering, .streaming, .sending, .ended: break
    }
  }

  // MARK: The request

  private var isBetween: Bool { phase == .idle || phase == .head || phase == .body }

  private func advance() {
    if isAdvancing { return }
    isAdvancing = true
    while isBetween, let action = parser.next(input, &used) {
      switch action {
      case .head(let head): begin(head)
      case .body(let range): take(range)
      case .end: finish()
      case .refuse(let status, let why): refuse(status, why)
      }
    }
    isAdvancing = false
    if phase == .ended { return }
    // An idle connection owns no buffer.
    if used == input.count { input = [] } else { input.removeFirst(used) }
    used = 0
    if phase == .idle && !input.isEmpty { enter(.head, within: pool.limits.headTime) }
    connection.read(isBetween || (phase == .streaming && input.count < 64 << 10))
  }

  private func begin(_ head: H1Parser.Head) {
    var head = head
    began = pool.loop.now
    isBodyPending = head.length != 0
    let acceptance = pool.accept(&head.request, from: connection.peer, handler)
    self.head = head
    switch acceptance {
    case .answer(let response): answer(response)
    case .read(let limit, let respond): read(head, limit, nil, respond)
    case .check(let limit, let check, let respond): read(head, limit, check, respond)
    }
  }

  private func read(
    _ head: H1Parser.Head,
    _ limit: Int,
    _ check: (any BodyCheck)?,
    _ respond: @escaping @Sendable (Request) async -> Response
  ) {
    if let length = head.length {
      if length > limit { return answer(.bodyTooLarge(limit)) }
      if !pool.limits.bodies.hasRoom(for: length) { return answer(.bodiesBusy) }
    }
    body = IncomingBody(limit: limit, announced: head.length, check, pool)
    self.respond = respond
    enter(.body, within: pool.limits.bodyTime)
    // A client whose body is on its way already does not wait for leave.
    if head.expectsContinue && isBodyPending && used == input.count {
      _ = connection.send(Array("HTTP/1.1 100 Continue\r\n\r\n".utf8))
    }
  }

  private func take(_ range: Range<Int>) {
    if let refusal = unsafe body?.append(input.span.extracting(range).bytes) { answer(refusal) }
  }

  private func finish() {
    guard let head, let respond, let body else { return }
    isBodyPending = false
    if let refusal = body.verdict() { return answer(refusal) }
    phase = .answering
    self.body = nil
    self.respond = nil
    let request = Request(head: head.request, body: body.bytes)
    // Started at once on this loop: a handler that does not wait never leaves the thread. It
    // keeps the body's share of the budget, whatever becomes of the connection meanwhile.
    let work = Work(respond: respond, request: request, body: body)
    Task.immediate(executorPreference: pool.loop) { [self] in
      let response = await work.run()
      if phase == .answering { answer(response) }
    }
  }

  private func refuse(_ status: Int, _ why: String) {
    head = nil
    isBodyPending = true
    answer(.text(status, why))
  }

  // MARK: The answer

  private func answer(_ response: Response) {
    if let body { pool.reclaim(body) }
    body = nil
    respond = nil
    isChunked = head?.isHTTP10 == false
    let isHeadOnly = head?.request.method == "HEAD"
    let isFramed = response.stream == nil || isChunked
    let keepsAlive =
      head?.keepsAlive == true && !isLast && !isBodyPending && !pool.isDraining && isFramed
    isLast = !keepsAlive
    let bytes = responseBytes(
      response,
      to: head,
      keepsAlive: keepsAlive,
      date: pool.date()
    )
    observe(response)
    head = nil
    if let stream = response.stream, response.hasBody, !isHeadOnly {
      return begin(stream, bytes)
    }
    response.stream?.abandon()
    phase = .sending
    guard connection.send(bytes, passing: response.descriptors) else { return }
    sentAnswer()
    // A pipelined request may wait behind an answer that came from a task.
    advance()
  }

  private func observe(_ response: Response) {
    pool.observer.answered(
      Answered(
        status: response.status,
        head: head?.request,
        bodyBytes: response.body.count,
        took: head == nil ? .zero : pool.loop.now - began
      )
    )
  }

  /// Sends the head and then whatever the stream brings.
  private func begin(_ stream: ResponseStream, _ head: [UInt8]) {
    self.stream = stream
    phase = .streaming
    _ = connection.send(head)
    guard phase == .streaming else { return }
    // Reading tells when the client goes away.
    connection.read(true)
    stream.attach { [weak self, loop = pool.loop] in loop.post { [weak self] in self?.sendStream() }
    }
    sendStream()
  }

  private func sendStream() {
    guard phase == .streaming, let stream, connection.pending == 0 else { return }
    guard let (bytes, isEnd) = stream.take() else { return connection.close() }
    var out = bytes
    if isChunked && !bytes.isEmpty {
      out = Array("\(String(bytes.count, radix: 16))\r\n".utf8) + bytes + [0x0d, 0x0a]
    }
    if isEnd {
      if isChunked { out += "0\r\n\r\n".utf8 }
      phase = .sending
      self.stream = nil
      stream.abandon()
    }
    guard out.isEmpty || connection.send(out) else { return }
    guard isEnd, phase == .sending else { return }
    sentAnswer()
    advance()
  }

  private func sentAnswer() {
    if isLast { return connection.finish() }
    enter(.idle, within: pool.limits.idleTime)
  }

  private func enter(_ phase: Phase, within time: Duration) {
    self.phase = phase
    deadline = pool.loop.now + time
  }
}

/// A request with what answers it, on its way into a task.
struct Work: @unchecked Sendable {
  // SAFETY: `body` is held for its end of life only; nobody else appends to it any more.
  let respond: @Sendable (Request) async -> Response
  let request: Request
  let body: IncomingBody

  func run() async -> Response {
    defer { withExtendedLifetime(body) {} }
    return await respond(request)
  }
}
