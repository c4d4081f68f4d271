import CNGHTTP2
import Posix

/// HTTP/2 on one connection (RFC 9113): many requests at once. nghttp2 knows frames, header
/// compression and flow control; what a request may cost is decided here.
@safe final class H2Conversation: Conversation, @unchecked Sendable {
  // SAFETY: touched only on the loop's thread; handlers' tasks prefer the same loop.

  private unowned let connection: Connection
  let pool: ConnectionPool
  private let handler: any RequestHandler
  private let session: OpaquePointer
  private(set) var streams: [Int32: H2Stream] = [:]
  private var guards: FloodGuard
  /// Handlers at work, also for streams that were reset since.
  private var running = 0
  private var idleSince: MonotonicTime
  /// nghttp2 is on the stack: what there is to send waits until it is not.
  private var isBusy = false
  private var isEnded = false
  private var isPeerFinished = false
  /// When new requests were first told to go elsewhere.
  private var noticed: MonotonicTime?
  private var lastStream: Int32 = -1
  /// Stream numbers that were passed over and may not be used any more.
  private var skipped: [ClosedRange<Int32>] = []
  private var doom: (code: nghttp2_error_code, why: HTTPMisuse)?

  /// nil when there is no memory.
  init?(_ connection: Connection, _ handler: any RequestHandler) {
    self.connection = connection
    self.handler = handler
    pool = connection.pool
    guards = FloodGuard(pool.loop.now)
    idleSince = pool.loop.now
    guard let session = unsafe H2Setup.shared.makeSession() else { return nil }
    unsafe self.session = unsafe session
    unsafe nghttp2_session_set_user_data(session, Unmanaged.passUnretained(self).toOpaque())
    let limits = pool.limits
    let settings = [
      (NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.streams),
      (NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.windowBytes.stream),
      (NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits.headBytes),
    ].map { nghttp2_settings_entry(settings_id: Int32($0.rawValue), value: UInt32($1)) }
    unsafe nghttp2_submit_settings(session, none, settings, settings.count)
    unsafe nghttp2_session_set_local_window_size(
      session,
      none,
      0,
      Int32(limits.windowBytes.connection)
    )
  }

  deinit { unsafe nghttp2_session_del(session) }

  // MARK: Conversation

  func receive(_ bytes: [UInt8]) {
    if isEnded { return }
    isBusy = true
    let code = unsafe nghttp2_session_mem_recv(session, bytes, bytes.count)
    isBusy = false
    if code < 0 { refuse(Int32(clamping: code)) }
    pump()
  }

  func peerFinished() {
    isPeerFinished = true
    pump()
  }

  func outputSent() { pump() }

  func drain() {
    guard noticed == nil, !isEnded else { return }
    noticed = pool.loop.now
    // What the client sent before it reads this is still served; the answer to the ping says
    // that it has read it (RFC 9113 section 6.8).
    unsafe nghttp2_submit_shutdown_notice(session)
    unsafe nghttp2_submit_ping(session, none, nil)
    // A stream may go on for ever: it ends here.
    for stream in streams.values { stream.stream?.finish() }
    pump()
  }

  func dismiss() {}

  func closed() {
    isEnded = true
    for stream in streams.values { stream.stream?.abandon() }
    streams = [:]
  }

  func sweep(_ now: MonotonicTime) {
    if streams.isEmpty && now >= idleSince + pool.limits.idleTime { end(NGHTTP2_NO_ERROR) }
    if let noticed, now >= noticed + .seconds(1) { goAway() }
    for stream in streams.values where now >= stream.deadline {
      switch stream.phase {
      case .head:
        // A header block that is not whole holds up all other streams.
        pool.observer.misused(.slowHead)
        end(NGHTTP2_ENHANCE_YOUR_CALM)
      case .body:
        pool.observer.misused(.slowBody)
        answer(stream, .text(408, "request took too long"))
      case .answering: break
      // Nothing to send is no fault of the client.
      case .sending where stream.isWaiting: break
      case .sending:
        pool.observer.misused(.slowReader)
        reset(stream.id, NGHTTP2_CANCEL)
      }
    }
    pump()
  }

  // MARK: Bytes out

  private func pump() {
    if isBusy || isEnded { return }
    isBusy = true
    while connection.pending == 0 {
      var out: [UInt8] = []
      while out.count < 64 << 10 {
        var next: UnsafePointer<UInt8>?
        let count = unsafe nghttp2_session_mem_send(session, &next)
        guard count > 0, let next = unsafe next else { break }
        unsafe out += UnsafeBufferPointer(start: next, count: count)
      }
      if out.isEmpty || !connection.send(out) { break }
    }
    isBusy = false
    if isEnded { return }
    let wantsMore = unsafe nghttp2_session_want_read(session) + nghttp2_session_want_write(session)
    let isLeft =
      isPeerFinished
      && streams.values.allSatisfy { $0.phase == .head || $0.phase == .body || $0.isWaiting }
    if (wantsMore == 0 && connection.pending == 0) || isLeft { return connection.finish() }
    // Who does not read the answers may not ask for more.
    connection.read(connection.pending == 0)
  }

