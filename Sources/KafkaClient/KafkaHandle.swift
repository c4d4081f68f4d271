import CRdKafka
import Glibc
import Posix

/// librdkafka's client with its queues on a loop: librdkafka writes to an eventfd when a queue that
/// was empty gets something. From `start` on everything happens on the loop.
///
/// The main queue (logs, errors, statistics, delivery reports, answers to commits) is always
/// emptied; a consumer's queue is read when somebody asks.
@safe final class KafkaHandle: @unchecked Sendable {
  // SAFETY: touched only on the loop's thread once `init` has returned.

  let loop: EventLoop
  let raw: OpaquePointer
  private let main: OpaquePointer
  /// nil for a producer.
  let messages: OpaquePointer?
  private let counter: FileDescriptor
  private var watch: EventLoop.Watch?
  private let ears: Ears
  private var gate = LineGate()
  private var isDestroyed = false
  /// Whether the observer has the token that is shown to brokers.
  private let hasToken: Bool

  /// What to do with delivery reports; each has the number its message was given.
  var onDelivered: ((_ number: Int, Result<KafkaReceipt, KafkaError>) -> Void)?
  /// What to do with partitions that the group wants back while the consumer closes.
  var onRevoked: (([KafkaPartition]) -> Void)?
  /// What to do with the answer to a commit.
  var onCommitted: ((_ number: Int, KafkaError?) -> Void)?
  /// The queue of messages may have something.
  var onReady: (() -> Void)?
  /// The client became useless.
  var onFatal: ((KafkaError) -> Void)?
  private(set) var fatal: KafkaError?

  private static let events =
    RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_FETCH | RD_KAFKA_EVENT_LOG | RD_KAFKA_EVENT_ERROR
    | RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_OFFSET_COMMIT | RD_KAFKA_EVENT_STATS
    | RD_KAFKA_EVENT_OAUTHBEARER_TOKEN_REFRESH

  /// What librdkafka's callbacks get; lives as long as the handle.
  private final class Ears {
    let observer: KafkaObserver
    init(_ observer: KafkaObserver) { self.observer = observer }
  }

  /// - Throws: `KafkaSettingError`, also when the system has no descriptor to give.
  init(
    _ settings: KafkaSettings,
    _ role: KafkaSettings.Role,
    _ loop: EventLoop,
    _ observer: KafkaObserver
  ) throws(KafkaSettingError) {
    // Sockets of librdkafka's OpenSSL connections are written to without MSG_NOSIGNAL.
    Signals.ignoreBrokenPipes()
    self.loop = loop
    let ears = Ears(observer)
    self.ears = ears
    do throws(SystemError) { counter = try FileDescriptor.counter() } catch {
      throw KafkaSettingError(nil, "\(error)")
    }
    hasToken = settings.hasToken
    var settings = settings
    settings["log.queue"] = "true"
    let raw = try unsafe settings.makeClient(role) { configuration in
      unsafe rd_kafka_conf_set_events(configuration, Self.events)
      unsafe rd_kafka_conf_set_opaque(
        configuration,
        Unmanaged.passUnretained(ears).toOpaque()
      )
      unsafe rd_kafka_conf_set_throttle_cb(configuration) { _, broker, _, milliseconds, ears in
        guard let ears = unsafe ears, let broker = unsafe broker else { return }
        unsafe Unmanaged<Ears>.fromOpaque(ears).takeUnretainedValue().observer
          .throttled(String(cString: broker), .milliseconds(Int64(milliseconds)))
      }
    }
    unsafe self.raw = unsafe raw
    unsafe rd_kafka_set_log_queue(raw, nil)
    unsafe main = unsafe rd_kafka_queue_get_main(raw)
    unsafe messages = unsafe role == .consumer ? rd_kafka_queue_get_consumer(raw) : nil
  }

  /// Begins to listen to librdkafka; again does nothing.
  /// - Throws: `KafkaError` when the loop cannot watch one more descriptor.
  func start() throws(KafkaError) {
    loop.assertOnLoop()
    guard watch == nil else { return }
    do throws(SystemError) {
      watch = try loop.watch(counter.raw, for: .readable) { [weak self] _ in self?.ready() }
    } catch { throw KafkaError(RD_KAFKA_RESP_ERR__FAIL, "\(error)") }
    var one: UInt64 = 1
    unsafe rd_kafka_queue_io_event_enable(main, counter.raw, &one, 8)
    if let messages = unsafe messages {
      unsafe rd_kafka_queue_io_event_enable(messages, counter.raw, &one, 8)
    }
    // What came before was not announced.
    drain()
    onReady?()
  }

