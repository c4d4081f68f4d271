package import Bus
package import Event
import Glibc
import Posix
import Synchronization

/// The embedded event bus: a folder of segments with one writer.
///
/// Callers hand drafts to one log thread. It writes everything that waits with one `pwrite` and
/// one `fdatasync` (group commit) and only then answers, so a sync is shared by all who wait.
package final class EventLog: Bus {
  package struct Configuration: Sendable {
    /// A segment that has reached this many bytes is followed by a new one.
    package var segmentBytes = 64 << 20
    /// Drafts written at once: at most about this many bytes.
    package var batchBytes = 8 << 20
    /// Drafts that may wait, in bytes; beyond it appends answer `full`.
    package var queueBytes = 256 << 20
    package var clock = LogClock.system
    /// Called on the log thread after each sync: records, bytes, time of write and sync.
    package var synced: @Sendable (_ records: Int, _ bytes: Int, _ took: Duration) -> Void = {
      _,
      _,
      _ in
    }

    package init() {}
  }

  /// What opening found.
  package struct Recovery: Equatable, Sendable {
    package var records = 0
    package var segments = 0
    /// Bytes of a torn tail that were cut.
    package var cutBytes = 0
    package var damages: [Damage] = []
  }

  struct Append {
    let drafts: [Draft]
    let bytes: Int
    let continuation: CheckedContinuation<Result<[Appended], BusError>, Never>
  }

  private struct Queue {
    var appends: [Append] = []
    var bytes = 0
    var isClosing = false
    var isSignalled = false
  }

  struct Shared {
    var segments: [Segment]
    var committed: Position?
    var index: [Event.Identity: UInt64]
    var waiters: [UInt64: (after: Position?, continuation: CheckedContinuation<Bool, Never>)] = [:]
    var nextWaiter: UInt64 = 0
    var isClosed = false
    /// Set once a sync failed: nothing is stored any more.
    var failure: String?
  }

  let disk: any LogDisk
  let configuration: Configuration
  let shared: Mutex<Shared>
  private let queue = Mutex(Queue())
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
    return try open(disk: FolderDisk(folder), lock: lock, configuration)
  }

  /// Opens the log on any disk, without a lock.
  package static func open(
    disk: any LogDisk,
    _ configuration: Configuration
  ) throws(LogError) -> (log: EventLog, recovery: Recovery) {
    try open(disk: disk, lock: nil, configuration)
  }

  private static func open(
    disk: any LogDisk,
    lock: FolderLock?,
    _ configuration: Configuration
  ) throws(LogError) -> (log: EventLog, recovery: Recovery) {
    let found = try Opening(disk)
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
    self.lock = Mutex(lock)
    let wake = try makeSemaphore()
    self.wake = FileDescriptor(owning: wake)
    shared = Mutex(
      Shared(
        segments: found.segments,
        committed: found.lastOffset.map { Position(offset: $0) },
        index: found.index
      )
    )
    let nextOffset = found.nextOffset
    let lastTime = found.lastTime
    let thread = try Thread("log") { [self] in
      var writer = LogWriter(self, nextOffset: nextOffset, lastTime: lastTime)
      while let appends = take() { writer.store(appends) }
    }
    self.thread.withLock { $0 = thread }
  }

  // MARK: Appending

  package func append(_ drafts: [Draft]) async throws(BusError) -> [Appended] {
    if drafts.isEmpty { return [] }
    var bytes = 0
    for draft in drafts {
      let size = draft.storedBytes
      guard size <= Format.largestLength else { throw .tooLarge(limit: Event.Limits.dataBytes) }
      bytes += size
    }
    let result = await withCheckedContinuation { continuation in
      enqueue(Append(drafts: drafts, bytes: bytes, continuation: continuation))
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

  /// What waits, up to the batch limit; waits itself for something to come. nil: closed and done.
  private func take() -> [Append]? {
    while true {
      let (appends, isDone) = queue.withLock { queue -> ([Append], Bool) in
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
        return (appends, appends.isEmpty && queue.isClosing)
      }
      if !appends.isEmpty { return appends }
      if isDone { return nil }
      waitSemaphore(wake.raw)
    }
  }

  // MARK: Reading

  package var committed: Position? { shared.withLock { $0.committed } }

  /// Why the log stores nothing any more; nil while it does.
  package var failure: String? { shared.withLock { $0.failure } }

  package func position(of identity: Event.Identity) -> Position? {
    shared.withLock { $0.index[identity] }.map { Position(offset: $0) }
  }

  package func read(
    after position: Position?,
    limit: Int,
    bytes: Int
  ) throws(BusError) -> [Record] {
    let (segments, committed) = shared.withLock { ($0.segments, $0.committed) }
    guard let committed, position.map({ $0 < committed }) ?? true else { return [] }
    var records: [Record] = []
    var size = 0
    let after = position?.offset
    do throws(LogError) {
      for (number, segment) in segments.enumerated() {
        let isPast =
          after.map { number + 1 < segments.count && segments[number + 1].firstOffset <= $0 + 1 }
        if isPast == true { continue }
        try segment.walk(from: segment.start(after: after)) { (frame, chunk) throws(LogError) in
          if let after, frame.offset <= after { return true }
          records.append(try Format.record(frame, in: chunk))
          size += frame.payload.count
          return records.count < limit && size < bytes
        }
        if records.count >= limit || size >= bytes { break }
      }
    } catch { throw .failed("\(error)") }
    return records
  }

  package func record(at position: Position) throws(BusError) -> Record? {
    guard position.partition == 0 else { return nil }
    let before = position.offset == 0 ? nil : Position(offset: position.offset - 1)
    let found = try read(after: before, limit: 1, bytes: 1).first
    return found?.position == position ? found : nil
  }

  package func waitForRecords(after position: Position?) async -> Bool {
    let number = shared.withLock { shared -> UInt64 in
      shared.nextWaiter += 1
      return shared.nextWaiter
    }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let answer = shared.withLock { shared -> Bool? in
          if isAfter(shared.committed, position) { return true }
          if shared.isClosed || Task.isCancelled { return false }
          shared.waiters[number] = (position, continuation)
          return nil
        }
        if let answer { continuation.resume(returning: answer) }
      }
    } onCancel: {
      let waiter = shared.withLock { $0.waiters.removeValue(forKey: number) }
      waiter?.continuation.resume(returning: false)
    }
  }

  package func close() async {
    let mustWake = queue.withLock { queue in
      queue.isClosing = true
      defer { queue.isSignalled = true }
      return !queue.isSignalled
    }
    if mustWake { signalSemaphore(wake.raw) }
    let thread = thread.withLock { thread in
      defer { thread = nil }
      return thread
    }
    // The thread ends as soon as what was accepted is stored.
    thread?.join()
    let waiters = shared.withLock { shared in
      shared.isClosed = true
      defer { shared.waiters = [:] }
      return shared.waiters
    }
    for waiter in waiters.values { waiter.continuation.resume(returning: false) }
    lock.withLock { $0 = nil }
  }
}

func isAfter(_ committed: Position?, _ position: Position?) -> Bool {
  guard let committed else { return false }
  return position.map { $0 < committed } ?? true
}

extension Draft {
  /// About the bytes it takes on the log.
  fileprivate var storedBytes: Int {
    switch self {
    case .event(let event): event.data.count + 1024
    case .note(let note): note.bytes.count + 64
    }
  }
}