  /// Ends the connection with a reason for the client.
  private func end(_ code: nghttp2_error_code) {
    unsafe nghttp2_session_terminate_session(session, code.rawValue)
  }

  private func goAway() {
    noticed = nil
    let last = unsafe nghttp2_session_get_last_proc_stream_id(session)
    unsafe nghttp2_submit_goaway(session, none, last, NGHTTP2_NO_ERROR.rawValue, nil, 0)
    // Not again, however long the last answers take.
  }

  private func reset(_ stream: Int32, _ code: nghttp2_error_code) {
    unsafe nghttp2_submit_rst_stream(session, none, stream, code.rawValue)
  }

  /// nghttp2 will read no more.
  private func refuse(_ code: Int32) {
    if let doom {
      pool.observer.misused(doom.why)
      return end(doom.code)
    }
    switch nghttp2_error(code) {
    case NGHTTP2_ERR_FLOODED:
      pool.observer.misused(.pings)
      end(NGHTTP2_ENHANCE_YOUR_CALM)
    case NGHTTP2_ERR_NOMEM: end(NGHTTP2_INTERNAL_ERROR)
    default:
      pool.observer.misused(.protocolError)
      end(NGHTTP2_PROTOCOL_ERROR)
    }
  }

  // MARK: What nghttp2 reports

  /// Whether to go on reading.
  func begin(_ frame: H2Frame) -> Bool {
    if let flood = guards.count(frame, pool.loop.now) {
      doom = (NGHTTP2_ENHANCE_YOUR_CALM, flood)
      return false
    }
    guard frame.kind == .headers, frame.stream & 1 == 1 else { return true }
    if frame.stream > lastStream {
      if frame.stream > lastStream + 2 {
        skipped.append(max(1, lastStream + 2)...frame.stream - 2)
        if skipped.count > 32 { skipped.removeFirst() }
      }
      lastStream = frame.stream
    } else if skipped.contains(where: { $0.contains(frame.stream) }) {
      // A higher number closed this one (RFC 9113 section 5.1.1); nghttp2 passes over it.
      doom = (NGHTTP2_PROTOCOL_ERROR, .protocolError)
      return false
    }
    return true
  }

  func beginHead(_ id: Int32) {
    let now = pool.loop.now
    streams[id] = H2Stream(id, now, deadline: now + pool.limits.headTime)
  }

  func headField(_ id: Int32, _ name: String, _ value: String) {
    guard let stream = streams[id], stream.phase == .head else { return }
    stream.add(name, value, pool.limits)
  }

  func received(_ frame: H2Frame) {
    if frame.kind == .ping && frame.isAcknowledgement && noticed != nil { return goAway() }
    guard let stream = streams[frame.stream] else { return }
    if frame.endsStream { stream.isRemoteFinished = true }
    if frame.kind == .headers && stream.phase == .head { begin(stream) }
    if frame.endsStream { finish(stream) }
  }

  func data(_ id: Int32, _ bytes: UnsafeBufferPointer<UInt8>) {
    guard let stream = streams[id], stream.phase == .body, let body = stream.body else {
      // The answer is under way; the client may spend its window, but gets no more of it.
      unsafe nghttp2_session_consume_connection(session, bytes.count)
      return
    }
    unsafe nghttp2_session_consume(session, id, bytes.count)
    if let refusal = unsafe body.append(bytes.span.bytes) { answer(stream, refusal) }
  }

  func sent(_ frame: H2Frame) {
    guard frame.endsStream, let stream = streams[frame.stream], !stream.isRemoteFinished else {
      return
    }
    // The rest of the request is not wanted (RFC 9113 section 8.1).
    reset(stream.id, NGHTTP2_NO_ERROR)
  }

  func closed(_ id: Int32, _ code: UInt32) {
    guard let stream = streams.removeValue(forKey: id) else { return }
    stream.stream?.abandon()
    if stream.phase == .sending && code == NGHTTP2_NO_ERROR.rawValue { guards.answered() }
    if streams.isEmpty { idleSince = pool.loop.now }
  }

  /// The next bytes of an answer, and whether they are the last ones.
  func read(_ id: Int32, _ buffer: UnsafeMutableRawBufferPointer) -> (count: Int, isLast: Bool)? {
    guard let stream = streams[id] else { return nil }
    if let source = stream.stream {
      guard let (bytes, isLast) = source.take(buffer.count) else { return nil }
      unsafe buffer.copyBytes(from: bytes)
      stream.isWaiting = bytes.isEmpty
      stream.deadline = pool.loop.now + pool.limits.sendTime
      return (bytes.count, isLast)
    }
    let count = min(buffer.count, stream.answer.count - stream.sent)
    unsafe buffer.copyBytes(from: stream.answer[stream.sent..<stream.sent + count])
    stream.sent += count
    stream.deadline = pool.loop.now + pool.limits.sendTime
    return (count, stream.sent == stream.answer.count)
  }

