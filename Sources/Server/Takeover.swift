import EventLog
import JSON
import Posix

/// The program that runs on a data folder, asked for its listening sockets by the one that is
/// going to run in its place.
struct Predecessor: ~Copyable {
  private let connection: PassingClient
  /// Its process.
  let process: String

  /// Receives its sockets; it goes on serving. nil where nobody runs on `data`.
  /// - Throws: `SystemError`, or `Problem` when it does not hand them over.
  static func ask(_ data: String, _ sockets: ListeningSockets) throws -> Predecessor? {
    guard let connection = try PassingClient.connect(data + "/control.sock") else { return nil }
    let (status, body, descriptors) = try exchange("/takeover", connection)
    for raw in descriptors { try sockets.add(raw, isShared: false) }
    guard status == 200, case .string(let process)? = body["process"] else {
      throw ListeningSockets.Problem(
        "the program that runs on \(data) does not hand its sockets over (status \(status))"
      )
    }
    return Predecessor(connection: connection, process: process)
  }

  private init(connection: consuming PassingClient, process: String) {
    self.connection = connection
    self.process = process
  }

  /// Has it stop: it finishes what it accepted and lets go of the folder.
  func dismiss() throws {
    let (status, _, _) = try Self.exchange("/takeover/confirm", connection)
    guard status == 202 else {
      throw ListeningSockets.Problem("process \(process) does not stop (status \(status))")
    }
  }

  private static func exchange(
    _ path: String,
    _ connection: borrowing PassingClient
  ) throws -> (status: Int, body: JSON, descriptors: [Int32]) {
    try connection.send(
      Array("POST \(path) HTTP/1.1\r\nHost: control\r\nContent-Length: 0\r\n\r\n".utf8)
    )
    var answer: [UInt8] = []
    var descriptors: [Int32] = []
    while true {
      let more = try connection.receive()
      answer += more.bytes
      descriptors += more.descriptors
      let text = String(decoding: answer, as: UTF8.self)
      let parts = text.split(separator: "\r\n\r\n", maxSplits: 1, omittingEmptySubsequences: false)
      if parts.count == 2, parts[1].utf8.count >= length(parts[0]) {
        let status = Int(parts[0].dropFirst("HTTP/1.1 ".count).prefix(3)) ?? 0
        return (status, (try? JSON(parsing: Array(parts[1].utf8))) ?? .null, descriptors)
      }
      guard !more.bytes.isEmpty, answer.count < 1 << 20 else {
        throw ListeningSockets.Problem("the program that runs broke off the takeover")
      }
    }
  }

  private static func length(_ head: Substring) -> Int {
    for line in head.split(separator: "\r\n") {
      let parts = line.split(separator: ":", maxSplits: 1)
      guard parts.count == 2, parts[0].lowercased() == "content-length" else { continue }
      return Int(parts[1].filter { $0 != " " }) ?? 0
    }
    return 0
  }
}

extension EventLog {
  /// Opens the log; while another process holds the folder, tries again for as long as `patience`.
  /// - Throws: `LogError`.
  static func open(
    folder: String,
    _ configuration: Configuration,
    patience: Duration,
    on loop: EventLoop
  ) async throws(LogError) -> (log: EventLog, recovery: Recovery) {
    let deadline = MonotonicTime.now() + patience
    while true {
      do throws(LogError) { return try open(folder: folder, configuration) } catch {
        guard case .locked = error, MonotonicTime.now() < deadline else { throw error }
      }
      await loop.sleep(for: .milliseconds(10))
    }
  }
}
