import Bus
import Engine
import Event
import JSON
import KafkaBus
import Logging
import Observe
import Plugin
import Posix
import Sensor

/// What an installation does for its partition besides running sensors: stores the events that others
/// took for it, and passes on the outcomes that sensors elsewhere wait for.
struct SharedWork: Sendable {
  let share: PartitionShare
  let log: any Bus
  let places: SourcePlaces
  let loop: EventLoop
  let instruments: Instruments
  let logger: Logger

  /// How far each of the two has come is noted on the log, like the places of sources.
  private static let inbox = name("inbox")
  private static let outcomes = name("outcomes")
  /// Records of the log read at once, and after how many a place is noted although nothing was passed.
  private static let batch = 512
  private static let noteEvery = 5000

  private static func name(_ event: String) -> EventSourceName {
    EventSourceName(namespace: "", bus: "", source: "signalbox", event: event)
  }

  /// Until the task is cancelled.
  func run() async {
    await withDiscardingTaskGroup { group in
      group.addTask { await again("store the events of this partition") { try await store() } }
      group.addTask { await again("pass outcomes on") { try await pass() } }
    }
  }

  /// Goes on after what waiting may mend.
  private func again(_ what: String, _ body: () async throws -> Void) async {
    var backoff = Backoff()
    while !Task.isCancelled {
      let began = MonotonicTime.now()
      do { return try await body() } catch {
        if Task.isCancelled || error as? BusError == .closed { return }
        if MonotonicTime.now() - began > .seconds(60) { backoff.reset() }
        logger.error("cannot \(what); trying again", metadata: ["error": "\(error)"])
        await loop.sleep(for: backoff.next())
      }
    }
  }

  // MARK: Events for this partition

  private func place(_ of: EventSourceName) -> UInt64? {
    places.places(of: of)["next"]?.asString.flatMap { UInt64($0) }
  }

  /// As text: a number of JSON need not hold 64 bits.
  private func note(_ next: UInt64) -> SourcePlace {
    SourcePlace(key: "next", value: .string("\(next)"))
  }

  private func store() async throws {
    let inbox = try share.openInbox()
    do { try await store(from: inbox) } catch {
      await inbox.close()
      throw error
    }
    await inbox.close()
  }

  private func store(from inbox: KafkaInbox) async throws {
    try await inbox.begin(at: place(Self.inbox).map { Int64(clamping: $0) })
    while !Task.isCancelled {
      guard let batch = try await inbox.next() else { continue }
      if let gap = batch.gap {
        logger.error(
          "events for this partition are lost",
          metadata: ["partition": "\(share.partition)", "gap": "\(gap)"]
        )
      }
      let events = batch.events + gap(batch)
      let next = [note(UInt64(batch.next))]
      let appended = try await places.append(events, next, of: Self.inbox, to: log)
      for (event, one) in zip(events, appended) where one.isDuplicate && !event.isOwn {
        instruments.duplicates.increment(["\(event.namespace)/\(event.source)", event.subject])
      }
    }
  }

  /// Sensors may ask for what was lost.
  private func gap(_ batch: KafkaInbox.Batch) -> [Event] {
    guard let gap = batch.gap else { return [] }
    let data: JSON = ["partition": JSON(share.partition), "gap": .string(gap)]
    return [
      Event(
        id: Event.stableID("notice", "gap", "\(share.partition)", gap),
        namespace: "default",
        bus: "default",
        source: Event.noticeSource,
        type: "signalbox.gap",
        subject: "gap",
        time: Timestamp(nanoseconds: wallClockNanoseconds()),
        data: data.encoded()
      )
    ]
  }

  // MARK: Outcomes for others

  private func pass() async throws {
    var position = place(Self.outcomes).map { Position(offset: $0) }
    var unnoted = 0
    while !Task.isCancelled {
      let records = try log.read(after: position, limit: Self.batch, bytes: 4 << 20)
      guard let last = records.last else {
        if await !log.waitForRecords(after: position) { return }
        continue
      }
      let count = try await share.intake.pass(
        records.compactMap { own($0) },
        from: share.partition
      )
      position = last.position
      unnoted += records.count
      guard count > 0 || unnoted >= Self.noteEvery else { continue }
      _ = try await places.append([], [note(last.position.offset)], of: Self.outcomes, to: log)
      unnoted = 0
    }
  }

  /// Outcomes of this partition's own sensors, of which others came here as copies; and notices.
  private func own(_ record: Record) -> Event? {
    guard case .event(let event) = record.content else { return nil }
    if event.source == OutcomeEvent.noticeSource { return event }
    guard event.source == OutcomeEvent.source,
      let sensor = OutcomeEvent.trigger(event)?.sensor,
      EventRouting.partition(of: sensor, among: share.partitions) == share.partition
    else { return nil }
    return event
  }
}
