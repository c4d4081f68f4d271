import Event
import Posix
import Synchronization

/// Writes down what sealed segments hold, on a thread of its own: for each that is thousands of
/// small writes and two syncs, and appends must not wait for them.
///
/// Only the log thread hands segments over and waits for them.
final class Sealer: Sendable {
  private struct State {
    /// Oldest first; the first one is being written down.
    var segments: [Segment] = []
    var isClosing = false
  }

  private let state = Mutex(State())
  private let wake: FileDescriptor
  private let done: FileDescriptor
  private let thread = Mutex<Thread?>(nil)
  /// More segments than this do not wait: their identities are in memory.
  private static let most = 16

  init(_ log: EventLog) throws(SystemError) {
    wake = FileDescriptor(owning: try makeSemaphore())
    done = FileDescriptor(owning: try makeSemaphore())
    let thread = try Thread("log sealer") { [self] in
      while let segment = next() {
        log.seal(segment)
        state.withLock { state in _ = state.segments.removeFirst() }
        signalSemaphore(done.raw)
      }
    }
    self.thread.withLock { $0 = thread }
  }

  private func next() -> Segment? {
    while true {
      let (segment, isClosing) = state.withLock { ($0.segments.first, $0.isClosing) }
      if let segment { return segment }
      if isClosing { return nil }
      waitSemaphore(wake.raw, atMost: .seconds(3600))
    }
  }

  func take(_ segment: Segment) {
    wait { $0.count < Self.most }
    state.withLock { $0.segments.append(segment) }
    signalSemaphore(wake.raw)
  }

  /// Waits until no segment is at work that begins at `offset` or before.
  func finish(through offset: UInt64) {
    wait { segments in !segments.contains { $0.firstOffset <= offset } }
  }

  /// Ends when all that was handed over is written down.
  func close() {
    state.withLock { $0.isClosing = true }
    signalSemaphore(wake.raw)
    let thread = thread.withLock { thread in
      defer { thread = nil }
      return thread
    }
    thread?.join()
  }

  private func wait(until isEnough: ([Segment]) -> Bool) {
    while !isEnough(state.withLock({ $0.segments })) {
      waitSemaphore(done.raw, atMost: .seconds(3600))
    }
  }
}

extension EventLog {
  /// Writes down what a segment holds. Failing costs time at the next start, nothing else.
  func seal(_ segment: Segment) {
    guard let last = segment.summary.lastOffset else { return }
    let identities = identities.recent(from: segment.firstOffset, through: last)
    let damages = shared.withLock { $0.reported.filter { $0.file == segment.name } }
    let index = SegmentIndex(
      segment,
      damages.sorted { $0.bytes.lowerBound < $1.bytes.lowerBound },
      identities
    )
    do throws(SystemError) {
      try index.save(disk, segment.name)
      try self.identities.flush(through: last, keeping: wantedIdentities)
    } catch { configuration.hooks.troubled("an index was not written: \(error)") }
  }

  /// The offset from which on identities are remembered.
  func oldestIdentity() -> UInt64 {
    shared.withLock { $0.oldestIdentity(of: configuration.identityCount) }
  }

  /// The identities that are still of use: those of events that are on the log.
  private func wantedIdentities() -> IdentityTable.Wanted {
    let segments = shared.withLock { $0.segments }
    let first = segments.first { !$0.header.isKept }?.firstOffset ?? 0
    var wanted = IdentityTable.Wanted(from: max(first, oldestIdentity()))
    for (number, segment) in segments.enumerated() where segment.header.isKept {
      do throws(LogError) {
        _ = try segment.walk(
          after: nil,
          limit: number + 1 < segments.count ? segments[number + 1].firstOffset : .max,
          .keepRead,
          damaged: { _ in }
        ) { (frame, _) throws(LogError) in
          wanted.kept.insert(frame.offset)
          return true
        }
      } catch {
        configuration.hooks.troubled("no identity is left out for now: \(error)")
        return IdentityTable.Wanted()
      }
    }
    return wanted
  }
}
