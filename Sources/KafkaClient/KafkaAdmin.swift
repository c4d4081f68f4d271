import CRdKafka
import Glibc
package import Posix

/// Looks after topics; each call has a client of its own.
package struct KafkaAdmin: Sendable {
  private let settings: KafkaSettings
  private let loop: EventLoop
  private let observer: KafkaObserver

  package init(_ settings: KafkaSettings, loop: EventLoop, observer: KafkaObserver) {
    self.settings = settings
    self.loop = loop
    self.observer = observer
  }

  /// Makes a topic unless it is there, with as many copies as brokers make by default. Where it is
  /// there no right to make topics is needed.
  /// - Returns: how many partitions it has.
  /// - Throws: `KafkaSettingError`, or `KafkaError`.
  @concurrent
  package func ensure(
    _ topic: String,
    partitions: Int,
    _ properties: [String: String],
    within limit: Duration
  ) async throws -> Int {
    try await run(within: limit) { (client, deadline) throws(KafkaError) in
      let known = try client.partitions(of: topic, mustBe: false, until: deadline)
      if known > 0 { return known }
      try client.create(topic, partitions, properties, until: deadline)
      return try client.partitions(of: topic, mustBe: true, until: deadline)
    }
  }

  /// Removes the messages of a partition that lie before an offset, for good. What lies before it no
  /// more is left as it is.
  /// - Throws: `KafkaSettingError`, or `KafkaError`, also of brokers that know no such request or let
  ///   nobody do this; it may be done nevertheless.
  @concurrent
  package func deleteRecords(before offset: KafkaOffset, within limit: Duration) async throws {
    try await run(within: limit) { (client, deadline) throws(KafkaError) in
      try client.delete(before: offset, until: deadline)
    }
  }

  /// Calls librdkafka on a thread of its own.
  private func run<Success: Sendable>(
    within limit: Duration,
    _ body: @escaping @Sendable (Client, MonotonicTime) throws(KafkaError) -> Success
  ) async throws -> Success {
    // Held until the client is destroyed, which it never is where no thread can be had.
    let ears = Ears(observer, loop)
    // Brokers that make topics by themselves do so for producers that ask about one.
    let raw = try unsafe settings.makeClient(.consumer) { configuration in
      unsafe rd_kafka_conf_set_opaque(configuration, Unmanaged.passUnretained(ears).toOpaque())
      unsafe rd_kafka_conf_set_log_cb(configuration) { client, level, facility, words in
        guard let ears = unsafe client.flatMap({ unsafe rd_kafka_opaque($0) }),
          let facility = unsafe facility, let words = unsafe words
        else { return }
        unsafe Unmanaged<Ears>.fromOpaque(ears).takeUnretainedValue()
          .hear(level, "\(String(cString: facility)): \(String(cString: words))")
      }
    }
    _ = unsafe Unmanaged.passRetained(ears)
    let client = unsafe Client(raw)
    if settings.hasToken, let token = try? observer.token() { _ = unsafe token.show(to: raw) }
    let result = await loop.onOwnThread("kafka-admin", within: limit + .seconds(5)) {
      let result = Result { () throws(KafkaError) in try body(client, .now() + limit) }
      client.destroy()
      unsafe Unmanaged.passUnretained(ears).release()
      return result
    }
    guard let result else { throw KafkaError.timedOut }
    return try result.get()
  }

  /// What librdkafka's threads tell.
  private final class Ears: Sendable {
    private let observer: KafkaObserver
    private let loop: EventLoop

    init(_ observer: KafkaObserver, _ loop: EventLoop) {
      self.observer = observer
      self.loop = loop
    }

    func hear(_ level: Int32, _ line: String) {
      loop.post { [observer] in observer.log(KafkaObserver.Level(syslog: level), line) }
    }
  }
}

extension EventLoop {
  /// `onThread` from elsewhere.
  func onOwnThread<Result: Sendable>(
    _ name: String,
    within limit: Duration,
    _ body: @escaping @Sendable () -> Result
  ) async -> Result? {
    await Turn(loop: self).run(name, limit, body)
  }

  /// Brings a call to the loop.
  private actor Turn {
    private let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor {
      unsafe loop.asUnownedSerialExecutor()
    }

    init(loop: EventLoop) { self.loop = loop }

    func run<Result: Sendable>(
      _ name: String,
      _ limit: Duration,
      _ body: @escaping @Sendable () -> Result
    ) async -> Result? {
      await loop.onThread(name, within: limit, body)
    }
  }
}

