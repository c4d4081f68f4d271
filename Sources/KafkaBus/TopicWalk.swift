import KafkaClient

/// Reads the topic of a bus up to a mark at its end, or on and on.
struct TopicWalk {
  typealias Found = (place: Int64, message: ReplicaMessage)

  private let settings: KafkaBus.Settings
  private let consumer: KafkaConsumer
  /// The first message that is left.
  let low: Int64
  /// The message behind the last one that is searched.
  let end: Int64
  private let isEndless: Bool
  private var start: Int64
  /// The message that is read next.
  private(set) var position: Int64
  private var isDone = false
  /// Whether all reading begins with the first message that is left.
  private var isWhole = false
  /// Nothing has come for a while.
  private var isIdle = false

  private static let messagesMax = 5000
  /// How far before a record reading may begin.
  private static let nearness: Int64 = 500
  private static let bytesMax = 8 << 20
  /// How long an endless walk waits for messages.
  private static let idleness = Duration.seconds(2)

  /// - Parameter barrier: the place of the mark; nil: reading never ends.
  /// - Throws: `KafkaError`.
  init(
    _ settings: KafkaBus.Settings,
    _ consumer: KafkaConsumer,
    through barrier: Int64?
  ) async throws {
    self.settings = settings
    self.consumer = consumer
    isEndless = barrier == nil
    try await consumer.begin()
    let marks = try await consumer.marks(of: [settings.place], within: settings.patience)
    low = marks[settings.place]?.low ?? 0
    end = barrier ?? marks[settings.place]?.high ?? 0
    start = low
    position = low
  }

  /// A message that was to be read is not there.
  private struct Gone: Error {
    let place: Int64
  }

  /// Runs `body`, and anew when the topic is shortened meanwhile, or when reading that began amid it
  /// gets nothing: there are brokers that take a transaction for aborted behind its end, where reading
  /// begins behind it.
  /// - Throws: `KafkaBusError` for a topic that has not what it says, and what `body` throws.
  static func over<Result>(
    _ settings: KafkaBus.Settings,
    _ consumer: KafkaConsumer,
    through barrier: Int64?,
    _ body: (inout TopicWalk) async throws -> Result
  ) async throws -> Result {
    var walk = try await TopicWalk(settings, consumer, through: barrier)
    while true {
      let low = walk.low
      do { return try await body(&walk) } catch let gone as Gone {
        walk = try await TopicWalk(settings, consumer, through: barrier)
        guard walk.low > low else {
          throw KafkaBusError.mismatch(
            "\(settings.replicaName) has no message \(gone.place), its first one is \(low)"
          )
        }
      } catch let error as KafkaError
        where error == .timedOut && walk.start > walk.low && !walk.isWhole
      {
        walk = try await TopicWalk(settings, consumer, through: barrier)
        walk.isWhole = true
      }
    }
  }

  private mutating func go(to place: Int64) async throws(KafkaError) {
    try await consumer.assign([KafkaOffset(settings.place, place)])
    start = place
    position = place
    isDone = false
    isIdle = false
  }

  /// Begins with the first message that is left.
  mutating func begin() async throws(KafkaError) { try await go(to: low) }

  /// Begins at a message that is not behind the last part of record `known`, and not far before it.
  /// - Returns: whether that is amid the topic.
  mutating func begin(near known: UInt64) async throws -> Bool {
    let place = try await place(near: known)
    try await go(to: place)
    return place > low
  }

  /// The message with which a record begins, or the one that follows where it is missing.
  /// - Returns: nil where no message lies before it.
  mutating func start(of record: UInt64) async throws -> Int64? {
    try await go(to: place(near: record - 1))
    while let found = try await next() {
      for case (let place, .part(let offset, _, _)) in found where offset >= record {
        return place > low ? place : nil
      }
    }
    return nil
  }

  private mutating func place(near known: UInt64) async throws -> Int64 {
    guard !isWhole, let first = try await record(from: low), first <= known else { return low }
    var (before, high) = (low, end)
    // Each record takes one message or more, so without missing positions it is not before this.
    let guess = low + Int64(clamping: min(known - first, UInt64(clamping: end - low)))
    if let found = try await record(from: guess), found <= known {
      before = guess
    } else {
      high = guess
    }
    while high - before > Self.nearness {
      let middle = before + (high - before) / 2
      if let found = try await record(from: middle), found <= known {
        before = middle
      } else {
        high = middle
      }
    }
    return before
  }

  /// The first record that is left, or that a part is left of; nil where there is none.
  mutating func first() async throws -> UInt64? { try await record(from: low) }

  /// The position of the first record, or part of one, from a message on; nil where none is.
  private mutating func record(from place: Int64) async throws -> UInt64? {
    guard place < end else { return nil }
    try await go(to: place)
    while let found = try await next() {
      for case (_, .part(let offset, _, _)) in found { return offset }
      if isIdle { return nil }
    }
    return nil
  }

  /// What follows, in order; nil when the mark is reached. Of an endless walk nothing, after a while,
  /// and when the task is cancelled.
  /// - Throws: `KafkaError` or `KafkaBusError`.
  mutating func next() async throws -> [Found]? {
    if isDone { return nil }
    let news = await consumer.next(
      messages: Self.messagesMax,
      bytes: Self.bytesMax,
      within: isEndless ? Self.idleness : settings.patience
    )
    isIdle = false
    switch news {
    case .messages(let messages):
      var found: [Found] = []
      for message in messages where message.offset >= start {
        if message.offset >= end, !isEndless {
          isDone = true
          break
        }
        let parsed = try ReplicaMessage(parsing: message.value, at: message.offset)
        found.append((message.offset, parsed))
        position = message.offset + 1
      }
      return found
    case .failed(let error), .unreadable(_, let error): throw error
    case .outOfRange(let offset): throw Gone(place: offset.offset)
    case .assigned, .revoked: return []
    case .nothing:
      guard isEndless else { throw KafkaError.timedOut }
      isIdle = true
      return []
    }
  }
}
