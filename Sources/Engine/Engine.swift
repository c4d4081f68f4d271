package import Bus
package import Event
import Expression
package import Logging
package import Posix
import Sensor
import Synchronization

/// Reads the bus in order, decides, and sees every firing through to its ending.
///
/// One loop of its own: matching, delivery and their state need no locks. Nothing that a caller
/// of an event source waits for happens here.
package actor Engine {
  package struct Configuration: Sendable {
    /// Firings in a chain before it is cut (DESIGN.md: 16).
    package var hopLimit = 16
    /// Records read at once, and about how many bytes.
    package var batchRecords = 512
    package var batchBytes = 4 << 20
    /// Events matched without a record saying so, at most; they are matched again after a crash.
    package var cursorInterval = 1000
    /// The wait before a bus that refused something is asked again.
    package var patience = Duration.seconds(1)

    package init() {}
  }

  package nonisolated let loop: EventLoop
  package nonisolated var unownedExecutor: UnownedSerialExecutor {
    unsafe loop.asUnownedSerialExecutor()
  }

  let bus: any Bus
  private(set) var plan: EnginePlan
  let configuration: Configuration
  let observer: EngineObserver
  let logger: Logger
  let clock: @Sendable () -> Timestamp
  /// From 0 up to, not including, 1; spreads retries.
  let random: @Sendable () -> Double

  var state = EngineState()
  var lanes: [TriggerID: Lane] = [:]
  var running: [FiringID: Task<Void, Never>] = [:]
  /// The last record read, of any kind.
  private var readThrough: Position?
  private var unrecorded = 0
  private var reader: Task<Void, Never>?
  /// A batch is decided by one plan, and a plan put in force between two batches.
  private let turnstile = Turnstile()
  private let progress = Mutex(Progress())

  private struct Progress {
    var readThrough: Position?
    var caughtUpAt = MonotonicTime.now()
  }

  /// - Parameter loop: the engine's alone while it runs.
  package init(
    bus: any Bus,
    plan: EnginePlan,
    loop: EventLoop,
    configuration: Configuration,
    observer: EngineObserver,
    logger: Logger,
    clock: @escaping @Sendable () -> Timestamp,
    random: @escaping @Sendable () -> Double
  ) {
    self.bus = bus
    self.plan = plan
    self.loop = loop
    self.configuration = configuration
    self.observer = observer
    self.logger = logger
    self.clock = clock
    self.random = random
  }

  /// Reads what the bus holds and puts the plan in force. Nothing is fired yet.
  /// - Returns: the firings that wait for their ending.
  /// - Throws: `BusError`, or `NoteError` when a newer version wrote the bus.
  package func recover() async throws -> Set<FiringID> {
    while true {
      let records = try bus.read(
        after: readThrough,
        limit: configuration.batchRecords,
        bytes: configuration.batchBytes
      )
      guard let last = records.last else { break }
      for record in records { try state.fold(record) }
      readThrough = last.position
    }
    // Reading goes on where matching stopped; what lies between is bookkeeping and the events
    // that were not matched before the crash.
    try await record(plan)
    readThrough = state.cursor
    progress.withLock { $0.readThrough = state.cursor }
    return Set(state.pending.keys)
  }

  /// Makes it durable that `plan` holds from here on.
  private func record(_ plan: EnginePlan) async throws {
    guard let note = state.adopting(plan.interlocking) else { return }
    let appended = try await bus.append([.note(note.note)])
    if let position = appended.first?.position {
      try state.fold(Record(position: position, time: clock(), content: .note(note.note)))
    }
  }

  /// Puts another plan in force between two batches. New sensors begin at the end of the bus;
  /// slots whose dependency was edited are emptied; firings that wait are carried out as the new
  /// plan says.
  /// - Throws: `BusError`; the old plan is then still in force.
  package func adopt(_ plan: EnginePlan) async throws {
    await turnstile.enter()
    defer { turnstile.leave() }
    try await record(plan)
    self.plan = plan
    for trigger in Array(lanes.keys) {
      withLane(trigger) { $0.concurrency = plan.triggers[trigger]?.concurrency ?? 1 }
      pump(trigger)
    }
  }

  /// Takes up what waits and goes on reading, until `stop`.
  package func start() {
    for intent in state.pendingInOrder {
      withLane(intent.trigger) { $0.recover(intent) }
    }
    for trigger in lanes.keys { pump(trigger) }
    reader = Task { await read() }
  }

  /// Stops reading and firing. Firings under way are taken up again by the next start; jobs of
  /// `command` go on by themselves.
  package func stop() async {
    reader?.cancel()
    await reader?.value
    reader = nil
    for task in running.values { task.cancel() }
    for task in running.values { await task.value }
    running = [:]
    if unrecorded > 0, let cursor = state.cursor {
      await appendPatiently([.note(DecisionNote(consumed: cursor).note)], "cursor", attempts: 1)
    }
  }

  /// How long the engine has been behind the bus: zero when it has read everything.
  package nonisolated func lag(at now: MonotonicTime) -> Duration {
    let committed = bus.committed
    return progress.withLock { progress in
      if committed == nil || progress.readThrough.map({ $0 >= committed ?? $0 }) == true {
        progress.caughtUpAt = now
      }
      return now - progress.caughtUpAt
    }
  }

  // MARK: Reading

  private func read() async {
    while !Task.isCancelled {
      guard await bus.waitForRecords(after: readThrough) else { return }
      let records: [Record]
      do throws(BusError) {
        records = try bus.read(
          after: readThrough,
          limit: configuration.batchRecords,
          bytes: configuration.batchBytes
        )
      } catch {
        logger.error("reading the bus failed; trying again", metadata: ["error": "\(error)"])
        await loop.sleep(for: configuration.patience)
        continue
      }
      guard let last = records.last else { continue }
      await turnstile.enter()
      let isOpen = await consume(records, through: last.position)
      turnstile.leave()
      guard isOpen else { return }
      readThrough = last.position
      let now = MonotonicTime.now()
      let committed = bus.committed
      progress.withLock { progress in
        progress.readThrough = last.position
        if committed == last.position { progress.caughtUpAt = now }
      }
    }
  }

  /// Decides on a batch, makes the decision durable, then acts on it; false when the bus closed.
  private func consume(_ records: [Record], through last: Position) async -> Bool {
    var intents: [Intent] = []
    var changes: [SlotChange] = []
    var notices: [Draft] = []
    let starts = state.starts
    for record in records {
      guard case .event(let event) = record.content else { continue }
      unrecorded += 1
      let step = plan.interlocking.step(
        event,
        at: record.position.description,
        &state.slots,
        isActive: { sensor in starts[sensor].map { record.position > $0 } ?? false }
      )
      changes += step.changes
      for verdict in step.verdicts { judged(verdict, event) }
      for decision in step.decisions {
        guard let trigger = plan.triggers[decision.trigger] else { continue }
        let intent = Intent(
          decision,
          kind: trigger.kind,
          bus: trigger.bus,
          generation: trigger.generation
        )
        if decision.hops > configuration.hopLimit {
          notices.append(.event(stopped(intent)))
        } else {
          intents.append(intent)
        }
      }
    }
    state.advance(to: last)
    if intents.isEmpty && changes.isEmpty && notices.isEmpty
      && unrecorded < configuration.cursorInterval
    {
      return true
    }
    let note = DecisionNote(consumed: last, firings: intents, changes: changes)
    // The notices first: repeated after a crash they deduplicate, the decision would not.
    guard
      let appended = await appendPatiently(notices + [.note(note.note)], "decision"),
      let place = appended.last?.position
    else { return false }
    unrecorded = 0
    for (number, intent) in intents.enumerated() {
      observer.fired(intent.trigger)
      withLane(intent.trigger) { $0.add(intent, at: Lane.Place(record: place, number: number)) }
    }
    for trigger in Set(intents.map(\.trigger)) { pump(trigger) }
    return true
  }

  private func judged(_ verdict: Step.Verdict, _ event: Event) {
    switch verdict.filter {
    case .pass: observer.judged(verdict.sensor, verdict.dependency, .passed)
    case .refused: observer.judged(verdict.sensor, verdict.dependency, .refused)
    case .error(let why):
      observer.judged(verdict.sensor, verdict.dependency, .error)
      logger.warning(
        "a filter could not judge an event",
        metadata: [
          "sensor": "\(verdict.sensor)", "dependency": "\(verdict.dependency)",
          "event": "\(event.id)", "error": "\(why)",
        ]
      )
    }
  }

  private func stopped(_ intent: Intent) -> Event {
    observer.stopped(intent.trigger)
    logger.warning(
      "a chain of automations reached the hop limit and was cut",
      metadata: [
        "trigger": "\(intent.trigger)", "limit": "\(configuration.hopLimit)",
        "chain": "\(intent.path.joined(separator: " -> "))",
      ]
    )
    return OutcomeEvent.loopStopped(intent, limit: configuration.hopLimit, at: clock())
  }

  // MARK: The bus, patiently

  /// Appends until it succeeds; nil when the bus closed, the task was cancelled or `attempts`
  /// were used up. What is appended here must not be lost to a full disk.
  @discardableResult
  func appendPatiently(
    _ drafts: [Draft],
    _ what: String,
    attempts: Int = .max
  ) async -> [Appended]? {
    for attempt in 1...attempts {
      do throws(BusError) { return try await bus.append(drafts) } catch {
        if error == .closed { return nil }
        if attempt == 1 || attempt % 60 == 0 {
          logger.error(
            "the bus did not take a \(what); trying again",
            metadata: ["error": "\(error)"]
          )
        }
      }
      if attempt == attempts { return nil }
      await loop.sleep(for: configuration.patience)
      if Task.isCancelled { return nil }
    }
    return nil
  }

  func withLane(_ trigger: TriggerID, _ body: (inout Lane) -> Void) {
    let concurrency = plan.triggers[trigger]?.concurrency ?? 1
    body(&lanes[trigger, default: Lane(concurrency: concurrency)])
  }
}
