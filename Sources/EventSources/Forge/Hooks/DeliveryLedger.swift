import ForgeAPI
import Posix

/// Which deliveries of one hook did not arrive, and what is to be done about each. A state machine
/// without I/O: it is told what the forge lists, and says which to ask for again.
struct DeliveryLedger {
  /// One attempt of the forge to call us.
  struct Attempt: Equatable {
    /// Grows with time.
    let id: Int
    /// The delivery's id, the same for each of its attempts.
    let guid: String
    /// 0 where nobody answered.
    let status: Int
    /// Whether the delivery keeps its id when it is sent again.
    var isRepeatable = true

    init(_ delivery: HookDelivery) {
      id = delivery.id
      guid = delivery.guid
      status = delivery.status
      isRepeatable = delivery.isRepeatable
    }

    var isAnswered: Bool { (200...299).contains(status) }
  }

  /// What to do about a delivery.
  enum Remedy: Equatable {
    case redeliver(attempt: Int)
    /// Take from the forge what it would have sent.
    case fetch(attempt: Int)
    case giveUp
  }

  private struct Missing {
    var first: Int
    var last: Int
    let isRepeatable: Bool
    var tries = 0
    var due: MonotonicTime
  }

  /// Everything up to this attempt arrived, or was given up.
  var settledThrough: Int {
    min(missing.values.map { $0.first - 1 }.min() ?? newest, unreadAfter ?? newest)
  }
  /// The newest attempt that was looked at.
  private(set) var newest: Int
  /// Behind this one are some that were not read yet; nil: none are.
  private var unreadAfter: Int?
  private var missing: [String: Missing] = [:]
  private let interval: Duration

  private static let redeliveriesMax = 3
  private static let triesMax = 6
  private static let waitMax = Duration.seconds(3600)

  /// - Parameters:
  ///   - settled: where to begin; attempts up to it are not looked at.
  ///   - interval: the wait before a delivery that was asked for is asked for again.
  init(settledThrough settled: Int, interval: Duration) {
    newest = settled
    self.interval = interval
  }

  var missingCount: Int { missing.count }

  /// Takes what the forge listed.
  /// - Parameters:
  ///   - floor: up to this one all was taken before.
  ///   - isHere: whether the delivery of an attempt is on the log, or need not be.
  /// - Returns: deliveries that are found missing for the first time, oldest first.
  mutating func take(
    _ attempts: [Attempt],
    after floor: Int,
    at now: MonotonicTime,
    isHere: (Attempt) -> Bool
  ) -> [String] {
    var found: [String] = []
    for attempt in attempts.sorted(by: { $0.id < $1.id }) where attempt.id > floor {
      newest = max(newest, attempt.id)
      if isHere(attempt) {
        missing[attempt.guid] = nil
      } else if let known = missing[attempt.guid] {
        missing[attempt.guid]?.first = min(known.first, attempt.id)
        missing[attempt.guid]?.last = max(known.last, attempt.id)
      } else {
        missing[attempt.guid] = Missing(
          first: attempt.id,
          last: attempt.id,
          isRepeatable: attempt.isRepeatable,
          due: now
        )
        found.append(attempt.guid)
      }
    }
    return found
  }

  /// Notes that attempts behind `attempt` are still to be read; nil: none are.
  mutating func leave(unreadAfter attempt: Int?) { unreadAfter = attempt }

  /// Forgets those that have arrived meanwhile.
  mutating func settle(_ isStored: (String) -> Bool) {
    missing = missing.filter { !isStored($0.key) }
  }

  /// What is to be done now, the oldest first, at most `limit`.
  func due(at now: MonotonicTime, limit: Int) -> [(guid: String, remedy: Remedy)] {
    missing.filter { $0.value.due <= now }.sorted { $0.value.first < $1.value.first }
      .prefix(limit).map { guid, one in
        let remedy: Remedy =
          one.tries >= Self.triesMax
          ? .giveUp
          : one.tries >= Self.redeliveriesMax || !one.isRepeatable
            ? .fetch(attempt: one.last) : .redeliver(attempt: one.last)
        return (guid, remedy)
      }
  }

  /// Notes that a remedy was tried.
  mutating func tried(_ guid: String, at now: MonotonicTime) {
    guard var one = missing[guid] else { return }
    one.tries += 1
    let factor = Double(1 << min(one.tries - 1, 12))
    one.due = now + min(interval * factor, Self.waitMax)
    missing[guid] = one
  }

  /// Notes that nothing more is done about a delivery.
  mutating func drop(_ guid: String) { missing[guid] = nil }
}
