import CRdKafka
import DequeModule
package import Posix

/// Writes in transactions under the name `transactional.id`: all messages of a call, and how far
/// their writer has read, can be read by others together or not at all (`read_committed`).
///
/// Whoever opens a name fences everybody who had opened it before. One transaction is under way at
/// a time; callers take turns. Closed by `close`, whatever happened.
package actor KafkaTransactor {
  package nonisolated let loop: EventLoop
  package nonisolated var unownedExecutor: UnownedSerialExecutor {
    unsafe loop.asUnownedSerialExecutor()
  }

  private let handle: KafkaHandle
  private let limit: Duration
  /// By the number of its message in the transaction under way.
  private var receipts: [Result<KafkaReceipt, KafkaError>?] = []
  private var missing = 0
  private var reported: CheckedContinuation<Void, Never>?
  private var turns = Deque<CheckedContinuation<Void, Never>>()
  private var isBusy = false
  /// Why it is of no use any more.
  private var end: KafkaTransactionError?
  private var isClosed = false
  /// A call is still waiting in librdkafka although its time is over.
  private var isStuck = false

  /// - Parameters:
  ///   - settings: with `transactional.id`.
  ///   - limit: how long opening or a transaction may take.
  /// - Throws: `KafkaSettingError`.
  package init(
    _ settings: KafkaSettings,
    loop: EventLoop,
    observer: KafkaObserver,
    limit: Duration = .seconds(30)
  ) throws(KafkaSettingError) {
    self.loop = loop
    self.limit = limit
    handle = try KafkaHandle(settings, .producer, loop, observer)
  }

  /// Whether it can still be used.
  package var isUsable: Bool { !isClosed && end == nil }

  // MARK: Opening

  /// Takes the name: fences who had it and ends the transaction that was under way under it.
  /// - Throws: `KafkaTransactionError`; the client is then of no use.
  package func open() async throws(KafkaTransactionError) {
    handle.onDelivered = { [unowned self] number, result in
      assumeIsolated { $0.take(number, result) }
    }
    do throws(KafkaError) { try handle.start() } catch { throw finish(.aborted(error)) }
    let deadline = MonotonicTime.now() + limit
    let failure = await onThread { client throws(TransactionFailure) in
      try client.openTransactions(until: deadline)
    }
    if let failure { throw finish(failure.isFence ? .fenced(failure.error) : .open(failure.error)) }
  }

  // MARK: A transaction

  /// Writes `entries` and commits `progress` in one transaction and waits for its end.
  /// - Returns: where each message was written, in order.
  /// - Throws: `KafkaTransactionError`.
  package func commit(
    _ entries: [KafkaEntry],
    _ progress: KafkaProgress? = nil
  ) async throws(KafkaTransactionError) -> [KafkaReceipt] {
    if entries.isEmpty && progress == nil { return [] }
    if isBusy { await withCheckedContinuation { turns.append($0) } } else { isBusy = true }
    defer { if let turn = turns.popFirst() { turn.resume() } else { isBusy = false } }
    if isClosed { throw .aborted(.closed) }
    if let end { throw end }
    let deadline = MonotonicTime.now() + limit
    do throws(TransactionFailure) {
      try begin()
      try write(entries)
    } catch { throw await give(up: error) }
    let failure = await onThread { client throws(TransactionFailure) in
      try client.commit(progress, until: deadline)
    }
    if let failure { throw await give(up: failure) }
    await allReported()
    var found: [KafkaReceipt] = []
    for receipt in receipts {
      // A commit succeeds only when each message did.
      guard case .success(let receipt)? = receipt else { throw finish(.open(.timedOut)) }
      found.append(receipt)
    }
    return found
  }

  private func begin() throws(TransactionFailure) {
    if let failed = unsafe rd_kafka_begin_transaction(handle.raw) {
      throw unsafe TransactionFailure(taking: failed)
    }
  }

  private func write(_ entries: [KafkaEntry]) throws(TransactionFailure) {
    receipts = Array(repeating: nil, count: entries.count)
    missing = 0
    for (number, entry) in entries.enumerated() {
      let code = unsafe withAddress(entry.key) { key, keyCount in
        unsafe withAddress(entry.value) { value, valueCount in
          unsafe crdkafka_write(
            handle.raw,
            entry.topic,
            entry.partition ?? -1,
            key,
            keyCount,
            value,
            valueCount,
            UnsafeMutableRawPointer(bitPattern: number + 1)
          )
        }
      }
      guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw TransactionFailure(KafkaError(code)) }
      missing += 1
    }
  }

  private func take(_ number: Int, _ result: Result<KafkaReceipt, KafkaError>) {
    guard number >= 1, number <= receipts.count, receipts[number - 1] == nil else { return }
    receipts[number - 1] = result
    missing -= 1
    guard missing == 0 else { return }
    reported?.resume()
    reported = nil
  }

  /// The reports are there when a commit returns; the loop may have some of them before it still.
  private func allReported() async {
    handle.drain()
    guard missing > 0 else { return }
    await withCheckedContinuation { continuation in
      reported = continuation
      loop.timer(after: .seconds(5)) { [weak self] in
        self?.assumeIsolated { transactor in
          transactor.reported?.resume()
          transactor.reported = nil
        }
      }
    }
  }

  /// Ends a transaction that failed.
  private func give(up failure: TransactionFailure) async -> KafkaTransactionError {
    if failure.isFence { return finish(.fenced(failure.error)) }
    guard failure.needsAbort, !failure.error.isFatal, !isStuck else {
      return finish(.open(failure.error))
    }
    let deadline = MonotonicTime.now() + limit
    let second = await onThread { client throws(TransactionFailure) in
      try client.abort(until: deadline)
    }
    // Reports of this transaction must not be taken for those of the next.
    handle.drain()
    receipts = []
    guard let second else { return .aborted(failure.error) }
    return finish(second.isFence ? .fenced(second.error) : .open(second.error))
  }

  private func finish(_ error: KafkaTransactionError) -> KafkaTransactionError {
    end = error
    return error
  }

  private func onThread(
    _ body: @escaping @Sendable (Client) throws(TransactionFailure) -> Void
  ) async -> TransactionFailure? {
    let client = unsafe Client(handle.raw)
    // librdkafka keeps to its limit by itself; ours is for a librdkafka that does not.
    let result = await loop.onThread("kafka-transaction", within: limit + .seconds(5)) {
      Result { () throws(TransactionFailure) in try body(client) }
    }
    guard let result else {
      isStuck = true
      return TransactionFailure(.timedOut)
    }
    if case .failure(let failure) = result { return failure }
    return nil
  }

  // MARK: The end

  /// Frees everything. What is under way ends first; what waits is refused.
  /// - Returns: false when librdkafka took longer than `limit`, or was left behind.
  @discardableResult
  package func close(within limit: Duration = .seconds(5)) async -> Bool {
    guard !isClosed else { return true }
    isClosed = true
    if isBusy { await withCheckedContinuation { turns.append($0) } }
    while let turn = turns.popFirst() { turn.resume() }
    guard !isStuck else {
      handle.abandon()
      return false
    }
    unsafe rd_kafka_purge(
      handle.raw,
      RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING
    )
    handle.drain()
    return await handle.destroy(within: limit)
  }
}

/// Lends the bytes: nil has no address, and no bytes have one.
@unsafe private func withAddress<Result>(
  _ bytes: [UInt8]?,
  _ body: (UnsafeRawPointer?, Int) -> Result
) -> Result {
  guard let bytes else { return body(nil, 0) }
  if bytes.isEmpty { return unsafe [0].withUnsafeBytes { unsafe body($0.baseAddress, 0) } }
  return unsafe bytes.withUnsafeBytes { unsafe body($0.baseAddress, $0.count) }
}
