package import Bus
import Event
import Glibc
import Posix
import Synchronization

/// The embedded event bus: a folder of segments with one writer.
///
/// Callers hand drafts to one log thread. It writes everything that waits with one `pwrite` and
/// one `fdatasync` (group commit) and only then answers, so a sync is shared by all who wait.
package final class EventLog: Bus {
  /// What opening found.
  package struct Recovery: Equatable, Sendable {
    package var records = 0
    package var segments = 0
    /// Bytes of segments that were read because no index told what is in them.
    package var scannedBytes = 0
    /// Bytes of a torn tail that were cut.
    package var cutBytes = 0
    package var damages: [Damage] = []
  }

  struct Append {
    let drafts: [Draft]
    /// What a replica holds already, instead of drafts.
    var copies: [Record] = []
    /// Whether the copies take the place of all that the log has.
    var isAnew = false
    let bytes: Int
    let continuation: CheckedContinuation<Result<[Appended], BusError>, Never>
  }

  private struct Queue {
    var appends: [Append] = []
    var bytes = 0
    var isClosing = false
    var isSignalled = false
    /// Something to look at besides appends, and who waits until that is done.
    var needsUpkeep = false
    var upkeepWaiters: [CheckedContinuation<Void, Never>] = []
    /// Traffic without a pause must not put it off.
    var upkeepDue: MonotonicTime
  }

  struct Shared {
    var segments: [Segment]
    var committed: Position?
    var waiters: [UInt64: (after: Position?, continuation: CheckedContinuation<Bool, Never>)] = [:]
    var nextWaiter: UInt64 = 0
    var isClosed = false
    /// Why nothing is stored at the moment: the last write or sync failed, and so did the try to
    /// begin anew.
    var failure: String?
    var holds: (holds: Holds, committed: UInt64)?
    /// Damage that was reported already, so that each is once.
    var reported: Set<Damage> = []

    /// The offset from which on identities are remembered, if that many are at most.
    func oldestIdentity(of most: Int) -> UInt64 {
      var events = 0
      for segment in segments.reversed() {
        events += segment.summary.events
        if events > most { return segment.firstOffset }
      }
      return 0
    }
  }

  let disk: any LogDisk
  let configuration: Configuration
  let maxBytes: Int
  let identities: Identities
  let shared: Mutex<Shared>
  private let queue: Mutex<Queue>
  private let wake: FileDescriptor
  /// Held until `close`; nil on a disk that needs none.
  private let lock: Mutex<FolderLock?>
  private let thread = Mutex<Thread?>(nil)

  /// Opens the log in `folder`, which is made if need be, and takes its lock.
  /// - Throws: `LogError`; a folder that another process writes to is refused at once.
  package static func open(
    folder: String,
    _ configuration: Configuration = Configuration()
  ) throws(LogError) -> (log: EventLog, recovery: Recovery) {
    let lock = try FolderLock(folder)
    try checkRole(folder, configuration)
    return try open(disk: FolderDisk(folder), lock: lock, configuration)
  }

  /// Opens the log on any disk, without a lock.
  package static func open(
    disk: any LogDisk,
    _ configuration: Configuration
  ) throws(LogError) -> (log: EventLog, recovery: Recovery) {
    try open(disk: disk, lock: nil, configuration)
  }

  static func open(
    disk: any LogDisk,
    lock: FolderLock?,
    _ configuration: Configuration
  ) throws(LogError) -> (log: EventLog, recovery: Recovery) {
    let found = try Opening(disk, configuration)
    do throws(SystemError) {
      let log = try EventLog(disk, lock, configuration, found)
      return (log, found.recovery)
    } catch { throw .system("\(error)") }
  }

  private init(
    _ disk: any LogDisk,
    _ lock: FolderLock?,
    _ configuration: Configuration,
    _ found: Opening
  ) throws(SystemError) {
    self.disk = disk
    self.configuration = configuration
    queue = Mutex(Queue(upkeepDue: .now() + configuration.upkeepInterval))
    self.lock = Mutex(lock)
    identities = found.identities
    let most = 10 << 30
    // What the log takes already counts as free: a restart must not make the limit smaller.
    let own = found.segments.reduce(0) { $0 + $1.length }
    maxBytes =
      configuration.maxBytes ?? min(most, disk.freeBytes().map { ($0 + own) / 5 * 4 } ?? most)
    let wake = try makeSemaphore()
    self.wake = FileDescriptor(owning: wake)
    shared = Mutex(
      Shared(
        segments: found.segments,
        committed: found.nextOffset == 1 ? nil : Position(offset: found.nextOffset - 1)
      )
    )
    let thread = try Thread("log") { [self] in
      var writer = LogWriter(self, found)
      while let appends = take() {
        if appends.isEmpty {
          let waiters = takeUpkeepWaiters()
          writer.keepUp()
          for waiter in waiters { waiter.resume() }
        } else {
          writer.store(appends)
        }
      }
      for waiter in takeUpkeepWaiters() { waiter.resume() }
      writer.cutAhead(shared.withLock { $0.segments.last })
      writer.sealer?.close()
    }
    self.thread.withLock { $0 = thread }
  }

  // MARK: Appending

  package func append(_ drafts: [Draft]) async throws(BusError) -> [Appended] {
    try await hand(drafts)
  }

  /// Hands drafts, or records that the replica holds, to the log thread.
  func hand(
    _ drafts: [Draft],
    copiesOf copies: [Record] = [],
    isAnew: Bool = false
  ) async throws(BusError) -> [Appended] {
    if drafts.isEmpty { return [] }
    var bytes = 0
    for draft in drafts {
      let size = draft.bodyBytes
      guard size <= Format.largestBody else { throw .tooLarge(limit: Event.Limits.dataBytes) }
      bytes += size
    }
    let result = await withCheckedContinuation { continuation in
      enqueue(
        Append(
          drafts: copies.isEmpty ? drafts : [],
          copies: copies,
          isAnew: isAnew,
          bytes: bytes,
          continuation: continuation
        )
      )
    }
    return try result.get()
  }

  private func enqueue(_ append: Append) {
    let limit = configuration.queueBytes
    let (refusal, mustWake) = queue.withLock { queue -> (BusError?, Bool) in
      if queue.isClosing { return (.closed, false) }
      guard queue.bytes + append.bytes <= limit || queue.appends.isEmpty else {
        return (.full("\(queue.bytes) bytes wait to be written"), false)
      }
      queue.appends.append(append)
      queue.bytes += append.bytes
      defer { queue.isSignalled = true }
      return (nil, !queue.isSignalled)
    }
    if let refusal { append.continuation.resume(returning: .failure(refusal)) }
    if mustWake { signalSemaphore(wake.raw) }
  }

  /// What waits, up to the batch limit; waits itself for something to come. Empty: it is time to
  /// look at the segments. nil: closed and done.
  private func take() -> [Append]? {
    while true {
      let now = MonotonicTime.now()
      let (appends, isDone, isUpkeep) = queue.withLock { queue -> ([Append], Bool, Bool) in
        if queue.needsUpkeep || queue.upkeepDue <= now, !queue.isClosing {
          queue.needsUpkeep = false
          queue.upkeepDue = now + configuration.upkeepInterval
          return ([], false, true)
        }
        var bytes = 0
        var count = 0
        for append in queue.appends {
          if count > 0 && bytes + append.bytes > configuration.batchBytes { break }
          bytes += append.bytes
          count += 1
        }
        let appends = Array(queue.appends.prefix(count))
        queue.appends.removeFirst(count)
        queue.bytes -= bytes
        if appends.isEmpty { queue.isSignalled = false }
        return (appends, appends.isEmpty && queue.isClosing, false)
      }
      if isUpkeep { return [] }
      if !appends.isEmpty { return appends }
      if isDone { return nil }
      waitSemaphore(wake.raw, atMost: configuration.upkeepInterval)
    }
  }

  private func wakeThread(_ change: (inout Queue) -> Void) {
    let mustWake = queue.withLock { queue in
      change(&queue)
      defer { queue.isSignalled = true }
      return !queue.isSignalled
    }
    if mustWake { signalSemaphore(wake.raw) }
  }

  // MARK: Retention

  package func hold(_ holds: Holds) {
    shared.withLock { $0.holds = (holds, $0.committed?.offset ?? 0) }
    wakeThread { $0.needsUpkeep = true }
  }

  /// Looks at once for segments that may go, or for a new one where that is needed, and waits
  /// until that is done.
  package func keepUp() async {
    await withCheckedContinuation { continuation in
      let isOpen = queue.withLock { queue in
        if queue.isClosing { return false }
        queue.upkeepWaiters.append(continuation)
        return true
      }
      if isOpen { wakeThread { $0.needsUpkeep = true } } else { continuation.resume() }
    }
  }

  private func takeUpkeepWaiters() -> [CheckedContinuation<Void, Never>] {
    queue.withLock { queue in
      defer { queue.upkeepWaiters = [] }
      return queue.upkeepWaiters
    }
  }

  package func close() async {
    wakeThread { $0.isClosing = true }
    let thread = thread.withLock { thread in
      defer { thread = nil }
      return thread
    }
    // The thread ends as soon as what was accepted is stored.
    thread?.join()
    await configuration.replica?.close()
    let waiters = shared.withLock { shared in
      shared.isClosed = true
      defer { shared.waiters = [:] }
      return shared.waiters
    }
    for waiter in waiters.values { waiter.continuation.resume(returning: false) }
    lock.withLock { $0 = nil }
  }
}

extension Draft {
  /// The bytes of its record's body.
  var bodyBytes: Int {
    switch self {
    case .event(let event): Format.smallestBody + event.encodedCount
    case .note(let note): Format.smallestBody + 1 + note.bytes.count
    }
  }

  /// Whether it may use the reserve: without it work in flight could not end.
  var isOwn: Bool {
    if case .event(let event) = self { return event.isOwn }
    return true
  }
}