  private func ready() {
    var count: UInt64 = 0
    _ = unsafe read(counter.raw, &count, 8)
    drain()
    onReady?()
  }

  /// Empties the main queue.
  func drain() {
    guard !isDestroyed else { return }
    while let event = unsafe rd_kafka_queue_poll(main, 0) {
      unsafe handle(event)
      unsafe rd_kafka_event_destroy(event)
      // What was handled may have ended the client.
      if isDestroyed { return }
    }
  }

  /// The next event of the queue of messages; the caller destroys it.
  @unsafe func nextMessage() -> OpaquePointer? {
    guard !isDestroyed, let messages = unsafe messages else { return nil }
    return unsafe rd_kafka_queue_poll(messages, 0)
  }

  // MARK: What happened

  @unsafe private func handle(_ event: OpaquePointer) {
    switch unsafe rd_kafka_event_type(event) {
    case RD_KAFKA_EVENT_DR: unsafe delivered(event)
    case RD_KAFKA_EVENT_LOG: unsafe log(event)
    case RD_KAFKA_EVENT_ERROR: unsafe failed(event)
    case RD_KAFKA_EVENT_STATS:
      if let json = unsafe rd_kafka_event_stats(event) {
        ears.observer.statistics(unsafe String(cString: json))
      }
    case RD_KAFKA_EVENT_REBALANCE:
      let code = unsafe rd_kafka_event_error(event)
      let list = unsafe rd_kafka_event_topic_partition_list(event)
      let places = unsafe PartitionList.entries(list).map(\.place)
      if code == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS { onRevoked?(places) }
    case RD_KAFKA_EVENT_OAUTHBEARER_TOKEN_REFRESH: refreshToken()
    case RD_KAFKA_EVENT_OFFSET_COMMIT:
      let code = unsafe rd_kafka_event_error(event)
      let number = unsafe Int(bitPattern: rd_kafka_event_opaque(event))
      onCommitted?(number, code == RD_KAFKA_RESP_ERR_NO_ERROR ? nil : KafkaError(code))
    default: break
    }
  }

