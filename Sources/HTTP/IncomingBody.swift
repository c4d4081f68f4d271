import Synchronization

/// Bytes of all bodies in memory together; shared by as many servers as are to have one budget.
package final class BodyBudget: Sendable {
  private let used = Atomic<Int>(0)
  private let limit: Int

  /// - Parameter limit: in bytes.
  package init(_ limit: Int) { self.limit = limit }

  fileprivate func reserve(_ count: Int) -> Bool {
    if used.add(count, ordering: .relaxed).newValue <= limit { return true }
    used.subtract(count, ordering: .relaxed)
    return false
  }

  fileprivate func release(_ count: Int) { used.subtract(count, ordering: .relaxed) }

  /// Whether a body of `count` bytes would find room now. It takes none yet.
  func hasRoom(for count: Int) -> Bool { inUse + count <= limit }

  /// What is in memory now, in bytes.
  package var inUse: Int { used.load(ordering: .relaxed) }
}

/// The body of one request with its share of the budget. The share is given back when the last
/// holder lets go, which may be a handler that outlives its connection.
final class IncomingBody {
  private(set) var bytes: [UInt8]
  private let limit: Int
  private let budget: BodyBudget
  private let check: (any BodyCheck)?
  /// The length that was announced.
  private let announced: Int?
  private var reserved = 0

  init(limit: Int, announced: Int?, _ check: (any BodyCheck)?, _ pool: ConnectionPool) {
    self.limit = limit
    self.announced = announced
    self.check = check
    budget = pool.limits.bodies
    bytes = pool.takeBuffer()
  }

  deinit { budget.release(reserved) }

  /// nil, or the answer that refuses the request.
  func append(_ more: RawSpan) -> Response? {
    guard more.byteCount <= limit - bytes.count else { return .bodyTooLarge(limit) }
    guard grow(by: more.byteCount) else { return .bodiesBusy }
    check?.update(more)
    unsafe more.withUnsafeBytes { unsafe bytes += $0 }
    return nil
  }

  /// Takes from the budget what the buffer is going to take from the machine: an announcement
  /// costs nothing, the first byte a little, and doubling no more than the request can need.
  private func grow(by count: Int) -> Bool {
    let needed = bytes.count + count
    if needed <= reserved { return true }
    let size = max(needed, min(max(2 * reserved, 16 << 10), announced ?? limit))
    guard budget.reserve(size - reserved) else { return false }
    bytes.reserveCapacity(size)
    reserved = size
    return true
  }

  /// After the last byte: nil, or the answer that refuses the request.
  func verdict() -> Response? { check?.finish() }

  /// Gives the buffer away, emptied, and the share of the budget back.
  func surrender() -> [UInt8] {
    var buffer: [UInt8] = []
    swap(&buffer, &bytes)
    budget.release(reserved)
    reserved = 0
    buffer.removeAll(keepingCapacity: true)
    return buffer
  }
}

extension Response {
  static func bodyTooLarge(_ limit: Int) -> Response {
    .text(413, "body larger than \(limit) bytes")
  }

  static var bodiesBusy: Response { .busy("too many bodies in memory, try again") }

  /// 503 with the time to come again.
  static func busy(_ why: String) -> Response {
    var response = Response.text(503, why)
    response.headers.add("Retry-After", "1")
    return response
  }
}
