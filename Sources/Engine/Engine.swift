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
    /// Of a bus with partitions: the one whose log it reads.
    package var partition: Int?
    /// Records read at once, and about how many bytes.
    package var batchRecords = 512
    package var batchBytes = 4 << 20
    /// Records read at once while firings that are decided on queue up and begin all the same:
    /// those that have no place in memory any longer would be read from the bus again.
    package var batchRecordsPressed = 32
    /// But only while the bus takes a decision within this time: on a slow one small batches would
    /// hold up all sensors because of one whose firings queue up.
    package var pressedAppend = Duration.milliseconds(4)
    /// Events matched without a record saying so, at most; they are matched again after a crash.
    package var cursorInterval = 1000
    /// The wait before a bus that refused something is asked again.
    package var patience = Duration.seconds(1)
    /// Records read after which a snapshot is written, so that the next start reads less.
    package var snapshotRecords = 20_000
    /// How often the engine looks whether a snapshot or the release of a place is due.
    package var upkeepInterval = Duration.seconds(60)
    /// How long the place of a sensor that left the manifests is kept.
    package var holdFor = Duration.seconds(3 * 86400)
    /// Dead letters that are kept, and for how long; beyond, the oldest go.
    package var deadLettersMax = 10_000
    package var deadLetterAge = Duration.seconds(30 * 86400)

    package init() {}
  }

  package nonisolated let loop: EventLoop
  package nonisolated var unownedExecutor: UnownedSerialExecutor {
    unsafe loop.asUnownedSerialExecutor()
  }

  let bus: any Bus
  let places: SourcePlaces
  private(set) var plan: EnginePlan
  let configuration: Configuration
  let observer: EngineObserver
  let logger: Logger
  let clock: @Sendable () -> Timestamp
  /// From 0 up to, not including, 1; spreads retries.
  let random: @Sendable () -> Double

  var state = EngineState()
  var running: [FiringID: Task<Void, Never>] = [:]
  /// Those that watch what was started.
  var followers: [FiringID: Task<Void, Never>] = [:]
  /// What they watch.
  var watched: [FiringID: Started] = [:]
  /// What asks for the end of those that newer ones wait for.
  var stopping: [FiringID: Task<Void, Never>] = [:]
  /// Lanes whose reading back from the bus failed.
  var retries: [TriggerID: Task<Void, Never>] = [:]
  /// What decides on the firings of `dlqTrigger`s that endings ask for.
  var paying: Task<Void, Never>?
  var wanting: Task<Void, Never>?
  /// What firings want next.
  var recent = RecentEvents()
  /// Batches that are to be small, because firings of a trigger of which many wait began.
  var pressedBatches = 0
  /// How long the bus took for the last decision.
  var lastAppend = Duration.zero
  /// What holds firings.
  var held: [TriggerID: Hold] = [:]
  /// What looks at a trigger's firings again.
  var wakes: [TriggerID: (due: Timestamp, task: Task<Void, Never>)] = [:]
  /// What appends a record when a window is due.
  var tick: (due: Timestamp, task: Task<Void, Never>)?
  /// The last record read, of any kind.
  var readThrough: Position?
  /// Events matched since the last decision on the bus.
  var unrecorded = 0
  /// Records read since the last snapshot.
  var unsaved = 0
  /// Appends under way, with the last position before each.
  var underWay: [Int: Position?] = [:]
  private var nextAppend = 0
  private var reader: Task<Void, Never>?
  private var upkeep: Task<Void, Never>?
  /// A batch is decided by one plan, and a plan put in force between two batches.
  let turnstile = Turnstile()
  let progress = Mutex(Progress())

  struct Progress {
    var readThrough: Position?
    var caughtUpAt = MonotonicTime.now()
    var letters = 0
    var windows = 0
  }

  /// - Parameters:
  ///   - places: how far event sources have come; `recover` fills it.
  ///   - loop: the engine's alone while it runs.
  package init(
    bus: any Bus,
    places: SourcePlaces = SourcePlaces(),
    plan: EnginePlan,
    loop: EventLoop,
    configuration: Configuration,
    observer: EngineObserver,
    logger: Logger,
    clock: @escaping @Sendable () -> Timestamp,
    random: @escaping @Sendable () -> Double
  ) {
    self.bus = bus
    self.places = places
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
    try restore()
    while true {
      let records = try bus.read(
        after: readThrough,
        limit: configuration.batchRecords,
        bytes: configuration.batchBytes
      )
      guard let last = records.last else { break }
      for record in records {
        try state.fold(record)
        try places.fold(record)
      }
      unsaved += records.count
      readThrough = last.position
    }
    // Reading goes on where matching stopped; what lies between is bookkeeping and the events
    // that were not matched before the crash.
    try await record(plan)
    readThrough = state.cursor
    progress.withLock { $0.readThrough = state.cursor }
    return try unfinished()
  }

  /// The firings without an ending, those that are only on the bus included. Started ones among
  /// these are taken up.
  private func unfinished() throws -> Set<FiringID> {
    var unfinished: Set<FiringID> = []
    for trigger in Array(state.lanes.keys) {
      guard var lane = state.lanes[trigger] else { continue }
      if let spill = lane.spill {
        try scan(from: spill.first, of: trigger) { entry in
          if lane.misses(entry.intent.id) { unfinished.insert(entry.intent.id) }
          lane.follow(spilled: entry)
          return true
        }
        state.lanes[trigger] = lane
      }
      unfinished.formUnion(lane.waiting.map(\.intent.id))
      unfinished.formUnion(lane.followed.keys)
    }
    return unfinished
  }

  /// Makes it durable that `plan` holds from here on.
  private func record(_ plan: EnginePlan) async throws {
    guard var note = state.adopting(plan.interlocking) else { return }
    for sensor in plan.interlocking.sensors where state.isNew(sensor.id) {
      note.from[sensor.id] = try place(before: sensor.start)
    }
    let appended = try await bus.append([.note(note.note)])
    if let position = appended.first?.position {
      try state.fold(Record(position: position, time: clock(), content: .note(note.note)))
    }
  }

  /// The last record that a new sensor is not to read; nil: what there is now.
  private func place(before start: SensorPlan.Start) throws -> Position? {
    // Of the embedded log, which counts from 1.
    let nothing = Position(offset: 0)
    switch start {
    case .now: return nil
    case .beginning: return nothing
    case .time(let time):
      var last = bus.position(before: time)
      while true {
        let records = try bus.read(
          after: last,
          limit: configuration.batchRecords,
          bytes: configuration.batchBytes
        )
        guard let newest = records.last else { return last ?? nothing }
        if newest.time < time {
          last = newest.position
          continue
        }
        return records.last { $0.time < time }?.position ?? last ?? nothing
      }
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
    // A sensor that came back goes on where it was.
    if let cursor = state.cursor, let read = readThrough, cursor < read { readThrough = cursor }
    followStarted()
    for trigger in Array(state.lanes.keys) { pump(trigger) }
    armTicker()
  }

  /// Takes up what waits and goes on reading, until `stop`.
  package func start() {
    followStarted()
    for trigger in Array(state.lanes.keys) { pump(trigger) }
    showLetters()
    armTicker()
    payOwed()
    takeUpWanted()
    reader = Task { await read() }
    upkeep = Task {
      while !Task.isCancelled {
        await loop.sleep(for: configuration.upkeepInterval)
        if !Task.isCancelled { await keepUp() }
      }
    }
  }

  /// Stops reading and firing. Firings under way are taken up again by the next start; jobs of
  /// `command` go on by themselves.
  package func stop() async {
    for task in [reader, upkeep, paying, wanting, tick?.task] { task?.cancel() }
    for task in [reader, upkeep, paying, wanting] { await task?.value }
    // Looked at last: the reader may have armed another.
    tick?.task.cancel()
    await tick?.task.value
    (reader, upkeep, paying, wanting, tick) = (nil, nil, nil, nil, nil)
    let tasks =
      Array(running.values) + Array(retries.values) + wakes.values.map(\.task)
      + Array(stopping.values)
    for task in tasks { task.cancel() }
    for task in tasks { await task.value }
    // Behind them: one that was under way may have become a follower.
    for task in followers.values { task.cancel() }
    for task in followers.values { await task.value }
    running = [:]
    followers = [:]
    watched = [:]
    stopping = [:]
    retries = [:]
    wakes = [:]
    if unrecorded > 0, let cursor = state.cursor {
      await appendPatiently([.note(DecisionNote(consumed: cursor).note)], "cursor", attempts: 1)
    }
    if unsaved > configuration.snapshotRecords / 10 { await save() }
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

  // MARK: The bus, patiently

  /// Appends until it succeeds; nil when the bus closed, the task was cancelled or `attempts`
  /// were used up. What is appended here must not be lost to a full disk.
  @discardableResult
  func appendPatiently(
    _ drafts: [Draft],
    _ what: String,
    attempts: Int = .max
  ) async -> [Appended]? {
    nextAppend += 1
    let number = nextAppend
    underWay[number] = .some(bus.committed)
    defer { underWay[number] = nil }
    for attempt in 1...attempts {
      do throws(BusError) { return try await bus.append(drafts) } catch {
        if error == .closed { return nil }
        if case .tooLarge = error {
          logger.critical("the bus cannot hold a \(what)", metadata: ["error": "\(error)"])
          return nil
        }
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

}
