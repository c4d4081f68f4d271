import CRdKafka
package import Posix

/// What a consumer has to say, in order.
package enum KafkaNews: Sendable {
  /// At least one message.
  case messages([KafkaMessage])
  /// The group gives these partitions: `assign` says from where on they are read.
  case assigned([KafkaPartition])
  /// The group takes these partitions: what was read is committed, then `unassign` gives them up.
  /// When they are lost already, somebody else may read them and a commit is of no use.
  case revoked([KafkaPartition], isLost: Bool)
  /// The batch that begins at this offset cannot be read. The partition stands still, and says so
  /// again and again, until `assign` names an offset behind it.
  case unreadable(KafkaOffset, KafkaError)
  /// The partition has nothing at this offset and stands still until `assign` names another.
  case outOfRange(KafkaOffset)
  /// The consumer is of no use any more.
  case failed(KafkaError)
  /// Nothing came in time, or the task was cancelled.
  case nothing
}

/// Reads topics, as a member of a group or by itself. Nothing is read ahead of what `next` asks
/// for but librdkafka's own queue, which is bounded.
///
/// It is closed by `close`, whatever happened.
package actor KafkaConsumer {
  package nonisolated let loop: EventLoop
  package nonisolated var unownedExecutor: UnownedSerialExecutor {
    unsafe loop.asUnownedSerialExecutor()
  }

  private enum Item {
    case message(KafkaMessage)
    case news(KafkaNews)
  }

  private struct Waiter {
    let continuation: CheckedContinuation<KafkaNews, Never>
    let messagesMax: Int
    let bytesMax: Int
    let timer: EventLoop.Timer?
  }

  let handle: KafkaHandle
  private var pending: [Item] = []
  private var waiter: Waiter?
  private var polledAt = MonotonicTime.now()
  var keepAlive: EventLoop.Timer?
  private let keepAliveInterval: Duration
  /// librdkafka's handle of the last message's topic and its name, which is not copied for each
  /// message of a batch. In between, the handle may become another topic's.
  private var topic: (handle: UInt, name: String)?
  var commits: [Int: (CheckedContinuation<KafkaError?, Never>, EventLoop.Timer)] = [:]
  var commitNumber = 0
  var toCommit: [KafkaPartition: Int64] = [:]
  var committing: [KafkaPartition: Int64] = [:]
  var commitUnderWay: Int?
  var assigned: Set<KafkaPartition> = []
  var paused: Set<KafkaPartition> = []
  var isMember = false
  /// Whether the group gave partitions at least once, be it none.
  private(set) var wasAssigned = false
  private let destroyNeedsAssignment: Bool
  /// Calls that wait for brokers on threads of their own and use the client.
  var blockingCalls = 0
  var isClosed = false

  /// - Throws: `KafkaSettingError`.
  package init(
    _ settings: KafkaSettings,
    loop: EventLoop,
    observer: KafkaObserver
  ) throws(KafkaSettingError) {
    self.loop = loop
    var settings = settings
    settings["enable.auto.commit"] = "false"
    settings["enable.auto.offset.store"] = "false"
    // Where a partition begins is never librdkafka's decision: it would skip or repeat in silence.
    settings["auto.offset.reset"] = "error"
    let interval = settings["max.poll.interval.ms"].flatMap { Int64($0) } ?? 300_000
    keepAliveInterval = .milliseconds(min(max(interval / 4, 100), 10_000))
    let strategies = settings["partition.assignment.strategy"] ?? ""
    destroyNeedsAssignment =
      strategies.contains("cooperative-sticky") && rd_kafka_version() < Self.versionWithoutTheFault
    handle = try KafkaHandle(settings, .consumer, loop, observer)
  }

  /// 2.3.0. Before it librdkafka ends the whole process when a member with the assignor
  /// `cooperative-sticky` is destroyed before its first assignment (librdkafka issue 4312).
  private static let versionWithoutTheFault: Int32 = 0x0203_0000

  /// Whether librdkafka's client may be freed; otherwise it has to be left behind.
  var mayBeDestroyed: Bool { !isMember || wasAssigned || !destroyNeedsAssignment }

  private func start() throws(KafkaError) {
    handle.onReady = { [unowned self] in assumeIsolated { $0.serve() } }
    handle.onFatal = { [unowned self] _ in assumeIsolated { $0.serve() } }
    handle.onCommitted = { [unowned self] number, error in
      assumeIsolated { $0.committed(number, error) }
    }
    try handle.start()
    stayAlive()
  }

  /// Joins the group of `group.id` for topics by name, or by regular expression where one begins
  /// with `^`.
  package func subscribe(to topics: [String]) throws(KafkaError) {
    try start()
    let list = PartitionList(topics: topics)
    let code = unsafe rd_kafka_subscribe(handle.raw, list.raw)
    if code != RD_KAFKA_RESP_ERR_NO_ERROR { throw KafkaError(code) }
    isMember = true
  }

  /// Reads without a group: `assign` says what.
  package func begin() throws(KafkaError) { try start() }

  // MARK: What comes

  /// Waits for the next news.
  /// - Parameters:
  ///   - messages: at most so many at once; with 0 messages stay where they are.
  ///   - bytes: no further message once keys and values are so many bytes.
  ///   - wait: how long to wait at most; zero: not at all; nil: until something comes.
  package func next(
    messages: Int,
    bytes: Int,
    within wait: Duration? = nil
  ) async -> KafkaNews {
    precondition(waiter == nil, "a consumer has one reader")
    if isClosed { return .failed(.closed) }
    if let news = collect(messages, bytes) { return news }
    if wait == .zero { return .nothing }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        if Task.isCancelled { return continuation.resume(returning: .nothing) }
        let timer = wait.map { wait in
          loop.timer(after: wait) { [unowned self] in assumeIsolated { $0.wake(.nothing) } }
        }
        waiter = Waiter(
          continuation: continuation,
          messagesMax: messages,
          bytesMax: bytes,
          timer: timer
        )
      }
    } onCancel: {
      loop.post { self.assumeIsolated { $0.wake(.nothing) } }
    }
  }

  private func serve() {
    guard let waiter, let news = collect(waiter.messagesMax, waiter.bytesMax) else { return }
    wake(news)
  }

  func wake(_ news: KafkaNews) {
    waiter?.timer?.cancel()
    waiter?.continuation.resume(returning: news)
    waiter = nil
  }

  /// What is there now; nil when nothing is.
  private func collect(_ messagesMax: Int, _ bytesMax: Int) -> KafkaNews? {
    if let fatal = handle.fatal { return .failed(fatal) }
    polledAt = .now()
    topic = nil
    var messages: [KafkaMessage] = []
    var bytes = 0
    while messagesMax == 0 || (messages.count < messagesMax && bytes < bytesMax) {
      guard let item = nextItem(skippingMessages: messagesMax == 0) else { break }
      switch item {
      case .message(let message):
        bytes += (message.value?.count ?? 0) + (message.key?.count ?? 0)
        messages.append(message)
      case .news(let news):
        if messages.isEmpty { return news }
        pending.insert(.news(news), at: 0)
        return .messages(messages)
      }
    }
    if !messages.isEmpty { return .messages(messages) }
    // It may have come just now, when nobody waited yet.
    return handle.fatal.map { .failed($0) }
  }

  private func nextItem(skippingMessages: Bool) -> Item? {
    if skippingMessages {
      let place = pending.firstIndex { if case .news = $0 { true } else { false } }
      if let place { return pending.remove(at: place) }
      // A bound: messages that were on their way when the partitions were paused.
      guard pending.count < 10_000 else { return nil }
    } else if !pending.isEmpty {
      return pending.removeFirst()
    }
    while let event = unsafe handle.nextMessage() {
      let item = unsafe read(event)
      unsafe rd_kafka_event_destroy(event)
      guard let item else { continue }
      if skippingMessages, case .message = item {
        pending.append(item)
        continue
      }
      return item
    }
    return nil
  }

  /// Partitions that are read from elsewhere now may have said before that they cannot be read; said
  /// twice, that would pass over a message nobody has tried.
  func forgetUnreadable(in places: Set<KafkaPartition>) {
    pending.removeAll { item in
      guard case .news(.unreadable(let offset, _)) = item else { return false }
      return places.contains(offset.place)
    }
  }

  @unsafe private func read(_ event: OpaquePointer) -> Item? {
    switch unsafe rd_kafka_event_type(event) {
    case RD_KAFKA_EVENT_FETCH:
      guard let message = unsafe rd_kafka_event_message_next(event) else { return nil }
      guard unsafe message.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR else { return nil }
      let topic = unsafe topicName(message.pointee.rkt)
      return .message(unsafe KafkaMessage(message, topic: topic))
    case RD_KAFKA_EVENT_REBALANCE:
      let code = unsafe rd_kafka_event_error(event)
      let list = unsafe rd_kafka_event_topic_partition_list(event)
      let places = unsafe PartitionList.entries(list).map(\.place)
      switch code {
      case RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS:
        wasAssigned = true
        return .news(.assigned(places))
      case RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS:
        let isLost = unsafe rd_kafka_assignment_lost(handle.raw) != 0
        return .news(.revoked(places, isLost: isLost))
      default:
        handle.report(KafkaError(code))
        return .news(.revoked(Array(assigned), isLost: true))
      }
    case RD_KAFKA_EVENT_ERROR: return unsafe readError(event)
    default: return nil
    }
  }

  @unsafe private func readError(_ event: OpaquePointer) -> Item? {
    let code = unsafe rd_kafka_event_error(event)
    let words = unsafe rd_kafka_event_error_string(event).map { unsafe String(cString: $0) }
    let error = KafkaError(code, words)
    var offset: KafkaOffset?
    if let entry = unsafe rd_kafka_event_topic_partition(event) {
      let place = KafkaPartition(
        topic: unsafe String(cString: entry.pointee.topic),
        partition: unsafe entry.pointee.partition
      )
      offset = KafkaOffset(place, unsafe entry.pointee.offset)
      unsafe rd_kafka_topic_partition_destroy(entry)
    }
    switch (code, offset) {
    case (RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, let offset?): return .news(.outOfRange(offset))
    case (RD_KAFKA_RESP_ERR__BAD_COMPRESSION, let offset?),
      (RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED, let offset?), (RD_KAFKA_RESP_ERR__BAD_MSG, let offset?),
      (RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, let offset?):
      return .news(.unreadable(offset, error))
    default:
      handle.report(error)
      return nil
    }
  }

  @unsafe private func topicName(_ raw: OpaquePointer?) -> String {
    let handle = UInt(bitPattern: raw)
    if let topic, topic.handle == handle { return topic.name }
    let name = unsafe String(cString: rd_kafka_topic_name(raw))
    topic = (handle, name)
    return name
  }

  /// Asks librdkafka's queue now and then while nobody reads: without it the group takes the
  /// partitions away from a member that waits for its disk.
  private func stayAlive() {
    guard keepAlive == nil, !isClosed else { return }
    keepAlive = loop.timer(after: keepAliveInterval) { [weak self] in
      self?.assumeIsolated { $0.poll() }
    }
  }

  private func poll() {
    keepAlive = nil
    if handle.fatal == nil, MonotonicTime.now() - polledAt >= keepAliveInterval / 2 {
      polledAt = .now()
      if let event = unsafe handle.nextMessage() {
        if let item = unsafe read(event) { pending.append(item) }
        unsafe rd_kafka_event_destroy(event)
        serve()
      }
    }
    stayAlive()
  }
}
