import Glibc
import JSON
package import Posix
import TLS

/// What a repository keeps for Signalbox, in the folder `signalbox` inside it:
///
///     config.json   {"id": 32 hexadecimal digits} with {"socket": path of DATA/push.sock} or
///                   {"url", "token": path, "authorities": path}
///     lock          held while a number is given out
///     drain.lock    held while pushes are handed over
///     next          the number of the next push
///     spool/        <number, 20 digits>.json: pushes that were not handed over yet
///
/// A push is on the disk under its number before anybody is told of it, and stays there until the
/// bus has it on its log. (id, number) names it, so handing it over twice is no harm.
package struct PushSpool {
  /// More pushes than this wait for nobody: the bus finds what is missing by the refs.
  static let countMax = 10_000
  static let configurationBytesMax = 64 << 10

  package let repository: String
  package let id: String
  let target: HandOver
  private var folder: String { repository + "/signalbox" }
  private var spool: String { folder + "/spool" }

  /// - Parameter repository: its absolute path, links resolved.
  /// - Throws: `SystemError` where `signalbox git install` has not been.
  package init(_ repository: String) throws(SystemError) {
    self.repository = repository
    let path = repository + "/signalbox/config.json"
    let bytes = try Files.read(path, limit: Self.configurationBytesMax)
    guard let json = try? JSON(parsing: bytes), case .string(let id)? = json["id"],
      let target = HandOver(json)
    else { throw SystemError("read", path, code: EINVAL) }
    self.id = id
    self.target = target
  }

  /// Prepares a repository; the id of one that was prepared before stays.
  static func prepare(_ repository: String, _ target: HandOver) throws(SystemError) {
    try Files.makeFolder(repository + "/signalbox/spool")
    // Made here, so that they belong to the repository's owner whoever takes them first.
    for name in ["lock", "drain.lock"] {
      _ = try FileDescriptor.open(repository + "/signalbox/" + name, O_RDWR | O_CREAT)
    }
    let id: String
    do throws(SystemError) { id = try PushSpool(repository).id } catch {
      id = hexadecimal(secureRandomBytes(16))
    }
    let json = JSON.object([.init(key: "id", value: .string(id))] + target.members)
    try Files.writeDurably(json.encoded(), to: repository + "/signalbox/config.json")
  }

  /// The path under which `push.sock` takes pushes of a repository.
  package static func route(_ repository: String) -> String {
    "/git/" + hexadecimal(SHA256.digest(Array(repository.utf8)).prefix(16))
  }

  // MARK: Numbers

  /// Puts a push on the disk under the next number.
  /// - Parameter make: the push's bytes of its number.
  /// - Throws: `SystemError`; `ENOSPC` when too many wait already.
  func add(_ make: (Int) -> [UInt8]) throws(SystemError) {
    let lock = try locked("lock", wait: .milliseconds(1500))
    let waiting = try Files.list(spool).filter { $0.hasSuffix(".json") }
    guard waiting.count < Self.countMax else { throw SystemError("spool", spool, code: ENOSPC) }
    let last = waiting.last.flatMap { Int($0.dropLast(5)) } ?? 0
    let number = max(next(), last + 1)
    // The number is spent before it is used: a crash in between leaves a hole, never a double.
    try Files.writeDurably(Array("\(number + 1)".utf8), to: folder + "/next")
    try Files.writeDurably(make(number), to: "\(spool)/\(padded(number)).json")
    try lock.close()
  }

  private func next() -> Int {
    do throws(SystemError) {
      let bytes = try Files.read(folder + "/next", limit: 64)
      return Int(String(decoding: bytes, as: UTF8.self)) ?? 1
    } catch { return 1 }
  }

  private func padded(_ number: Int) -> String {
    String(repeating: "0", count: 20 - String(number).count) + String(number)
  }

  // MARK: Handing over

  /// Hands the waiting pushes to the bus in their order, as far as it takes them.
  /// - Parameters:
  ///   - deadline: when to stop, also waiting for who hands them over now.
  ///   - details: adds to a push what only the repository knows.
  /// - Throws: `SystemError` when the bus is not there or takes no more.
  func drain(
    until deadline: MonotonicTime,
    details: (JSON, MonotonicTime) -> JSON
  ) throws(SystemError) {
    let wait = deadline - .now()
    let lock = try locked("drain.lock", wait: max(.zero, wait))
    while true {
      let waiting = try Files.list(spool).filter { $0.hasSuffix(".json") }
      guard let name = waiting.first else { break }
      let path = spool + "/" + name
      let bytes = try Files.read(path)
      guard let push = try? JSON(parsing: bytes) else {
        // Nobody can hand it over; it stays beside the spool for who wants to look.
        guard unsafe rename(path, path + ".broken") == 0 else { throw SystemError("rename", path) }
        continue
      }
      try post("", details(push, deadline).encoded(), until: deadline)
      try Files.remove(path)
    }
    try Files.syncFolder(spool)
    try lock.close()
  }

  /// Posts JSON to where pushes go.
  /// - Throws: `SystemError`; `EPROTO` for an answer other than 2xx.
  func post(_ below: String, _ body: [UInt8], until deadline: MonotonicTime) throws(SystemError) {
    let answer = try target.post(Self.route(repository), below, body, until: deadline)
    guard (200...299).contains(answer.status) else {
      throw SystemError("push", "answered with status \(answer.status)", code: EPROTO)
    }
  }

  /// Posts JSON and returns the JSON of the answer, whatever its status.
  /// - Throws: `SystemError`; `EPROTO` for an answer that has none.
  func ask(
    _ below: String,
    _ body: [UInt8],
    until deadline: MonotonicTime
  ) throws(SystemError) -> JSON {
    let answer = try target.post(Self.route(repository), below, body, until: deadline)
    guard let json = try? JSON(parsing: answer.body) else {
      throw SystemError("ask", "answered with status \(answer.status)", code: EPROTO)
    }
    return json
  }

  private func locked(_ name: String, wait: Duration) throws(SystemError) -> FileDescriptor {
    let path = folder + "/" + name
    let file = try FileDescriptor.open(path, O_RDWR | O_CREAT)
    let deadline = MonotonicTime.now() + wait
    while try !file.tryLock() {
      if MonotonicTime.now() >= deadline { throw SystemError("lock", path, code: ETIMEDOUT) }
      _ = poll(nil, 0, 5)
    }
    return file
  }
}
