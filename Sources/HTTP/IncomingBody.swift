import Synchronization

/// Bytes of all bodies in memory together.
final class BodyBudget: Sendable {
  private let used = Atomic<Int>(0)
  private let limit: Int

  init(_ limit: Int) { self.limit = limit }

  fileprivate func reserve(_ count: Int) -> Bool {
    if used.add(count, ordering: .relaxed).newValue <= limit { return true }
    used.subtract(count, ordering: .relaxed)
    return false
  }

  fileprivate func release(_ count: Int) { used.subtract(count, ordering: .relaxed) }

  /// What is in memory now.
  var inUse: Int { used.load(ordering: .relaxed) }
}

/// The body of one request with its share of the budget. The share is given back when the last
/// holder lets go, which may be a handler that outlives its connection.
final class IncomingBody {
  private(set) var bytes: [UInt8] = []
  private let limit: Int
  private let budget: BodyBudget

  init(limit: Int, _ budget: BodyBudget) {
    self.limit = limit
    self.budget = budget
  }

  deinit { budget.release(bytes.count) }

  /// Makes room for a length that was announced, up to a bound: an announcement costs nothing.
  func expect(_ length: Int) { bytes.reserveCapacity(min(length, 64 << 10)) }

  /// nil, or the answer that refuses the request.
  func append(_ more: some Collection<UInt8>) -> Response? {
    guard more.count <= limit - bytes.count else { return .bodyTooLarge(limit) }
    guard budget.reserve(more.count) else { return .busy("too many bodies in memory, try again") }
    bytes += more
    return nil
  }
}

extension Response {
  static func bodyTooLarge(_ limit: Int) -> Response {
    .text(413, "body larger than \(limit) bytes")
  }

  /// 503 with the time to come again.
  static func busy(_ why: String) -> Response {
    var response = Response.text(503, why)
    response.headers.add("Retry-After", "1")
    return response
  }
}