extension Client {
  /// A topic that is there already is as good.
  fileprivate func create(
    _ topic: String,
    _ partitions: Int,
    _ properties: [String: String],
    until deadline: MonotonicTime
  ) throws(KafkaError) {
    guard let queue = unsafe rd_kafka_queue_new(raw),
      let new = unsafe rd_kafka_NewTopic_new(topic, Int32(partitions), -1, nil, 0),
      let options = unsafe rd_kafka_AdminOptions_new(raw, RD_KAFKA_ADMIN_OP_CREATETOPICS)
    else { throw KafkaError(RD_KAFKA_RESP_ERR__INVALID_ARG, "the topic \(topic) cannot be made") }
    defer {
      unsafe rd_kafka_AdminOptions_destroy(options)
      unsafe rd_kafka_NewTopic_destroy(new)
      unsafe rd_kafka_queue_destroy(queue)
    }
    for (name, value) in properties.sorted(by: { $0.key < $1.key }) {
      _ = unsafe rd_kafka_NewTopic_set_config(new, name, value)
    }
    let left = milliseconds(until: deadline)
    _ = unsafe rd_kafka_AdminOptions_set_request_timeout(options, left, nil, 0)
    var topics: [OpaquePointer?] = unsafe [new]
    unsafe topics.withUnsafeMutableBufferPointer { topics in
      unsafe rd_kafka_CreateTopics(raw, topics.baseAddress, 1, options, queue)
    }
    let event = try unsafe answer(from: queue, left)
    defer { unsafe rd_kafka_event_destroy(event) }
    guard let answer = unsafe rd_kafka_event_CreateTopics_result(event) else { return }
    var count = 0
    guard let made = unsafe rd_kafka_CreateTopics_result_topics(answer, &count), count == 1,
      let first = unsafe made[0]
    else { return }
    let code = unsafe rd_kafka_topic_result_error(first)
    guard code != RD_KAFKA_RESP_ERR_NO_ERROR, code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS
    else { return }
    let words = unsafe rd_kafka_topic_result_error_string(first).map { unsafe String(cString: $0) }
    throw KafkaError(code, words)
  }

  /// What brokers say to a request; the caller frees it.
  /// - Throws: `KafkaError` when it failed as a whole.
  @unsafe private func answer(
    from queue: OpaquePointer,
    _ milliseconds: Int32
  ) throws(KafkaError) -> OpaquePointer {
    guard let event = unsafe rd_kafka_queue_poll(queue, milliseconds) else { throw .timedOut }
    let code = unsafe rd_kafka_event_error(event)
    guard code != RD_KAFKA_RESP_ERR_NO_ERROR else { return unsafe event }
    let words = unsafe rd_kafka_event_error_string(event).map { unsafe String(cString: $0) }
    unsafe rd_kafka_event_destroy(event)
    throw KafkaError(code, words)
  }

  /// Removes what lies before an offset.
  fileprivate func delete(
    before offset: KafkaOffset,
    until deadline: MonotonicTime
  ) throws(KafkaError) {
    let offsets = PartitionList([offset])
    guard let queue = unsafe rd_kafka_queue_new(raw),
      let records = unsafe rd_kafka_DeleteRecords_new(offsets.raw),
      let options = unsafe rd_kafka_AdminOptions_new(raw, RD_KAFKA_ADMIN_OP_DELETERECORDS)
    else { throw KafkaError(RD_KAFKA_RESP_ERR__INVALID_ARG) }
    defer {
      unsafe rd_kafka_AdminOptions_destroy(options)
      unsafe rd_kafka_DeleteRecords_destroy(records)
      unsafe rd_kafka_queue_destroy(queue)
    }
    let left = milliseconds(until: deadline)
    _ = unsafe rd_kafka_AdminOptions_set_request_timeout(options, left, nil, 0)
    _ = unsafe rd_kafka_AdminOptions_set_operation_timeout(options, left, nil, 0)
    var all: [OpaquePointer?] = unsafe [records]
    unsafe all.withUnsafeMutableBufferPointer { all in
      unsafe rd_kafka_DeleteRecords(raw, all.baseAddress, 1, options, queue)
    }
    let event = try unsafe answer(from: queue, left)
    defer { unsafe rd_kafka_event_destroy(event) }
    guard let answer = unsafe rd_kafka_event_DeleteRecords_result(event),
      let found = unsafe rd_kafka_DeleteRecords_result_offsets(answer)
    else { throw .timedOut }
    for entry in unsafe PartitionList.entries(UnsafeMutablePointer(mutating: found))
    where entry.code != RD_KAFKA_RESP_ERR_NO_ERROR {
      throw KafkaError(entry.code)
    }
  }

  /// Waits for a topic to have a leader: one that was just made may have none yet.
  /// - Parameter mustBe: whether to wait for the topic itself too.
  /// - Returns: 0 where there is no such topic.
  fileprivate func partitions(
    of topic: String,
    mustBe: Bool,
    until deadline: MonotonicTime
  ) throws(KafkaError) -> Int {
    guard let handle = unsafe rd_kafka_topic_new(raw, topic, nil) else {
      throw KafkaError(RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC)
    }
    defer { unsafe rd_kafka_topic_destroy(handle) }
    while true {
      var metadata: UnsafePointer<rd_kafka_metadata>?
      let left = milliseconds(until: deadline)
      let code = unsafe rd_kafka_metadata(raw, 0, handle, &metadata, left)
      guard code == RD_KAFKA_RESP_ERR_NO_ERROR, let found = unsafe metadata else {
        throw KafkaError(code)
      }
      defer { unsafe rd_kafka_metadata_destroy(found) }
      if unsafe found.pointee.topic_cnt == 1 {
        let topic = unsafe found.pointee.topics[0]
        let count = Int(unsafe topic.partition_cnt)
        let isLed = (0..<count).allSatisfy { unsafe topic.partitions[$0].leader >= 0 }
        let code = unsafe topic.err
        if code == RD_KAFKA_RESP_ERR_NO_ERROR, count > 0, isLed { return count }
        if code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, !mustBe { return 0 }
      }
      guard MonotonicTime.now() < deadline else { throw .timedOut }
      _ = poll(nil, 0, 100)
    }
  }
}
