import CRdKafka
import Posix

/// A client on its way to another thread.
@safe struct Client: @unchecked Sendable {
  // SAFETY: librdkafka's functions lock; whoever destroys the client has waited for the others.
  let raw: OpaquePointer

  init(_ raw: OpaquePointer) { unsafe self.raw = unsafe raw }

  func destroy() { unsafe rd_kafka_destroy_flags(raw, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE) }

  /// Asks the group what it has committed and the brokers which offsets there are; waits for
  /// brokers, at most `limit` for each question.
  func marks(
    of places: [KafkaPartition],
    isGroup: Bool,
    within limit: Duration
  ) throws(KafkaError) -> [KafkaPartition: KafkaMarks] {
    let deadline = MonotonicTime.now() + limit
    var committed: [KafkaPartition: Int64] = [:]
    if isGroup && !places.isEmpty {
      let list = PartitionList(places)
      try check(unsafe rd_kafka_committed(raw, list.raw, milliseconds(until: deadline)))
      for entry in list.entries {
        try check(entry.code)
        if entry.offset >= 0 { committed[entry.place] = entry.offset }
      }
    }
    var marks: [KafkaPartition: KafkaMarks] = [:]
    for place in places {
      var (low, high): (Int64, Int64) = (0, 0)
      try check(
        unsafe rd_kafka_query_watermark_offsets(
          raw,
          place.topic,
          place.partition,
          &low,
          &high,
          milliseconds(until: deadline)
        )
      )
      marks[place] = KafkaMarks(low: low, high: high, committed: committed[place])
    }
    return marks
  }

  private func check(_ code: rd_kafka_resp_err_t) throws(KafkaError) {
    if code != RD_KAFKA_RESP_ERR_NO_ERROR { throw KafkaError(code) }
  }

  func milliseconds(until deadline: MonotonicTime) -> Int32 {
    let left = (deadline - MonotonicTime.now()).wholeNanoseconds / 1_000_000
    return Int32(clamping: max(1, left))
  }
}

/// What there is of a partition.
package struct KafkaMarks: Sendable, Equatable {
  /// The first offset that is left.
  package let low: Int64
  /// The offset that the next message gets.
  package let high: Int64
  /// Where the group goes on; nil when it has not committed anything.
  package let committed: Int64?

  package init(low: Int64, high: Int64, committed: Int64?) {
    self.low = low
    self.high = high
    self.committed = committed
  }
}

extension EventLoop {
  /// Runs `body`, which blocks, on a thread of its own. On the loop.
  /// - Returns: nil when it takes longer than `limit`; it then goes on by itself.
  func onThread<Result: Sendable>(
    _ name: String,
    within limit: Duration,
    _ body: @escaping @Sendable () -> Result
  ) async -> Result? {
    assertOnLoop()
    let run = BlockingRun<Result>()
    return await withCheckedContinuation { continuation in
      run.continuation = continuation
      run.timer = timer(after: limit) { run.end(nil) }
      do throws(SystemError) {
        run.thread = try Thread(name) { [self] in
          let result = body()
          post {
            run.thread?.join()
            run.end(result)
          }
        }
      } catch { run.end(nil) }
    }
  }
}

/// On the loop.
private final class BlockingRun<Result: Sendable>: @unchecked Sendable {
  // SAFETY: touched only on the loop's thread.
  var continuation: CheckedContinuation<Result?, Never>?
  var timer: EventLoop.Timer?
  var thread: Thread?

  func end(_ result: Result?) {
    timer?.cancel()
    continuation?.resume(returning: result)
    continuation = nil
  }
}
