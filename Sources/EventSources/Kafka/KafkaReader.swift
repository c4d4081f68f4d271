import Event
import JSON
import KafkaClient
import Plugin
import Posix

/// Reads with one consumer until it fails or the task is cancelled.
final class KafkaReader {
  private let spec: KafkaSpec
  private let settings: KafkaSettings
  private let name: EventSourceName
  private let host: any SourceHost
  private let consumer: KafkaConsumer
  private var positions: KafkaPositions
  private var assigned: Set<KafkaPartition> = []
  /// Assigned by the group while a batch waited for the log.
  private var waiting: [KafkaPartition]?
  private var pace: Pace?
  private var payloads: KafkaPayloads
  /// What the ids of its events begin with, before the topic.
  private let idStart: String
  private var lookedAt = MonotonicTime.now()

  private static let batchMessages = 4096
  private static let batchBytes = 4 << 20

  init(
    _ spec: KafkaSpec,
    _ settings: KafkaSettings,
    _ name: EventSourceName,
    _ host: any SourceHost,
    _ consumer: KafkaConsumer
  ) {
    self.spec = spec
    self.settings = settings
    self.name = name
    self.host = host
    self.consumer = consumer
    positions = KafkaPositions(places: host.places(of: name))
    payloads = KafkaPayloads(jsonBody: spec.jsonBody, metadata: spec.metadata)
    idStart = "\(name.source):\(name.event):\(spec.connection.brokers.first ?? ""):"
    pace = spec.eventsPerSecond.map { Pace(perSecond: $0) }
  }

  /// - Returns: what ended it; nil when the task was cancelled or a new consumer is wanted.
  func run() async -> (any Error)? {
    do {
      switch spec.reading {
      case .group: try await consumer.subscribe(to: spec.topics)
      case .partition(let number):
        try await consumer.begin()
        try await assign([KafkaPartition(topic: spec.topics[0], partition: number)])
      case nil: return nil
      }
      while !Task.isCancelled {
        if try await !step() { break }
      }
      await commit(Array(assigned))
      return nil
    } catch {
      return error
    }
  }

  /// - Returns: false when the settings have changed, so that a new consumer is needed.
  private func step() async throws -> Bool {
    let news = await consumer.next(
      messages: min(pace?.batch ?? Self.batchMessages, Self.batchMessages),
      bytes: Self.batchBytes,
      within: .seconds(5)
    )
    switch news {
    case .messages(let messages):
      try await store(messages)
      if let wait = pace?.wait(after: messages.count, at: .now()) { await host.sleep(for: wait) }
    case .assigned(let places): try await assign(places)
    case .revoked(let places, let isLost): try await revoke(places, isLost: isLost)
    case .unreadable(let offset, let error): try await stepOver(offset, error)
    case .outOfRange(let offset): try await assign([offset.place])
    case .failed(let error): throw error
    case .nothing: break
    }
    // Whatever waited for the log.
    if let places = waiting {
      waiting = nil
      try await assign(places)
    }
    return look()
  }

  /// Every few seconds: shows how far behind it is, and asks whether a secret has changed.
  private func look() -> Bool {
    guard MonotonicTime.now() - lookedAt >= .seconds(5) else { return true }
    lookedAt = .now()
    guard let now = try? spec.connection.settings(host.secrets) else { return true }
    if now == settings { return true }
    host.log(.info, "a secret has changed; connecting anew", [("source", name.description)])
    return false
  }

  // MARK: Partitions

  /// Finds out where each partition is read from, notes what has to be noted, and reads.
  private func assign(_ places: [KafkaPartition]) async throws {
    let marks = try await consumer.marks(of: places, within: .seconds(20))
    var next = positions
    var noted: [KafkaPartition] = []
    var notices: [Event] = []
    for place in places {
      guard let found = marks[place] else { continue }
      let start = positions.start(place, found, fromOldest: spec.fromOldest)
      next.set(place, start.position)
      if start.isNew { noted.append(place) }
      if let notice = start.notice { notices.append(event(notice, place, start.position)) }
    }
    // Before anything is read: a crash must not forget where reading began.
    if !noted.isEmpty {
      try await append(notices, next.places(of: noted))
      positions = next
      for notice in notices {
        host.log(.warning, "\(notice.subject): \(String(decoding: notice.data, as: UTF8.self))", [])
      }
    }
    positions = next
    let others = positions.offsets(of: assigned.subtracting(places))
    try await consumer.assign(positions.offsets(of: places), others: others)
    assigned.formUnion(places)
    // Where the group knows less than the log: a crash came between the two.
    if case .group = spec.reading {
      let behind = places.filter { marks[$0]?.committed != positions.known[$0]?.next }
      await consumer.commitLater(positions.offsets(of: behind))
    }
    await showLag(places)
  }

