import CRdKafka

/// What a broker or librdkafka answered instead.
package struct KafkaError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The number of the Kafka protocol; those of librdkafka itself are negative.
  package let code: Int32
  /// What happened, in words; never a message's content.
  package let message: String
  /// The client is of no use any more.
  package let isFatal: Bool

  package init(code: Int32, message: String, isFatal: Bool = false) {
    self.code = code
    self.message = message
    self.isFatal = isFatal
  }

  init(_ code: rd_kafka_resp_err_t, _ message: String? = nil, isFatal: Bool = false) {
    self.code = code.rawValue
    self.message = unsafe message ?? String(cString: rd_kafka_err2str(code))
    self.isFatal = isFatal || code == RD_KAFKA_RESP_ERR__FATAL
  }

  /// Takes ownership of `error`.
  @unsafe init(taking error: OpaquePointer) {
    self.init(
      unsafe rd_kafka_error_code(error),
      unsafe String(cString: rd_kafka_error_string(error)),
      isFatal: unsafe rd_kafka_error_is_fatal(error) != 0
    )
    unsafe rd_kafka_error_destroy(error)
  }

  /// The name of the code, such as `_TRANSPORT` or `NOT_LEADER_FOR_PARTITION`.
  package var name: String { unsafe String(cString: rd_kafka_err2name(raw)) }

  var raw: rd_kafka_resp_err_t { rd_kafka_resp_err_t(rawValue: code) }

  package var description: String { "\(message) (\(name))" }

  /// The client was closed before it was done.
  package static let closed = KafkaError(
    RD_KAFKA_RESP_ERR__DESTROY,
    "the Kafka client was closed"
  )

  package static let cancelled = KafkaError(
    RD_KAFKA_RESP_ERR__INTR,
    "the program is shutting down"
  )

  package static let timedOut = KafkaError(RD_KAFKA_RESP_ERR__TIMED_OUT)

  /// Whether the message is larger than the client or the topic takes.
  package var isTooLarge: Bool {
    raw == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || raw == RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE
  }

  /// Whether no repetition of the same message can succeed before somebody changes something.
  package var isLasting: Bool {
    switch raw {
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE,
      RD_KAFKA_RESP_ERR_INVALID_MSG, RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE,
      RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, RD_KAFKA_RESP_ERR_INVALID_RECORD,
      RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT, RD_KAFKA_RESP_ERR__INVALID_ARG:
      true
    default: false
    }
  }
}

/// A property that librdkafka does not take as it is.
package struct KafkaSettingError: Error, Equatable, Sendable, CustomStringConvertible {
  /// nil: several of them, put together.
  package let property: String?
  package let description: String

  package init(_ property: String?, _ description: String) {
    self.property = property
    self.description = description
  }
}
