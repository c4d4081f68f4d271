import CRdKafka
import Posix

/// The calls of a transaction. They wait for brokers, so never on a loop.
extension Client {
  func openTransactions(until deadline: MonotonicTime) throws(TransactionFailure) {
    try unsafe patiently(until: deadline) { left in
      unsafe rd_kafka_init_transactions(raw, left)
    }
  }

  /// Waits for the reports of everything written, adds `progress` and commits.
  func commit(
    _ progress: KafkaProgress?,
    until deadline: MonotonicTime
  ) throws(TransactionFailure) {
    if let progress {
      let list = PartitionList(progress.offsets)
      try unsafe patiently(until: deadline) { left in
        unsafe rd_kafka_send_offsets_to_transaction(raw, list.raw, progress.member.raw, left)
      }
    }
    try unsafe patiently(until: deadline) { left in unsafe rd_kafka_commit_transaction(raw, left) }
  }

  func abort(until deadline: MonotonicTime) throws(TransactionFailure) {
    try unsafe patiently(until: deadline) { left in unsafe rd_kafka_abort_transaction(raw, left) }
  }

  /// Repeats a call that may be repeated, as librdkafka asks for: the call then goes on where it
  /// was.
  @unsafe private func patiently(
    until deadline: MonotonicTime,
    _ call: (_ milliseconds: Int32) -> OpaquePointer?
  ) throws(TransactionFailure) {
    while let failed = unsafe call(milliseconds(until: deadline)) {
      let failure = unsafe TransactionFailure(taking: failed)
      guard failure.isRetriable, MonotonicTime.now() < deadline else { throw failure }
    }
  }
}