  private func revoke(_ places: [KafkaPartition], isLost: Bool) async throws {
    if !isLost { await commit(places) }
    assigned.subtract(places)
    try await consumer.unassign(places)
    for place in places { host.show(.gone("lag", of: place.description), from: name) }
  }

  private func event(
    _ notice: KafkaStart.Notice,
    _ place: KafkaPartition,
    _ position: KafkaPosition
  ) -> Event {
    let (kind, from, to, words) =
      switch notice {
      case .reset(let before, let end):
        ("source-reset", before, end, "the partition ends before the position: it was created anew")
      case .gap(let from, let to):
        ("source-gap", from, to, "messages before the partition's first offset are gone")
      }
    return host.notice(
      kind,
      id: "\(place)@\(position.epoch):\(from)",
      coordinates(KafkaOffset(place, from)) + [
        .init(key: kind == "source-reset" ? "end" : "firstOffset", value: .number("\(to)")),
        .init(key: "epoch", value: JSON(position.epoch)),
        .init(key: "reason", value: .string(words)),
      ],
      about: name
    )
  }

  private func coordinates(_ offset: KafkaOffset) -> [JSON.Member] {
    [
      .init(key: "topic", value: .string(offset.place.topic)),
      .init(key: "partition", value: JSON(Int(offset.place.partition))),
      .init(key: "offset", value: .number("\(offset.offset)")),
    ]
  }

  private func commit(_ places: [KafkaPartition]) async {
    guard case .group = spec.reading else { return }
    let offsets = positions.offsets(of: places)
    do throws(KafkaError) { try await consumer.commit(offsets) } catch {
      // The position is on the log; the group learns it with the next batch.
      host.show(.errors(error.name), from: name)
    }
  }

  // MARK: Messages

  private func store(_ messages: [KafkaMessage]) async throws {
    var next = positions
    var events: [Event] = []
    events.reserveCapacity(messages.count)
    let now = host.now()
    for message in messages {
      guard let epoch = next.epoch(of: message) else {
        host.show(.skipped, from: name)
        continue
      }
      events.append(event(message, epoch, now))
      next.pass(message.place, message.offset)
    }
    let places = Set(messages.map(\.place))
    try await append(events, next.places(of: places), in: places)
    // Partitions that were taken away meanwhile begin where somebody else says.
    for place in places where assigned.contains(place) {
      if let position = next.known[place] { positions.set(place, position) }
    }
    let kept = places.filter { assigned.contains($0) }
    if case .group = spec.reading { await consumer.commitLater(positions.offsets(of: kept)) }
    await showLag(kept)
  }

  /// Notes that a message cannot be read and goes on behind it. Brokers send whole batches: when the
  /// next message is of the same one it is said to be unreadable in its turn, so that nothing is
  /// stepped over that could have been read, and nothing without a record.
  private func stepOver(_ offset: KafkaOffset, _ error: KafkaError) async throws {
    let place = offset.place
    guard assigned.contains(place) else { return }
    host.show(.errors(error.name), from: name)
    let position = positions.known[place]
    let here = KafkaOffset(place, max(offset.offset, position?.next ?? 0))
    var next = positions
    next.pass(place, here.offset)
    let notice = unreadable(here, position?.epoch ?? 0, error.description)
    try await append([notice], next.places(of: [place]), in: [place])
    guard assigned.contains(place) else { return }
    positions = next
    let others = positions.offsets(of: assigned.subtracting([place]))
    try await consumer.assign(positions.offsets(of: [place]), others: others)
    if case .group = spec.reading { await consumer.commitLater(positions.offsets(of: [place])) }
  }