  @unsafe private func delivered(_ event: OpaquePointer) {
    while let message = unsafe rd_kafka_event_message_next(event) {
      let number = unsafe Int(bitPattern: message.pointee._private)
      let code = unsafe message.pointee.err
      guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
        onDelivered?(number, .failure(KafkaError(code)))
        continue
      }
      let offset = unsafe message.pointee.offset
      let receipt = KafkaReceipt(
        partition: unsafe message.pointee.partition,
        offset: offset >= 0 ? offset : nil
      )
      onDelivered?(number, .success(receipt))
    }
  }

  @unsafe private func log(_ event: OpaquePointer) {
    var facility: UnsafePointer<CChar>?
    var words: UnsafePointer<CChar>?
    var level: Int32 = 0
    guard unsafe rd_kafka_event_log(event, &facility, &words, &level) == 0,
      let facility = unsafe facility, let words = unsafe words
    else { return }
    let kind = unsafe String(cString: facility)
    write(
      KafkaObserver.Level(syslog: level),
      "\(kind): \(unsafe String(cString: words))",
      "log \(kind)"
    )
  }

  @unsafe private func failed(_ event: OpaquePointer) {
    let code = unsafe rd_kafka_event_error(event)
    let words = unsafe rd_kafka_event_error_string(event).map { unsafe String(cString: $0) }
    report(KafkaError(code, words))
  }

  /// Counts and writes an error; a fatal one ends the client.
  func report(_ error: KafkaError) {
    var words = [CChar](repeating: 0, count: 512)
    let cause = unsafe rd_kafka_fatal_error(raw, &words, words.count)
    // A consumer's fatal error comes under its own code and looks like any other.
    if cause != RD_KAFKA_RESP_ERR_NO_ERROR {
      return end(KafkaError(cause, text(words), isFatal: true))
    }
    ears.observer.failed(error.name)
    write(.warning, "\(error)", "error \(error.name)")
    // librdkafka would show the token that was refused until most of its time is over.
    if hasToken, error.raw == RD_KAFKA_RESP_ERR__AUTHENTICATION { showNewToken() }
  }

  private func end(_ error: KafkaError) {
    guard fatal == nil else { return }
    fatal = error
    ears.observer.failed(error.name)
    ears.observer.log(.error, "fatal: \(error)")
    onFatal?(error)
  }

  func write(_ level: KafkaObserver.Level, _ line: String, _ kind: String) {
    guard let line = gate.pass(line, of: kind, at: MonotonicTime.now().nanoseconds) else { return }
    ears.observer.log(level, line)
  }

  private func refreshToken() {
    do {
      // The words could quote the token.
      guard try unsafe !ears.observer.token().show(to: raw) else { return }
      unsafe rd_kafka_oauthbearer_set_token_failure(raw, "the token cannot be used")
    } catch {
      unsafe rd_kafka_oauthbearer_set_token_failure(raw, "\(error)")
    }
  }

  /// Where there is none it was said when librdkafka asked for it; to say so again would be an error
  /// of the same kind, without end.
  private func showNewToken() {
    if let token = try? ears.observer.token() { _ = unsafe token.show(to: raw) }
  }

  // MARK: Consumers

  /// Commits; `onCommitted` gets `number` with the answer.
  func commit(_ offsets: [KafkaOffset], number: Int) throws(KafkaError) {
    let list = PartitionList(offsets)
    let code = unsafe rd_kafka_commit_queue(
      raw,
      list.raw,
      main,
      nil,
      UnsafeMutableRawPointer(bitPattern: number)
    )
    if code != RD_KAFKA_RESP_ERR_NO_ERROR { throw KafkaError(code) }
  }

  /// Begins to leave the group; `onRebalance` gets what the group wants back.
  func beginClose() throws(KafkaError) {
    // Not the queue of messages: librdkafka forwards that one to the one named here.
    if let error = unsafe rd_kafka_consumer_close_queue(raw, main) {
      throw unsafe KafkaError(taking: error)
    }
  }

  /// Whether librdkafka has given the client up, told or not.
  var hasFatalError: Bool {
    unsafe rd_kafka_fatal_error(raw, nil, 0) != RD_KAFKA_RESP_ERR_NO_ERROR
  }

  var hasLeft: Bool { unsafe rd_kafka_consumer_closed(raw) != 0 }

  // MARK: The end

  /// Ends librdkafka's client: on a thread of its own, because librdkafka waits for its threads.
  /// - Returns: false when it took longer than `limit`; the thread is then left behind.
  func destroy(within limit: Duration) async -> Bool {
    loop.assertOnLoop()
    guard !isDestroyed else { return true }
    isDestroyed = true
    watch?.cancel()
    watch = nil
    unsafe release()
    let client = unsafe Client(raw)
    return await loop.onThread("kafka-close", within: limit) { client.destroy() } != nil
  }

  /// Leaves librdkafka's client behind, because somebody still waits in it.
  func abandon() {
    isDestroyed = true
    watch?.cancel()
    watch = nil
    unsafe release()
    unsafe keepEars()
  }

  /// A client that goes on must never find them freed.
  @unsafe private func keepEars() { _ = unsafe Unmanaged.passRetained(ears) }

  @unsafe private func release() {
    unsafe rd_kafka_queue_io_event_enable(main, -1, nil, 0)
    unsafe rd_kafka_queue_destroy(main)
    guard let messages = unsafe messages else { return }
    unsafe rd_kafka_queue_io_event_enable(messages, -1, nil, 0)
    unsafe rd_kafka_queue_destroy(messages)
  }

  /// Whoever forgets to close a client costs its threads and sockets, not the process: it cannot be
  /// destroyed from here, where nobody may wait.
  deinit {
    guard !isDestroyed else { return }
    if loop.isCurrent { watch?.cancel() }
    unsafe release()
    unsafe keepEars()
    ears.observer.failed("_LEAKED")
    ears.observer.log(.error, "a Kafka client was not closed; it is left behind with its threads")
  }
}
