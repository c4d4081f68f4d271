import CRdKafka

/// One message as it was read.
package struct KafkaMessage: Sendable, Equatable {
  package let topic: String
  package let partition: Int32
  package let offset: Int64
  /// Milliseconds since 1970; nil where the message has none.
  package let timestampMilliseconds: Int64?
  /// nil is not the same as empty.
  package let key: [UInt8]?
  /// nil: a tombstone.
  package let value: [UInt8]?
  package let headers: [KafkaHeader]

  package var place: KafkaPartition { KafkaPartition(topic: topic, partition: partition) }

  package init(
    topic: String,
    partition: Int32,
    offset: Int64,
    timestampMilliseconds: Int64?,
    key: [UInt8]?,
    value: [UInt8]?,
    headers: [KafkaHeader] = []
  ) {
    self.topic = topic
    self.partition = partition
    self.offset = offset
    self.timestampMilliseconds = timestampMilliseconds
    self.key = key
    self.value = value
    self.headers = headers
  }

  /// Copies what librdkafka lends.
  @unsafe init(_ message: UnsafePointer<rd_kafka_message_t>, topic: String) {
    self.topic = topic
    unsafe partition = message.pointee.partition
    unsafe offset = message.pointee.offset
    var kind = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE
    let milliseconds = unsafe rd_kafka_message_timestamp(message, &kind)
    timestampMilliseconds =
      kind == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE || milliseconds < 0 ? nil : milliseconds
    unsafe key = copy(message.pointee.key, message.pointee.key_len)
    unsafe value = copy(message.pointee.payload, message.pointee.len)
    var headers: [KafkaHeader] = []
    var list: OpaquePointer?
    if unsafe rd_kafka_message_headers(message, &list) == RD_KAFKA_RESP_ERR_NO_ERROR {
      var name: UnsafePointer<CChar>?
      var value: UnsafeRawPointer?
      var count = 0
      while unsafe rd_kafka_header_get_all(list, headers.count, &name, &value, &count)
        == RD_KAFKA_RESP_ERR_NO_ERROR, let name = unsafe name
      {
        headers.append(
          KafkaHeader(name: unsafe String(cString: name), value: unsafe copy(value, count))
        )
      }
    }
    self.headers = headers
  }
}

package struct KafkaHeader: Sendable, Equatable {
  package let name: String
  package let value: [UInt8]?

  package init(name: String, value: [UInt8]?) {
    self.name = name
    self.value = value
  }
}

/// A partition of a topic.
package struct KafkaPartition: Hashable, Sendable, Comparable, CustomStringConvertible {
  package let topic: String
  package let partition: Int32

  package init(topic: String, partition: Int32) {
    self.topic = topic
    self.partition = partition
  }

  /// `<topic>/<partition>`; a topic's name has no slash.
  package var description: String { "\(topic)/\(partition)" }

  package static func < (a: KafkaPartition, b: KafkaPartition) -> Bool {
    (a.topic, a.partition) < (b.topic, b.partition)
  }
}

/// An offset in a partition.
package struct KafkaOffset: Hashable, Sendable {
  package let place: KafkaPartition
  package let offset: Int64

  package init(_ place: KafkaPartition, _ offset: Int64) {
    self.place = place
    self.offset = offset
  }
}

@unsafe private func copy(_ start: UnsafeRawPointer?, _ count: Int) -> [UInt8]? {
  guard let start = unsafe start else { return nil }
  return unsafe Array(UnsafeRawBufferPointer(start: start, count: count))
}

/// librdkafka's list of partitions, with an offset each.
@safe struct PartitionList: ~Copyable {
  let raw: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>

  init(_ offsets: [KafkaOffset]) {
    unsafe raw = unsafe rd_kafka_topic_partition_list_new(Int32(clamping: offsets.count))
    for entry in offsets {
      let added = unsafe rd_kafka_topic_partition_list_add(
        raw,
        entry.place.topic,
        entry.place.partition
      )
      unsafe added?.pointee.offset = entry.offset
    }
  }

  init(_ places: [KafkaPartition]) {
    self.init(places.map { KafkaOffset($0, Int64(RD_KAFKA_OFFSET_INVALID)) })
  }

  init(topics: [String]) {
    self.init(topics.map { KafkaPartition(topic: $0, partition: -1) })
  }

  var entries: [(place: KafkaPartition, offset: Int64, code: rd_kafka_resp_err_t)] {
    unsafe Self.entries(raw)
  }

  @unsafe static func entries(
    _ raw: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>?
  ) -> [(place: KafkaPartition, offset: Int64, code: rd_kafka_resp_err_t)] {
    guard let raw = unsafe raw, unsafe raw.pointee.elems != nil else { return [] }
    return unsafe (0..<Int(raw.pointee.cnt)).map { index in
      let entry = unsafe raw.pointee.elems[index]
      let topic = unsafe String(cString: entry.topic)
      return unsafe (
        KafkaPartition(topic: topic, partition: entry.partition), entry.offset, entry.err
      )
    }
  }

  deinit { unsafe rd_kafka_topic_partition_list_destroy(raw) }
}
