import EventLog
import KafkaClient
import Posix
import Synchronization

/// Shortens the topic as the owner's folder is shortened: what lies before the first record that the
/// folder still has goes. A copy that is made of the rest has at least what the folder has.
///
/// Brokers refuse the transactions of an owner that was shut out, but not this. So what left the
/// folder goes from the topic only after a transaction of the owner that came later: whoever takes
/// over then takes over a log that could do without it, and it makes no difference how late it goes.
/// Who reads the topic meanwhile begins anew (`TopicWalk.over`).
final class TopicTrim: Sendable {
  private struct State {
    /// Which record the folder begins with; nil: it is not the owner's yet.
    var first: (@Sendable () -> UInt64?)?
    /// It began with this one when something had left it. No transaction has followed yet.
    var released: UInt64?
    /// The record that the topic is to begin with, and the place of a message behind it.
    var due: (record: UInt64, barrier: Int64)?
    var isOver = false
    var task: Task<Void, Never>?
  }

  private let settings: KafkaBus.Settings
  private let loop: EventLoop
  private let observer: KafkaObserver
  private let state = Mutex(State())
  private let wake: Bell

  /// - Throws: `SystemError`.
  init(
    _ settings: KafkaBus.Settings,
    loop: EventLoop,
    observer: KafkaObserver
  ) throws(SystemError) {
    var settings = settings
    // The end waits for what is under way.
    settings.patience = min(settings.patience, .seconds(5))
    self.settings = settings
    self.loop = loop
    self.observer = observer
    wake = try Bell()
  }

  /// The owner has begun.
  /// - Parameters:
  ///   - barrier: where its mark is on the topic.
  ///   - first: tells which record its folder begins with.
  func begin(behind barrier: Int64, _ first: @escaping @Sendable () -> UInt64?) {
    state.withLock { state in
      guard !state.isOver, state.task == nil else { return }
      state.first = first
      state.task = Task { await run() }
    }
    released()
    confirmed(by: barrier)
  }

  /// Records have left the folder. Called on the log thread, as `confirmed` is.
  func released() {
    guard let first = state.withLock({ $0.first })?(), first > 1 else { return }
    state.withLock { $0.released = first }
  }

  /// A transaction of the owner is on the topic, with a message at `barrier`.
  func confirmed(by barrier: Int64) {
    let isDue = state.withLock { state in
      guard let record = state.released else { return false }
      state.released = nil
      state.due = (record, barrier)
      return true
    }
    if isDue { wake.ring() }
  }

  /// Nothing more is begun.
  func stop() {
    state.withLock { $0.isOver = true }
    wake.ring()
  }

  /// Ends, also what is under way.
  func close() async {
    stop()
    let task = state.withLock { $0.task }
    task?.cancel()
    await task?.value
  }

  private func run() async {
    var told: Set<String> = []
    /// Until then nothing is tried that has just failed.
    var rest: MonotonicTime?
    /// What was found before a failure need not be looked for again.
    var known: (record: UInt64, place: Int64?)?
    while true {
      _ = await loop.readable(of: [wake.raw], within: rest.map { $0 - .now() })
      let (due, isOver) = state.withLock { ($0.due, $0.isOver) }
      if isOver { return }
      guard let due, rest.map({ $0 <= .now() }) ?? true else { continue }
      do {
        if known?.record != due.record { known = (due.record, try await place(of: due)) }
        if let place = known?.place {
          let admin = KafkaAdmin(settings.client, loop: loop, observer: observer)
          let offset = KafkaOffset(settings.place, place)
          try await admin.deleteRecords(before: offset, within: settings.patience)
          tell(.info, "\(settings.replicaName) was shortened: it begins with record \(due.record)")
        }
        state.withLock { if $0.due?.record == due.record { $0.due = nil } }
        told = []
        rest = nil
      } catch {
        rest = .now() + settings.trimRetry
        let isOver = state.withLock { $0.isOver }
        let cause = (error as? KafkaError)?.name ?? "\(error)"
        guard !isOver, told.insert(cause).inserted else { continue }
        tell(.warning, "\(settings.replicaName) cannot be shortened; trying again later: \(error)")
      }
    }
  }

  /// nil: nothing lies before it any more.
  private func place(of due: (record: UInt64, barrier: Int64)) async throws -> Int64? {
    try await withReader(settings, loop, observer) { consumer in
      try await TopicWalk.over(settings, consumer, through: due.barrier) { walk in
        try await walk.start(of: due.record)
      }
    }
  }

  private func tell(_ level: KafkaObserver.Level, _ line: String) {
    loop.post { [observer] in observer.log(level, line) }
  }
}
