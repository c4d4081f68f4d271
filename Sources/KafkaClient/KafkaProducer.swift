import CRdKafka
import DequeModule
package import Posix

/// A message to be written.
package struct KafkaRecord: Sendable {
  package var topic: String
  /// nil: the key says which one.
  package var partition: Int32?
  /// nil: none; partitions then take turns.
  package var key: [UInt8]?
  /// nil: a tombstone.
  package var value: [UInt8]?
  package var headers: [KafkaHeader]

  package init(topic: String, key: [UInt8]?, value: [UInt8]?, headers: [KafkaHeader] = []) {
    self.topic = topic
    self.key = key
    self.value = value
    self.headers = headers
  }
}

/// Where a message was written.
package struct KafkaReceipt: Sendable, Equatable {
  package let partition: Int32
  /// nil where brokers do not say, as with `acks=0`.
  package let offset: Int64?
}

/// Writes messages; each answer is the delivery report of its message. Closed by `close`, whatever
/// happened.
package actor KafkaProducer {
  package nonisolated let loop: EventLoop
  package nonisolated var unownedExecutor: UnownedSerialExecutor {
    unsafe loop.asUnownedSerialExecutor()
  }

  private typealias Delivery = Result<KafkaReceipt, KafkaError>

  /// Messages under way at once; more callers wait their turn.
  private static let underWayMax = 10_000
  /// How long a message that is under way may still be reported when its caller is cancelled.
  private static let grace = Duration.seconds(2)

  private let handle: KafkaHandle
  private var deliveries: [Int: CheckedContinuation<Delivery, Never>] = [:]
  private var number = 0
  private var turns = Deque<CheckedContinuation<Void, Never>>()
  private var drained: (CheckedContinuation<Void, Never>, EventLoop.Timer)?
  private var isStarted = false
  private var isClosed = false

  /// - Throws: `KafkaSettingError`.
  package init(
    _ settings: KafkaSettings,
    loop: EventLoop,
    observer: KafkaObserver
  ) throws(KafkaSettingError) {
    self.loop = loop
    handle = try KafkaHandle(settings, .producer, loop, observer)
  }

  /// Whether it can still be used.
  package var isUsable: Bool { !isClosed && handle.fatal == nil && !handle.hasFatalError }

  /// Messages that have no report yet.
  package var underWay: Int { deliveries.count }

  private func start() throws(KafkaError) {
    guard !isStarted else { return }
    handle.onDelivered = { [unowned self] number, result in
      assumeIsolated { $0.settle(number, result) }
    }
    handle.onFatal = { [unowned self] error in assumeIsolated { $0.failAll(error) } }
    try handle.start()
    isStarted = true
  }

  /// Writes a message and waits for its delivery report.
  /// - Throws: `KafkaError`; unless it `isLasting` the message may be there nevertheless.
  package func send(_ record: KafkaRecord) async throws(KafkaError) -> KafkaReceipt {
    while deliveries.count >= Self.underWayMax, isUsable {
      await withCheckedContinuation { turns.append($0) }
      if Task.isCancelled {
        turns.popFirst()?.resume()
        throw .cancelled
      }
    }
    guard !isClosed else { throw .closed }
    if let fatal = handle.fatal { throw fatal }
    try start()
    number += 1
    let number = number
    let result = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        deliveries[number] = continuation
        if let error = produce(record, number) { settle(number, .failure(error)) }
      }
    } onCancel: {
      loop.post { [self] in
        loop.timer(after: Self.grace) { [weak self] in
          self?.assumeIsolated { $0.settle(number, .failure(.cancelled)) }
        }
      }
    }
    return try result.get()
  }

  private func produce(_ record: KafkaRecord, _ number: Int) -> KafkaError? {
    let headers = unsafe headerList(record.headers)
    let code = unsafe withAddress(record.key) { key, keyCount in
      unsafe withAddress(record.value) { value, valueCount in
        unsafe crdkafka_produce(
          handle.raw,
          record.topic,
          record.partition ?? -1,
          key,
          keyCount,
          value,
          valueCount,
          headers,
          UnsafeMutableRawPointer(bitPattern: number)
        )
      }
    }
    guard code != RD_KAFKA_RESP_ERR_NO_ERROR else { return nil }
    if let headers = unsafe headers { unsafe rd_kafka_headers_destroy(headers) }
    return KafkaError(code)
  }

  /// nil for no headers.
  @unsafe private func headerList(_ headers: [KafkaHeader]) -> OpaquePointer? {
    guard !headers.isEmpty else { return nil }
    let list = unsafe rd_kafka_headers_new(headers.count)
    for header in headers {
      unsafe withAddress(header.value) { start, count in
        _ = unsafe rd_kafka_header_add(list, header.name, -1, start, count)
      }
    }
    return unsafe list
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

  private func settle(_ number: Int, _ result: Delivery) {
    guard let continuation = deliveries.removeValue(forKey: number) else { return }
    continuation.resume(returning: result)
    turns.popFirst()?.resume()
    if deliveries.isEmpty { finishDraining() }
  }

  private func failAll(_ error: KafkaError) {
    for number in deliveries.keys.sorted() { settle(number, .failure(error)) }
    while let turn = turns.popFirst() { turn.resume() }
  }

  private func finishDraining() {
    drained?.1.cancel()
    drained?.0.resume()
    drained = nil
  }

  /// Takes no more messages, waits for the reports of those under way and frees everything.
  /// - Returns: false when some had no report within `limit`; their senders are told that the
  ///   client was closed.
  @discardableResult
  package func close(within limit: Duration = .seconds(5)) async -> Bool {
    guard !isClosed else { return true }
    isClosed = true
    while let turn = turns.popFirst() { turn.resume() }
    let deadline = MonotonicTime.now() + limit
    if !deliveries.isEmpty, handle.fatal == nil {
      await withCheckedContinuation { continuation in
        let timer = loop.timer(after: limit) { [unowned self] in
          assumeIsolated { $0.finishDraining() }
        }
        drained = (continuation, timer)
      }
    }
    let isDone = deliveries.isEmpty
    unsafe rd_kafka_purge(
      handle.raw,
      RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING
    )
    handle.drain()
    failAll(.closed)
    return await handle.destroy(within: max(.seconds(1), deadline - MonotonicTime.now())) && isDone
  }
}
