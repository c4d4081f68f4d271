import Event
import JSON
import KafkaClient
import Plugin
import Posix

/// Reads with one consumer until it fails or the task is cancelled.
///
/// While the log takes one batch the next is read and made into events; it is handed over once the
/// one before it is durable, because a log that is full may refuse one and take the next.
final class KafkaReader {
  let spec: KafkaSpec
  private let settings: KafkaSettings
  let name: EventSourceName
  let host: any SourceHost
  let consumer: KafkaConsumer
  /// By what is durable.
  var positions: KafkaPositions
  /// What the log is taking.
  var flight: Flight?
  var assigned: Set<KafkaPartition> = []
  /// Assigned by the group while a batch waited for the log.
  var waiting: [KafkaPartition]?
  private var pace: Pace?
  var payloads: KafkaPayloads
  /// What the ids of its events begin with, before the topic.
  let idStart: String
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
      try await land()
      await commit(Array(assigned))
      return nil
    } catch {
      _ = await flight?.append.value
      return error
    }
  }

  /// - Returns: false when the settings have changed, so that a new consumer is needed.
  private func step() async throws -> Bool {
    let news = await consumer.next(
      messages: min(pace?.batch ?? Self.batchMessages, Self.batchMessages),
      bytes: Self.batchBytes,
      within: flight == nil ? .seconds(5) : .zero
    )
    if case .messages(let messages) = news {
      try await store(messages)
      if let wait = pace?.wait(after: messages.count, at: .now()) {
        try await land()
        await host.sleep(for: wait)
      }
    } else {
      // It speaks of where reading is, and whoever takes a partition goes on where we say.
      try await land()
      try await take(news)
    }
    // Whatever waited for the log.
    while let places = waiting {
      waiting = nil
      try await land()
      try await assign(places)
    }
    return look()
  }

  private func take(_ news: KafkaNews) async throws {
    switch news {
    case .assigned(let places): try await assign(places)
    case .revoked(let places, let isLost): try await revoke(places, isLost: isLost)
    case .unreadable(let offset, let error): try await stepOver(offset, error)
    case .outOfRange(let offset): try await assign([offset.place])
    case .failed(let error): throw error
    case .messages, .nothing: break
    }
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

  func revoke(_ places: [KafkaPartition], isLost: Bool) async throws {
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

  func coordinates(_ offset: KafkaOffset) -> [JSON.Member] {
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
}
