import Event
import JSON
import KafkaClient
import Plugin
import Posix

extension KafkaReader {
  // MARK: Messages

  /// Messages as events, and where reading is once they are durable.
  struct Batch {
    let events: [Event]
    let places: Set<KafkaPartition>
    let next: KafkaPositions

    var notes: [SourcePlace] { next.places(of: places) }
  }

  /// A batch that the log is taking.
  struct Flight {
    let batch: Batch
    let append: Task<Result<[Stored], SinkError>, Never>
  }

  /// Makes messages into events and hands them to the log, which goes on without this task.
  func store(_ messages: [KafkaMessage]) async throws {
    var batch = batch(of: messages)
    if try await !land() {
      // These stand on what was given up, which others read now.
      batch = self.batch(of: messages.filter { assigned.contains($0.place) })
    }
    guard !batch.places.isEmpty else { return }
    let (host, name) = (host, name)
    let (events, notes) = (batch.events, batch.notes)
    flight = Flight(
      batch: batch,
      append: Task.immediate(executorPreference: consumer.loop) {
        await host.attempt(events, notes, from: name)
      }
    )
  }

  private func batch(of messages: [KafkaMessage]) -> Batch {
    var next = flight?.batch.next ?? positions
    var places: Set<KafkaPartition> = []
    var events: [Event] = []
    events.reserveCapacity(messages.count)
    let now = host.now()
    var rest = messages[...]
    // Messages of a partition follow one another: what they share is made once.
    while let first = rest.first {
      let run = rest.prefix { $0.partition == first.partition && $0.topic == first.topic }
      rest = rest.dropFirst(run.count)
      places.insert(first.place)
      var position = next.position(of: first.place)
      let ids = ids(of: first.place, position.epoch)
      for message in run {
        if position.take(message.offset) {
          events.append(event(message, ids, now))
        } else {
          host.show(.skipped, from: name)
        }
      }
      next.set(first.place, position)
    }
    return Batch(events: events, places: places, next: next)
  }

  /// Waits until what the log is taking is durable, and tells the group.
  /// - Returns: false when it was given up, because the group has taken all of its partitions.
  @discardableResult
  func land() async throws -> Bool {
    guard let flight else { return true }
    let (batch, first) = (flight.batch, await flight.append.value)
    defer { self.flight = nil }
    let isStored = try await insist(batch.events, batch.notes, in: batch.places, after: first)
    guard isStored else { return false }
    // Partitions that were taken away meanwhile begin where somebody else says.
    let kept = batch.places.filter { assigned.contains($0) }
    for place in kept {
      if let position = batch.next.known[place] { positions.set(place, position) }
    }
    if case .group = spec.reading { await consumer.commitLater(positions.offsets(of: kept)) }
    await showLag(kept)
    return true
  }

  /// Notes that a message cannot be read and goes on behind it. Brokers send whole batches: when the
  /// next message is of the same one it is said to be unreadable in its turn, so that nothing is
  /// stepped over that could have been read, and nothing without a record.
  func stepOver(_ offset: KafkaOffset, _ error: KafkaError) async throws {
    let place = offset.place
    guard assigned.contains(place) else { return }
    host.show(.errors(error.name), from: name)
    var position = positions.position(of: place)
    let here = KafkaOffset(place, max(offset.offset, position.next))
    _ = position.take(here.offset)
    var next = positions
    next.set(place, position)
    let notice = unreadable(here, position.epoch, error.description)
    try await append([notice], next.places(of: [place]), in: [place])
    guard assigned.contains(place) else { return }
    positions = next
    let others = positions.offsets(of: assigned.subtracting([place]))
    try await consumer.assign(positions.offsets(of: [place]), others: others)
    if case .group = spec.reading { await consumer.commitLater(positions.offsets(of: [place])) }
  }

  /// What stands in the ids of a partition's events before and behind the offset.
  private struct IDs {
    let start: String
    let epoch: Int
    let end: String

    func id(_ offset: Int64) -> String {
      var id = start
      id += String(offset)
      id += end
      return id
    }
  }

  private func ids(of place: KafkaPartition, _ epoch: Int) -> IDs {
    IDs(
      start: "\(idStart)\(place.topic):\(place.partition):",
      epoch: epoch,
      end: epoch > 0 ? "@\(epoch)" : ""
    )
  }

  private func event(_ message: KafkaMessage, _ ids: IDs, _ now: Timestamp) -> Event {
    do throws(JSONError) {
      let data = try payloads.payload(message)
      // Base64 and attributes make an event larger than its message.
      if data.count <= Event.Limits.dataBytes - (1 << 16) {
        return Event(
          id: ids.id(message.offset),
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
      return unreadable(message.at, ids.epoch, "the event would be larger than the bus takes")
    } catch {
      host.show(.errors("body"), from: name)
      return unreadable(message.at, ids.epoch, "the body is not JSON: byte \(error.offset)")
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

  /// Appends, however long the log takes.
  func append(
    _ events: [Event],
    _ notes: [SourcePlace],
    in places: Set<KafkaPartition> = []
  ) async throws {
    let first = await host.attempt(events, notes, from: name)
    _ = try await insist(events, notes, in: places, after: first)
  }

  /// Tries again what the log did not take: meanwhile the partitions rest and the group is answered.
  /// - Parameters:
  ///   - places: of the messages; when the group takes them all, the batch is given up.
  ///   - first: what came of the first attempt.
  /// - Returns: whether it is on the log.
  private func insist(
    _ events: [Event],
    _ notes: [SourcePlace],
    in places: Set<KafkaPartition>,
    after first: Result<[Stored], SinkError>
  ) async throws -> Bool {
    var result = first
    var wait = Duration.milliseconds(100)
    var isPaused = false
    var isGivenUp = false
    while case .failure(let error) = result, !isGivenUp {
      if case .tooLarge = error {
        throw KafkaError(code: 10, message: "an event is larger than the log takes")
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
      wait = min(wait * 2, .seconds(5))
      // Somebody else reads them now, from before this batch.
      isGivenUp = !places.isEmpty && places.isDisjoint(with: assigned)
      if !isGivenUp { result = await host.attempt(events, notes, from: name) }
    }
    if isPaused { await consumer.pause(false) }
    return !isGivenUp
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

  func showLag(_ places: some Sequence<KafkaPartition>) async {
    for place in places {
      guard let end = await consumer.end(of: place), let next = positions.known[place]?.next else {
        continue
      }
      host.show(.number("lag", of: place.description, Double(max(0, end - next))), from: name)
    }
  }
}

extension SourceHost {
  fileprivate func attempt(
    _ events: [Event],
    _ places: [SourcePlace],
    from name: EventSourceName
  ) async -> Result<[Stored], SinkError> {
    do throws(SinkError) {
      return .success(try await append(events, places: places, from: name))
    } catch {
      return .failure(error)
    }
  }
}

extension KafkaMessage {
  fileprivate var at: KafkaOffset { KafkaOffset(place, offset) }
}
