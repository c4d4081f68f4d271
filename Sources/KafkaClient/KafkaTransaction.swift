import CRdKafka

/// A message of a transaction.
package struct KafkaEntry: Sendable, Equatable {
  package let topic: String
  /// nil: by the key.
  package let partition: Int32?
  package let key: [UInt8]?
  /// nil: a tombstone.
  package let value: [UInt8]?

  package init(topic: String, partition: Int32? = nil, key: [UInt8]?, value: [UInt8]?) {
    self.topic = topic
    self.partition = partition
    self.key = key
    self.value = value
  }
}

/// How far a member of a group has read, to be committed together with what it wrote.
package struct KafkaProgress: Sendable {
  package let offsets: [KafkaOffset]
  package let member: KafkaMember

  package init(_ offsets: [KafkaOffset], of member: KafkaMember) {
    self.offsets = offsets
    self.member = member
  }
}

/// A consumer as its group knows it now: its generation too, so that brokers refuse the offsets of
/// a member that was thrown out.
@safe package final class KafkaMember: @unchecked Sendable {
  // SAFETY: never changed after `init`; librdkafka only reads it.
  let raw: OpaquePointer

  init?(_ client: OpaquePointer) {
    guard let raw = unsafe rd_kafka_consumer_group_metadata(client) else { return nil }
    unsafe self.raw = unsafe raw
  }

  deinit { unsafe rd_kafka_consumer_group_metadata_destroy(raw) }
}

extension KafkaConsumer {
  /// The consumer as its group knows it now; nil when it is in none.
  package var member: KafkaMember? { unsafe KafkaMember(handle.raw) }
}

/// Why a transaction did not come about.
package enum KafkaTransactionError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Nothing of it can be read, now or later; the same may be tried again.
  case aborted(KafkaError)
  /// Somebody else has opened the same transactional id. Nothing of it can be read, and this
  /// client will never write again.
  case fenced(KafkaError)
  /// Whether it can be read is open: opening the id anew decides it one way or the other. This
  /// client is of no use any more.
  case open(KafkaError)

  package var description: String {
    switch self {
    case .aborted(let error): "the transaction was aborted: \(error)"
    case .fenced(let error): "another process has taken over: \(error)"
    case .open(let error): "how the transaction ended is not known: \(error)"
    }
  }
}

/// What librdkafka says went wrong with a transaction.
struct TransactionFailure: Error, Sendable {
  let error: KafkaError
  let isRetriable: Bool
  let needsAbort: Bool

  /// Takes ownership of `raw`.
  @unsafe init(taking raw: OpaquePointer) {
    isRetriable = unsafe rd_kafka_error_is_retriable(raw) != 0
    needsAbort = unsafe rd_kafka_error_txn_requires_abort(raw) != 0
    error = unsafe KafkaError(taking: raw)
  }

  init(_ error: KafkaError) {
    self.error = error
    isRetriable = false
    needsAbort = true
  }

  /// Whether the id belongs to somebody else now. Older brokers say so by the producer's epoch.
  var isFence: Bool {
    switch error.raw {
    case RD_KAFKA_RESP_ERR__FENCED, RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
      RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
      true
    default: false
    }
  }
}