  private func event(_ message: KafkaMessage, _ epoch: Int, _ now: Timestamp) -> Event {
    let offset = KafkaOffset(message.place, message.offset)
    do throws(JSONError) {
      let data = try payloads.payload(message)
      // Base64 and attributes make an event larger than its message.
      if data.count <= Event.Limits.dataBytes - (1 << 16) {
        var id = "\(idStart)\(message.topic):\(message.partition):\(message.offset)"
        if epoch > 0 { id += "@\(epoch)" }
        return Event(
          id: id,
          namespace: name.namespace,
          bus: name.bus,
          source: name.source,
          type: KafkaSource.kind,
          subject: name.event,
          time: now,
          data: data,
          cause: cause(message)
        )
      }
      host.show(.errors("tooLarge"), from: name)
      return unreadable(offset, epoch, "the event would be larger than the bus takes")
    } catch {
      host.show(.errors("body"), from: name)
      return unreadable(offset, epoch, "the body is not JSON: byte \(error.offset)")
    }
  }

  private func unreadable(_ offset: KafkaOffset, _ epoch: Int, _ why: String) -> Event {
    host.notice(
      "source-unreadable",
      id: "\(offset.place)@\(epoch):\(offset.offset)",
      coordinates(offset) + [.init(key: "reason", value: .string(why))],
      about: name
    )
  }

  /// The firing of ours that wrote the message.
  private func cause(_ message: KafkaMessage) -> Cause? {
    let sent = message.headers.filter { $0.name == "signalbox-cause" }
    guard sent.count == 1, let value = sent[0].value else { return nil }
    return host.cause(verifying: String(decoding: value, as: UTF8.self))
  }

  // MARK: The log

  /// Appends, however long the log takes: meanwhile the partitions rest and the group is answered.
  /// - Parameter places: of the messages; when the group takes them all, the batch is given up.
  private func append(
    _ events: [Event],
    _ notes: [SourcePlace],
    in places: Set<KafkaPartition> = []
  ) async throws {
    var wait = Duration.milliseconds(100)
    var isPaused = false
    while true {
      do throws(SinkError) {
        _ = try await host.append(events, places: notes, from: name)
        break
      } catch {
        if case .tooLarge = error {
          throw KafkaError(code: 10, message: "an event is larger than the log takes")
        }
      }
      if Task.isCancelled { throw KafkaError.cancelled }
      if !isPaused {
        isPaused = true
        await consumer.pause(true)
        host.log(
          .warning,
          "the log takes nothing; reading pauses",
          [("source", name.description)]
        )
      }
      try await serve(within: wait)
      // Somebody else reads them now, from before this batch.
      if !places.isEmpty, places.isDisjoint(with: assigned) { break }
      wait = min(wait * 2, .seconds(5))
    }
    if isPaused { await consumer.pause(false) }
  }

  /// Answers the group while messages rest.
  private func serve(within wait: Duration) async throws {
    let deadline = MonotonicTime.now() + wait
    while MonotonicTime.now() < deadline, !Task.isCancelled {
      let left = deadline - MonotonicTime.now()
      switch await consumer.next(messages: 0, bytes: 0, within: left) {
      case .assigned(let places): waiting = (waiting ?? []) + places
      case .revoked(let places, let isLost):
        waiting?.removeAll { places.contains($0) }
        try await revoke(places, isLost: isLost)
      case .failed(let error): throw error
      case .outOfRange(let offset): waiting = (waiting ?? []) + [offset.place]
      case .messages, .unreadable, .nothing: break
      }
    }
  }

  private func showLag(_ places: some Sequence<KafkaPartition>) async {
    for place in places {
      guard let end = await consumer.end(of: place), let next = positions.known[place]?.next else {
        continue
      }
      host.show(.number("lag", of: place.description, Double(max(0, end - next))), from: name)
    }
  }
}

/// Spreads events over time: at most so many in a second, a tenth of that at once.
struct Pace {
  private let perSecond: Int
  private var nextAt: MonotonicTime?

  init(perSecond: Int) { self.perSecond = perSecond }

  var batch: Int { max(1, perSecond / 10) }

  /// How long to wait until more may be read.
  mutating func wait(after count: Int, at now: MonotonicTime) -> Duration? {
    let from = max(nextAt ?? now, now)
    let next = from + .nanoseconds(Int64(count) * 1_000_000_000 / Int64(perSecond))
    nextAt = next
    return next > now ? next - now : nil
  }
}

/// The numbers of librdkafka's statistics that an operator looks for.
func kafkaStatistics(_ json: String) -> [(String, Double)] {
  guard let all = try? JSON(parsing: Array(json.utf8)) else { return [] }
  let names = ["replyq", "msg_cnt", "tx_bytes", "rx_bytes", "txmsgs", "rxmsgs"]
  return names.compactMap { name in
    guard case .number(let text)? = all[name], let value = Double(text) else { return nil }
    return (name, value)
  }
}
