import CLinux
import DequeModule
import Glibc
import HeapModule
import Synchronization

/// One thread that waits on epoll and runs, in turn: descriptors that became ready, timers that
/// are due, closures posted from elsewhere and jobs of Swift concurrency.
///
/// It is a serial executor, so actors and connections that belong to it need no locks, and a task
/// executor, so an async function started on it comes back to it. Everything marked "on the loop"
/// must be called from its thread; debug builds check.
package final class EventLoop: SerialExecutor, TaskExecutor, @unchecked Sendable {
  // SAFETY: `inbox` is guarded by its mutex; every other variable is touched only on the loop's
  // thread once `init` has returned (`assertOnLoop`).

  /// What a descriptor is ready for, or is asked to be watched for.
  package struct Readiness: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    package static let readable = Readiness(rawValue: 0x001)
    package static let writable = Readiness(rawValue: 0x004)
    /// An error or hang-up is pending; always reported, never asked for.
    package static let failed = Readiness(rawValue: 0x018)
    /// There is something to read, if only the end.
    package static let receivable = Readiness(rawValue: 0x019)
    /// The peer has finished sending (`EPOLLRDHUP`).
    package static let peerClosed = Readiness(rawValue: 0x2000)
  }

  /// A descriptor the loop watches, level-triggered. On the loop.
  package final class Watch {
    fileprivate let fd: Int32
    fileprivate let slot: UInt64
    fileprivate var handler: ((Readiness) -> Void)?
    fileprivate var interest: Readiness
    private unowned let loop: EventLoop

    fileprivate init(
      _ loop: EventLoop,
      _ fd: Int32,
      _ slot: UInt64,
      _ interest: Readiness,
      _ handler: @escaping (Readiness) -> Void
    ) {
      self.loop = loop
      self.fd = fd
      self.slot = slot
      self.interest = interest
      self.handler = handler
    }

    /// Changes what is watched for; the same interest costs nothing.
    package func update(_ interest: Readiness) {
      guard interest != self.interest, handler != nil else { return }
      self.interest = interest
      loop.modify(self)
    }

    /// Stops watching. The handler is never called again, and the descriptor may be closed.
    package func cancel() {
      guard handler != nil else { return }
      handler = nil
      loop.forget(self)
    }
  }

  /// Something to run later, unless cancelled before. On the loop.
  package final class Timer: Comparable {
    fileprivate let due: MonotonicTime
    fileprivate var body: (() -> Void)?

    fileprivate init(_ due: MonotonicTime, _ body: @escaping () -> Void) {
      self.due = due
      self.body = body
    }

    package func cancel() { body = nil }

    package static func < (a: Timer, b: Timer) -> Bool { a.due < b.due }
    package static func == (a: Timer, b: Timer) -> Bool { a.due == b.due }
  }

  private struct Inbox {
    var jobs: [UnownedJob] = []
    var posts: [@Sendable () -> Void] = []
    var isSignalled = false
    var isStopping = false
  }

  private let epoll: FileDescriptor
  private let wake: FileDescriptor
  private let inbox = Mutex(Inbox())
  private let threadID = Atomic<UInt>(0)
  private let joinable = Mutex<Thread?>(nil)

  private var watches: [UInt64: Watch] = [:]
  private var nextSlot: UInt64 = 1
  private var localJobs = Deque<UnownedJob>()
  private var timers = Heap<Timer>()

  /// The time at the start of this turn; good enough for deadlines. On the loop.
  package private(set) var now = MonotonicTime.now()

  /// Starts the loop's thread.
  /// - Throws: `SystemError` when epoll, eventfd or the thread cannot be made.
  package init(name: String) throws(SystemError) {
    let epoll = try retryingInterrupts("epoll_create1") { epoll_create1(Int32(EPOLL_CLOEXEC)) }
    self.epoll = FileDescriptor(owning: epoll)
    let wake = try retryingInterrupts("eventfd") {
      eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
    }
    self.wake = FileDescriptor(owning: wake)
    try retryingInterrupts("epoll_ctl") {
      clinux_epoll_control(epoll, EPOLL_CTL_ADD, wake, Readiness.readable.rawValue, 0)
    }
    let thread = try Thread(name) { [self] in run() }
    joinable.withLock { $0 = thread }
  }

  // MARK: From anywhere

  /// Runs `body` on the loop, after what was posted before it.
  package func post(_ body: @escaping @Sendable () -> Void) {
    let mustWake = inbox.withLock { inbox in
      inbox.posts.append(body)
      defer { inbox.isSignalled = true }
      return !inbox.isSignalled
    }
    if mustWake { signal() }
  }

  /// Whether the caller is on the loop's thread.
  package var isCurrent: Bool {
    threadID.load(ordering: .relaxed) == UInt(pthread_self())
  }

  /// Ends the loop after the current turn and waits for its thread. Call it once, from another
  /// thread, when nothing that belongs to the loop is left.
  package func stop() {
    inbox.withLock { $0.isStopping = true }
    signal()
    let thread = joinable.withLock { thread in
      defer { thread = nil }
      return thread
    }
    thread?.join()
  }

  package func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    if isCurrent {
      localJobs.append(job)
      return
    }
    let mustWake = inbox.withLock { inbox in
      inbox.jobs.append(job)
      defer { inbox.isSignalled = true }
      return !inbox.isSignalled
    }
    if mustWake { signal() }
  }

  package func asUnownedSerialExecutor() -> UnownedSerialExecutor {
    unsafe UnownedSerialExecutor(ordinary: self)
  }

  package func checkIsolated() {
    precondition(isCurrent, "not on the event loop")
  }

  package func isIsolatingCurrentContext() -> Bool? { isCurrent }

  // MARK: On the loop

  package func assertOnLoop() { assert(isCurrent, "not on the event loop") }

  /// Watches `fd`, which stays the caller's and must outlive the watch.
  package func watch(
    _ fd: Int32,
    for interest: Readiness,
    _ handler: @escaping (Readiness) -> Void
  ) throws(SystemError) -> Watch {
    assertOnLoop()
    let watch = Watch(self, fd, nextSlot, interest, handler)
    nextSlot += 1
    let epoll = epoll.raw
    try retryingInterrupts("epoll_ctl") {
      clinux_epoll_control(epoll, EPOLL_CTL_ADD, fd, interest.rawValue, watch.slot)
    }
    watches[watch.slot] = watch
    return watch
  }

  /// Runs `body` once, `wait` after the start of this turn.
  @discardableResult
  package func timer(after wait: Duration, _ body: @escaping () -> Void) -> Timer {
    timer(at: now + wait, body)
  }

  /// Runs `body` once at `due`.
  @discardableResult
  package func timer(at due: MonotonicTime, _ body: @escaping () -> Void) -> Timer {
    assertOnLoop()
    let timer = Timer(due, body)
    timers.insert(timer)
    return timer
  }

  /// Suspends the calling task for `wait` or until it is cancelled. From anywhere.
  package func sleep(for wait: Duration) async {
    let nap = Nap()
    await withTaskCancellationHandler {
      // This closure may run on any thread, whatever the caller's executor: only posts are safe.
      await withCheckedContinuation { continuation in
        post { [self] in nap.begin(continuation, self, wait) }
      }
    } onCancel: {
      post { nap.cancel() }
    }
  }

  // MARK: The turn

  private func run() {
    threadID.store(UInt(pthread_self()), ordering: .relaxed)
    var ready = [clinux_ready](repeating: clinux_ready(), count: 256)
    while true {
      let timeout = drain()
      guard let timeout else { return }
      let count = unsafe clinux_epoll_wait(epoll.raw, &ready, Int32(ready.count), timeout)
      now = .now()
      // EINTR is the only failure an intact loop can see; the next turn waits again.
      guard count > 0 else { continue }
      for event in ready[..<Int(count)] {
        if event.token == 0 {
          var counter: UInt64 = 0
          _ = unsafe Glibc.read(wake.raw, &counter, 8)
          continue
        }
        // A watch cancelled earlier in this turn is gone from the table.
        watches[event.token]?.handler?(Readiness(rawValue: event.events))
      }
    }
  }

  /// Runs timers, posts and jobs; answers how many milliseconds epoll may wait, nil to end.
  private func drain() -> Int32? {
    now = .now()
    while let first = timers.min, first.due <= now {
      let timer = timers.removeMin()
      timer.body?()
      timer.body = nil
    }
    let (jobs, posts, isStopping) = inbox.withLock { inbox in
      defer {
        inbox.jobs.removeAll(keepingCapacity: true)
        inbox.posts.removeAll(keepingCapacity: true)
        inbox.isSignalled = false
      }
      return (inbox.jobs, inbox.posts, inbox.isStopping)
    }
    if isStopping { return nil }
    for post in posts { post() }
    for job in jobs { run(job) }
    // A bound, so that jobs which enqueue each other cannot starve the sockets.
    var budget = 1024
    while budget > 0, let job = localJobs.popFirst() {
      run(job)
      budget -= 1
    }
    if !localJobs.isEmpty { return 0 }
    while let first = timers.min, first.body == nil { timers.removeMin() }
    guard let next = timers.min else { return -1 }
    let wait = next.due.nanoseconds - MonotonicTime.now().nanoseconds
    return Int32(clamping: max(0, (wait + 999_999) / 1_000_000))
  }

  private func run(_ job: UnownedJob) {
    unsafe job.runSynchronously(
      isolatedTo: asUnownedSerialExecutor(),
      taskExecutor: asUnownedTaskExecutor()
    )
  }

  private func signal() {
    var one: UInt64 = 1
    // EAGAIN means the counter is already far from zero: the loop will wake.
    _ = unsafe Glibc.write(wake.raw, &one, 8)
  }

  private func modify(_ watch: Watch) {
    assertOnLoop()
    let code = clinux_epoll_control(
      epoll.raw,
      EPOLL_CTL_MOD,
      watch.fd,
      watch.interest.rawValue,
      watch.slot
    )
    precondition(code == 0, "a watched descriptor was closed before its watch")
  }

  private func forget(_ watch: Watch) {
    assertOnLoop()
    watches[watch.slot] = nil
    _ = clinux_epoll_control(epoll.raw, EPOLL_CTL_DEL, watch.fd, 0, 0)
  }
}

/// One sleeping task; woken by its timer or by cancellation, whichever comes first. On the loop.
private final class Nap: @unchecked Sendable {
  // SAFETY: touched only on the loop's thread.
  private var continuation: CheckedContinuation<Void, Never>?
  private var timer: EventLoop.Timer?
  private var isCancelled = false

  func begin(
    _ continuation: CheckedContinuation<Void, Never>,
    _ loop: EventLoop,
    _ wait: Duration
  ) {
    if isCancelled { return continuation.resume() }
    self.continuation = continuation
    timer = loop.timer(after: wait) { [self] in wake() }
  }

  func cancel() {
    isCancelled = true
    wake()
  }

  private func wake() {
    timer?.cancel()
    continuation?.resume()
    continuation = nil
  }
}