  // MARK: The request

  private func begin(_ stream: H2Stream) {
    let limits = pool.limits
    if stream.isTooLarge(limits) { return answer(stream, .text(431, "header too large")) }
    // Handlers of streams that were reset still work: without this bound, resets would buy any
    // number of them.
    if running >= limits.streams { return reset(stream.id, NGHTTP2_REFUSED_STREAM) }
    if stream.method == "CONNECT" { return answer(stream, .text(501, "there is no tunnel here")) }
    guard var head = stream.takeHead() else {
      return answer(stream, .text(400, "bad target or host"))
    }
    let acceptance = pool.accept(&head, from: connection.peer, handler)
    stream.request = head
    switch acceptance {
    case .answer(let response): answer(stream, response)
    case .read(let limit, let respond): read(stream, head, limit, nil, respond)
    case .check(let limit, let check, let respond): read(stream, head, limit, check, respond)
    }
  }

  private func read(
    _ stream: H2Stream,
    _ head: RequestHead,
    _ limit: Int,
    _ check: (any BodyCheck)?,
    _ respond: @escaping @Sendable (Request) async -> Response
  ) {
    let length = head.headers["content-length"].flatMap { contentLength($0) }
    if let length {
      if length > limit { return answer(stream, .bodyTooLarge(limit)) }
      if !pool.limits.bodies.hasRoom(for: length) { return answer(stream, .bodiesBusy) }
    }
    stream.body = IncomingBody(limit: limit, announced: length, check, pool)
    stream.respond = respond
    stream.phase = .body
    stream.deadline = pool.loop.now + pool.limits.bodyTime
    if head.headers["expect"] != nil && !stream.isRemoteFinished {
      _ = unsafe withNameValues([(":status", "100")]) { fields in
        unsafe nghttp2_submit_headers(session, none, stream.id, nil, fields, 1, nil)
      }
    }
  }

  private func finish(_ stream: H2Stream) {
    guard stream.phase == .body, let body = stream.body, let respond = stream.respond,
      let head = stream.request
    else { return }
    if let refusal = body.verdict() { return answer(stream, refusal) }
    stream.phase = .answering
    stream.body = nil
    stream.respond = nil
    let id = stream.id
    let work = Work(respond: respond, request: Request(head: head, body: body.bytes), body: body)
    running += 1
    Task.immediate(executorPreference: pool.loop) { [self] in
      let response = await work.run()
      running -= 1
      guard let stream = streams[id], stream.phase == .answering else { return }
      answer(stream, response)
      pump()
    }
  }

  private func answer(_ stream: H2Stream, _ response: Response) {
    if let body = stream.body { pool.reclaim(body) }
    stream.body = nil
    stream.respond = nil
    stream.phase = .sending
    stream.deadline = pool.loop.now + pool.limits.sendTime
    pool.observer.answered(
      Answered(
        status: response.status,
        head: stream.request,
        bodyBytes: response.body.count,
        took: pool.loop.now - stream.began
      )
    )
    var fields = [(":status", "\(response.status)"), ("date", pool.date())]
    for field in response.headers.fields { fields.append((field.name.lowercased(), field.value)) }
    if response.hasBody && response.stream == nil {
      fields.append(("content-length", "\(response.body.count)"))
    }
    if response.hasBody && stream.method != "HEAD" {
      stream.answer = response.body
      stream.stream = response.stream
      response.stream?.attach { [weak self, id = stream.id, loop = pool.loop] in
        loop.post { [weak self] in self?.resume(id) }
      }
    } else {
      response.stream?.abandon()
    }
    let hasBody = !stream.answer.isEmpty || stream.stream != nil
    var provider = unsafe nghttp2_data_provider()
    unsafe provider.read_callback = H2Setup.readAnswer
    let code = unsafe withNameValues(fields) { values in
      unsafe withUnsafePointer(to: provider) { provider in
        let source = unsafe hasBody ? provider : nil
        return unsafe nghttp2_submit_response(session, stream.id, values, fields.count, source)
      }
    }
    if code != 0 { reset(stream.id, NGHTTP2_INTERNAL_ERROR) }
  }

  /// The body of a stream has more to give.
  private func resume(_ id: Int32) {
    guard !isEnded, let stream = streams[id] else { return }
    if stream.isWaiting { stream.deadline = pool.loop.now + pool.limits.sendTime }
    stream.isWaiting = false
    unsafe nghttp2_session_resume_data(session, id)
    pump()
  }
}

private let none = UInt8(truncatingIfNeeded: NGHTTP2_FLAG_NONE.rawValue)
