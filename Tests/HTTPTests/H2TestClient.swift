import CNGHTTP2

/// HTTP/2 frame by frame, so that a test can send what no library would.
@safe final class H2TestClient {
  struct Frame: Equatable {
    var type: UInt8
    var flags: UInt8 = 0
    var stream: Int = 0
    var payload: [UInt8] = []
  }

  struct Answer: Equatable {
    var status = 0
    var headers: [String: String] = [:]
    var body: [UInt8] = []
    /// The code of RST_STREAM.
    var reset: Int?
    var isFinished = false
  }

  static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
  static let settings = Frame(type: 4)

  let socket: TestClient
  private var buffer: [UInt8] = []
  private var inflater: OpaquePointer?
  private(set) var answers: [Int: Answer] = [:]
  /// The codes of GOAWAY with the last stream's number.
  private(set) var goAways: [(last: Int, code: Int)] = []
  private(set) var pings: [Frame] = []

  init(_ port: Int, begins: Bool = true, settings: [(Int, Int)] = [], receiveBuffer: Int32? = nil)
    throws
  {
    socket = try TestClient(port, receiveBuffer: receiveBuffer)
    unsafe nghttp2_hd_inflate_new(&inflater)
    if begins {
      let payload = settings.flatMap { bigEndian($0.0, 2) + bigEndian($0.1, 4) }
      socket.send(Self.preface + bytes(Frame(type: 4, payload: payload)))
      // The server's settings are acknowledged: nothing of ours comes between frames later on.
      while let frame = next(), frame.type != 4 || frame.flags != 0 {}
    }
  }

  deinit { unsafe nghttp2_hd_inflate_del(inflater) }

  func bytes(_ frame: Frame) -> [UInt8] {
    bigEndian(frame.payload.count, 3) + [frame.type, frame.flags] + bigEndian(frame.stream, 4)
      + frame.payload
  }

  @discardableResult
  func send(_ frames: Frame...) -> Bool { socket.send(frames.flatMap { bytes($0) }) }

  /// A header block without compression.
  func block(_ fields: [(String, String)]) -> [UInt8] {
    var out: [UInt8] = []
    for (name, value) in fields {
      out.append(0)
      out += length(name.utf8.count) + Array(name.utf8)
      out += length(value.utf8.count) + Array(value.utf8)
    }
    return out
  }

  private func length(_ count: Int) -> [UInt8] {
    if count < 127 { return [UInt8(count)] }
    var out: [UInt8] = [127]
    var left = count - 127
    while left >= 128 {
      out.append(UInt8(left & 127) | 128)
      left >>= 7
    }
    return out + [UInt8(left)]
  }

  func head(_ method: String, _ path: String, _ more: [(String, String)] = []) -> [UInt8] {
    block(
      [(":method", method), (":scheme", "http"), (":path", path), (":authority", "x")] + more
    )
  }

  func get(_ stream: Int, _ path: String, method: String = "GET") -> Frame {
    Frame(type: 1, flags: 5, stream: stream, payload: head(method, path))
  }

  func post(_ stream: Int, _ path: String, _ more: [(String, String)] = []) -> Frame {
    Frame(type: 1, flags: 4, stream: stream, payload: head("POST", path, more))
  }

  func data(_ stream: Int, _ bytes: [UInt8], ends: Bool = true) -> Frame {
    Frame(type: 0, flags: ends ? 1 : 0, stream: stream, payload: bytes)
  }

  func reset(_ stream: Int) -> Frame { Frame(type: 3, stream: stream, payload: [0, 0, 0, 8]) }
  func window(_ stream: Int, _ by: Int) -> Frame {
    Frame(type: 8, stream: stream, payload: bigEndian(by, 4))
  }

  /// The next frame, taken note of; nil at the end.
  func next() -> Frame? {
    while true {
      if buffer.count >= 9 {
        let length = integer(buffer[0..<3])
        if buffer.count >= 9 + length {
          let frame = Frame(
            type: buffer[3],
            flags: buffer[4],
            stream: integer(buffer[5..<9]),
            payload: Array(buffer[9..<9 + length])
          )
          buffer.removeFirst(9 + length)
          note(frame)
          return frame
        }
      }
      let more = socket.receive()
      if more.isEmpty { return nil }
      buffer += more
    }
  }

  /// Reads until the stream's answer is whole or was reset, or the connection ends.
  @discardableResult
  func answer(_ stream: Int) -> Answer {
    while answers[stream]?.isFinished != true, answers[stream]?.reset == nil, next() != nil {}
    return answers[stream] ?? Answer()
  }

  /// Reads to the end; the code of the last GOAWAY.
  func end() -> Int? {
    while next() != nil {}
    return goAways.last?.code
  }

  private func note(_ frame: Frame) {
    switch frame.type {
    case 0: answers[frame.stream, default: Answer()].body += frame.payload
    case 1:
      for (name, value) in inflate(frame.payload) {
        if name == ":status" { answers[frame.stream, default: Answer()].status = Int(value) ?? 0 }
        answers[frame.stream, default: Answer()].headers[name] = value
      }
    case 3: answers[frame.stream, default: Answer()].reset = integer(frame.payload[...])
    case 4 where frame.flags & 1 == 0: send(Frame(type: 4, flags: 1))
    case 6: pings.append(frame)
    case 7: goAways.append((integer(frame.payload[0..<4]), integer(frame.payload[4..<8])))
    default: break
    }
    if frame.type < 2 && frame.flags & 1 == 1 { answers[frame.stream]?.isFinished = true }
  }

  private func inflate(_ block: [UInt8]) -> [(String, String)] {
    var fields: [(String, String)] = []
    var at = 0
    while true {
      var field = unsafe nghttp2_nv()
      var flags: Int32 = 0
      let rest = Array(block[at...])
      let used = unsafe nghttp2_hd_inflate_hd2(inflater, &field, &flags, rest, rest.count, 1)
      if used < 0 { return fields }
      at += used
      if flags & Int32(NGHTTP2_HD_INFLATE_EMIT.rawValue) != 0 {
        let name = unsafe UnsafeBufferPointer(start: field.name, count: field.namelen)
        let value = unsafe UnsafeBufferPointer(start: field.value, count: field.valuelen)
        unsafe fields.append(
          (String(decoding: name, as: UTF8.self), String(decoding: value, as: UTF8.self))
        )
      }
      if flags & Int32(NGHTTP2_HD_INFLATE_FINAL.rawValue) != 0 {
        unsafe nghttp2_hd_inflate_end_headers(inflater)
        return fields
      }
    }
  }
}

private func bigEndian(_ number: Int, _ count: Int) -> [UInt8] {
  (0..<count).map { UInt8(truncatingIfNeeded: number >> (8 * (count - 1 - $0))) }
}

private func integer(_ bytes: ArraySlice<UInt8>) -> Int { bytes.reduce(0) { $0 << 8 | Int($1) } }
